"""Features of a frozen encoder: computed once, the same to training, remade when damaged or when anything changes."""

import pytest
import torch

import hbi.data
from hbi.config import HBIConfig, ShapesConfig
from hbi.data.batches import train_batches
from hbi.data.clips import Clips
from hbi.data.tokens import tokenize
from hbi.models import build
from hbi.training.features import Features, weights_hash

CONFIG = ShapesConfig(train=12, val=2, test=4, size=32, max_words=12, max_frames=4)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return hbi.data.load(CONFIG, tmp_path_factory.mktemp("data")).splits["train"]


@pytest.fixture(scope="module")
def clips(split):
    return Clips(split, CONFIG, 32)


def frozen(seed=0):
    return build(HBIConfig(encoder="tiny", temporal_layers=1, freeze="encoder"), seed)


def features_of(split, clips, cache, model=None, seen=None):
    def progress(what, done, total):
        if seen is not None:
            seen.append(done)

    model = model or frozen()
    return Features(split, CONFIG, lambda: clips, model, weights_hash(model), "fp32", cache, progress)


def first_batch(split, clips):
    tokens, labels = tokenize(split.captions, CONFIG.max_words), torch.full((len(split.captions),), -1)
    return next(train_batches(split, clips, tokens, labels, batch_size=6, seed=0, epoch=0))


def test_losses_and_gradients_are_those_of_the_frames(split, clips, tmp_path):
    models = frozen(), frozen()
    for model, source in zip(models, (clips, features_of(split, clips, tmp_path)), strict=True):
        model.train().losses(first_batch(split, source))["total"].backward()
    decoded, kept = (dict(model.named_parameters()) for model in models)
    for name, weight in decoded.items():
        if name.startswith("encoder.") and "logit_scale" not in name:
            assert weight.grad is kept[name].grad is None
        else:
            scale = weight.grad.abs().max().item()
            torch.testing.assert_close(kept[name].grad, weight.grad, rtol=1e-3, atol=1e-4 * scale + 1e-9)


def test_a_second_run_finds_them_and_reads_no_clips(split, clips, tmp_path):
    first, second = [], []
    features_of(split, clips, tmp_path, seen=first)
    again = features_of(split, None, tmp_path, seen=second)
    assert first == [12]
    assert second == []
    assert again.stack(torch.tensor([3, 1]))[0].shape == (2, 4, 64)


@pytest.mark.parametrize("spoil", [lambda b: b[:-8], lambda b: b[:-8] + b"\x01" * 8])
def test_damaged_ones_are_made_again(split, clips, tmp_path, spoil):
    whole = features_of(split, clips, tmp_path).stack(torch.arange(12))[0]
    (file,) = (tmp_path / "features").glob("*.npy")
    file.write_bytes(spoil(file.read_bytes()))
    seen = []
    assert torch.equal(features_of(split, clips, tmp_path, seen=seen).stack(torch.arange(12))[0], whole)
    assert seen


def test_another_encoder_has_its_own(split, clips, tmp_path):
    features_of(split, clips, tmp_path)
    seen = []
    features_of(split, clips, tmp_path, frozen(seed=1), seen=seen)
    assert seen
    assert len(list((tmp_path / "features").glob("*.npy"))) == 2


def test_a_changed_video_is_encoded_again(split, clips, tmp_path):
    features_of(split, clips, tmp_path)
    path = split.videos[0].path
    path.touch()
    seen = []
    features_of(split, clips, tmp_path, seen=seen)
    assert seen
