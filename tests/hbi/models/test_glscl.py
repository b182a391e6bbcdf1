"""GLSCL against numbers of the published code (tests/golden/glscl.*), its formulas written out, its checkpoints."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hbi.config import GLSCLConfig
from hbi.data.batches import Batch
from hbi.data.preprocess import normalise
from hbi.errors import InputError
from hbi.models import Encoded, build, released
from hbi.models.glscl import diversity, global_similarity, local_similarity
from hbi.training.evaluate import scores
from tests.golden_system import assert_close, assert_norms, encoded, gradients, read
from tests.random_batch import batch_of

GOLDEN = read("glscl")
VARIANTS = tuple(GOLDEN.variants)


def model_of(variant: str = "shared", **options):
    """Without dropout, as the published numbers are."""
    return released.load("glscl", GOLDEN.weights, **{"dropout": 0, **GOLDEN.variants[variant], **options})


def small(**options):
    return build(GLSCLConfig(temporal_layers=1, cross_att_layer=1, **options))


# ---- the published numbers


@pytest.mark.parametrize("variant", VARIANTS)
def test_features_and_concepts_are_the_published_ones_padding_included(variant):
    model, known = model_of(variant), GOLDEN.arrays
    with torch.no_grad():
        assert_close(model.encoder.words(*GOLDEN.texts), known["text_feat"])
        assert_close(model.frame_features(GOLDEN.videos[0]), known["frame_feat_before_agg"])
    text, video = encoded(model, GOLDEN)
    assert_close(text["vector"], known["text_cls"])
    assert_close(video["tokens"], known["video_feat"])
    assert_close(text["concepts"], known[f"{variant}/text_concepts"])
    assert_close(video["concepts"], known[f"{variant}/video_concepts"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_are_the_published_ones_in_blocks_of_any_size(variant):
    model, known = model_of(variant), GOLDEN.arrays
    text, video = encoded(model, GOLDEN)
    weighed = global_similarity(text["vector"], video["tokens"], video["products"], video["mask"], model.config.temp)
    assert_close(weighed, known["sim_global"])
    assert_close(local_similarity(text["concepts"], video["concepts"]), known[f"{variant}/sim_local"])
    for side in (None, 1, 3):
        assert_close(scores(model, text, video, side), known[f"{variant}/sim_final"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_and_gradients_are_the_published_ones(variant):
    model = model_of(variant)
    losses = {name: loss.item() for name, loss in model.train().losses(GOLDEN.batch).items()}
    known = {name.split("/")[1]: value for name, value in GOLDEN.scalars.items() if name.startswith(f"{variant}/")}
    assert losses["total"] == pytest.approx(known["loss_total"], rel=1e-4)
    assert losses["contrastive"] == pytest.approx(known["loss_contrastive"], rel=1e-4)
    assert losses["contrastive"] == pytest.approx((known["loss_t2v"] + known["loss_v2t"]) / 2, rel=1e-4)
    assert losses["diversity"] == pytest.approx(known["diversity_raw"], rel=1e-4)
    assert 1e-4 * losses["diversity"] == pytest.approx(known["loss_diversity_weighted"], rel=1e-4)
    assert losses["consistency"] == pytest.approx(known["consistency_mse"], rel=1e-4)
    assert losses["agreement"] == pytest.approx(known["consistency_r"], rel=1e-4)
    weighted = losses["consistency"] + 0.02 * losses["agreement"]
    assert weighted == pytest.approx(known["loss_consistency_weighted"], rel=1e-4)
    with torch.no_grad():
        pairs = model.similarity(
            model.encode_text(GOLDEN.batch.token_ids, GOLDEN.batch.text_mask),
            model.encode_video(GOLDEN.batch.frames, GOLDEN.batch.video_mask),
        )
    assert_close(pairs, GOLDEN.arrays[f"{variant}/train_logits_t2v_unscaled"])
    found = gradients(model, GOLDEN.batch, "glscl")
    assert_norms(found, known["grad_norms"])
    for name, key in (("spatial_queries", "spatial_queries"), ("text_projection", "clip.text_projection")):
        expected = torch.from_numpy(GOLDEN.arrays[f"{variant}/grad_{name}"])
        atol = 1e-3 * expected.abs().max().item()
        torch.testing.assert_close(found[key][:, :16], expected, rtol=1e-3, atol=atol)


# ---- the formulas, as ../shared/golden/glscl/README.md has them

seeds = st.integers(0, 2**31)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 4), st.integers(1, 4), st.integers(1, 6), st.floats(0.5, 8))
def test_frames_are_weighed_by_the_caption(seed, captions, videos, length, temperature):
    draw = torch.Generator().manual_seed(seed)
    vectors = torch.randn(captions, 8, generator=draw)
    frames = torch.randn(videos, length, 8, generator=draw)
    mask = torch.arange(length) < torch.randint(1, length + 1, (videos, 1), generator=draw)
    found = global_similarity(vectors, frames, frames @ frames.mT, mask, temperature)
    for n, vector in enumerate(vectors):
        for m, (of_video, real) in enumerate(zip(frames, mask, strict=True)):
            weights = (of_video @ vector / temperature).softmax(0) * real
            expected = F.cosine_similarity(vector, weights @ of_video, dim=0)
            torch.testing.assert_close(found[n, m], expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 5), st.integers(2, 5))
def test_concepts_are_held_apart_and_those_of_a_pair_together(seed, pairs, queries):
    draw = torch.Generator().manual_seed(seed)
    text, video = (F.normalize(torch.randn(pairs, queries, 8, generator=draw), dim=-1) for _ in range(2))
    every = [(p, q) for p in range(queries) for q in range(queries) if p != q]

    def apart(concepts):
        g = (concepts @ concepts.mT).mean(0)
        both = [(0.1 + g[p, q] - g[p, p]).relu() + (0.1 + g[p, q] - g[q, q]).relu() for p, q in every]
        return torch.stack(both).mean()

    torch.testing.assert_close(diversity(video), apart(video), rtol=1e-4, atol=1e-6)
    products = video @ text.mT  # [B,Q,Q]
    expected = {
        "released": (apart(video), sum((products.sum(0)[q, q] / queries - 0.75) ** 2 for q in range(queries))),
        "correct": ((apart(video) + apart(text)) / 2, (products.mean(0).diagonal() - 0.75).square().sum()),
    }
    for choice, (of_diversity, of_agreement) in expected.items():
        departures = {"text_diversity": choice, "consistency_batch": choice}
        found = small(query_number=queries, departures=departures)._of_concepts(text, video)
        torch.testing.assert_close(found["diversity"], of_diversity, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found["agreement"], of_agreement, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found["consistency"], (video.mean(0) - text.mean(0)).square().mean())


def test_a_single_concept_has_no_other_to_be_held_apart_from():
    assert diversity(F.normalize(torch.randn(3, 1, 8), dim=-1)) == 0


# ---- padding


def longer(batch: Batch, more: int) -> Batch:
    """The same pairs with so many more padded words and frames."""
    frames = F.pad(batch.frames, (0, 0, 0, 0, 0, 0, 0, more))
    words, word_mask, frame_mask = (F.pad(x, (0, more)) for x in (batch.token_ids, batch.text_mask, batch.video_mask))
    return Batch(words, word_mask, frames, frame_mask, batch.video_index, batch.answer)


@pytest.mark.parametrize("choice", ["correct", "released"])
def test_more_padding_changes_nothing_but_where_it_is_as_published(choice):
    model, batch = small(dropout=0, departures={"concept_padding": choice}), batch_of(6)
    found, same = model.losses(batch), model.losses(longer(batch, 3))
    if choice == "correct":
        for name, loss in found.items():
            torch.testing.assert_close(same[name], loss, msg=name)
    else:
        assert abs(found["consistency"] - same["consistency"]) > 1e-5


def test_published_padding_is_word_0_and_frames_of_0_whatever_stands_there():
    model, batch = small(departures={"concept_padding": "released"}).eval(), batch_of(6)
    real = batch.video_mask[:, :, None, None, None]
    zeros = model.encode_video(normalise(batch.frames) * real, batch.video_mask)
    torch.testing.assert_close(model.encode_video(batch.frames, batch.video_mask)["concepts"], zeros["concepts"])
    words = model.encode_text(batch.token_ids * batch.text_mask, batch.text_mask)
    torch.testing.assert_close(model.encode_text(batch.token_ids, batch.text_mask)["concepts"], words["concepts"])


# ---- options


@pytest.mark.parametrize("name", ["concept_padding", "text_diversity", "consistency_batch", "same_video"])
def test_each_departure_changes_what_it_says(name):
    losses = []
    for departures in ({}, {name: "released"}):
        model = small(dropout=0, departures=departures)
        with torch.no_grad():
            model.queries[1] += 9 * model.queries[0]  # else all concepts are far enough from each other
        losses.append(model.losses(batch_of(6)))
    changed = {loss for loss in losses[0] if abs(losses[0][loss] - losses[1][loss]) > 1e-5}
    expected = {"text_diversity": {"diversity"}, "consistency_batch": {"agreement"}, "same_video": {"contrastive"}}
    assert expected.get(name, {"contrastive", "consistency"}) <= changed
    assert changed - {"total"} <= expected.get(name, changed)


def test_without_queries_the_caption_weighs_the_frames_and_nothing_else_is_learnt():
    model, batch = small(query_number=0), batch_of(6)
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"encoder", "temporal"}
    assert model.losses(batch).keys() == {"total", "contrastive"}


@pytest.mark.parametrize(("query_share", "cross_att_share"), [(True, False), (False, True), (False, False)])
def test_what_is_not_shared_is_learnt_for_each_side(query_share, cross_att_share):
    model = small(query_share=query_share, cross_att_share=cross_att_share)
    model.losses(batch_of(6))["total"].backward()
    own = {name.split(".")[0] for name, weight in model.named_parameters() if weight.grad.norm() > 0}
    alone = {"text_queries": query_share, "video_decoder": cross_att_share}
    expected = {"queries", "decoder", *(name for name, shared in alone.items() if not shared)}
    assert own - {"encoder", "temporal"} == expected


def test_dropout_is_drawn_anew_each_step_and_alike_after_a_resumption():
    model, batch = small(dropout=0.5), batch_of(6)

    def loss(step):
        model.step = step
        return model.losses(batch)["total"].item()

    before = torch.random.get_rng_state()
    assert loss(3) == loss(3)
    assert loss(3) != loss(4)
    assert torch.equal(torch.random.get_rng_state(), before)
    model.eval()
    assert loss(3) == loss(4)


def test_the_loss_of_gathered_pairs_is_that_of_the_batch():
    """As processes compute it: each encodes a part, all have the loss of the whole."""
    model, batch = model_of(), GOLDEN.batch
    parts = [slice(0, 2), slice(2, 6)]
    with torch.no_grad():
        text = Encoded.cat([model.encode_text(batch.token_ids[rows], batch.text_mask[rows]) for rows in parts])
        video = Encoded.cat([model.encode_video(batch.frames[rows], batch.video_mask[rows]) for rows in parts])
        found = model.losses_of(text, video, Encoded({"video_index": batch.video_index}))
    for name, loss in model.losses(batch).items():
        torch.testing.assert_close(found[name], loss.detach(), rtol=1e-4, atol=1e-6)


# ---- files


@pytest.mark.parametrize("options", [{}, {"query_share": False}, {"query_share": False, "cross_att_share": False}])
def test_what_is_loaded_is_saved_bit_for_bit(options, tmp_path):
    model = released.load("glscl", GOLDEN.weights, **options)
    assert (model.config.query_number, model.config.cross_att_layer, model.config.temporal_layers) == (8, 3, 4)
    released.save(model, tmp_path / "again.safetensors")
    again = released.published_state(released.load("glscl", tmp_path / "again.safetensors", **options))
    assert again.keys() == GOLDEN.weights.keys()
    assert all(torch.equal(again[name], weight) for name, weight in GOLDEN.weights.items())


def test_a_model_of_ours_is_saved_as_the_published_code_has_it(tmp_path):
    model = small()
    released.save(model, tmp_path / "ours.safetensors")
    again = released.load("glscl", tmp_path / "ours.safetensors", departures={})
    assert again.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(again.state_dict()[name], weight) for name, weight in model.state_dict().items())
    deeper = {name for name in GOLDEN.weights if re.search(r"(Clip\.resblocks|layers)\.[1-9]", name)}
    assert released.published_state(model).keys() == GOLDEN.weights.keys() - deeper


def test_mistakes_are_told_in_one_line(tmp_path):
    weights = dict(GOLDEN.weights)
    lost = "transformer_decoder_noun.layers.1.linear1.weight"
    missing = {name: weight for name, weight in weights.items() if name != lost}
    torch.save(missing, tmp_path / "cut.pt")
    with pytest.raises(InputError, match=rf"cut\.pt, read as GLSCL: .*missing {lost}"):
        released.load("glscl", tmp_path / "cut.pt")
    with pytest.raises(InputError, match=r"looks like a checkpoint of GLSCL \(glscl\)"):
        released.load("hbi", weights)
    with pytest.raises(InputError, match=r"no published checkpoint of GLSCL: .*spatial_queries missing"):
        released.load("glscl", {name: weight for name, weight in weights.items() if "queries" not in name})
    with pytest.raises(InputError, match=r"spatial_queries is \[8, 128\], not \[4, 128\]"):
        released.load("glscl", weights, query_number=4)
    with pytest.raises(InputError, match=r"^released\.load: glscl: center: Extra"):
        released.load("glscl", weights, center=8)
    with pytest.raises(InputError, match="query_number is 0"):
        released.save(small(query_number=0), tmp_path / "none.pt")
