"""CLIP4Clip against numbers of the published code, and its checkpoints in and out (tests/golden/clip4clip.*)."""

import re

import pytest
import torch

from hbi.config import Clip4ClipConfig
from hbi.errors import InputError
from hbi.models import build, released
from tests.golden_system import assert_close, assert_norms, encoded, gradients, read

HEADERS = ("meanP", "seqLSTM", "seqTransf")
OWN = {"meanP": (), "seqLSTM": ("lstm_visual", "frame_position"), "seqTransf": ("transformerClip", "frame_position")}


@pytest.fixture(scope="module")
def golden():
    return read("clip4clip")


def file_of(golden, header: str) -> dict[str, torch.Tensor]:
    """What the published code saves with this header: the golden weights hold those of all three."""
    return {name: weight for name, weight in golden.weights.items() if name.startswith(("clip.", *OWN[header]))}


@pytest.mark.parametrize("header", HEADERS)
def test_scores_are_the_published_ones(golden, header):
    model = released.load("clip4clip", file_of(golden, header))
    assert model.config.sim_header == header
    scores = model.similarity(*encoded(model, golden)) * model.logit_scale.exp()
    assert_close(scores, golden.arrays[f"{header}/sim_eval"])


def test_features_are_the_published_ones(golden):
    model, (ids, mask), (frames, _) = released.load("clip4clip", file_of(golden, "meanP")), golden.texts, golden.videos
    with torch.no_grad():
        words = model.encoder.words(ids, mask)
        assert_close(words[torch.arange(len(ids)), ids.argmax(1)], golden.arrays["text_cls"])
        assert_close(model.frame_features(frames), golden.arrays["frame_feat"])


@pytest.mark.parametrize("header", HEADERS)
def test_loss_and_gradients_are_the_published_ones(golden, header):
    model = released.load("clip4clip", file_of(golden, header))
    loss = model.train().losses(golden.batch)["total"]
    assert loss.item() == pytest.approx(golden.scalars[f"{header}/loss"], rel=1e-4)
    found = gradients(model, golden.batch, "clip4clip")
    assert_norms(found, golden.scalars[f"{header}/grad_norms"])
    for ours, theirs in (("text_projection", "text_projection"), ("visual.proj", "visual_proj")):
        torch.testing.assert_close(
            found[f"clip.{ours}"][:, :16],
            torch.from_numpy(golden.arrays[f"{header}/grad_{theirs}"]),
            rtol=1e-3,
            atol=1e-6,
        )


@pytest.mark.parametrize("header", HEADERS)
def test_more_padding_changes_no_score(golden, header):
    model = released.load("clip4clip", file_of(golden, header))
    frames, mask = golden.videos
    with torch.no_grad():
        short = model.encode_video(frames, mask)["vector"]
        longer = torch.cat([frames, torch.ones_like(frames)], 1), torch.cat([mask, torch.zeros_like(mask)], 1)
        torch.testing.assert_close(model.encode_video(*longer)["vector"], short)


def test_the_correct_mean_is_of_frames_as_they_are(golden):
    as_published, correct = (
        released.load("clip4clip", file_of(golden, "meanP"), **options) for options in ({}, {"departures": {}})
    )
    frames, mask = golden.videos
    with torch.no_grad():
        features = correct.frame_features(frames)
        mean = (features * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        found = correct.encode_video(frames, mask)["vector"]
        torch.testing.assert_close(found, mean / mean.norm(dim=1, keepdim=True))
        assert (as_published.encode_video(frames, mask)["vector"] - found).abs().max() > 1e-3


def test_pretrained_weights_start_the_transformer_over_frames(tmp_path):
    source = build(Clip4ClipConfig())
    torch.save(source.encoder.clip.state_dict(), tmp_path / "clip.pt")
    config = Clip4ClipConfig(sim_header="seqTransf", temporal_layers=1, pretrained=str(tmp_path / "clip.pt"))
    model = build(config, seed=1)
    assert torch.equal(model.temporal.positions, source.encoder.clip.positional_embedding)
    build(config.model_copy(update={"sim_header": "seqLSTM"}))


# ---- files


@pytest.mark.parametrize("header", HEADERS)
def test_what_is_loaded_is_saved_bit_for_bit(golden, header, tmp_path):
    weights, file = file_of(golden, header), tmp_path / "again.bin"
    released.save(released.load("clip4clip", weights), file)
    again = torch.load(file, weights_only=True)
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weight) for name, weight in weights.items())


@pytest.mark.parametrize("header", HEADERS)
def test_a_model_of_ours_is_saved_under_the_published_names(golden, header, tmp_path):
    model = build(Clip4ClipConfig(sim_header=header))
    released.save(model, tmp_path / "new.safetensors")
    again = released.load("clip4clip", tmp_path / "new.safetensors").state_dict()
    assert all(torch.equal(again[name], weight) for name, weight in model.state_dict().items())

    def of_one_layer(names):
        return {re.sub(r"resblocks\.\d+", "resblocks", name) for name in names}

    assert of_one_layer(released.published_state(model)) == of_one_layer(file_of(golden, header))


def test_a_header_that_is_asked_for_leaves_the_weights_of_others_aside(golden, tmp_path):
    for header in HEADERS:
        model = released.load("clip4clip", golden.weights, sim_header=header)
        assert released.published_state(model).keys() == golden.weights.keys()
    with pytest.raises(InputError, match=r"read as CLIP4Clip: .*unexpected lstm_visual"):
        released.load("clip4clip", golden.weights)


def test_what_does_not_fit_names_system_and_file(golden, tmp_path):
    weights = file_of(golden, "seqTransf")
    del weights["transformerClip.resblocks.1.ln_1.bias"]
    torch.save(weights, tmp_path / "spoilt.bin")
    with pytest.raises(
        InputError, match=r"spoilt\.bin, read as CLIP4Clip: .*missing transformerClip\.resblocks\.1\.ln_1\.bias"
    ):
        released.load("clip4clip", tmp_path / "spoilt.bin")
    del weights["clip.ln_final.weight"]
    with pytest.raises(InputError, match=r"no published checkpoint of CLIP4Clip: clip\.ln_final\.weight"):
        released.load("clip4clip", weights)
    with pytest.raises(InputError, match="unknown system 'clip4'; known: hbi, hbi-qa, clip4clip"):
        released.load("clip4", weights)


def test_a_checkpoint_of_another_system_is_recognised(golden):
    of_drl = read("drl").weights
    with pytest.raises(InputError, match=r"unexpected .*; it looks like a checkpoint of DRL \(drl\)"):
        released.load("clip4clip", of_drl)
    with pytest.raises(InputError, match=r"no published checkpoint of HBI: banzhafmodel\.Q"):
        released.load("hbi", file_of(golden, "seqTransf"))
