"""DiffusionRet against numbers of the published code (tests/golden/diffusionret.*), its re-ranking, its checkpoints."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hbi.config import DiffusionRetConfig
from hbi.cost.stages import stages
from hbi.errors import InputError
from hbi.models import build, diffusionret, released, targets_of
from hbi.models.diffusion import Denoiser, Pairs, denoised, signal_left
from hbi.training.evaluate import rankings
from hbi.training.step import Step, backward
from tests.golden_system import assert_close, assert_norms, encoded, gradients, read
from tests.random_batch import batch_of

GOLDEN = read("diffusionret")
SMALL = {"num": 3, "t2v_num": 4, "v2t_num": 5}  # as the published numbers were taken
WAYS = ("t2v", "v2t")


def golden_model(**options):
    return released.load("diffusionret", GOLDEN.weights, **{"generation": SMALL, **options})


def small(departures=None, **generation):
    config = DiffusionRetConfig(temporal_layers=1, generation=generation, departures=departures or {})
    return build(config).eval()


def both_sides(model, batch):
    with torch.no_grad():
        return model.encode_text(batch.token_ids, batch.text_mask), model.encode_video(batch.frames, batch.video_mask)


def noise_of(name):
    return torch.from_numpy(GOLDEN.arrays[name])


# ---- the published numbers


def test_features_and_scores_are_the_published_ones():
    model = golden_model()
    text, video = encoded(model, GOLDEN)
    assert_close(text["caption"], GOLDEN.arrays["text_cls"])
    assert_close(video["frames"], GOLDEN.arrays["video_feat"])
    real = GOLDEN.texts[1]
    assert_close(model.encoder.words(*GOLDEN.texts)[real], GOLDEN.arrays["text_feat"][real.numpy()])
    assert_close(model.similarity(text, video), GOLDEN.arrays["sim_discrimination"])
    alone = golden_model(generation=None)
    assert_close(alone.similarity(*encoded(alone, GOLDEN)), GOLDEN.arrays["sim_discrimination"])


def test_the_schedule_is_the_published_one():
    left = signal_left(50)
    np.testing.assert_allclose(left, GOLDEN.arrays["alphas_cumprod"], rtol=1e-9)
    before = torch.cat([torch.ones(1, dtype=left.dtype), left[:-1]])
    np.testing.assert_allclose(1 - left / before, GOLDEN.arrays["betas"], rtol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_re_ranking_is_the_published_one(way):
    model = golden_model()
    text, video = encoded(model, GOLDEN)
    similarity, noise = model.similarity(text, video), noise_of(f"ddim_noise_{way}")
    scores = similarity if way == "t2v" else similarity.mT
    denoiser = model.denoisers[way]
    with torch.no_grad():
        pairs = model.pairs(way, text, video, slice(None), model.best(way, scores))
        times = denoiser.times(torch.arange(len(noise)) % 50)
        assert_close(denoiser(noise, times, pairs), GOLDEN.arrays[f"denoiser_{way}_output"])
        assert_close(denoised(denoiser, noise, signal_left(50), pairs), GOLDEN.arrays[f"ddim_sample_{way}"])
    found = model.reranked(way, text, video, similarity, noise)
    if way == "t2v":
        assert_close(found, GOLDEN.arrays["sim_t2v_final"])
    else:
        assert_close(found.mT, GOLDEN.arrays["sim_v2t_final_rows_are_videos"])


def test_the_first_stage_has_the_published_loss_and_gradients():
    model = golden_model(generation=None)
    loss = model.train().losses(GOLDEN.batch)["total"].item()
    assert loss == pytest.approx(GOLDEN.scalars["discrimination/loss"], rel=1e-4)
    found = gradients(model, GOLDEN.batch, "diffusionret")
    assert_norms(found, GOLDEN.scalars["discrimination/grad_norms"])
    projection = torch.from_numpy(GOLDEN.arrays["discrimination/grad_text_projection"])
    torch.testing.assert_close(found["clip.text_projection"][:, :16], projection, rtol=1e-3, atol=1e-5)


def test_the_second_stage_has_the_published_losses_and_gradients():
    model, batch = golden_model().train(), GOLDEN.batch
    text, video = model.encode_text(batch.token_ids, batch.text_mask), model.encode_video(*GOLDEN.videos)
    time, noise = noise_of("train_timesteps").long(), [noise_of(f"train_noise_{way}") for way in WAYS]
    losses = model.generation_losses(text, video, targets_of(batch), model.similarity(text, video), time, *noise)
    total = losses["generation/t2v"] + losses["generation/v2t"]
    assert total.item() == pytest.approx(GOLDEN.scalars["generation/loss_generation_both_directions"], rel=1e-4)
    total.backward()
    found = {released.published_name(name, "diffusionret"): weight.grad for name, weight in model.named_parameters()}
    assert_norms(found, GOLDEN.scalars["generation/grad_norms"])
    for name in ("diffusion_model.decoder.2.weight", "diffusion_model_v.q_proj.weight"):
        assert_close(found[name] / 50, GOLDEN.arrays[f"generation/grad_{name}"] / 50)
    both = model.losses(batch)
    expected = GOLDEN.scalars["generation/loss_discrimination_term_no_gradient"]
    assert both["contrastive"].item() == pytest.approx(expected, rel=1e-4)
    assert both["total"].item() == pytest.approx(sum(both[name].item() for name in both if name != "total"), rel=1e-5)


# ---- the denoiser


def test_the_denoiser_is_its_formula():
    """As golden/diffusionret/README.md has it, with the time in every query and candidate."""
    torch.manual_seed(0)
    denoiser, time = Denoiser(8), torch.tensor([3, 0])
    x, query, candidates = (torch.randn(*shape) for shape in ((2, 5), (2, 5, 8), (2, 5, 8)))
    angles = time[:, None] / 10000 ** (torch.arange(0, 8, 2) / 8)
    e = denoiser.time(torch.stack([angles.sin(), angles.cos()], -1).flatten(1))[:, None]
    q, k, v = denoiser.query(query + e), denoiser.key(candidates + e), denoiser.value(candidates + e)
    a = ((q * k).sum(-1) + x).softmax(-1)
    n = denoiser.projection((a[:, :, None] * v).sum(1, keepdim=True)).expand(-1, 5, -1)
    expected = denoiser.guess(denoiser.hidden(torch.cat([n, candidates], -1)).relu()).squeeze(-1) + a
    key, seen, hidden = denoiser.candidates(candidates)
    query = denoiser.query(query)
    times = denoiser.times(time)
    found = denoiser(x, times, Pairs(query, key, (query * key).sum(-1), seen, hidden))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 60))
def test_the_signal_fades_in_every_step(steps):
    left = signal_left(steps)
    assert len(left) == steps
    assert (left.diff() < 0).all()
    assert 0 < left[-1] <= left[0] < 1


# ---- re-ranking


@pytest.mark.parametrize("way", WAYS)
def test_only_the_best_candidates_gain_and_alpha_is_what_they_share(way):
    model = small(**{f"{way}_num": 3, f"{way}_alpha": 0.5, "diffusion_steps": 4})
    text, video = both_sides(model, batch_of(6))
    similarity = model.similarity(text, video)
    gain = model.reranked(way, text, video, similarity) - similarity
    gain, scores = (gain, similarity) if way == "t2v" else (gain.mT, similarity.mT)
    best = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, scores.topk(3).indices, True)
    assert (gain[best] > 0).all()
    assert (gain[~best] == 0).all()
    torch.testing.assert_close(gain.sum(1), torch.full((6,), 0.5), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("noise", ["correct", "released"])
def test_blocks_and_repetition_change_nothing_but_another_seed_does(noise, monkeypatch):
    model = small({"noise": noise}, t2v_num=4, v2t_num=4, diffusion_steps=4)
    text, video = both_sides(model, batch_of(6))
    found = rankings(model, text, video)
    assert found["t2v"] is not found["v2t"]
    again = rankings(model, text, video)
    model.step = 7  # in the middle of a training
    monkeypatch.setattr(diffusionret, "BLOCK", 2)
    blocks = rankings(model, text, video, side=2)
    model.seed = 1
    other = rankings(model, text, video)
    for way in WAYS:
        assert torch.equal(again[way], found[way])
        torch.testing.assert_close(blocks[way], found[way], rtol=1e-5, atol=1e-6)
        assert not torch.allclose(other[way], found[way], rtol=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.permutations(range(6)), st.integers(1, 6))
def test_noise_belongs_to_the_pair(order, number):
    """Whatever its place among the best, and whoever else is among them; as published it is that of the place."""
    best = torch.tensor([order[:number]])
    for noise, place in (("correct", order[:number]), ("released", range(number))):
        model = NOISE[noise]
        every = model._noise("t2v", 3, torch.arange(6)[None], 6)
        found = model._noise("t2v", 3, best, 6)
        assert torch.equal(found[0], every[0, list(place)])
    alone, more = (NOISE["correct"]._noise("t2v", 3, best, candidates) for candidates in (6, 9))
    assert torch.equal(alone, more)
    assert not torch.equal(alone, NOISE["correct"]._noise("v2t", 3, best, 6))
    assert not torch.equal(alone, NOISE["correct"]._noise("t2v", 4, best, 6))


NOISE = {noise: small({"noise": noise}) for noise in ("correct", "released")}


def test_of_a_small_gallery_all_are_re_ranked():
    model = small(diffusion_steps=2)
    text, video = both_sides(model, batch_of(6))
    one = video.select(slice(1))
    similarity = model.similarity(text, one)
    torch.testing.assert_close(model.reranked("t2v", text, one, similarity), similarity + 1)
    assert model.reranked("v2t", text, one, similarity).shape == (6, 1)


def test_equal_scores_are_ordered_by_place():
    assert NOISE["correct"].best("t2v", torch.tensor([[0.0, 1, 0, 1, 0]])).tolist() == [[1, 3, 0, 2, 4]]


def test_padded_frames_change_the_pooled_video_only_as_published():
    batch = batch_of(6)
    found = {}
    for padding in ("correct", "released"):
        model = small({"pooling_padding": padding}, diffusion_steps=3)
        with torch.no_grad():
            text = model.encode_text(batch.token_ids, batch.text_mask)
            whole = model.encode_video(batch.frames, batch.video_mask)
            cut = model.encode_video(batch.frames[1:3, :3], batch.video_mask[1:3, :3])  # one frame, and three
        pooled = [
            model._pooled(text["caption"][None], side["frames"], side["mask"])
            for side in (whole.select(slice(1, 3)), cut)
        ]
        found[padding] = (pooled[0] - pooled[1]).abs().amax((1, 2))
    assert found["correct"].max() < 1e-5
    assert found["released"].min() > 1e-3


# ---- training


def test_captions_of_the_own_video_are_no_negatives_unless_as_published():
    batch = batch_of(6)  # the last caption is of the first video too
    losses = {}
    for same in ("correct", "released"):
        model = small({"same_video": same}).train()
        text, video = both_sides(model, batch)
        similarity = model.similarity(text, video)
        drawn = torch.zeros(6, dtype=torch.int64), torch.zeros(6, 6), torch.zeros(6, 6)
        with torch.no_grad():
            losses[same] = [
                model.generation_losses(text, video, targets, similarity, *drawn)
                for targets in (targets_of(batch), targets_of(batch).map(lambda t: torch.arange(6)))
            ]
    as_if_other = losses["correct"][1]
    assert losses["released"] == [as_if_other, as_if_other]
    assert all(losses["correct"][0][name] != as_if_other[name] for name in as_if_other)
    assert all(loss.isfinite() for loss in losses["correct"][0].values())


def test_a_batch_in_parts_gives_the_gradient_of_the_whole():
    found = []
    for parts in (1, 3):
        model = small(num=4).train()
        losses = backward(Step(model, "fp32"), batch_of(6), parts, torch.amp.GradScaler("cpu", enabled=False))
        found.append((losses["total"], {name: weight.grad for name, weight in model.named_parameters()}))
    torch.testing.assert_close(found[0][0], found[1][0])
    for name, gradient in found[0][1].items():
        assert (gradient is not None) == name.startswith("denoisers.")
        torch.testing.assert_close(found[1][1][name], gradient, rtol=1e-3, atol=1e-4)


def test_draws_follow_from_seed_and_step():
    model, batch = small(num=2).train(), batch_of(6)
    first, again = (model.losses(batch)["total"] for _ in range(2))
    model.step = 1
    assert first == again != model.losses(batch)["total"]


def test_the_second_stage_starts_from_the_first_ones_weights():
    first = build(DiffusionRetConfig(temporal_layers=1, generation=None), seed=3)
    second = small()
    second.start_from(first.state_dict(), "there")
    for name, weight in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], weight)
    other = build(DiffusionRetConfig(temporal_layers=2, generation=None))
    with pytest.raises(
        InputError, match=r"there, as the first stage of DiffusionRet: .*unexpected temporal\.blocks\.1"
    ):
        second.start_from(other.state_dict(), "there")


# ---- published checkpoints


@pytest.mark.parametrize("stage", ["first", "second", "second, read as the first"])
def test_a_checkpoint_goes_back_bit_for_bit(stage, tmp_path):
    weights = released.published_state(golden_model())  # with the tables that the published code keeps
    assert sum(name.endswith("sequence_pos_encoder.pe") for name in weights) == 4
    options = {} if stage != "second, read as the first" else {"generation": None}
    if stage == "first":
        weights = {name: weight for name, weight in weights.items() if not name.startswith("diffusion_model")}
    weights = {name: weight + 1 if name.endswith(".pe") else weight for name, weight in weights.items()}
    model = released.load("diffusionret", weights, **options)
    assert (model.config.generation is None) == (stage != "second")
    released.save(model, tmp_path / "model.bin")
    again = torch.load(tmp_path / "model.bin", weights_only=True)
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weight) for name, weight in weights.items())


def test_wrong_checkpoints_are_refused_in_one_line():
    def refused(system, weights, **options):
        with pytest.raises(InputError) as caught:
            released.load(system, weights, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    lacking = {name: weight for name, weight in GOLDEN.weights.items() if name != "diffusion_model_v.proj.bias"}
    assert "state dict, read as DiffusionRet: does not fit the model: missing diffusion_model_v.proj.bias" in refused(
        "diffusionret", lacking
    )
    assert "looks like a checkpoint of DiffusionRet (diffusionret)" in refused("drl", GOLDEN.weights)
    assert "looks like a checkpoint of DRL (drl)" in refused("diffusionret", read("drl").weights)
    unknown = refused("diffusionret", GOLDEN.weights, generation={"t2v_number": 3})
    assert unknown.startswith("released.load: diffusionret: generation.t2v_number: ")


# ---- cost


def test_every_stage_is_priced_and_only_the_second_re_ranks():
    config = DiffusionRetConfig(temporal_layers=1)
    both = stages(config, 12, 6, batch=4, gallery=(40, 50))
    first = stages(config.model_copy(update={"generation": None}), 12, 6, batch=4, gallery=(40, 50))
    assert both.keys() - first.keys() == {"re-ranking"}
    assert [name for name, report in (both | first).items() if not report.complete] == []
    assert both["similarity"] == first["similarity"]


def test_re_ranking_projects_once_and_grows_with_queries_alone():
    """Of a caption's pooled videos: key, what is seen of them (three layers), hidden layer."""
    width, frames, best, steps = 64, 6, 32, 50
    of = [stages(DiffusionRetConfig(temporal_layers=1), 12, frames, batch=None, gallery=(n, 40)) for n in (100, 200)]
    projected = best * (1 + (1 + 1 + 2) + 2) * width**2
    in_steps = best * (steps * (1 + 2 + 2) + 2 * frames) * width  # scores, what is seen, guess; pooling
    more = of[1]["re-ranking"].macs - of[0]["re-ranking"].macs
    assert more == pytest.approx(100 * (projected + in_steps), rel=0.01)
