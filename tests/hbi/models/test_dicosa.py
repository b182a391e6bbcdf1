"""DiCoSA against numbers of the published code (tests/golden/dicosa.*), its formulas written out, its checkpoints."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hbi.config import DiCoSAConfig
from hbi.cost.stages import stages
from hbi.errors import InputError
from hbi.metrics.post_processing import processed
from hbi.models import Encoded, build, released
from hbi.training.evaluate import scores
from hbi.training.step import Step, backward
from tests.golden_system import assert_close, assert_norms, encoded, gradients, read
from tests.random_batch import batch_of

GOLDEN = read("dicosa")
RELEASED = DiCoSAConfig.published()["departures"]


def model_of(**options):
    return released.load("dicosa", GOLDEN.weights, **options)


def small(**options):
    return build(DiCoSAConfig(temporal_layers=1, **options))


# ---- the published numbers


def test_features_and_scores_are_the_published_ones():
    model = model_of()
    text, video = encoded(model, GOLDEN)
    assert_close(text["vector"], GOLDEN.arrays["text_cls"])
    assert_close(video["frames"], GOLDEN.arrays["video_feat"])
    assert_close(scores(model, text, video, 3), GOLDEN.arrays["sim_eval"])
    with torch.no_grad():
        assert_close(model.similarity(text, video), GOLDEN.arrays["sim_eval"])


def test_losses_and_gradients_are_the_published_ones():
    model = model_of()
    losses = {name: loss.item() for name, loss in model.train().losses(GOLDEN.batch).items()}
    assert losses == {name: pytest.approx(GOLDEN.scalars[f"loss_{name}"], rel=1e-4) for name in losses}
    assert losses.keys() == {"total", "contrastive", "decorrelation"}
    found = gradients(model, GOLDEN.batch, "dicosa")
    assert_norms(found, GOLDEN.scalars["grad_norms"])
    for name in ("clip.logit_scale", "clip.text_projection", "weight_fc.2.weight"):
        expected = GOLDEN.arrays[f"grad_{name.removeprefix('clip.')}"]
        kept = found[name].numpy()[..., : expected.shape[-1]] if expected.ndim else found[name].numpy()
        np.testing.assert_allclose(kept, expected, rtol=1e-3, atol=1e-6 * np.abs(expected).max())


def test_scores_normalised_by_a_query_bank_are_the_published_ones():
    """Of changed rows ours are the logarithm over the scale: it orders alike. golden/dicosa/README.md asks for 1e-3."""
    model, arrays = model_of(), GOLDEN.arrays
    text, video = encoded(model, GOLDEN)
    with torch.no_grad():
        ids, mask = (torch.from_numpy(arrays[f"bank_text_{part}"]) for part in ("ids", "mask"))
        queries = model.encode_text(ids.long(), mask.bool())
        videos = model.encode_video(
            torch.from_numpy(arrays["bank_frames"]), torch.from_numpy(arrays["bank_video_mask"]).bool()
        )
        matrix = model.similarity(text, video).numpy()
        banks = {"t2v": model.similarity(queries, video).numpy(), "v2t": model.similarity(text, videos).numpy()}
    published = {
        "t2v": arrays["sim_eval_t2v_querybank_normalised"],
        "v2t": arrays["sim_eval_v2t_querybank_normalised_rows_are_videos"],
    }
    for way, expected in published.items():
        found = processed(matrix, way, "qb-norm", 70.0, banks[way], nearest=1, hub=2)
        rows, plain = (found, matrix) if way == "t2v" else (found.T, matrix.T)
        changed = (rows != plain).any(1)
        assert changed.sum() == GOLDEN.scalars["rows_changed_by_querybank"][way]
        np.testing.assert_allclose(np.exp(70 * rows[changed]), expected[changed], rtol=1e-3)
        np.testing.assert_allclose(rows[~changed], expected[~changed], rtol=0, atol=2e-5 * np.abs(plain).max())


# ---- the formulas


def items(captions: int, videos: int, seed: int) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    words = 0.3 * torch.randn(captions, 7, 64, generator=draw, dtype=torch.float64)
    frames = 0.3 * torch.randn(videos, 5, 64, generator=draw, dtype=torch.float64)
    text_mask = torch.arange(7) < torch.randint(1, 8, (captions, 1), generator=draw)
    return words, text_mask, frames, torch.arange(5) < torch.randint(1, 6, (videos, 1), generator=draw)


def pooled(caption, frames, mask, temp, padding):
    real = frames[mask]
    seen = frames if padding == "released" else real
    e = torch.exp(real @ caption / temp) / torch.exp(seen @ caption / temp).sum()
    return (e[:, None] * real).sum(0)


@settings(deadline=None, max_examples=15)
@given(
    sizes=st.tuples(st.integers(2, 4), st.integers(2, 4)),
    center=st.sampled_from([1, 2, 8]),
    temp=st.sampled_from([0.5, 3.0, 5.0]),
    padding=st.sampled_from(["correct", "released"]),
    seed=st.integers(0, 99),
)
def test_scores_and_losses_are_those_of_the_formulas(sizes, center, temp, padding, seed):
    """Pair by pair and concept by concept, as golden/dicosa/README.md has them."""
    departures = dict.fromkeys(("pooling_padding", "correlation_scale"), padding)
    model = small(center=center, temp=temp, alpha=0.7, beta=0.3, departures=departures).eval()
    words, text_mask, frames, mask = items(*sizes, seed)
    words, frames = words.float().double(), frames.float().double()
    vectors = [caption[real][-1] for caption, real in zip(words, text_mask, strict=True)]
    network = model.concept_scores.double()
    chunk = 64 // center
    with torch.no_grad():
        expected = torch.zeros(sizes, dtype=torch.float64)
        for n, vector in enumerate(vectors):
            for m in range(sizes[1]):
                whole = pooled(vector, frames[m], mask[m], temp, padding)
                for t, v in zip(vector.split(chunk), whole.split(chunk), strict=True):
                    expected[n, m] += network(torch.cat([t, v])).item() * (t @ v) / (t.norm() * v.norm())
        model.float()
        text, video = model._of_words(words.float(), text_mask), model._of_frames(frames.float(), mask)
        torch.testing.assert_close(model.similarity(text, video).double(), expected, rtol=1e-5, atol=1e-6)

        pairs = min(sizes)
        c = torch.zeros(center, center, dtype=torch.float64)
        for n in range(pairs):
            whole = pooled(vectors[n], frames[n], mask[n], temp, padding)
            for k, t in enumerate(vectors[n].split(chunk)):
                for q, v in enumerate(whole.split(chunk)):
                    of_pair = (((t - t.mean()) / t.std()) * ((v - v.mean()) / v.std())).sum()
                    c[k, q] += of_pair / pairs / (7 if padding == "released" else chunk - 1)
        own = sum((c[k, k] - 1) ** 2 for k in range(center))
        others = sum(c[k, q] ** 2 for k in range(center) for q in range(center) if k != q)
        few = slice(pairs)
        losses = model.losses_of(text.select(few), video.select(few), Encoded({"video_index": torch.arange(pairs)}))
        assert losses["decorrelation"].item() == pytest.approx(float(0.7 * own + 0.3 * others), rel=1e-4)
        logits = model.logit_scale.exp() * expected[few, few]
        rows = torch.arange(pairs)
        both = (F.cross_entropy(logits, rows) + F.cross_entropy(logits.mT, rows)) / 2
        assert losses["contrastive"].item() == pytest.approx(both.item(), rel=1e-4)
        assert losses["total"] == losses["contrastive"] + losses["decorrelation"]


def test_what_stands_in_padding_changes_no_loss_nor_does_more_of_it_where_it_is_correct():
    model, batch = small(), batch_of(6)
    ids = torch.where(batch.text_mask, batch.token_ids, 7)
    frames = torch.where(batch.video_mask[:, :, None, None, None], batch.frames, torch.tensor(99, dtype=torch.uint8))
    more = [F.pad(ids, (0, 3)), F.pad(batch.text_mask, (0, 3))]
    more += [F.pad(frames, (*[0] * 6, 0, 2)), F.pad(batch.video_mask, (0, 2))]
    longer, expected = type(batch)(*more, batch.video_index, batch.answer), model.losses(batch)
    for name, loss in model.losses(longer).items():
        torch.testing.assert_close(loss, expected[name], msg=name)


def test_a_batch_that_is_encoded_in_parts_has_the_same_gradient():
    def trained(parts):
        model = small(departures=RELEASED)
        losses = backward(Step(model, "fp32"), batch_of(6), parts, torch.amp.GradScaler("cpu", enabled=False))
        return losses["total"], [weight.grad for weight in model.parameters()]

    torch.testing.assert_close(trained(3), trained(1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["pooling_padding", "correlation_scale", "same_video"])
def test_each_departure_changes_what_it_says(name):
    as_it_should, departing = (
        small(departures=departures).losses(batch_of(6)) for departures in ({}, {name: "released"})
    )
    changed = {term for term, loss in departing.items() if abs(loss - as_it_should[term]) > 1e-6}
    where = (
        "decorrelation" if name == "correlation_scale" else "contrastive"
    )  # of a shorter vector, the same correlation
    assert changed == {"total", where}


def test_equal_concepts_correlate_at_one():
    x = torch.randn(4, 64)
    found = small()._correlation(x, 3 * x + 1, torch.tensor(7))
    torch.testing.assert_close(found.diagonal(), torch.ones(8))


def test_without_weights_there_is_no_decorrelation():
    assert small(alpha=0.0, beta=0.0).losses(batch_of(4)).keys() == {"total", "contrastive"}


def test_a_video_without_frames_and_concepts_without_spread_do_no_harm():
    model = small(center=64)
    batch = batch_of(6)
    batch.video_mask[1] = False
    losses = model.losses(batch)
    losses["total"].backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())


def test_channels_that_cannot_be_split_are_refused():
    with pytest.raises(InputError, match=r"model\.center: 64 channels cannot be split into 5"):
        small(center=5)


# ---- cost


@pytest.mark.parametrize("options", [{}, DiCoSAConfig.published(), {"center": 1, "alpha": 0.0, "beta": 0.0}])
def test_every_operation_of_every_stage_is_priced(options):
    found = stages(DiCoSAConfig(**options), 12, 6, batch=4)
    assert [(name, report.unpriced) for name, report in found.items() if not report.complete] == []


def test_a_pair_costs_pooling_and_the_second_layer_alone():
    n, m, words, frames, d, center = 10, 20, 32, 12, 512, 8
    config = DiCoSAConfig(encoder="ViT-B-32-quickgelu", center=center)
    found = stages(config, words, frames, batch=None, gallery=(n, m))
    assert found["similarity"].matmul == 2 * n * m * (frames * d + frames * d + frames * 4 * d + 4 * d)
    layer = 4 * d * d // center  # MACs of one side, once for every item
    for item, encoded_once in (("text", ["text encoder"]), ("video", ["frame encoder", "temporal"])):
        tokens = 1 if item == "text" else frames
        beyond = found[f"encode {item}"].matmul - sum(found[stage].matmul for stage in encoded_once)
        assert beyond == 2 * tokens * layer


# ---- files


def test_what_is_loaded_is_saved_bit_for_bit(tmp_path):
    model = model_of()
    assert (model.config.center, model.config.temporal_layers) == (8, 4)
    assert set(model.config.departures.model_dump().values()) == {"released"}
    released.save(model, tmp_path / "again.safetensors")
    again = released.published_state(released.load("dicosa", tmp_path / "again.safetensors"))
    assert again.keys() == GOLDEN.weights.keys()
    assert all(torch.equal(again[name], weight) for name, weight in GOLDEN.weights.items())


@pytest.mark.parametrize("center", [1, 4])
def test_the_tensors_tell_how_many_concepts_there_are(center):
    state = released.published_state(small(center=center))
    assert released.load("dicosa", state).config.center == center


def test_what_does_not_fit_names_system_file_and_keys(tmp_path):
    weights = dict(GOLDEN.weights)
    del weights["weight_fc.2.bias"]
    torch.save(weights, file := tmp_path / "dicosa.bin")
    with pytest.raises(InputError, match=r"dicosa\.bin, read as DiCoSA: .*missing weight_fc\.2\.bias"):
        released.load("dicosa", file)
    with pytest.raises(InputError, match=r"read as DiCoSA: .*weight_fc\.0\.weight"):
        model_of(center=4)
    del weights["weight_fc.0.weight"]
    with pytest.raises(InputError, match=r"no published checkpoint of DiCoSA: weight_fc\.0\.weight missing"):
        released.load("dicosa", weights)
    with pytest.raises(InputError, match=r"read as CLIP4Clip: .*weight_fc.*it looks like a checkpoint of DiCoSA"):
        released.load("clip4clip", GOLDEN.weights)
    with pytest.raises(InputError, match=r"^released\.load: dicosa: temperature: Extra"):
        model_of(temperature=3)
