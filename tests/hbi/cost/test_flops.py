"""Counting FLOPs: against open_clip's published profile, hand-derived formulas, torch's own counter, and itself."""

import math

import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from hbi.config import LEVELS, HBIConfig, HBIQAConfig, TeacherConfig, TrainingConfig
from hbi.cost.flops import FlopReport, Unpriced, count_flops
from hbi.cost.stages import evaluations, stages
from hbi.cost.systems import parameters
from hbi.data.batches import Batch
from hbi.errors import InputError
from hbi.games import TokenGame, interaction, released, sampling
from hbi.games.estimator import BanzhafEstimator
from hbi.games.quadrature import trapezoid_rule
from hbi.models import build
from hbi.models.encoder import ClipEncoder, encoder_sizes
from hbi.models.similarity import token_similarity
from hbi.models.temporal import TemporalTransformer
from hbi.training.optimiser import optimiser

G = 1e9
sizes = st.integers(1, 7)

PROFILE = {  # GFLOP of an image and of a text: docs/model_profile.csv of mlfoundations/open_clip, at 3b37473
    "ViT-B-32": (8.82, 5.96),
    "ViT-B-16": (35.13, 5.96),
    "ViT-L-14": (162.03, 13.30),
    "ViT-H-14": (334.59, 47.09),
    "RN50": (12.22, 5.96),
    "RN50x4": (42.56, 9.27),
    "convnext_tiny": (8.91, 5.96),
    "swin_base_patch4_window7_224": (30.86, 9.27),
    "EVA02-B-16": (35.13, 5.96),
    "ViT-B-16-SigLIP": (35.42, 11.02),
    "coca_ViT-B-32": (9.19, 5.96),
}


def with_backward(fn):
    return lambda *inputs: fn(*inputs).sum().backward()


# ---- published figures


@pytest.mark.parametrize("name", PROFILE)
def test_open_clips_published_profile(name):
    with torch.device("meta"):
        model = open_clip.create_model(name, device="meta").eval()
    side = model.visual.image_size
    height, width = side if isinstance(side, tuple | list) else (side, side)
    with torch.no_grad():
        image = count_flops(model.encode_image, torch.empty(1, 3, height, width, device="meta"))
        text = count_flops(model.encode_text, torch.zeros(1, model.context_length, dtype=torch.int64, device="meta"))
    assert image.matmul / G == pytest.approx(PROFILE[name][0], rel=0.01)
    assert text.matmul / G == pytest.approx(PROFILE[name][1], rel=0.01)
    assert image.complete
    assert text.complete
    assert image.matmul < image.total < 1.02 * image.matmul  # what the profile leaves out


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-16", "ViT-L-14"])
def test_our_encoder_is_the_published_towers_and_projects_every_word(name):
    with torch.device("meta"):
        encoder = ClipEncoder(encoder_sizes(name)).eval()
        side, text = encoder.image_size, encoder.sizes["text_cfg"]
        with torch.no_grad():
            frames = count_flops(encoder.frames, torch.empty(1, 3, side, side))
            words = count_flops(encoder.words, torch.zeros(1, 77, dtype=torch.int64), torch.ones(1, 77).bool())
    published = PROFILE[name]
    assert frames.matmul / G == pytest.approx(published[0], rel=0.01)
    assert words.matmul / G == pytest.approx(published[1], rel=0.02)
    of_76_more_words = 2 * 76 * text["width"] * encoder.width
    assert (words.matmul - of_76_more_words) / G == pytest.approx(published[1], rel=0.002)
    assert frames.complete
    assert words.complete


def test_text_tower_by_hand():
    T, width, layers, D = 24, 512, 12, 512
    with torch.device("meta"), torch.no_grad():
        encoder = ClipEncoder(encoder_sizes("ViT-B-32"))
        report = count_flops(encoder.words, torch.zeros(1, T, dtype=torch.int64), torch.ones(1, T).bool())
    # of each layer: queries, keys, values, output (4 width²), the MLP (8 width²), scores and their sums (2 T width)
    assert report.macs == layers * T * (12 * width**2 + 2 * T * width) + T * width * D


def test_temporal_transformer_by_hand():
    F_, width, layers = 12, 512, 4
    with torch.device("meta"), torch.no_grad():
        temporal = TemporalTransformer(width, layers, heads=8, length=77)
        report = count_flops(temporal, torch.empty(1, F_, width), torch.ones(1, F_).bool())
    assert report.macs == layers * F_ * (12 * width**2 + 2 * F_ * width)


def test_mean_pooling_head_of_clip4clip_is_the_published_half_giga():
    text, video = torch.empty(1000, 512, device="meta"), torch.empty(1000, 512, device="meta")
    assert count_flops(lambda: text @ video.T).macs == 1000 * 1000 * 512  # published as 0.5 G: they are MACs


def test_token_wise_similarity_by_hand():
    N, M, T, V, D = 1000, 1000, 24, 12, 512

    def side(items, tokens):
        unit, weights = torch.empty(items, tokens, D), torch.empty(items, tokens)
        return unit, weights, torch.empty(items, tokens, dtype=torch.bool)

    with torch.device("meta"):
        report = count_flops(token_similarity, *side(N, T), *side(M, V))
    products = N * M * T * V * D
    assert report.macs == products + N * M * (T + V)  # and the weighted sums of the best
    assert report.by_operation["aten.bmm"] == 2 * report.macs
    assert report.by_operation["aten.amax"] == 2 * N * M * T * V
    assert report.by_operation["aten.masked_fill"] == 0
    assert report.complete


def test_exact_banzhaf_game_by_hand():
    B, T, V = 2, 24, 12
    draw = torch.Generator().manual_seed(0)
    game = TokenGame(*(torch.randn(shape, generator=draw) for shape in ((B, T, V), (B, T), (B, V))))
    report = count_flops(interaction, game)
    of_words, of_frames = (
        trapezoid_rule(side.spread, torch.finfo(torch.float32).eps)[2] for side in (game.text, game.video)
    )
    gains_of_weights = of_words * T * T + of_frames * V * V
    assert report.macs == B * (gains_of_weights + T * T * V + V * V * T)
    assert report.by_operation["aten.sort"] == B * (T * round(V * math.log2(V)) + V * round(T * math.log2(T)))
    assert report.complete


def test_estimator_by_hand():
    B, T, V, C = 2, 24, 12, 64
    cells = T * V
    report = count_flops(BanzhafEstimator(C).to("meta"), torch.empty(B, T, V, device="meta"))
    convolutions = 2 * cells * 9 * C
    assert report.macs == B * (convolutions + 3 * cells * C * C + 2 * cells * cells * C)


# ---- single operations


def test_lstm_by_hand():
    T, B, D, H = 5, 3, 6, 7
    report = count_flops(nn.LSTM(D, H), torch.randn(T, B, D))
    assert report.macs == T * B * 4 * H * (D + H)
    # two biases a gate; the sum of both parts, its function; the cell and the state
    assert report.total == 2 * report.macs + T * B * H * (8 + 4 + 4 + 3 + 2)
    assert report.complete


@pytest.mark.parametrize(("network", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_networks_of_several_layers_and_both_directions(network, gates):
    T, B, D, H = 5, 3, 6, 7
    real = network(D, H, num_layers=2, bidirectional=True, bias=gates != 1)
    report = count_flops(real, torch.randn(T, B, D))
    assert report.macs == T * B * 2 * gates * H * ((D + H) + (2 * H + H))
    assert report.total == count_flops(real.to("meta"), torch.empty(T, B, D, device="meta")).total


def test_lstm_backward_is_about_twice_forward():
    x, network = torch.randn(5, 3, 6, requires_grad=True), nn.LSTM(6, 7)
    forward = count_flops(network, x)
    both = count_flops(lambda: network(x)[0].sum().backward())
    assert both.macs == 3 * forward.macs
    assert both.complete


def test_distances():
    x, y, many = torch.randn(2, 5, 8), torch.randn(2, 6, 8), torch.randn(2, 40, 8)
    assert count_flops(torch.cdist, x, y).total == 2 * 5 * 6 * (3 * 8 + 1)
    assert count_flops(lambda: torch.cdist(x, y, p=1)).total == 2 * 5 * 6 * 3 * 8
    by_products = count_flops(torch.cdist, many, y)
    assert by_products.macs == 2 * 40 * 6 * (8 + 2)
    assert by_products.complete


@pytest.mark.parametrize(
    ("fn", "flops"),
    [
        (lambda x: (x * x).sum(-1), 2 * 96),  # a similarity by multiplying and summing
        (lambda x: x.exp() > 0.5, 2 * 96),
        (lambda x: x.softmax(-1), 5 * 96),
        (lambda x: F.layer_norm(x, (16,)), 5 * 96),
        (lambda x: F.layer_norm(x, (16,), x[0], x[1]), 7 * 96),
        (F.gelu, 5 * 96),
        (lambda x: x + x[0], 96),
        (lambda x: x.amax(-1), 96),
        (lambda x: x.mean(), 96),
        (lambda x: x.sort(-1), 6 * 16 * 4),
        (lambda x: x.argsort(0), 16 * round(6 * math.log2(6))),
        (lambda x: x.topk(4), 6 * 16 * 2),
        (lambda x: x.topk(1), 96),
        (lambda x: x.clamp_(min=0).add_(1), 2 * 96),
        (lambda x: x.T.reshape(-1)[3:].clone().to(torch.float64).view(3, -1), 0),
        (lambda x: x.masked_fill(torch.ones_like(x, dtype=torch.bool), 0)[[0, 2]], 0),
        (lambda x: torch.cat([x, torch.randn_like(x), x.new_zeros(1, 16)]).gather(0, torch.zeros_like(x).long()), 0),
        (lambda x: torch.zeros(3, 16).index_add(0, torch.zeros(6, dtype=torch.int64), x), 96),
        (lambda x: torch.mv(x, x[0]), 2 * 96),
        (lambda x: torch.dot(x[0], x[1]), 2 * 16),
        (lambda x: torch.addmm(x[:, :6], x, x.T), 2 * 6 * 6 * 16 + 36),
        (lambda x: torch.einsum("ti,vi->tv", x, x), 2 * 6 * 6 * 16),
    ],
)
def test_convention(fn, flops):
    report = count_flops(fn, torch.randn(6, 16))
    assert report.total == flops
    assert report.complete


@pytest.mark.parametrize("masked", [False, True])
def test_attention_by_hand(masked):
    B, H, S, T, E = 2, 3, 5, 6, 8
    q, k, v = torch.randn(B, H, S, E), torch.randn(B, H, T, E), torch.randn(B, H, T, E)
    bias = torch.randn(S, T) if masked else None
    report = count_flops(lambda: F.scaled_dot_product_attention(q, k, v, bias))
    assert report.macs == B * H * S * T * 2 * E
    assert report.total == 2 * report.macs + B * H * ((5 + masked) * S * T + (S + T) * E)


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("layer", [nn.Conv2d, nn.ConvTranspose2d])
def test_backward_of_a_convolution_is_twice_forward(layer, groups):
    x, convolution = torch.randn(2, 8, 9, 9, requires_grad=True), layer(8, 4, 3, stride=2, groups=groups)
    forward = count_flops(convolution, x)
    places = 4 * 4 if layer is nn.Conv2d else 9 * 9
    assert forward.macs == 2 * places * 8 * 4 // groups * 9
    assert count_flops(with_backward(convolution), x).macs == 3 * forward.macs


# ---- properties


@settings(deadline=None, max_examples=30)
@given(sizes, sizes, sizes, st.booleans())
def test_backward_of_a_linear_layer_is_twice_forward(batch, into, out, bias):
    x, linear = torch.randn(batch, into, requires_grad=True), nn.Linear(into, out, bias=bias)
    forward = count_flops(linear, x)
    assert forward.macs == batch * into * out
    assert forward.total == 2 * forward.macs + bias * batch * out
    y = linear(x)
    backward = count_flops(y.backward, torch.ones_like(y))
    assert backward.matmul == 2 * forward.matmul
    assert backward.total == 2 * forward.matmul + bias * batch * out  # the gradient of the bias is a sum


BLOCKS = {
    "attention": lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(),
    "gelu": lambda: nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.LayerNorm(8)),
    "softmax": lambda: nn.Softmax(-1),
    "recurrent": lambda: nn.LSTM(8, 8, batch_first=True),
}
blocks = st.sampled_from(sorted(BLOCKS))


@settings(deadline=None, max_examples=30)
@given(blocks, blocks, sizes, sizes)
def test_one_after_the_other_costs_the_sum(first, second, batch, length):
    f, g = BLOCKS[first](), BLOCKS[second]()
    x = torch.randn(batch, length, 8)
    together = count_flops(lambda: (f(x), g(x)))
    assert together == count_flops(f, x) + count_flops(g, x)


@settings(deadline=None, max_examples=30)
@given(blocks, sizes, sizes, st.booleans())
def test_linear_in_the_batch(block, batch, length, training):
    network = BLOCKS[block]()
    context = torch.enable_grad if training else torch.no_grad
    with context():
        one, many = (count_flops(network, torch.randn(number, length, 8)) for number in (1, batch))
    assert (many.total, many.macs) == (batch * one.total, batch * one.macs)


@settings(deadline=None, max_examples=30)
@given(blocks, sizes, sizes, st.sampled_from([torch.enable_grad, torch.no_grad, torch.inference_mode]))
def test_meta_is_real_and_the_mode_of_gradients_does_not_matter(block, batch, length, mode):
    network, x = BLOCKS[block](), torch.randn(batch, length, 8)
    reference = count_flops(network, x)
    with mode():
        real = count_flops(network, x)
    meta = count_flops(network.to("meta"), x.to("meta"))
    assert real.total == meta.total == reference.total
    assert real.macs == meta.macs == reference.macs


@pytest.mark.parametrize("causal", [False, True])
def test_training_of_attention_on_meta_is_that_on_real_tensors(causal):
    def train(device):
        q, k, v = (torch.randn(2, 3, 5, 8, device=device, requires_grad=True) for _ in range(3))
        return count_flops(with_backward(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal)))

    assert train("cpu").total == train("meta").total
    assert train("cpu").macs == 3 * 2 * 3 * 5 * 5 * 2 * 8


def test_training_on_meta_is_that_on_real_tensors():
    def train(device):
        block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, device=device)
        return count_flops(with_backward(block), torch.randn(3, 5, 8, device=device))

    real, meta = train("cpu"), train("meta")
    assert (real.total, real.macs) == (meta.total, meta.macs)


def test_agrees_with_torchs_counter_where_that_looks():
    with torch.device("meta"):
        model = nn.Sequential(
            nn.Conv2d(3, 8, 4, stride=4),
            nn.Flatten(2),
            nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 2),
        )
        x = torch.empty(2, 3, 32, 32)
    ours = count_flops(with_backward(model), x)
    with FlopCounterMode(display=False) as theirs:
        with_backward(model)(x)
    assert ours.matmul == theirs.get_total_flops()


@pytest.mark.parametrize("fast", [True, False])
def test_fused_transformers_do_not_hide_anything(fast):
    network = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).eval()
    slow = count_flops(network, torch.randn(3, 5, 8, requires_grad=True))
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(fast)
    try:
        with torch.no_grad():
            report = count_flops(network, torch.randn(3, 5, 8))
        assert torch.backends.mha.get_fastpath_enabled() is fast
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    assert report.total == slow.total
    assert report.macs == 2 * 3 * 5 * (4 * 8 * 8 + 2 * 8 * 16 + 2 * 5 * 8)


def test_nothing_is_left_behind_by_an_exception():
    with pytest.raises(ZeroDivisionError):
        count_flops(lambda: torch.ones(2) + 1 / 0)
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
    assert count_flops(lambda: torch.ones(2) + 1).total == 2


def test_counting_inside_counting():
    inner: list[FlopReport] = []
    x = torch.randn(4, 5)

    def fn():
        y = x @ x.T
        inner.append(count_flops(torch.softmax, y, -1))
        assert not torch.backends.mha.get_fastpath_enabled()
        return y + 1

    outer = count_flops(fn)
    assert inner[0].total == 5 * 16
    assert outer.total == 2 * 4 * 4 * 5 + 5 * 16 + 16


def test_recomputed_activations_count_again():
    network, x = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8)), torch.randn(2, 8, requires_grad=True)
    again = with_backward(lambda: torch.utils.checkpoint.checkpoint(network, x, use_reentrant=False))
    assert count_flops(again).macs > count_flops(with_backward(network), x).macs


# ---- what has no formula


@torch.library.custom_op("hbi_tests::secret", mutates_args=())
def secret(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x @ y


def test_an_unknown_operation_is_listed():
    x, y = torch.randn(2, 3), torch.randn(3, 4)
    report = count_flops(lambda: (secret(x, y), secret(x, y), secret(x @ y, y.T), x + 1))
    assert not report.complete
    assert report.unpriced == (
        Unpriced("hbi_tests.secret", ((2, 3), (3, 4)), 2),
        Unpriced("hbi_tests.secret", ((2, 4), (4, 3)), 1),
    )
    assert report.macs == 2 * 3 * 4
    assert report.total == 2 * report.macs + 6


def test_decompositions_have_no_formula():
    report = count_flops(torch.linalg.svdvals, torch.randn(3, 4))
    assert [item.shapes for item in report.unpriced] == [((3, 4),)]


def test_reports_add_up():
    x = torch.randn(3, 3)
    a, b = count_flops(lambda: (x @ x, torch.linalg.svdvals(x))), count_flops(lambda: (x + 1, torch.linalg.svdvals(x)))
    both = a + b
    assert both.total == a.total + b.total == sum(both.by_operation.values())
    assert both.macs == a.macs + b.macs == 27
    assert both.by_operation == {"aten.mm": 54, "aten.add": 9}
    assert [item.calls for item in both.unpriced] == [2]


# ---- stages of our systems


def pairs(number, words, frames):
    """Pairs without padding, for the encoder "tiny"."""
    return Batch(
        torch.ones(number, words, dtype=torch.int64),
        torch.ones(number, words, dtype=torch.bool),
        torch.zeros(number, frames, 3, 32, 32, dtype=torch.uint8),
        torch.ones(number, frames, dtype=torch.bool),
        torch.arange(number),
        torch.zeros(number, dtype=torch.int64),
    )


@pytest.mark.parametrize(
    "config",
    [
        HBIConfig(teacher=None),
        HBIConfig(**HBIConfig.published() | {"teacher": None}),
        HBIConfig(freeze="embeddings", levels=("entity",), teacher=None, distillation_weight=0),
        HBIQAConfig(teacher=None, head_width=64, answers=10),
    ],
    ids=["hbi", "released", "entity-only", "qa"],
)
def test_stages_without_an_encoder_are_those_of_the_real_system(config):
    words, frames, number = 12, 6, 4
    found = stages(config, words, frames, batch=number)
    system, batch = build(config), pairs(number, words, frames)
    one = pairs(1, words, frames)
    learner = optimiser(system, TrainingConfig())
    step = count_flops(lambda: (system.losses(batch)["total"].backward(), learner.step()))
    system.eval()
    with torch.no_grad():
        text, video = one.token_ids, one.frames
        encode_text = count_flops(system.encode_text, text, one.text_mask)
        encode_video = count_flops(system.encode_video, video, one.video_mask)
        pair = system.encode_text(text, one.text_mask), system.encode_video(video, one.video_mask)
        similarity = count_flops(system.similarity, *pair)
    expected = {
        "training step": step,
        "encode text": encode_text,
        "encode video": encode_video,
        "similarity": similarity,
    }
    for stage, report in expected.items():
        beside = report.by_operation.get("aten._foreach_add_", 0)  # torch counts the steps of each weight
        assert (found[stage].total, found[stage].macs) == (report.total - beside, report.macs), stage
    assert all(report.complete for report in found.values())


@pytest.mark.parametrize(
    ("config", "teacher"),
    [
        (HBIConfig(), ["game", "game", "game"]),
        (HBIConfig(teacher=TeacherConfig(index="shapley")), ["game", "game", "game"]),
        (HBIConfig(teacher=TeacherConfig(method="sampled", samples=10)), ["game", "game", "game"]),
        (HBIConfig(teacher=TeacherConfig(method="estimated")), ["estimator", "game", "game"]),
        (HBIConfig(**HBIConfig.published()), ["estimator", "estimator", "estimator"]),
    ],
    ids=["exact", "shapley", "sampled", "estimated", "released"],
)
def test_stages_with_a_teacher(config, teacher):
    found = stages(config, words=12, frames=6, batch=3)
    names = [f"{kind}/{level}" for kind, level in zip(teacher, ("entity", "action", "event"), strict=True)]
    assert set(names) <= set(found)
    assert {f"student/{level}" for level in ("entity", "action", "event")} <= set(found)
    assert all(report.complete for report in found.values())
    assert all(report.total > 0 for report in found.values())
    system = build(config.model_copy(update={"teacher": None}))
    without = count_flops(lambda: system.losses(pairs(3, 12, 6))["total"].backward())
    assert found["training step"].total > without.total


def test_similarity_of_a_gallery():
    T, V, D, N, M = 12, 6, 64, 30, 20
    found = stages(HBIConfig(), T, V, batch=2, gallery=(N, M))["similarity"]
    assert found.macs == N * M * (T * V * D + T + V)


def test_stages_of_a_large_encoder_need_no_weights():
    found = stages(HBIConfig(encoder="ViT-L-14"), words=24, frames=12, batch=2, resolution=336)
    assert found["frame encoder"].matmul / 12 / G == pytest.approx(381.92, rel=0.01)  # published for ViT-L-14-336


def test_a_frozen_encoder_has_no_backward_pass_and_its_frames_are_not_encoded_again():
    found, learning = (stages(HBIConfig(freeze=part), 12, 6, batch=2) for part in ("encoder", "nothing"))
    assert found["training step"].macs < learning["training step"].macs - 2 * found["frame encoder"].macs


def test_more_words_than_positions():
    with pytest.raises(InputError, match="reaches 77"):
        stages(HBIConfig(), words=78, frames=12)


def test_no_training_step_where_none_is_asked_for():
    assert "training step" not in stages(HBIConfig(), 12, 6, batch=None)


@pytest.mark.parametrize("words", [1, 7])
@pytest.mark.parametrize("method", ["sampled", "released"])
def test_evaluations_of_the_teachers_that_draw(method, words, monkeypatch):
    """Four worths in each number that a sampler draws for a cell: what it is asked for is counted."""
    drawn = []

    def counting(draws):
        def counted(*arguments):
            found = draws(*arguments)
            drawn.append(4 * found.numel())
            return found

        return counted

    for module, name in ((sampling, "interaction_draws"), (released, "released_draws")):
        monkeypatch.setattr(module, name, counting(getattr(module, name)))
    config = HBIConfig(teacher=TeacherConfig(method=method, samples=10), text_merge_rates=(0.5, 0.5))
    build(config).losses(pairs(2, words, 5))
    found = evaluations(config, words, frames=5)
    assert list(found) == list(LEVELS)
    assert [2 * number for number in found.values()] == drawn
    assert found["entity"] == 4 * 10 * words * 5


def test_evaluations_of_the_teachers_that_do_not():
    assert evaluations(HBIConfig(), 12, 6) == dict.fromkeys(LEVELS, 0)
    assert evaluations(HBIConfig(teacher=TeacherConfig(method="estimated")), 12, 6) == dict.fromkeys(LEVELS, 0)
    assert evaluations(HBIConfig(teacher=None), 12, 6) == {}


@pytest.mark.parametrize(
    "config",
    [HBIConfig(), HBIConfig(freeze="encoder", teacher=TeacherConfig(method="estimated")), HBIQAConfig(teacher=None)],
    ids=["hbi", "frozen", "qa"],
)
def test_parameters(config):
    system = build(config)
    weights = [(one.numel(), one.requires_grad) for one in system.parameters()]
    assert parameters(config) == (sum(size for size, _ in weights), sum(size for size, learns in weights if learns))


def test_parameters_of_another_resolution():
    more = (64 // 8) ** 2 - (32 // 8) ** 2  # patches of 8 pixels, each with a position
    assert parameters(HBIConfig(), resolution=64)[0] == parameters(HBIConfig())[0] + more * 64
