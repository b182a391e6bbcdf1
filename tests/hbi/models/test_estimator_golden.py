"""The published estimator, its labels, loss, gradients and steps, against numbers of that code (tests/golden; from
estimator.* and banzhaf_module.* of ../shared/golden/hbi)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hbi.config import EstimatorConfig, HBIConfig, TeacherConfig, TrainingConfig
from hbi.errors import InputError
from hbi.games import TokenGame, interaction
from hbi.games.estimator import (
    PUBLISHED_NAMES,
    estimated_interaction,
    estimation_error,
    from_published,
    load_estimator,
    save_estimator,
    to_published,
)
from hbi.games.released import released_draws
from hbi.models import build
from hbi.models.estimator_training import EstimatorTraining
from hbi.seeds import spread
from hbi.training.optimiser import optimiser, set_learning_rate, share_of_peak
from tests.golden_weights import drawn
from tests.random_batch import batch_of

GOLDEN = Path(__file__).parents[2] / "golden"
NUMBERS = json.loads((GOLDEN / "hbi_estimator.json").read_text())
ARRAYS = {name: torch.from_numpy(array) for name, array in np.load(GOLDEN / "hbi_estimator.npz").items()}


def published(network: str = "banzhafteacher") -> dict[str, torch.Tensor]:
    """The published state dict of ``network``, by the recipe of the golden data."""
    return {
        key.removeprefix(f"{network}."): drawn(key, tensor)
        for key, tensor in NUMBERS["weights"].items()
        if key.startswith(f"{network}.")
    }


@pytest.fixture
def file(tmp_path):
    torch.save(published(), tmp_path / "pytorch_model.bin.3")
    return tmp_path / "pytorch_model.bin.3"


def the_game() -> TokenGame:
    """The pairs of the published training: similarities, weights given as probabilities, padding that counts as 0."""
    masks = [ARRAYS[f"{side}_mask"] for side in ("text", "video")]
    scores = [ARRAYS[f"{side}_weight"].log() for side in ("text", "video")]
    return TokenGame(ARRAYS["diag_token_logits"], *scores, *masks, padding="released")


def in_our_unit(label: str) -> torch.Tensor:
    return (ARRAYS[label] / 1000).float()


# ---- the network


@pytest.mark.parametrize("cells", ["all", None], ids=["all cells given", "none given"])
@pytest.mark.parametrize("network", ["banzhafteacher", "banzhafmodel"])
@pytest.mark.parametrize("case", "abc")
def test_outputs_and_gradients_are_those_of_the_published_network(network, case, cells):
    a = ARRAYS[f"module_{case}_input"].requires_grad_()
    estimator = from_published(published(network))
    found = estimator(a, torch.ones_like(a, dtype=torch.bool) if cells else None)
    (gradient,) = torch.autograd.grad(found.square().sum(), a)
    for ours, name in ((found, "output"), (gradient, "grad_input_of_sum_sq")):
        theirs = ARRAYS[f"module_{network}_{case}_{name}"]
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max().item())


def test_it_reads_padded_maps_as_published():
    theirs = ARRAYS["estimator_output_unmasked"]
    with torch.no_grad():
        found = from_published(published())(ARRAYS["diag_token_logits"])
    torch.testing.assert_close(found, theirs, rtol=1e-5, atol=1e-5 * theirs.abs().max().item())


def test_a_published_file_answers_in_the_scale_of_its_input(file):
    estimator, game = load_estimator(file, "banzhaf"), the_game()
    found = 1000 * estimated_interaction(estimator, game)
    torch.testing.assert_close(found, ARRAYS["estimator_output_unmasked"] * game.cells, rtol=1e-4, atol=1e-3)
    assert not any(weight.requires_grad for weight in estimator.parameters())


def test_a_published_file_survives_the_way_through_ours_bit_for_bit(file, tmp_path):
    save_estimator(tmp_path / "it.safetensors", load_estimator(file, "banzhaf"), "banzhaf")
    again, theirs = to_published(load_estimator(tmp_path / "it.safetensors", "banzhaf")), published()
    assert again.keys() == theirs.keys()
    assert {name: weight.shape for name, weight in again.items()} == {name: w.shape for name, w in theirs.items()}
    assert all(torch.equal(again[name], theirs[name]) for name in PUBLISHED_NAMES.values())


def test_the_full_method_takes_a_published_file_as_teacher(file):
    def with_teacher(estimator: Path, index: str = "banzhaf"):
        teacher = TeacherConfig(method="estimated", estimator=str(estimator), index=index)
        return build(HBIConfig(encoder="tiny", temporal_layers=1, teacher=teacher))

    losses = with_teacher(file).losses(batch_of(6))
    assert all(loss.isfinite() for loss in losses.values())
    exact = build(HBIConfig(encoder="tiny", temporal_layers=1)).losses(batch_of(6))
    assert losses["contrastive/entity"] == exact["contrastive/entity"]
    assert losses["banzhaf/entity"] != exact["banzhaf/entity"]  # it is asked
    with pytest.raises(InputError, match="was trained for the index banzhaf, not shapley"):
        with_teacher(file, "shapley")


# ---- its training


def test_labels_are_drawn_as_published():
    """Their mean over all coalitions is the published expectation, and a mean of draws lies around it."""
    game, expected = the_game(), ARRAYS["label_exact_expectation"]
    T, V = game.similarity.shape[1:]
    members = (torch.arange(2 ** (T + V))[:, None] >> torch.arange(T + V) & 1).bool().expand(4, -1, -1)
    words, frames = members[..., :T] & game.text.mask[:, None], members[..., T:] & game.video.mask[:, None]
    draws = 1000 * released_draws(game, words, frames)
    torch.testing.assert_close(draws.mean(1).double(), expected, rtol=0, atol=1e-3)
    drawn = 1000 * interaction(game, method="released", samples=5000, generator=torch.Generator().manual_seed(0))
    for labels, samples in ((drawn, 5000), (ARRAYS["label_y_num100"], 100)):
        assert ((labels - expected).abs() <= 5 * draws.std(1) / samples**0.5).all()


@pytest.mark.parametrize(
    ("label", "loss"), [("label_y_num100", "mse_loss"), ("label_exact_expectation", "mse_with_exact_label")]
)
def test_the_error_is_the_published_one(label, loss):
    error = estimation_error(from_published(published()), the_game(), in_our_unit(label))
    assert error.item() == pytest.approx(NUMBERS[loss], rel=1e-5)


def test_the_gradients_of_the_error_are_the_published_ones():
    estimator = from_published(published())
    estimation_error(estimator, the_game(), in_our_unit("label_y_num100")).backward()
    for name, weight in estimator.named_parameters():
        theirs = NUMBERS["grads"][f"banzhafteacher.{PUBLISHED_NAMES[name]}"]
        assert weight.grad.norm().item() == pytest.approx(theirs["l2"], rel=1e-4)
        assert weight.grad.sum().item() == pytest.approx(theirs["sum"], rel=1e-4, abs=1e-4 * theirs["l2"])


def test_five_steps_lead_where_the_published_ones_do():
    """On the same labels, by the published optimiser and schedule."""
    source = build(HBIConfig(encoder="tiny", temporal_layers=1))
    training = EstimatorTraining(EstimatorConfig(labels="released", padding="released"), 0, source)
    training.network = from_published(published())
    start = {name: weight.detach().clone() for name, weight in training.network.named_parameters()}
    config = TrainingConfig(optimiser="bertadam", schedule="released", lr=NUMBERS["lr"])
    adam, steps = optimiser(training, config), NUMBERS["t_total"]
    for number, golden in enumerate(NUMBERS["steps_with_frozen_label"]):
        set_learning_rate(adam, share_of_peak(config, number, steps, steps))
        adam.zero_grad()
        error = estimation_error(training.network, the_game(), in_our_unit("label_y_num100"))
        error.backward()
        norm = torch.nn.utils.clip_grad_norm_(training.parameters(), config.clip_norm)
        adam.step()
        assert error.item() == pytest.approx(golden["loss"], rel=1e-5)
        assert norm.item() == pytest.approx(golden["grad_norm_before_clip"], rel=1e-4)
    for name, weight in training.network.named_parameters():
        theirs = NUMBERS["teacher_params_after_step5"][f"banzhafteacher.{PUBLISHED_NAMES[name]}"]
        assert weight.norm().item() == pytest.approx(theirs["l2"], rel=1e-5)
        assert (weight - start[name]).norm().item() == pytest.approx(theirs["delta_l2"], rel=1e-4)


@pytest.mark.parametrize("padding", ["correct", "released"])
def test_training_takes_this_error_of_the_games_of_its_source(padding):
    batch, source = batch_of(6), build(HBIConfig(encoder="tiny", temporal_layers=1))
    training = EstimatorTraining(EstimatorConfig(width=8, labels="released", padding=padding), 0, source)
    loss = training.losses(batch)["total"]
    text = source.encode_text(batch.token_ids, batch.text_mask)
    game = source.game("entity", text, source.encode_video(batch.frames, batch.video_mask))
    draw = torch.Generator().manual_seed(spread(0, "labels", 0))
    labels = 1000 * interaction(game, method="released", samples=100, generator=draw)
    found = training.network(game.similarity, None if padding == "released" else game.cells) * game.cells
    counted = game.cells.numel() if padding == "released" else game.cells.sum()
    torch.testing.assert_close(loss, (found - labels).square().sum() / counted)
