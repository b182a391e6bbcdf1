"""DRL against numbers of the published code (tests/golden/drl.*), its decorrelation written out, its checkpoints."""

import pytest
import torch

from hbi.config import DRLConfig
from hbi.data.preprocess import normalise
from hbi.errors import InputError
from hbi.models import Encoded, build, released
from hbi.models.decorrelation import correlation, decorrelation
from hbi.models.temporal import TemporalLSTM
from tests.golden_system import assert_close, assert_norms, encoded, gradients, read
from tests.random_batch import batch_of

GOLDEN = read("drl")
VARIANTS = tuple(GOLDEN.variants)


def model_of(variant: str, **options):
    return released.load("drl", GOLDEN.weights, **{**GOLDEN.variants[variant], **options})


def file_of(arch: int) -> dict[str, torch.Tensor]:
    """What the published code saves, with as many layers of token weights as ``arch``."""
    of_one = {name for name in GOLDEN.weights if name.startswith(("text_weight_fc.", "video_weight_fc."))}
    mine = {name for name in of_one if ("fc.weight" in name or "fc.bias" in name) == (arch == 1)}
    weights = {name: weight for name, weight in GOLDEN.weights.items() if name not in of_one - mine}
    if arch == 3:
        for side in ("text", "video"):
            for kind in ("weight", "bias"):
                last = weights[f"{side}_weight_fc.2.{kind}"]
                weights[f"{side}_weight_fc.4.{kind}"] = last
                weights[f"{side}_weight_fc.2.{kind}"] = weights[f"{side}_weight_fc.0.{kind}"]
    return weights


# ---- the published numbers


def test_features_are_the_published_ones_padding_included():
    model = model_of("wti_cdcr3")
    ids, mask = GOLDEN.texts
    frames, video_mask = GOLDEN.videos
    with torch.no_grad():
        assert_close(model.encoder.words(ids, torch.ones_like(mask)), GOLDEN.arrays["text_feat"])
        features = model.frame_features(frames)
        assert_close(features, GOLDEN.arrays["frame_feat"])
        assert_close(model.temporal(features, video_mask), GOLDEN.arrays["video_feat_seqTransf"])
    text, video = encoded(model, GOLDEN)
    assert_close(text["weights"], GOLDEN.arrays["wti_cdcr3/text_weight"])
    assert_close(video["weights"], GOLDEN.arrays["wti_cdcr3/video_weight"])
    unit = torch.nn.functional.normalize(model.encoder.words(ids, torch.ones_like(mask)), dim=-1)
    torch.testing.assert_close(text["tokens"], unit)  # also where there is padding, which may be a best partner


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_are_the_published_ones(variant):
    model = model_of(variant)
    assert_close(model.similarity(*encoded(model, GOLDEN)), GOLDEN.arrays[f"{variant}/sim_eval"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_and_gradients_are_the_published_ones(variant):
    model = model_of(variant)
    losses = {name: loss.item() for name, loss in model.train().losses(GOLDEN.batch).items()}
    assert losses["total"] == pytest.approx(GOLDEN.scalars[f"{variant}/loss_total"], rel=1e-4)
    both = [GOLDEN.scalars[f"{variant}/loss_{way}"] for way in ("t2v", "v2t")]
    assert losses["contrastive"] == pytest.approx(sum(both) / 2, rel=1e-4)
    expected = GOLDEN.scalars[f"{variant}/cdcr_loss_before_lambda"]
    assert losses.get("decorrelation", 0) == pytest.approx(expected, rel=1e-4)
    found = gradients(model, GOLDEN.batch, "drl")
    assert_norms(found, GOLDEN.scalars[f"{variant}/grad_norms"])
    projection = torch.from_numpy(GOLDEN.arrays[f"{variant}/grad_text_projection"])
    torch.testing.assert_close(found["clip.text_projection"][:, :16], projection, rtol=1e-3, atol=1e-5)


def test_padded_frames_are_zero_once_normalised_as_published():
    released_padding = DRLConfig(departures={"similarity_padding": "released"}, temporal_layers=1)
    model, batch = build(released_padding).eval(), batch_of(4)
    blank = torch.where(batch.video_mask[:, :, None, None, None], normalise(batch.frames), torch.tensor(0.0))
    with torch.no_grad():
        found, expected = (model.encode_video(frames, batch.video_mask) for frames in (batch.frames, blank))
    torch.testing.assert_close(found["tokens"], expected["tokens"])


# ---- decorrelation


def items(pairs: int, length: int, width: int, lengths: list[int], seed: int) -> Encoded:
    """Random tokens that all point away from the other side's, so that every cosine is negative."""
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.nn.functional.normalize(torch.randn(pairs, length, width, generator=draw).double(), dim=-1)
    tokens[..., 0] = 3.0 if seed else -3.0
    mask = torch.arange(length) < torch.tensor(lengths)[:, None]
    weights = torch.rand(pairs, length, generator=draw).double().masked_fill(~mask, 0)
    unit = torch.nn.functional.normalize(tokens, dim=-1)
    return Encoded({"tokens": unit, "weights": weights / weights.sum(1, keepdim=True), "mask": mask})


@pytest.mark.parametrize("cdcr", [2, 3])
def test_the_published_decorrelation_takes_padded_partners_where_all_cosines_are_negative(cdcr):
    """Row by row, as golden/drl/README.md has it."""
    text, video = items(4, 5, 6, [5, 3, 2, 4], seed=0), items(4, 3, 6, [2, 3, 1, 3], seed=1)
    padded = []

    def half(own, other):
        rows, partners, weights = [], [], []
        for pair in range(4):
            for place in range(int(own["mask"][pair].sum())):
                token = own["tokens"][pair, place]
                cosines = [float(token @ p) if m else 0.0 for p, m in zip(*rows_of(other, pair), strict=True)]
                best = max(range(len(cosines)), key=cosines.__getitem__)
                padded.append(not other["mask"][pair, best])
                rows.append(token)
                partners.append(other["tokens"][pair, best])
                weights.append(own["weights"][pair, place] / 4 if cdcr == 3 else torch.tensor(1.0).double())
        a, b, w = torch.stack(rows), torch.stack(partners), torch.stack(weights)
        w = w if cdcr == 3 else w / len(w)
        a, b = ((x - x.mean(0)) / x.std(0) for x in (a, b))
        return torch.einsum("r,rc,rd->cd", w, a, b)

    c = (half(text, video) + half(video, text)) / 2
    expected = 0.7 * sum((c[i, i] - 1) ** 2 for i in range(6))
    expected += 0.3 * sum(c[i, j] ** 2 for i in range(6) for j in range(6) if i != j)
    assert any(padded)
    assert not all(padded)
    config = DRLConfig(
        cdcr=cdcr, cdcr_alpha1=0.7, cdcr_alpha2=0.3, departures=DRLConfig.published()["departures"], temporal_layers=1
    )
    losses = build(config).double().losses_of(text, video, Encoded({"video_index": torch.arange(4)}))
    torch.testing.assert_close(losses["decorrelation"], expected, check_dtype=False)
    total = losses["contrastive"] + 1e-3 * losses["decorrelation"]
    torch.testing.assert_close(losses["total"], total)


def rows_of(encoded, pair):
    return encoded["tokens"][pair], encoded["mask"][pair].tolist()


def test_equal_sides_correlate_at_one_where_it_is_correct():
    x, weights = torch.randn(9, 4), torch.rand(9)
    real = (torch.arange(9) < 7).float()
    correct = correlation(x, x, weights, real, "correct")
    torch.testing.assert_close(correct.diagonal(), torch.ones(4))
    assert decorrelation(correct, 1.0, 0.0) < 1e-9
    changed = torch.where(real[:, None] > 0, x, 100.0)
    torch.testing.assert_close(correlation(changed, changed, weights, real, "correct"), correct)
    uniform = correlation(x[:7], x[:7], torch.ones(7), torch.ones(7), "released")
    torch.testing.assert_close(uniform.diagonal(), torch.full((4,), 6 / 7))


def test_a_channel_that_never_changes_does_no_harm():
    x = torch.cat([torch.randn(5, 3), torch.full((5, 1), 0.3)], 1).requires_grad_()
    decorrelation(correlation(x, x, torch.ones(5), torch.ones(5), "correct"), 1.0, 1.0).backward()
    assert x.grad.isfinite().all()


def test_random_pairs_are_drawn_anew_each_step_and_alike_after_a_resumption():
    model, batch = build(DRLConfig(cdcr=1, temporal_layers=1)), batch_of(6)

    def loss(step):
        model.step = step
        return model.losses(batch)["decorrelation"].item()

    assert loss(3) == loss(3)
    assert loss(3) != loss(4)


@pytest.mark.parametrize("options", [{}, {"interaction": "ti", "cdcr": 2}, {"cdcr": 1}, {"interaction": "dp"}])
def test_what_stands_in_padding_changes_no_loss_where_it_is_correct(options):
    model, batch = build(DRLConfig(temporal_layers=1, **options)), batch_of(6)
    ids = torch.where(batch.text_mask, batch.token_ids, 7)
    frames = torch.where(batch.video_mask[:, :, None, None, None], batch.frames, torch.tensor(99, dtype=torch.uint8))
    other = type(batch)(**{**vars(batch), "token_ids": ids, "frames": frames})
    for name, loss in model.losses(batch).items():
        torch.testing.assert_close(model.losses(other)[name], loss, msg=name)


@pytest.mark.parametrize("name", ["similarity_padding", "standardisation", "frame_norm", "same_video"])
def test_each_departure_changes_what_it_says(name):
    interaction = {"interaction": "dp", "cdcr": 1} if name == "frame_norm" else {}
    text, video = items(4, 5, 64, [5, 3, 2, 4], seed=0), items(4, 3, 64, [2, 3, 1, 3], seed=1)

    def losses(departures):
        model = build(DRLConfig(temporal_layers=1, departures=departures, **interaction))
        if name == "similarity_padding":
            found = model.double().losses_of(text, video, Encoded({"video_index": torch.arange(4)}))
        else:
            found = model.losses(batch_of(6))
        return found["contrastive"] + found["decorrelation"]

    assert abs(losses({name: "released"}) - losses({})) > 1e-5


def test_unweighted_tokens_cannot_be_decorrelated_by_weights():
    with pytest.raises(ValueError, match="cdcr: 3"):
        DRLConfig(interaction="ti")


def test_an_lstm_leaves_padded_frames_as_they_are():
    """As in the published code, whose decorrelation can pick one as a partner."""
    lstm = TemporalLSTM(8)
    frames, mask = torch.randn(2, 5, 8), torch.arange(5) < torch.tensor([[5], [2]])
    found = lstm(frames, mask)
    torch.testing.assert_close(found[1, 2:], frames[1, 2:])
    torch.testing.assert_close(found[1, :2], lstm(frames[1:, :2], mask[1:, :2])[0])
    assert not torch.equal(found[0, 4], frames[0, 4])


# ---- files


@pytest.mark.parametrize("arch", [1, 2, 3])
def test_what_is_loaded_is_saved_bit_for_bit(arch, tmp_path):
    weights = file_of(arch)
    model = released.load("drl", weights)
    assert (model.config.wti_arch, model.config.agg_module) == (arch, "seqTransf")
    released.save(model, tmp_path / "again.safetensors")
    again = released.published_state(released.load("drl", tmp_path / "again.safetensors"))
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weight) for name, weight in weights.items())


def test_an_lstm_over_frames_is_read_and_written():
    config = DRLConfig(agg_module="seqLSTM", departures=DRLConfig.published()["departures"])
    state = released.published_state(build(config))
    assert {"lstm_visual.weight_hh_l0", "frame_position_embeddings.weight", "text_weight_fc.2.bias"} <= state.keys()
    model = released.load("drl", state)
    assert model.config.agg_module == "seqLSTM"
    assert released.published_state(model).keys() == state.keys()


def test_what_does_not_fit_names_system_and_keys():
    weights = file_of(2)
    del weights["video_weight_fc.2.bias"]
    with pytest.raises(InputError, match=r"state dict, read as DRL: .*missing video_weight_fc\.2\.bias"):
        released.load("drl", weights)
    unweighted = {name: weight for name, weight in weights.items() if "weight_fc" not in name}
    with pytest.raises(InputError, match=r"read as DRL: .*missing text_weight_fc\.0\.weight"):
        released.load("drl", unweighted)
    assert released.load("drl", unweighted, interaction="ti").config.cdcr == 2


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("clip.visual.positional_embedding", (0, 128)),
        ("clip.visual.conv1.weight", (128, 3, 0, 0)),
        ("clip.ln_final.weight", (50,)),
        ("clip.text_projection", (128, 90)),
        ("clip.token_embedding.weight", (3,)),
    ],
)
@pytest.mark.parametrize("system", ["drl", "clip4clip", "emcl"])
def test_sizes_that_make_no_model_are_one_line(system, name, shape):
    with pytest.raises(InputError) as told:
        released.load(system, file_of(2) | {name: torch.zeros(shape)})
    assert "state dict" in str(told.value)
    assert "\n" not in str(told.value)
