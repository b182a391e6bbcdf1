import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hbi.data.batches
import hbi.data.clips
from hbi.config import ShapesConfig
from hbi.data.batches import Batch, data_order, steps_per_epoch, text_batches, train_batches, video_batches
from hbi.data.clips import Clips
from hbi.data.dataset import Dataset, Split, Video
from hbi.data.preprocess import preprocess
from hbi.data.tokens import tokenize
from hbi.data.video import VideoError, read_frames
from hbi.errors import InputError

SIZE = 16


@pytest.fixture(scope="module")
def train(dataset: Dataset) -> Split:
    """The training split with two captions of its first video."""
    split = dataset.splits["train"]
    return Split("train", split.videos, (*split.captions, "again"), (*split.video_of, 0))


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hbi.data.clips, "IN_MEMORY_BYTES", 0)


def unanswered(split: Split) -> torch.Tensor:
    return torch.full((len(split.captions),), -1)


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in Batch.__dataclass_fields__)


def test_a_clip_is_its_preprocessed_frames_and_padding(dataset: Dataset, config: ShapesConfig) -> None:
    split = dataset.splits["test"]
    clips = Clips(split, config, SIZE)
    lengths = set()
    for index, video in enumerate(split.videos):
        frames, mask = clips.read(index)
        found = read_frames(video.path, lambda n, fps: list(range(0, n, 4)), "auto")  # 8 a second, 2 of them
        assert frames.shape == (12, 3, SIZE, SIZE)
        assert mask.tolist() == [True] * len(found) + [False] * (12 - len(found))
        assert torch.equal(frames[mask], torch.from_numpy(preprocess(found, SIZE)))
        assert not frames[~mask].any()
        lengths.add(len(found))
    assert lengths <= {6, 8, 12}


def test_a_small_set_is_decoded_once_for_all_runs(dataset, config, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    calls: list[tuple[int, int]] = []
    split = dataset.splits["val"]
    first = Clips(split, config, 24, progress=lambda what, done, total: calls.append((done, total)))
    assert first.in_memory
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    monkeypatch.setattr(hbi.data.clips, "decode", None)  # any decoding from now on would fail
    again = Clips(split, config, 24, progress=lambda what, done, total: calls.append((done, total)))
    assert len(calls) == 4
    assert torch.equal(first.read(3)[0], again.read(3)[0])


@pytest.mark.usefixtures("on_disk")
def test_a_large_set_is_decoded_at_each_read(dataset: Dataset, config: ShapesConfig) -> None:
    clips = Clips(dataset.splits["val"], config, SIZE)
    assert not clips.in_memory
    assert clips.read(1)[0].shape == (12, 3, SIZE, SIZE)


def test_only_so_much_stays_in_memory(dataset, config, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(hbi.data.clips, "_kept", {})
    monkeypatch.setattr(hbi.data.clips, "IN_MEMORY_BYTES", 4 * 12 * 3 * SIZE * SIZE)
    for max_frames in (12, 11, 10):
        assert Clips(dataset.splits["val"], config.model_copy(update={"max_frames": max_frames}), SIZE).in_memory
    assert len(hbi.data.clips._kept) == 2


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("skip", [0, 1, 2])
def test_batches_are_the_same_from_memory_and_disk_with_any_workers(  # type: ignore[no-untyped-def]
    train, config, monkeypatch, workers, skip
) -> None:
    tokens = tokenize(train.captions, 24)
    expected = list(
        train_batches(train, Clips(train, config, SIZE), tokens, unanswered(train), batch_size=4, seed=3, epoch=1)
    )
    assert len(expected) == steps_per_epoch(train, 4) == 2
    monkeypatch.setattr(hbi.data.clips, "IN_MEMORY_BYTES", 0)
    clips = Clips(train, config, SIZE)  # decord has been used in this process by now: workers must not mind
    found = list(train_batches(train, clips, tokens, unanswered(train), 4, seed=3, epoch=1, skip=skip, workers=workers))
    assert len(found) == 2 - skip
    assert all(map(equal, found, expected[skip:]))


def test_a_batch_holds_matching_pairs(train: Split, config: ShapesConfig) -> None:
    clips, tokens, answer = Clips(train, config, SIZE), tokenize(train.captions, 24), torch.arange(11) - 1
    order = data_order(train, 0, 0)
    batches = list(train_batches(train, clips, tokens, answer, 3, seed=0, epoch=0))
    assert [len(batch.video_index) for batch in batches] == [3, 3, 3]
    for batch, pairs in zip(batches, order.split(3), strict=False):
        for row, pair in enumerate(pairs.tolist()):
            assert torch.equal(batch.token_ids[row], tokens[0][pair])
            assert torch.equal(batch.text_mask[row], tokens[1][pair])
            assert batch.video_index[row] == train.video_of[pair]
            assert batch.answer[row] == pair - 1
            assert torch.equal(batch.frames[row], clips.read(train.video_of[pair])[0])
            assert torch.equal(batch.video_mask[row], clips.read(train.video_of[pair])[1])
    assert equal(batches[0].to(torch.device("cpu")), batches[0])


@given(pairs=st.integers(1, 200), seed=st.integers(0, 10**6), epoch=st.integers(0, 50))
def test_an_epoch_is_a_permutation_of_all_pairs(pairs: int, seed: int, epoch: int) -> None:
    split = Split("train", (), ("a",) * pairs, (0,) * pairs)
    order = data_order(split, seed, epoch)
    assert sorted(order.tolist()) == list(range(pairs))
    assert torch.equal(order, data_order(split, seed, epoch))
    if pairs > 20:
        assert not torch.equal(order, data_order(split, seed, epoch + 1))


def test_a_batch_larger_than_the_split_is_refused(train: Split, config: ShapesConfig) -> None:
    with pytest.raises(InputError, match="batch_size 12: split train has 11 captions"):
        next(
            train_batches(train, Clips(train, config, SIZE), tokenize(train.captions, 24), unanswered(train), 12, 0, 0)
        )


@pytest.mark.usefixtures("on_disk")
def test_evaluation_sees_every_caption_and_video_once_and_in_order(train: Split, config: ShapesConfig) -> None:
    tokens, clips = tokenize(train.captions, 24), Clips(train, config, SIZE)
    for column in (0, 1):
        assert torch.equal(torch.cat([batch[column] for batch in text_batches(tokens, 4)]), tokens[column])
    frames, masks = zip(*video_batches(clips, 4), strict=True)
    assert [len(part) for part in frames] == [4, 4, 2]
    for index in range(len(clips)):
        assert torch.equal(torch.cat(frames)[index], clips.read(index)[0])
        assert torch.equal(torch.cat(masks)[index], clips.read(index)[1])


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_video_that_vanishes_is_named_in_one_line(config: ShapesConfig, workers: int, tmp_path: Path) -> None:
    split = Split("train", (Video("video0", tmp_path / "video0.mp4"),), ("a",), (0,))
    with pytest.raises(VideoError, match=r"video0.mp4: cannot be read") as caught:
        list(video_batches(Clips(split, config, SIZE), 1, workers))
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize("kind", ["hangs", "dies"])
def test_a_worker_that_hangs_or_dies_costs_no_more_than_its_limit_and_its_video_is_named(  # type: ignore[no-untyped-def]
    dataset, config, kind, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(hbi.data.batches, "LIMIT_SECONDS", 1)
    good, bad = dataset.splits["val"].videos[0], Video("video9", tmp_path / "video9.mp4")
    os.mkfifo(bad.path)  # opening it waits for somebody to write
    split = Split("train", (good, bad, good), ("a", "b", "c"), (0, 1, 2))
    batches = video_batches(Clips(split, config, SIZE), 1, workers=2)
    next(batches)
    if kind == "dies":
        (worker,) = [child for child in multiprocessing.active_children() if child.pid][1:2]
        os.kill(worker.pid or 0, signal.SIGKILL)
    with pytest.raises(VideoError, match="video9.mp4: " + {"hangs": "not decoded after 1 s", "dies": ".* died"}[kind]):
        list(batches)
