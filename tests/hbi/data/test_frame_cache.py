import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import hbi.data
import hbi.data.clips
from hbi.config import DataConfig, ShapesConfig
from hbi.data.batches import video_batches
from hbi.data.clips import Clips
from hbi.data.dataset import Dataset, Split
from hbi.data.frame_cache import FrameCache, frame_cache
from hbi.data.prepare import prepare

SIZE = 16


@pytest.fixture
def mine(config: ShapesConfig, cache: Path, dataset: Dataset, tmp_path: Path) -> Dataset:
    """The small data set once more, to be changed."""
    folder = dataset.splits["test"].videos[0].path.parents[1]
    shutil.copytree(folder, tmp_path / "shapes")
    return hbi.data.load(config.model_copy(update={"root": str(tmp_path / "shapes")}), tmp_path)


@pytest.fixture
def filled(mine: Dataset, config: ShapesConfig, tmp_path: Path) -> FrameCache:
    prepare(mine, config, SIZE, tmp_path, workers=1)
    return frame_cache(mine, config, SIZE, tmp_path)


@pytest.fixture(autouse=True)
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hbi.data.clips, "IN_MEMORY_BYTES", 0)


def found(cache: FrameCache, split: Split, config: DataConfig) -> int:
    return sum(cache.find(video, config) is not None for video in split.videos)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_cache_gives_what_decoding_gives(mine, filled, config, workers, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    split = mine.splits["test"]
    decoded = list(video_batches(Clips(split, config, SIZE), 3))
    monkeypatch.setattr(hbi.data.clips, "decode", None)  # from now on any decoding would fail
    cached = list(video_batches(Clips(split, config, SIZE, filled), 3, workers))
    for one, other in zip(decoded, cached, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_what_is_not_in_the_cache_is_decoded(mine: Dataset, config: ShapesConfig, tmp_path: Path) -> None:
    split = mine.splits["test"]
    some = Dataset("shapes", {"test": replace(split, videos=split.videos[:3])})
    prepare(some, config, SIZE, tmp_path, workers=1)
    half_full = frame_cache(mine, config, SIZE, tmp_path)
    assert found(half_full, split, config) == 3
    for index in range(len(split.videos)):
        frames, mask = Clips(split, config, SIZE, half_full).read(index)
        expected = Clips(split, config, SIZE).read(index)
        assert torch.equal(frames, expected[0])
        assert torch.equal(mask, expected[1])


def test_a_changed_video_is_noticed_and_a_touched_one_is_not_taken_for_changed(  # type: ignore[no-untyped-def]
    mine, filled, config
) -> None:
    first, second, third = (video.path for video in mine.splits["test"].videos[:3])
    assert found(filled, mine.splits["test"], config) == 7
    os.utime(first)
    assert found(filled, mine.splits["test"], config) == 7

    content, stat = second.read_bytes(), second.stat()
    second.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # same size …
    os.utime(second, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # … and time of change
    third.unlink()
    assert [filled.find(video, config) is None for video in mine.splits["test"].videos[:4]] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "change",
    [{"max_frames": 5}, {"frame_rate": 1.0}, {"sampler": "seconds", "frame_rate": 3.0}, {"start": 1, "end": 2}],
    ids=str,
)
def test_other_frames_are_other_entries_in_the_same_cache(mine, filled, config, change, tmp_path) -> None:  # type: ignore[no-untyped-def]
    changed, split = config, mine.splits["test"]
    if "start" in change:
        split = replace(split, videos=tuple(replace(video, **change) for video in split.videos))
    else:
        changed = config.model_copy(update=change)
    same = found(filled, split, changed)
    assert same < 7
    result = prepare(Dataset("shapes", {"test": split}), changed, SIZE, tmp_path, workers=1)
    assert (result.decoded, result.reused) == (7 - same, same)
    filled.refresh()
    assert found(filled, split, changed) == found(filled, mine.splits["test"], config) == 7
    assert torch.equal(Clips(split, changed, SIZE, filled).read(2)[0], Clips(split, changed, SIZE).read(2)[0])


def test_another_size_and_another_reader_have_a_cache_of_their_own(  # type: ignore[no-untyped-def]
    mine, filled, config, tmp_path
) -> None:
    pytest.importorskip("decord", reason="there is no decord wheel for this platform")
    others = [frame_cache(mine, config, 24, tmp_path)]
    others.append(frame_cache(mine, config.model_copy(update={"reader": "pyav"}), SIZE, tmp_path))
    assert len({filled.folder, *(other.folder for other in others)}) == 3
    assert not any(found(other, mine.splits["test"], config) for other in others)


def damage_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[:6] = b"\0" * 6
    path.write_bytes(content)


def damage_a_clip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("npy", lambda path: path.write_bytes(path.read_bytes()[:-1])),
        ("npy", damage_header),
        ("npy", damage_a_clip),
        ("npy", Path.unlink),
        ("json", lambda path: path.write_text(path.read_text()[:-9])),
        ("json", lambda path: path.write_text('{"layout": 1, "bytes": 3, "videos": [{}]}')),
        ("json", Path.unlink),
    ],
    ids=["truncated", "header", "a byte", "no array", "half an index", "nonsense", "no index"],
)
def test_a_damaged_shard_counts_as_absent_until_it_is_made_again(  # type: ignore[no-untyped-def]
    mine, filled, config, kind, damage, tmp_path
) -> None:
    (path,) = filled.folder.glob(f"*.{kind}")
    damage(path)
    damaged = frame_cache(mine, config, SIZE, tmp_path)
    split = mine.splits["train"]
    for index in range(len(split.videos)):
        assert torch.equal(
            Clips(split, config, SIZE, damaged).read(index)[0], Clips(split, config, SIZE).read(index)[0]
        )
    again = prepare(mine, config, SIZE, tmp_path, workers=1)
    assert (again.decoded, again.reused, again.bad) == (21, 0, {})
    assert len(list(filled.folder.glob("*.npy"))) == 1
    assert found(frame_cache(mine, config, SIZE, tmp_path), split, config) == 10


def test_other_ways_to_sample_and_to_resize_keep_apart(mine, filled, config, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    split = mine.splits["test"]
    others = [{"sampler": "ranges"}, {"sampler": "ranges-released"}, {"resize": "twice"}]
    settings = [config, *(config.model_copy(update={"max_frames": 3, **other}) for other in others)]
    decoded = [Clips(split, setting, SIZE).stack(torch.arange(7))[0] for setting in settings]
    for setting in settings[1:]:
        assert prepare(mine, setting, SIZE, tmp_path, workers=1).decoded == 21
    monkeypatch.setattr(hbi.data.clips, "decode", None)  # from now on any decoding would fail
    for setting, expected in zip(settings, decoded, strict=True):
        cache = frame_cache(mine, setting, SIZE, tmp_path)
        assert (cache.folder == filled.folder) == (setting.resize == "once")
        assert torch.equal(Clips(split, setting, SIZE, cache).stack(torch.arange(7))[0], expected)


def test_in_memory_too(mine, config, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(hbi.data.clips, "IN_MEMORY_BYTES", 2**30)
    once, twice = (
        Clips(mine.splits["test"], config.model_copy(update={"resize": resize}), SIZE) for resize in ("once", "twice")
    )
    assert not torch.equal(once.read(0)[0], twice.read(0)[0])
