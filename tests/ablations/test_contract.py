"""What every registered variant must do, whatever it is: a new one is tested by being registered."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from ablations import registry
from hbi.config import SYSTEMS, ClipSystemConfig, HBIConfig, SystemConfig
from hbi.errors import InputError
from hbi.games.estimator import BanzhafEstimator, save_estimator
from hbi.models import build
from hbi.models.clip_system import FROZEN
from hbi.models.diffusionret import DiffusionRet
from hbi.models.two_towers import TwoTowers
from tests.random_batch import batch_of

SYSTEM_VARIANTS = [
    name for name in registry.names() if issubclass(SYSTEMS[registry.get(name).config["model"]["system"]], SystemConfig)
]


def model_of(name: str, seed: int = 0):
    section = dict(registry.get(name).config["model"])
    family = SYSTEMS[section["system"]]
    smallest = {"encoder": "tiny", "temporal_layers": 1} if issubclass(family, ClipSystemConfig) else {}
    config = family.model_validate({**section, **smallest})
    if not (config.needs and isinstance(config, HBIConfig)):
        return build(config, seed)
    with TemporaryDirectory() as folder:  # an untrained one serves: it is asked for numbers, not for good ones
        file = Path(folder, "estimator.safetensors")
        save_estimator(file, BanzhafEstimator(8), config.teacher.index)
        teacher = config.teacher.model_copy(update={"estimator": str(file)})
        return build(config.model_copy(update={"teacher": teacher}), seed)


def batch_for(model):
    """Six pairs; of a model that asks about them, with questions."""
    if isinstance(model, TwoTowers):
        known = model.text_tower.bert.config.vocab_size
        return batch_of(6, vocabulary=known, kinds=len(model.config.asks))
    return batch_of(6)


@pytest.fixture(scope="module", params=SYSTEM_VARIANTS)
def variant(request):
    return request.param


def test_has_a_meaning_in_one_line(variant):
    summary = registry.get(variant).summary
    assert summary
    assert "\n" not in summary


def test_a_step_has_finite_losses_that_reach_all_parameters(variant):
    model = model_of(variant)
    losses = model.losses(batch_for(model))
    assert all(value.isfinite() for value in losses.values())
    losses["total"].backward()
    unreached = {name for name, weight in model.named_parameters() if weight.grad is None}
    if isinstance(model, TwoTowers):
        expected = {name for name, weight in model.named_parameters() if not weight.requires_grad}
        assert {name.split(".")[0] for name in expected} <= {"log_scale", "snapshot"}
    else:
        frozen = tuple(f"encoder.clip.{start}" for start in FROZEN[model.config.freeze])
        expected = {name for name, _ in model.named_parameters() if name.startswith(frozen)}
    if isinstance(model, DiffusionRet) and model.config.needs:  # it trains what it adds to the model it starts from
        expected = {name for name, _ in model.named_parameters() if not name.startswith("denoisers.")}
    assert unreached == expected
    assert all(weight.grad.isfinite().all() for name, weight in model.named_parameters() if name not in unreached)


def test_encodes_and_compares_any_numbers_of_captions_and_videos(variant):
    model = model_of(variant).eval()
    batch = batch_for(model)
    with torch.no_grad():
        text = model.encode_text(batch.token_ids, batch.text_mask)
        video = model.encode_video(batch.frames[:4], batch.video_mask[:4])
        scores = model.similarity(text, video)
        assert scores.shape == (6, 4)
        assert scores.isfinite().all()
        if model.block == 1:
            block = model.similarity(text.select(slice(2, 4)), video.select(torch.tensor([3, 0])))
            torch.testing.assert_close(block, scores[2:4][:, [3, 0]])
        alone = type(text).cat(
            [model.encode_text(batch.token_ids[n : n + 1], batch.text_mask[n : n + 1]) for n in range(6)]
        )
        torch.testing.assert_close(model.similarity(alone, video), scores, rtol=1e-4, atol=1e-5)


def test_what_stands_in_padding_changes_nothing(variant):
    model = model_of(variant).eval()
    batch = batch_for(model)
    other = torch.where(batch.text_mask, batch.token_ids, 7)
    frames = torch.where(batch.video_mask[:, :, None, None, None], batch.frames, torch.tensor(99, dtype=torch.uint8))
    with torch.no_grad():
        scores = model.similarity(
            model.encode_text(batch.token_ids, batch.text_mask), model.encode_video(batch.frames, batch.video_mask)
        )
        same = model.similarity(model.encode_text(other, batch.text_mask), model.encode_video(frames, batch.video_mask))
    torch.testing.assert_close(same, scores, rtol=1e-5, atol=1e-6)


def test_saves_and_loads_to_the_same_scores(variant, tmp_path):
    model, again = model_of(variant, seed=0).eval(), model_of(variant, seed=1).eval()
    batch = batch_for(model)

    def scores(of):
        with torch.no_grad():
            return of.similarity(
                of.encode_text(batch.token_ids, batch.text_mask), of.encode_video(batch.frames, batch.video_mask)
            )

    assert not torch.equal(scores(model), scores(again))
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    again.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(scores(model), scores(again))


def test_variants_of_one_seed_start_from_the_same_shared_weights(variant):
    model = model_of(variant)
    of_towers = isinstance(model, TwoTowers)
    baseline = model_of("bridgeformer" if of_towers else "no-hbi").state_dict()
    model = model.state_dict()
    shared = baseline.keys() & model.keys()
    assert any(name.startswith("text_tower." if of_towers else "encoder.") for name in shared)
    assert all(torch.equal(baseline[name], model[name]) for name in shared)


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(InputError, match="did you mean 'hbi-shapley'"):
        registry.get("hbi-shaply")
