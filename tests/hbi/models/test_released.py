"""hbi-released and hbi-qa-released against numbers of the published code, and its checkpoints in and out.

tests/golden/hbi_released.* and hbi_qa_released.* hold one batch of ../shared/golden/hbi: inputs, the published weights'
recipe, similarities, losses, gradient norms, optimiser steps, and the first 16 channels of the features.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hbi.config import DeparturesConfig, TeacherConfig, TrainingConfig
from hbi.data.batches import Batch
from hbi.errors import InputError
from hbi.models import released
from hbi.training.optimiser import optimiser
from tests.golden_weights import published_weights

GOLDEN = Path(__file__).parents[2] / "golden"
LEVELS = ("entity", "action", "event")
EQUAL_RATES = dict.fromkeys(LEVELS, 1.0)


def read(name: str) -> SimpleNamespace:
    known = json.loads((GOLDEN / f"{name}.json").read_text())
    weights = published_weights(known.pop("weights"))
    arrays = dict(np.load(GOLDEN / f"{name}.npz"))
    ids, text_mask, video_mask = (torch.from_numpy(arrays[n]).long() for n in ("text_ids", "text_mask", "video_mask"))
    answers = torch.from_numpy(arrays["labels"]).long() if "labels" in arrays else torch.full((len(ids),), -1)
    video = torch.from_numpy(arrays["video"]).float()
    batch = Batch(ids, text_mask.bool(), video, video_mask.bool(), torch.arange(len(ids)), answers)
    return SimpleNamespace(arrays=arrays, batch=batch, weights=weights, **known)


@pytest.fixture(scope="module")
def retrieval():
    return read("hbi_released")


@pytest.fixture(scope="module")
def qa():
    return read("hbi_qa_released")


def encoded(model, batch):
    with torch.no_grad():
        return (
            model.encode_text(batch.token_ids, batch.text_mask),
            model.encode_video(batch.frames, batch.video_mask),
        )


def gradients(model, batch) -> dict[str, torch.Tensor | None]:
    model.train().zero_grad()
    model.losses(batch)["total"].backward()
    return {released.published_name(name): weight.grad for name, weight in model.named_parameters()}


def assert_gradients(found, golden):
    for name, norm in golden.grads.items():
        ours = found.get(name)
        if norm is None:
            assert ours is None, name
        elif name in golden.only_rounding:
            assert ours.norm() < 1e-5, name
        else:
            assert ours.double().norm().item() == pytest.approx(norm, rel=1e-4), name


# ---- retrieval


def test_features_are_those_of_the_published_encoder(retrieval):
    model, batch, golden = released.load("hbi", retrieval.weights), retrieval.batch, retrieval.arrays
    with torch.no_grad():
        words = model.encoder.words(batch.token_ids, batch.text_mask)
        frames = model.encoder.frames(batch.frames.flatten(0, 1)).unflatten(0, batch.video_mask.shape)
        video = model.temporal(frames, batch.video_mask)
    for ours, name in ((words, "text_hidden"), (frames, "frame_clip"), (video, "video_feat")):
        np.testing.assert_allclose(ours.numpy()[..., :16], golden[name], atol=2e-5)


@pytest.mark.parametrize("side", ["t", "v"])
def test_tokens_merge_as_published_padding_included(retrieval, side):
    model, batch, golden = released.load("hbi", retrieval.weights), retrieval.batch, retrieval.arrays
    merge = model.text_merge if side == "t" else model.video_merge
    mask = batch.text_mask if side == "t" else batch.video_mask
    clusters = []
    for level in ("action", "event"):
        original = merge[level]._cluster

        def watched(*given, original=original):
            clusters.append(original(*given)[0])
            return original(*given)

        merge[level]._cluster = watched
    with torch.no_grad():
        tokens = model.encoder.words(batch.token_ids, mask) if side == "t" else None
        if tokens is None:
            frames = model.encoder.frames(batch.frames.flatten(0, 1)).unflatten(0, mask.shape)
            tokens = model.temporal(frames, mask)
        phrases, exist = merge["action"](tokens, mask)
        events, _ = merge["event"](phrases, exist)
    np.testing.assert_allclose(phrases.numpy()[..., :16], golden[f"{side}_block0"], atol=2e-5)
    np.testing.assert_allclose(events.numpy()[..., :16], golden[f"{side}_block1"], atol=2e-5)
    assert (clusters[0].numpy() == golden[f"{side}_ctm0_idx_cluster"])[mask.numpy()].all()
    np.testing.assert_array_equal(clusters[1].numpy(), golden[f"{side}_ctm1_idx_cluster"])


def test_similarities_are_the_published_ones(retrieval):
    for rates, name in [({level: 1.0}, f"sim_{level}") for level in LEVELS] + [
        (EQUAL_RATES, "sim_rate_111"),
        ({"entity": 1.0}, "sim_rate_100"),
    ]:
        model = released.load("hbi", retrieval.weights, similarity_rates=rates)
        found = model.similarity(*encoded(model, retrieval.batch)).numpy()
        np.testing.assert_allclose(found, retrieval.arrays[name], atol=1e-6)


def test_losses_are_the_published_ones(retrieval):
    model = released.load("hbi", retrieval.weights).train()
    losses = {name: loss.item() for name, loss in model.losses(retrieval.batch).items()}
    golden = retrieval.components
    for level in LEVELS:
        assert losses[f"contrastive/{level}"] == pytest.approx(golden[f"{level}_contrastive"], rel=1e-5)
        assert losses[f"banzhaf/{level}"] == pytest.approx(golden[f"{level}_s_loss"], rel=1e-5)
    for level in LEVELS[1:]:
        both_ways = golden[f"distill_t2v_{level}"] + golden[f"distill_v2t_{level}"]
        assert losses[f"distillation/{level}"] == pytest.approx(both_ways, abs=2e-7)
    assert losses["total"] == pytest.approx(golden["loss"], rel=1e-5)


def test_gradients_are_the_published_ones(retrieval):
    assert_gradients(gradients(released.load("hbi", retrieval.weights), retrieval.batch), retrieval)


def test_five_steps_of_the_published_optimiser(retrieval):
    """Losses, gradient norms and how far each parameter has moved; the CLIP group moves by less than its rounding."""
    golden = retrieval.optim
    model = released.load("hbi", retrieval.weights, similarity_rates=EQUAL_RATES).train()
    names = {parameter: released.published_name(name) for name, parameter in model.named_parameters()}
    start = {name: parameter.detach().clone() for parameter, name in names.items()}
    adam = optimiser(model, TrainingConfig(optimiser="bertadam", lr=1e-4, coef_lr=1e-3))
    for group in golden["groups"]:
        known = [name for name in group["names"] if name in start and "conv1" not in name]  # that one is frozen
        ours = next(g for g in adam.param_groups if any(names[p] == known[0] for p in g["params"]))
        assert {names[p] for p in ours["params"]} >= set(known)
        assert ours["weight_decay"] == group["weight_decay"]
        assert ours["peak"] == pytest.approx(group["lr"])
    for number, step in enumerate(golden["steps"]):
        adam.zero_grad()
        losses = model.losses(retrieval.batch)
        losses["total"].backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        tolerance = 1e-4 if number < 3 else 5e-4
        assert losses["total"].item() == pytest.approx(step["loss"], rel=tolerance)
        assert norm.item() == pytest.approx(step["grad_norm_before_clip"], rel=5 * tolerance)
        released_rate(adam, number, 20)
        adam.step()
        assert model.logit_scale.item() == pytest.approx(step["logit_scale_after"], abs=1e-6)
        if number in (2, 4):
            for name, moved in golden[f"delta_after_{number + 1}"].items():
                if name in start and name not in retrieval.only_rounding:
                    now = next(p for p, theirs in names.items() if theirs == name)
                    distance = (now.detach() - start[name]).double().norm().item()
                    relative = 0.1 if name.startswith("clip.") else 1e-3
                    assert distance == pytest.approx(moved, rel=relative, abs=1e-12), name
    found = model.eval().similarity(*encoded(model, retrieval.batch)).numpy()
    np.testing.assert_allclose(found, golden["sim_rate_111_after_step5"], atol=2e-4)


def released_rate(adam, step: int, steps: int) -> None:
    """warmup_cosine of golden/hbi/README.md, G4, warm-up 0.1, written out once more."""
    x = step / steps
    share = x / 0.1 if x < 0.1 else 0.5 * (1 + np.cos(np.pi * x))
    for group in adam.param_groups:
        group["lr"] = group["peak"] * share


def test_noise_of_the_published_clustering_changes_no_decision_here(retrieval):
    first, second = (
        released.load("hbi", retrieval.weights, seed=seed, similarity_rates=EQUAL_RATES) for seed in (1, 2)
    )
    scores = [model.similarity(*encoded(model, retrieval.batch)) for model in (first, second)]
    assert torch.equal(*scores)


def test_each_departure_changes_what_it_says(retrieval):
    """One option back to "correct" changes the loss or the similarities; those of other circumstances do not."""
    whole = dict.fromkeys(DeparturesConfig.model_fields, "released")
    elsewhere = {  # several processes; captions of one video; a file that is missing; evaluation's speed; ties
        *("gathered_gradients", "same_video", "missing_estimator", "unused_levels", "clustering"),
    }

    def numbers(departures):
        model = released.load("hbi", retrieval.weights, departures=departures, similarity_rates=EQUAL_RATES)
        scores = model.similarity(*encoded(model, retrieval.batch))
        with torch.no_grad():
            return torch.cat([scores.flatten(), model.train().losses(retrieval.batch)["total"][None]])

    as_published = numbers(whole)
    for name in whole:
        changed = numbers({**whole, name: "correct"})
        if name in elsewhere:
            torch.testing.assert_close(changed, as_published)
        else:
            assert (changed - as_published).abs().max() > 1e-5, name


def test_other_captions_of_a_video_are_negatives_as_published(retrieval):
    twins = Batch(**{**vars(retrieval.batch), "video_index": torch.tensor([0, 0, 1, 2, 3, 4])})
    kept, shared = (
        released.load("hbi", retrieval.weights, departures=departures).train().losses(twins)["contrastive/entity"]
        for departures in (DeparturesConfig.all_released(), DeparturesConfig())
    )
    assert kept.item() == pytest.approx(retrieval.components["entity_contrastive"], rel=1e-5)
    assert abs(shared - kept) > 1e-3


# ---- question answering


@pytest.mark.parametrize("rates", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.4, 0.4, 0.2), (1, 1, 1)])
def test_answers_are_the_published_ones(qa, rates):
    model = released.load("hbi-qa", qa.weights, answer_rates=dict(zip(LEVELS, rates, strict=True)))
    with torch.no_grad():
        found = model.answers(*encoded(model, qa.batch)).numpy()
    name = "".join(str(round(10 * rate)) for rate in rates) if 0.4 in rates else "".join(map(str, rates))
    np.testing.assert_allclose(found, qa.arrays[f"eval_logits_rate_{name}"], atol=2e-5)


def test_losses_of_answers_are_the_published_ones(qa):
    model = released.load("hbi-qa", qa.weights, dropout=0.0).train()
    losses = {name: loss.item() for name, loss in model.losses(qa.batch).items()}
    for level in LEVELS:
        for ours, theirs in (("answer", "answer_ce"), ("contrastive", "contrastive"), ("banzhaf", "s_loss")):
            assert losses[f"{ours}/{level}"] == pytest.approx(qa.components[f"{level}_{theirs}"], rel=1e-5, abs=2e-7)
    for level in LEVELS[1:]:
        assert losses[f"distillation/{level}"] == pytest.approx(qa.components[f"distill_{level}"], rel=1e-5)
    assert losses["total"] == pytest.approx(qa.components["loss"], rel=1e-5)


def test_gradients_of_answers_are_the_published_ones(qa):
    assert_gradients(gradients(released.load("hbi-qa", qa.weights, dropout=0.0), qa.batch), qa)


# ---- files


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
@pytest.mark.parametrize("system", ["hbi", "hbi-qa"])
def test_what_is_loaded_is_saved_bit_for_bit(system, suffix, retrieval, qa, tmp_path):
    weights = (retrieval if system == "hbi" else qa).weights
    file = tmp_path / f"again{suffix}"
    released.save(released.load(system, weights), file)
    again = released.published_state(released.load(system, file))
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weight) for name, weight in weights.items())


def test_a_parallel_models_prefix_is_taken_off(retrieval, tmp_path):
    torch.save({f"module.{name}": weight for name, weight in retrieval.weights.items()}, tmp_path / "it.bin")
    assert released.load("hbi", tmp_path / "it.bin").logit_scale.item() == retrieval.weights["clip.logit_scale"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w.pop("t_ctm0.norm.weight"), "missing t_ctm0.norm.weight"),
        (lambda w: w.update(surplus=torch.zeros(2)), "unexpected surplus"),
        (lambda w: w.update({"banzhafteacher.Q": torch.zeros(3, 3)}), r"banzhafteacher.Q is \[3, 3\], not \[64, 64\]"),
        (lambda w: w.pop("clip.text_projection"), "no published checkpoint of HBI: clip.text_projection"),
    ],
)
def test_what_does_not_fit_is_listed_with_the_file(retrieval, tmp_path, spoil, message):
    weights = dict(retrieval.weights)
    spoil(weights)
    torch.save(weights, tmp_path / "spoilt.bin")
    with pytest.raises(InputError, match=message) as caught:
        released.load("hbi", tmp_path / "spoilt.bin")
    assert "spoilt.bin" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_system_is_refused(retrieval, qa):
    with pytest.raises(InputError, match="unexpected"):
        released.load("hbi", qa.weights)
    with pytest.raises(InputError, match=r"missing|no published checkpoint"):
        released.load("hbi-qa", retrieval.weights)
    with pytest.raises(InputError, match="unknown system 'hbi-q'"):
        released.load("hbi-q", retrieval.weights)


def test_the_corrected_method_takes_published_weights(retrieval):
    model = released.load("hbi", retrieval.weights, departures=DeparturesConfig(), teacher=TeacherConfig())
    assert model.taught_by is None
    losses = model.train().losses(retrieval.batch)
    assert all(loss.isfinite() for loss in losses.values())
    assert released.published_state(model).keys() == retrieval.weights.keys()


# ---- the estimator


def estimator_file(weights) -> dict:
    return {name.removeprefix(released.TEACHER): w for name, w in weights.items() if name.startswith(released.TEACHER)}


def estimator_model(weights) -> dict:
    """The state of the model that the published code trains an estimator in: no merging, no students."""
    left_out = ("t_ctm", "v_ctm", "t_block", "v_block", "banzhafmodel")
    return {name: weight for name, weight in weights.items() if not name.startswith(left_out)}


def test_an_estimators_own_file_gives_the_teacher_of_the_whole_model(retrieval, tmp_path):
    torch.save(estimator_file(retrieval.weights), tmp_path / "estimator.pth")
    network = released.load("hbi-estimator", tmp_path / "estimator.pth")
    assert network.scale == 1000
    teacher = released.load("hbi", retrieval.weights).taught_by
    cosines = torch.rand(2, 24, 12)
    assert torch.equal(network(cosines, None), teacher(cosines, None))
    released.save(network, tmp_path / "again.pth")
    again = torch.load(tmp_path / "again.pth", weights_only=True)
    assert again.keys() == estimator_file(retrieval.weights).keys()
    assert all(torch.equal(again[name], weight) for name, weight in estimator_file(retrieval.weights).items())


def test_the_model_that_trains_the_estimator_comes_in_and_out_whole(retrieval):
    weights = estimator_model(retrieval.weights)
    training = released.load("hbi-estimator", weights)
    assert training.config.labels == "released"
    again = released.published_state(training)
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weight) for name, weight in weights.items())
    loss = training.train().losses(retrieval.batch)["total"]
    loss.backward()
    assert loss.isfinite()
    assert all(weight.grad is None for weight in training.source.parameters())


def test_an_estimator_that_does_not_fit_is_named(retrieval):
    weights = estimator_file(retrieval.weights)
    del weights["cnn2.bias"]
    with pytest.raises(InputError, match=r"state dict: .*missing cnn2\.bias"):
        released.load("hbi-estimator", weights)
    with pytest.raises(InputError, match="unexpected banzhafmodel"):
        released.load("hbi-estimator", retrieval.weights)
