"""Opens every video of a data set once, and remembers which ones were good."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from hbi.config import DataConfig
from hbi.data.dataset import Dataset, Progress, Video
from hbi.data.frames import sampling
from hbi.data.video import VideoError, decoder_version, read_frames
from hbi.errors import InputError
from hbi.files import write_atomically

SMALL_BYTES = 2**28
"""Where the files are together smaller, all sampled frames are decoded; else only the first of each video."""

_SHOWN = 5


def check_videos(dataset: Dataset, config: DataConfig, cache: Path, progress: Progress | None = None) -> None:
    """Raises InputError if a video of ``dataset`` is missing or does not decode; the first few are named.

    Good ones are remembered under ``cache`` by path, size and time of change, and not opened again.
    """
    videos = {video.path: video for split in dataset.splits.values() for video in split.videos}
    states = {path: size_and_time(path) for path in videos}
    small = sum(size for size, _ in filter(None, states.values())) < SMALL_BYTES
    memory = _memory(config, cache, videos, small)
    known = _read_memory(memory)

    good: dict[str, list[int]] = {}
    offenders: list[str] = []
    try:
        for done, (path, state) in enumerate(states.items(), start=1):
            if state is None or known.get(str(path)) != state:
                try:
                    _open(videos[path], config, None if small else 1)
                except VideoError as error:
                    offenders.append(str(error))
                    state = None
            if state:
                good[str(path)] = state
            if progress:
                progress("checking video", done, len(states))
    finally:  # also when interrupted: thousands of videos take minutes
        if (found := {**known, **good}) != known:
            write_atomically(memory, json.dumps(found))
    if offenders:
        more = f" · and {len(offenders) - _SHOWN} more" if len(offenders) > _SHOWN else ""
        raise InputError(
            f"{len(offenders)} of {len(states)} videos of data set {dataset.name} cannot be used: "
            + " · ".join(offenders[:_SHOWN])
            + more
        )


def remember(dataset: Dataset, config: DataConfig, cache: Path, good: Iterable[Path]) -> None:
    """Spares ``check_videos`` the files ``good``, all of whose sampled frames have been decoded."""
    states = {str(path): state for path in good if (state := size_and_time(path))}
    videos = [video.path for split in dataset.splits.values() for video in split.videos]
    for small in (True, False):
        memory = _memory(config, cache, videos, small)
        known = _read_memory(memory)
        if (found := {**known, **states}) != known:
            write_atomically(memory, json.dumps(found))


def _open(video: Video, config: DataConfig, most: int | None) -> None:
    """Raises VideoError unless the first ``most`` of the sampled frames can be decoded."""
    positions_of = sampling(config, video)
    read_frames(video.path, lambda count, fps: positions_of(count, fps)[:most], config.reader)


def size_and_time(path: Path) -> list[int] | None:
    """Size and time of the last change; None where there is no such file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _memory(config: DataConfig, cache: Path, videos: Iterable[Path], small: bool) -> Path:
    """Its name holds a hash of what decides whether a video is good, its file apart."""
    parts = (
        str(min(videos).parent.resolve()),
        config.max_frames,
        config.frame_rate,
        config.sampler,
        decoder_version(config.reader),
        small,
    )
    return cache / f"checked-{hashlib.sha256(repr(parts).encode()).hexdigest()[:10]}.json"


def _read_memory(path: Path) -> dict[str, list[int]]:
    """A damaged file is no memory: everything is opened again."""
    try:
        memory = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return memory if isinstance(memory, dict) else {}
