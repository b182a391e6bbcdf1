from pathlib import Path

import numpy as np
import pytest
import torch

import hbi.data.clips
from hbi.config import ShapesConfig
from hbi.data.augmentation import randaugment
from hbi.data.batches import Batch, train_batches, video_batches
from hbi.data.clips import Clips
from hbi.data.dataset import Dataset
from hbi.data.tokens import tokenize

SIZE = 16


def batches(dataset: Dataset, config: ShapesConfig, epoch: int = 0, skip: int = 0, workers: int = 0) -> list[Batch]:
    split = dataset.splits["train"]
    answer = torch.full((len(split.captions),), -1)
    tokens = tokenize(split.captions, 24)
    clips = Clips(split, config, SIZE)
    return list(train_batches(split, clips, tokens, answer, 2, 3, epoch, skip, workers, augmented=True))


def frames(found: list[Batch]) -> torch.Tensor:
    """By video: an epoch has every video of this data set once."""
    order = torch.cat([batch.video_index for batch in found])
    return torch.cat([batch.frames for batch in found])[order.argsort()]


@pytest.fixture(params=["correct", "released"])
def augmented(request: pytest.FixtureRequest, config: ShapesConfig) -> ShapesConfig:
    return config.model_copy(update={"augmentation": "randaugment", "augment_order": request.param})


@pytest.fixture
def drawn(config: ShapesConfig) -> ShapesConfig:
    return config.model_copy(update={"sampler": "ranges", "max_frames": 3, "training_frames": "drawn"})


@pytest.mark.parametrize("bytes", [0, 2**30], ids=["disk", "memory"])
def test_the_same_seed_gives_the_same_clips_whatever_the_workers_and_where_it_went_on(  # type: ignore[no-untyped-def]
    dataset, augmented, bytes, monkeypatch
) -> None:
    once = batches(dataset, augmented)
    monkeypatch.setattr(hbi.data.clips, "IN_MEMORY_BYTES", bytes)
    for workers in (0, 1, 2):
        assert torch.equal(frames(batches(dataset, augmented, workers=workers)), frames(once))
    rest = batches(dataset, augmented, skip=3, workers=2)
    assert all(torch.equal(one.frames, other.frames) for one, other in zip(rest, once[3:], strict=True))


def test_every_epoch_draws_anew_and_only_training_is_augmented(  # type: ignore[no-untyped-def]
    dataset, augmented, config
) -> None:
    plain, first, second = (
        frames(batches(dataset, which, epoch)) for which, epoch in ((config, 0), (augmented, 0), (augmented, 1))
    )
    for one, other in ((plain, first), (first, second)):
        assert sum(not torch.equal(a, b) for a, b in zip(one, other, strict=True)) > len(one) / 2
    seen = torch.cat([found for found, _ in video_batches(Clips(dataset.splits["train"], augmented, SIZE), 4)])
    assert torch.equal(seen, plain)


def test_the_two_orders_differ_and_padding_stays_black(dataset: Dataset, config: ShapesConfig) -> None:
    found = []
    for order in ("correct", "released"):
        update = {"augmentation": "randaugment", "augment_order": order, "max_frames": 16}
        found.append(batches(dataset, config.model_copy(update=update)))
        for batch in found[-1]:
            assert not batch.video_mask.all()
            assert not batch.frames[~batch.video_mask].any()
    assert not torch.equal(frames(found[0]), frames(found[1]))


def test_all_frames_of_a_clip_undergo_the_same() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 24, 32, 3), np.uint8)
    for seed in range(200):
        clip = randaugment(np.repeat(frame, 3, 0), seed)
        assert clip.shape == (3, 24, 32, 3)
        assert clip.dtype == np.uint8
        assert (clip == clip[:1]).all()


def test_one_clip_in_sixteen_is_left_as_it_is() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 24, 32, 3), np.uint8)
    same = sum(randaugment(frame, seed) is frame for seed in range(2000))
    assert same / 2000 == pytest.approx(1 / 16, abs=0.02)


def test_a_frame_is_changed_as_its_operations_say(monkeypatch: pytest.MonkeyPatch) -> None:
    from hbi.data import augmentation

    picture = np.zeros((1, 20, 20, 3), np.uint8)
    picture[:, 8:12, 8:12] = 100

    def only(name: str) -> np.ndarray:
        kinds = {name: augmentation._KINDS[name]}
        monkeypatch.setattr(augmentation, "_KINDS", kinds)
        seed = next(seed for seed in range(99) if len(augmentation.drawn(np.random.default_rng(seed))) == 1)
        monkeypatch.undo()
        monkeypatch.setattr(augmentation, "_KINDS", kinds)
        found = randaugment(picture, seed)[0]
        monkeypatch.undo()
        return found

    assert only("invert").max() == 255
    assert only("invert")[9, 9, 0] == 155
    assert 60 < only("solarise, add")[0, 0, 0] < 100  # 110 × 0.7
    assert (only("move x") == 128).all(2).all(0).sum() in (5, 6, 7)  # columns: 20 × 0.45 × 0.7
    assert (only("move y") == 128).all(2).all(1).sum() in (5, 6, 7)
    assert only("posterise")[9, 9, 0] in (0, 64)  # two bits are left
    assert only("brightness").max() in (*range(25, 50), *range(150, 180))


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="augmentation"):
        ShapesConfig(augmentation="mixup")  # type: ignore[arg-type]


@pytest.mark.parametrize("bytes", [0, 2**30], ids=["disk", "memory"])
def test_drawn_frames_are_those_of_their_seed_and_epoch_in_training_alone(  # type: ignore[no-untyped-def]
    dataset, drawn, bytes, monkeypatch
) -> None:
    monkeypatch.setattr(hbi.data.clips, "IN_MEMORY_BYTES", bytes)
    once = frames(batches(dataset, drawn))
    for workers in (0, 2):
        assert torch.equal(frames(batches(dataset, drawn, workers=workers)), once)
    same = drawn.model_copy(update={"training_frames": "same"})
    for other in (batches(dataset, drawn, epoch=1), batches(dataset, same)):
        assert sum(not torch.equal(a, b) for a, b in zip(frames(other), once, strict=True)) > len(once) / 2
    seen = torch.cat([found for found, _ in video_batches(Clips(dataset.splits["train"], drawn, SIZE), 4)])
    assert torch.equal(seen, frames(batches(dataset, same)))


@pytest.mark.parametrize("order", ["correct", "released"])
def test_what_is_augmented_are_the_drawn_frames(order, dataset, drawn, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    both = drawn.model_copy(update={"augmentation": "randaugment", "augment_order": order})
    augmented = frames(batches(dataset, both))
    assert not torch.equal(augmented, frames(batches(dataset, drawn)))
    monkeypatch.setattr(hbi.data.clips, "randaugment", lambda found, seed: found)
    assert torch.equal(frames(batches(dataset, both)), frames(batches(dataset, drawn)))
