"""The encoder in half precision, as published on a GPU: here on the CPU, which has the same types."""

import pytest
import torch
from safetensors.torch import load_file

from hbi.config import HBIConfig, TrainingConfig
from hbi.models import build
from hbi.training import checkpoint
from hbi.training.checkpoint import Progress
from hbi.training.optimiser import optimiser
from hbi.training.precision import halve
from hbi.training.step import Step, backward
from tests.random_batch import batch_of

SCALER = torch.amp.GradScaler("cpu", enabled=False)


@pytest.fixture
def halved():
    model = build(HBIConfig(temporal_layers=1))
    halve(model)
    return model


def test_weights_of_maps_are_half_and_all_others_whole(halved):
    clip = halved.encoder.clip
    half = {name for name, weight in halved.named_parameters() if weight.dtype == torch.float16}
    for part in (clip.visual.conv1, clip.transformer.resblocks[0].mlp.c_fc, clip.visual.transformer.resblocks[0].mlp):
        assert all(weight.dtype == torch.float16 for weight in part.parameters())
    assert {
        *("encoder.clip.text_projection", "encoder.clip.visual.proj"),
        *("encoder.clip.transformer.resblocks.0.attn.in_proj_weight",),
        *("encoder.clip.transformer.resblocks.0.attn.in_proj_bias",),
    } <= half
    assert all(name.startswith("encoder.clip.") for name in half)
    whole = ("ln_", "embedding", "logit_scale")
    assert not any(part in name for name in half for part in whole)


def test_its_features_are_those_of_the_whole_encoder_but_for_rounding(halved):
    whole, batch = build(HBIConfig(temporal_layers=1)), batch_of(6)
    for ours, theirs in zip(*(_encoded(model, batch) for model in (halved, whole)), strict=True):
        for name, tensor in theirs.tensors.items():
            assert ours[name].dtype == tensor.dtype
            if tensor.is_floating_point():
                assert (ours[name] - tensor).abs().max() < 0.02, name


def _encoded(model, batch):
    model.eval()
    with torch.no_grad():
        text = model.encode_text(batch.token_ids, batch.text_mask)
        return text, model.encode_video(batch.frames, batch.video_mask)


@pytest.mark.parametrize("name", ["bertadam", "adamw"])
def test_it_trains_and_goes_on_bit_equal(tmp_path, halved, name):
    config = TrainingConfig(optimiser=name, precision="released")
    adam = optimiser(halved, config)

    def steps(model, adam, count):
        for _ in range(count):
            adam.zero_grad()
            losses = backward(Step(model, config.precision), batch_of(6), 1, SCALER)
            assert torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).isfinite()
            adam.step()
            assert all(loss.isfinite() for loss in losses.values())

    before = {name: weight.detach().clone() for name, weight in halved.named_parameters()}
    steps(halved, adam, 1)
    assert all(weight.isfinite().all() for weight in halved.parameters())
    assert not torch.equal(before["encoder.clip.text_projection"], halved.encoder.clip.text_projection)
    checkpoint.save(tmp_path / "state", Progress(), halved, adam, SCALER)
    steps(halved, adam, 1)

    again = build(HBIConfig(temporal_layers=1), seed=1)
    halve(again)
    restored = optimiser(again, config)
    checkpoint.load(tmp_path / "state", again, restored, SCALER)
    steps(again, restored, 1)
    for (name, weight), theirs in zip(again.named_parameters(), halved.parameters(), strict=True):
        assert torch.equal(weight, theirs), name
        for moment, value in restored.state[weight].items():
            assert moment == "step" or value.dtype == weight.dtype


def test_what_it_has_learned_loads_into_a_whole_model(tmp_path, halved):
    halved.save(tmp_path / "model.safetensors")
    whole = build(HBIConfig(temporal_layers=1), seed=1)
    whole.load_state_dict(load_file(tmp_path / "model.safetensors"))
    for (name, weight), theirs in zip(whole.named_parameters(), halved.parameters(), strict=True):
        assert weight.dtype == torch.float32
        assert torch.equal(weight, theirs.float()), name
