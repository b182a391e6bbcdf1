"""EMCL-Net against numbers of the published code, its bases, and its checkpoints (tests/golden/emcl.*).

The published numbers come in two sets: of bases as its constructor draws them, all 1 or −1, and of general ones.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hbi.config import EMCLConfig
from hbi.cost.stages import stages
from hbi.errors import InputError
from hbi.metrics.post_processing import dual_softmax
from hbi.models import build, released
from hbi.models.emcl import em
from hbi.training.evaluate import scores
from tests.golden_system import CHANNELS, assert_close, assert_norms, encoded, gradients, read
from tests.random_batch import batch_of

STARTS = ("mu_init", "mu_generic")


@pytest.fixture(scope="module")
def golden():
    return read("emcl")


def published(golden, start: str, **options):
    """The published model with its bases."""
    model = released.load("emcl", golden.weights, **options)
    model.bases.copy_(torch.from_numpy(golden.arrays[start]))
    return model


def ours(seed: int = 0, **options):
    """The correct one, small."""
    return build(EMCLConfig(encoder="tiny", temporal_layers=1, **options), seed)


def items(model, batch):
    with torch.no_grad():
        return (
            model.encode_text(batch.token_ids, batch.text_mask),
            model.encode_video(batch.frames, batch.video_mask),
        )


# ---- as published


def test_features_are_the_published_ones(golden):
    text, video = encoded(released.load("emcl", golden.weights), golden)
    assert_close(text["vector"], golden.arrays["text_cls"])
    assert_close(video["frames"], golden.arrays["video_feat"])


@pytest.mark.parametrize("start", STARTS)
def test_the_bases_of_captions_alone_give_what_is_published(golden, start):
    model = published(golden, start)
    captions, config = encoded(model, golden)[0]["vector"], model.config
    shares, bases = em(captions.mT, model.bases.expand(len(captions), -1), config.stage_num, config.lamd)
    assert_close(captions + config.beta * bases @ shares.mT, golden.arrays[f"{start}/emcl_on_text_cls"])


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("block", [32, 4])
def test_scores_are_the_published_ones_in_published_blocks(golden, start, block):
    model = published(golden, start, block=block)
    found = encoded(model, golden)
    expected = golden.arrays[f"{start}/sim_eval_block{block}"]
    assert_close(model.similarity(*found), expected)
    for side in (1, 4, 7, 64):  # whatever the memory allows, it cuts between the blocks
        assert_close(scores(model, *found, side), expected)


@pytest.mark.parametrize("start", STARTS)
def test_published_scores_depend_on_the_block_and_not_on_what_padding_holds(golden, start):
    model = published(golden, start)
    (ids, text_mask), (frames, mask) = golden.texts, golden.videos
    text, video = encoded(model, golden)
    other = model.similarity(text, video) - torch.from_numpy(golden.arrays[f"{start}/sim_eval_block4"])
    assert other.abs().max().item() == pytest.approx(golden.scalars[f"{start}/block_effect_maxabs"], rel=1e-3)
    with torch.no_grad():
        text = model.encode_text(torch.where(text_mask, ids, 3), text_mask)
        video = model.encode_video(torch.where(mask[:, :, None, None, None], frames, 9.0), mask)
    assert_close(model.similarity(text, video), golden.arrays[f"{start}/sim_eval_block32"])


@pytest.mark.parametrize("start", STARTS)
def test_the_dual_softmax_is_the_published_one_but_for_a_factor(golden, start):
    model = published(golden, start)
    similarity = model.similarity(*encoded(model, golden)).numpy()
    for found, name in (
        (dual_softmax(similarity), "t2v_dual_softmax"),
        (dual_softmax(similarity.T).T, "v2t_dual_softmax_before_transpose"),
    ):
        expected = golden.arrays[f"{start}/{name}"] / len(similarity)
        np.testing.assert_allclose(found, expected, rtol=0, atol=5e-4 * np.abs(expected).max())  # scores times 100


@pytest.mark.parametrize("start", STARTS)
def test_a_step_of_training_is_the_published_one(golden, start):
    model, known = published(golden, start), golden.arrays
    found = gradients(model, golden.batch, "emcl")
    assert_close(model.bases, known[f"{start}/mu_after_one_train_forward"])
    assert_norms(found, golden.scalars[f"{start}/grad_norms"])
    for name in ("text_projection", "visual.proj", "logit_scale"):
        expected = known[f"{start}/grad_{name.replace('.', '_')}"]
        gradient = found[f"clip.{name}"]
        kept = gradient[:, :CHANNELS] if gradient.ndim else gradient
        np.testing.assert_allclose(kept.numpy(), expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("start", STARTS)
def test_the_loss_and_its_logits_are_the_published_ones(golden, start):
    model = published(golden, start).train()
    batch = golden.batch
    text = model.encode_text(batch.token_ids, batch.text_mask)
    video = model.encode_video(batch.frames, batch.video_mask)
    assert_close(model.eval().similarity(text, video), golden.arrays[f"{start}/train_logits_unscaled"])
    losses = model.train().losses(batch)
    assert losses.keys() == {"total", "contrastive"}
    assert losses["total"].item() == pytest.approx(golden.scalars[f"{start}/loss"], rel=1e-4)


def test_published_bases_start_as_signs_and_are_another_seed_s_own(golden):
    models = [released.load("emcl", golden.weights, seed=seed) for seed in (0, 0, 1)]
    assert models[0].bases.shape == (1, 32)
    torch.testing.assert_close(models[0].bases.abs(), torch.ones(1, 32), rtol=0, atol=1e-2)
    assert torch.equal(models[0].bases, models[1].bases)
    assert not torch.equal(models[0].bases, models[2].bases)


def test_evaluation_leaves_the_bases_as_they_are(golden):
    for model in (published(golden, "mu_generic"), released.load("emcl", golden.weights, departures={})):
        before = model.bases.clone()
        model.losses(golden.batch)
        assert torch.equal(model.bases, before)


# ---- as it should be


def test_scores_are_cosines_of_features_with_their_combinations():
    model, batch = ours(beta=2.0, lamd=0.5).eval(), batch_of(6)
    text, video = items(model, batch)
    found = model.similarity(text, video)

    def compact(feature):
        return feature + 2 * (feature @ model.bases / 0.5).softmax(-1) @ model.bases.mT

    for n in range(6):
        for m in range(6):
            caption, frames = text["vector"][n], video["frames"][m][video["mask"][m]]
            pooled = (frames @ caption / 3).softmax(0) @ frames
            expected = F.cosine_similarity(compact(caption), compact(pooled), dim=0)
            torch.testing.assert_close(found[n, m], expected, rtol=1e-4, atol=1e-6)


def test_bases_are_compared_at_full_precision_whatever_the_encoder_computes_in():
    model, batch = ours().eval(), batch_of(6)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        text = model.encode_text(batch.token_ids, batch.text_mask)
        video = model.encode_video(batch.frames, batch.video_mask)
    again = model._of_words(text["vector"][:, None], torch.ones(6, 1, dtype=torch.bool))
    torch.testing.assert_close(again["length"], text["length"], rtol=1e-5, atol=0)
    same = model._of_frames(video["frames"], video["mask"])
    torch.testing.assert_close(same["onto"], video["onto"], rtol=1e-5, atol=1e-5)


def test_more_padding_changes_no_correct_score_but_a_published_one(golden):
    frames, mask = golden.videos
    longer = torch.cat([frames, torch.ones_like(frames)], 1), torch.cat([mask, torch.zeros_like(mask)], 1)
    for departures, same in (({}, True), ({"pooling_padding": "released", "bases": "released"}, False)):
        model = released.load("emcl", golden.weights, departures=departures)
        text, video = encoded(model, golden)
        with torch.no_grad():
            moved = model.similarity(text, model.encode_video(*longer)) - model.similarity(text, video)
        assert (moved.abs().max() < 1e-6) == same


def test_the_bases_that_a_step_ends_with_are_those_that_it_scores_by():
    model, batch = ours(momentum=0.0), batch_of(5)
    start = model.bases.clone()
    trained = model.losses(batch)["total"]
    assert not torch.allclose(model.bases, start)
    torch.testing.assert_close(model.bases.norm(dim=0), torch.ones(32))
    with torch.no_grad():
        torch.testing.assert_close(model.eval().losses(batch)["total"], trained.detach(), rtol=1e-5, atol=0)


def test_momentum_keeps_the_bases():
    model = ours(momentum=1.0)
    start = model.bases.clone()
    model.losses(batch_of(4))
    torch.testing.assert_close(model.bases, start)
    near, far = ours(momentum=0.9), ours(momentum=0.1)
    for other in (near, far):
        other.losses(batch_of(4))
    assert (near.bases - start).norm() < (far.bases - start).norm()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 7), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**16))
def test_shares_are_of_all_points_bases_of_unit_length_and_order_has_no_part(points, channels, count, stages, seed):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(points, channels, dtype=torch.float64, generator=draw)
    start = torch.randn(channels, count, dtype=torch.float64, generator=draw)
    shares, bases = em(x, start, stages, 7.0)  # so mild that no base is far from all points
    assert (shares >= 0).all()
    torch.testing.assert_close(shares.sum(0), torch.ones(count, dtype=torch.float64), rtol=0, atol=1e-3)
    assert (bases.norm(dim=0) < 1 + 1e-9).all()
    order = torch.randperm(points, generator=draw)
    shuffled, same = em(x[order], start, stages, 7.0)
    torch.testing.assert_close(shuffled, shares[order])
    torch.testing.assert_close(same, bases)


# ---- files


def test_what_is_loaded_is_saved_bit_for_bit(golden, tmp_path):
    released.save(released.load("emcl", golden.weights), tmp_path / "again.bin")
    again = torch.load(tmp_path / "again.bin", weights_only=True)
    assert again.keys() == golden.weights.keys()
    assert all(torch.equal(again[name], weight) for name, weight in golden.weights.items())


def test_bases_of_the_latent_space_are_saved_and_loaded(tmp_path):
    model = ours(centerK=5)
    model.losses(batch_of(6))
    released.save(model, tmp_path / "ours.safetensors")
    again = released.load("emcl", tmp_path / "ours.safetensors", seed=3, departures={})
    assert again.config.centerK == 5
    held = again.state_dict()
    assert all(torch.equal(held[name], weight) for name, weight in model.state_dict().items())
    with pytest.raises(InputError, match=r"ours\.safetensors, read as EMCL-Net: .*bases"):
        released.load("emcl", tmp_path / "ours.safetensors")


def test_what_does_not_fit_names_system_and_file(golden, tmp_path):
    weights = dict(golden.weights)
    del weights["transformerClip.resblocks.1.ln_1.bias"]
    torch.save(weights, tmp_path / "spoilt.bin")
    with pytest.raises(
        InputError, match=r"spoilt\.bin, read as EMCL-Net: .*missing transformerClip\.resblocks\.1\.ln_1\.bias"
    ):
        released.load("emcl", tmp_path / "spoilt.bin")
    with pytest.raises(
        InputError, match=r"read as EMCL-Net: .*unexpected .*; it looks like a checkpoint of DRL \(drl\)"
    ):
        released.load("emcl", read("drl").weights)
    with pytest.raises(InputError, match=r"^released\.load: emcl: centres: Extra"):
        released.load("emcl", golden.weights, centres=5)


# ---- cost


def test_a_pair_costs_products_of_frames_and_bases_and_no_vector():
    n, frames, width, bases = 100, 12, 512, 32
    sizes = {"encoder": "ViT-B-32-quickgelu", "freeze": "encoder"}
    found = stages(EMCLConfig(**sizes), 32, frames, batch=None, gallery=(n, n))
    assert all(report.complete for report in found.values())
    a_pair = frames * width + frames * bases + frames**2 + bases**2
    assert found["similarity"].matmul == 2 * (n * n * a_pair + bases**2 * width)
    as_published = EMCLConfig(**{**EMCLConfig.published(), **sizes})
    found = stages(as_published, 32, frames, batch=None, gallery=(n, n))
    assert found["similarity"].matmul == 6_730_956_800  # golden/emcl/timing.json


@pytest.mark.parametrize("options", [{}, EMCLConfig.published()])
def test_every_operation_of_every_stage_is_priced(options):
    found = stages(EMCLConfig(**options), 12, 6, batch=4)
    assert [(name, report.unpriced) for name, report in found.items() if not report.complete] == []
