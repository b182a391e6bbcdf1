"""Fills the frame cache of a data set, or says what is wrong with the data set; by several processes."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hbi.config import DataConfig
from hbi.data.checking import remember
from hbi.data.dataset import Dataset, Progress, Video
from hbi.data.decode import LIMIT_SECONDS, Decoded
from hbi.data.description import Description, describe, differences, findings
from hbi.data.frame_cache import Claims, FileState, FrameCache, frame_cache
from hbi.data.workers import decode_all
from hbi.errors import InputError
from hbi.files import write_atomically

SHARD_VIDEOS, SHARD_BYTES, SHARD_SECONDS = 256, 2**28, 30.0
"""A shard is written when it has this many videos or bytes or has been begun so long ago: what a kill can cost."""

FIRST = 8
"""Videos that are decoded before time and size are estimated."""


@dataclass(frozen=True)
class Estimate:
    """Of ``videos`` that are still to be decoded: how long that takes, and the bytes of their frames."""

    videos: int
    seconds: float
    bytes: int
    folder: Path


@dataclass
class Prepared:
    """What a preparation of data set ``name`` has done; ``bad``: videos that cannot be used, id → reason."""

    name: str
    size: int
    folder: Path
    decoded: int = 0
    reused: int = 0
    bytes: int = 0
    seconds: float = 0.0
    bad: dict[str, str] = field(default_factory=dict)

    @property
    def listed(self) -> Path:
        """The file that names all bad videos of the last preparation, one a line."""
        return self.folder / "bad.txt"


def prepare(
    dataset: Dataset,
    config: DataConfig,
    size: int,
    cache: Path,
    workers: int,
    limit: float = LIMIT_SECONDS,
    progress: Progress | None = None,
    estimated: Callable[[Estimate], None] | None = None,
) -> Prepared:
    """Decodes the videos of all splits that are not in the frame cache under ``cache`` yet, ``size`` pixels the side.

    ``limit``: seconds a video. Several preparations of one cache share the work. Killed at any time, it leaves a whole
    cache of what was done up to half a minute before. Raises InputError where the disk refuses or has too little room.
    """
    started = time.monotonic()
    frames = frame_cache(dataset, config, size, cache)
    videos, result = _distinct(dataset), Prepared(dataset.name, size, frames.folder)
    try:
        with Claims(frames.folder) as claims:
            frames.remove_damaged(progress)
            _fill(_Preparation(frames, config, claims, result), videos, size, workers, limit, progress, estimated)
        _list(result.bad, result.listed)
    except OSError as error:  # of a video they do not come this far
        raise InputError(f"{frames.folder}: {error.strerror}; mend that, then call the same command again") from error
    result.reused = len(videos) - result.decoded - len(result.bad)
    result.seconds = time.monotonic() - started
    remember(dataset, config, cache, [video.path for video in videos if video.id not in result.bad])
    return result


def _fill(
    work: "_Preparation",
    videos: Sequence[Video],
    size: int,
    workers: int,
    limit: float,
    progress: Progress | None,
    estimated: Callable[[Estimate], None] | None,
) -> None:
    """Decodes what is missing, and waits for what others decode."""
    todo = []
    for done, video in enumerate(videos, start=1):
        if not work.has(video):
            todo.append(video)
        if progress:
            progress("looking up video", done, len(videos))
    total = len(todo)
    while todo:
        before = work.ended
        outcomes = decode_all(work.claimed(todo), work.config, size, min(workers, len(todo)), limit)
        try:
            for video, outcome in outcomes:
                work.take(video, outcome)
                if progress:
                    progress("preparing video", work.ended, total)
                if estimated and work.result.decoded and (work.result.decoded == FIRST or work.ended == total):
                    estimate = work.estimate(total)
                    _refuse_full_disk(estimate)
                    estimated(estimate)
                    estimated = None
        finally:  # also when interrupted: nothing that was decoded is lost
            outcomes.close()
            work.flush()
        todo, work.elsewhere = work.elsewhere, []
        if todo and work.ended == before:
            time.sleep(0.2)  # another process has them


@dataclass(frozen=True)
class Examined:
    """What has been found out about data set ``name``: its splits in numbers, where these are not the published ones,
    what is odd, and ``bad``: videos that cannot be used, id → reason; the file ``listed`` holds all of these."""

    name: str
    splits: list[Description]
    differences: list[str]
    findings: list[str]
    videos: int
    bad: dict[str, str]
    listed: Path


def examine(
    dataset: Dataset,
    config: DataConfig,
    size: int,
    cache: Path,
    workers: int,
    limit: float = LIMIT_SECONDS,
    progress: Progress | None = None,
) -> Examined:
    """Looks through the annotations, and decodes every video that is not in the frame cache; keeps no frames."""
    videos, frames = _distinct(dataset), frame_cache(dataset, config, size, cache)
    todo = [video for video in videos if frames.find(video, config) is None]
    bad = {}
    for done, (video, outcome) in enumerate(decode_all(todo, config, size, workers, limit), start=1):
        if isinstance(outcome, str):
            bad[video.id] = outcome
        if progress:
            progress("decoding video", done, len(todo))
    remember(dataset, config, cache, [video.path for video in videos if video.id not in bad])
    listed = cache / f"bad-{dataset.name}.txt"
    _list(bad, listed)
    return Examined(dataset.name, describe(dataset), differences(dataset), findings(dataset), len(videos), bad, listed)


def _list(bad: dict[str, str], path: Path) -> None:
    write_atomically(path, "".join(f"{id}\t{reason}\n" for id, reason in sorted(bad.items())))


class _Preparation:
    """The state of one: the shard that is being collected, and what has come of the videos so far."""

    def __init__(self, frames: FrameCache, config: DataConfig, claims: Claims, result: Prepared) -> None:
        self.frames, self.config, self.claims, self.result = frames, config, claims, result
        self.shard: list[tuple[Video, FileState, Decoded]] = []
        self.begun = self.first_taken = time.monotonic()
        self.ended = 0
        """Videos that are done with, here or by another process."""
        self.elsewhere: list[Video] = []
        """Those that another process has claimed."""

    def has(self, video: Video) -> bool:
        return self.frames.find(video, self.config) is not None

    def claimed(self, videos: Sequence[Video]) -> Iterator[Video]:
        """Those that nobody else decodes or has decoded, one at a time."""
        for video in videos:
            if not self.claims.take(video.path):
                self.elsewhere.append(video)
                continue
            self.frames.refresh()  # after the claim: who held it before has published by now
            if self.has(video):
                self.claims.release(video.path)
                self.ended += 1
            else:
                yield video

    def take(self, video: Video, outcome: tuple[FileState, Decoded] | str) -> None:
        self.ended += 1
        if self.ended == 1:
            self.first_taken = time.monotonic()
        if isinstance(outcome, str):
            self.result.bad[video.id] = outcome
            self.claims.release(video.path)
            return
        state, clip = outcome
        if not self.shard:
            self.begun = time.monotonic()
        self.shard.append((video, state, clip))
        self.result.decoded += 1
        self.result.bytes += clip.frames.nbytes
        size = sum(clip.frames.nbytes for _, _, clip in self.shard)
        late = time.monotonic() - self.begun > SHARD_SECONDS
        if len(self.shard) == SHARD_VIDEOS or size >= SHARD_BYTES or late:
            self.flush()

    def flush(self) -> None:
        """Writes the shard, then gives up the claims of its videos."""
        if self.shard:
            self.frames.write(self.shard)
            for video, _, _ in self.shard:
                self.claims.release(video.path)
            self.shard = []

    def estimate(self, total: int) -> Estimate:
        """By the videos so far; the first is left out of the time, for the processes start with it."""
        left = total - self.ended
        pace = (time.monotonic() - self.first_taken) / max(self.ended - 1, 1)
        return Estimate(left, left * pace, left * self.result.bytes // self.result.decoded, self.frames.folder)


def available_cores() -> int:
    """Those this process may run on."""
    return len(os.sched_getaffinity(0))


def _distinct(dataset: Dataset) -> list[Video]:
    """Every video once, though several splits or rows may name it."""
    videos = [video for split in dataset.splits.values() for video in split.videos]
    return list({(video.path, video.start, video.end): video for video in videos}.values())


def _refuse_full_disk(estimate: Estimate) -> None:
    free = shutil.disk_usage(estimate.folder).free
    if estimate.bytes > free:
        raise InputError(
            f"{estimate.folder}: the frames take about {estimate.bytes / 1e9:.1f} GB, but {free / 1e9:.1f} GB are "
            "free; make room, or take another folder (--runs)"
        )
