"""The learned estimator: the published network, its labels, its training, its file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hbi.errors import InputError
from hbi.files import write_atomically
from hbi.games import TokenGame, interaction
from hbi.games.estimator import (
    BanzhafEstimator,
    estimated_interaction,
    estimation_error,
    load_estimator,
    save_estimator,
)
from tests.golden_weights import GOLDEN, drawn

PUBLISHED = {"query": "Q", "key": "K", "value": "V", "convolution_in": "cnn1", "convolution_out": "cnn2"}
golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden data are not beside this checkout")


def published(prefix: str, tensors: dict) -> BanzhafEstimator:
    estimator = BanzhafEstimator()
    state = {}
    for name in estimator.state_dict():
        ours, _, rest = name.partition(".")
        key = ".".join(filter(None, [prefix, PUBLISHED[ours], rest]))
        state[name] = drawn(key, tensors[key])
    estimator.load_state_dict(state)
    return estimator


def games(seed: int, B: int = 32, T: int = 8, V: int = 6) -> TokenGame:
    """Cosines of tokens that share directions, as those of a trained model do; scores of some spread; padding."""
    g = torch.Generator().manual_seed(seed)
    text, video = (torch.nn.functional.normalize(torch.randn(B, n, 4, generator=g), dim=-1) for n in (T, V))
    lengths = torch.randint(2, T + 1, (B, 1), generator=g)
    scores = (0.5 * torch.randn(B, n, generator=g) for n in (T, V))
    return TokenGame(text @ video.mT, *scores, torch.arange(T) < lengths)


@golden
@pytest.mark.parametrize("prefix", ["banzhafteacher", "banzhafmodel"])
@pytest.mark.parametrize("case", "abc")
def test_outputs_and_gradients_are_those_of_the_published_network(prefix, case):
    arrays = np.load(GOLDEN / "banzhaf_module.npz")
    tensors = json.loads((GOLDEN / "banzhaf_module_manifest.json").read_text())[prefix]
    a = torch.from_numpy(arrays[f"{case}_input"]).requires_grad_()
    found = published(prefix, tensors)(a, torch.ones_like(a, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(found.square().sum(), a)
    for ours, name in ((found, "output"), (gradient, "grad_input_of_sum_sq")):
        theirs = arrays[f"{prefix}_{case}_{name}"]
        np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


@golden
def test_labels_and_estimates_are_those_of_the_published_training():
    """Their labels are a thousand times ours. Their network sees padding, so that only the full pair compares."""
    arrays = {name: torch.from_numpy(array) for name, array in np.load(GOLDEN / "estimator.npz").items()}
    words, frames = arrays["text_mask"].bool(), arrays["video_mask"].bool()
    scores = [arrays[f"{side}_weight"].log() for side in ("text", "video")]
    scores = [s.masked_fill(~mask, 0) for s, mask in zip(scores, (words, frames), strict=True)]
    game = TokenGame(arrays["diag_token_logits"], *scores, words, frames, padding="released")
    draw = torch.Generator().manual_seed(0)
    labels = 1000 * interaction(game, method="released", samples=20_000, generator=draw)
    expected = arrays["label_exact_expectation"]
    assert (labels - expected).abs().max() < 5 * 60 / 20_000**0.5  # a draw deviates by about 60
    full = words.all(-1) & frames.all(-1)
    assert full.any()
    tensors = json.loads((GOLDEN / "manifest.json").read_text())["tensors"]
    found = estimated_interaction(published("banzhafteacher", tensors), game)
    theirs = arrays["estimator_output_unmasked"]
    torch.testing.assert_close(found[full], theirs[full], rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_it_learns():
    torch.manual_seed(0)
    estimator, scale = BanzhafEstimator(16), 1000.0
    adam = torch.optim.Adam(estimator.parameters(), lr=1e-2)
    losses = []
    for step in range(120):
        game = games(step)
        loss = estimation_error(estimator, game, interaction(game), scale)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    unseen = games(10**6, B=64)
    found, exact = estimated_interaction(estimator, unseen)[unseen.cells], interaction(unseen)[unseen.cells]
    assert torch.corrcoef(torch.stack([found, exact]))[0, 1] > 0.6


def test_a_pair_without_words_is_zero_and_disturbs_no_other():
    game = games(0, B=2)
    cells = game.cells.clone()
    cells[1] = False
    estimator = BanzhafEstimator(8)
    found = estimator(game.similarity, cells)
    found.sum().backward()
    assert (found[1] == 0).all()
    torch.testing.assert_close(found[0], estimator(game.similarity, game.cells)[0])
    assert all(weight.grad.isfinite().all() for weight in estimator.parameters())


def test_saved_it_answers_in_the_scale_of_its_input(tmp_path):
    estimator, game = BanzhafEstimator(8), games(0)
    save_estimator(tmp_path / "it.safetensors", estimator, "shapley", scale=1000.0)
    again = load_estimator(tmp_path / "it.safetensors", "shapley")
    torch.testing.assert_close(1000 * estimated_interaction(again, game), estimated_interaction(estimator, game))
    assert not any(weight.requires_grad for weight in again.parameters())


def damaged(file: Path) -> None:
    write_atomically(file, file.read_bytes()[:100])


def another_kind(file: Path) -> None:
    from safetensors.torch import save_file

    save_file({"query": torch.zeros(()), "surplus": torch.zeros(3)}, file)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "no such file"),
        (damaged, "not readable as plain weights"),
        (another_kind, r"does not fit the model: missing .*unexpected|does not fit the model: missing"),
        (lambda file: None, "was trained for the index banzhaf, not shapley"),
    ],
)
def test_a_file_that_cannot_serve_is_an_error_that_names_it(tmp_path, spoil, message):
    file = tmp_path / "it.safetensors"
    save_estimator(file, BanzhafEstimator(8), "banzhaf")
    spoil(file)
    with pytest.raises(InputError, match=message) as caught:
        load_estimator(file, "shapley")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu_it_says_the_same():
    estimator, game = BanzhafEstimator(8), games(0)
    on_gpu = TokenGame(game.similarity.cuda(), text_mask=game.text.mask.cuda())
    found = estimated_interaction(estimator.cuda(), on_gpu).cpu()
    torch.testing.assert_close(found, estimated_interaction(estimator.cpu(), game), rtol=1e-3, atol=1e-3)
