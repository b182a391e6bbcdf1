"""Opens every video of a data set once, and remembers which ones were good."""

import hashlib
import json
from functools import partial
from pathlib import Path

from hbi.config import DataConfig
from hbi.data.dataset import Dataset, Progress
from hbi.data.frames import sample_positions
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
    paths = [video.path for split in dataset.splits.values() for video in split.videos]
    states = {path: _state(path) for path in paths}
    small = sum(size for size, _ in filter(None, states.values())) < SMALL_BYTES
    memory = cache / f"checked-{_short_hash(config, paths[0].parent, small)}.json"
    known = _read_memory(memory)
    positions_of = partial(sample_positions, max_frames=config.max_frames, frame_rate=config.frame_rate)

    good: dict[str, list[int]] = {}
    offenders: list[str] = []
    try:
        for done, (path, state) in enumerate(states.items(), start=1):
            if state is None or known.get(str(path)) != state:
                try:
                    read_frames(path, lambda n, fps: positions_of(n, fps)[: None if small else 1], config.reader)
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


def _state(path: Path) -> list[int] | None:
    """Size and time of the last change; None where there is no such file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _short_hash(config: DataConfig, folder: Path, small: bool) -> str:
    """Of what decides whether a video is good, its file apart."""
    parts = (
        str(folder.resolve()),
        config.max_frames,
        config.frame_rate,
        decoder_version(config.reader),
        small,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:10]


def _read_memory(path: Path) -> dict[str, list[int]]:
    """A damaged file is no memory: everything is opened again."""
    try:
        memory = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return memory if isinstance(memory, dict) else {}
