"""The frame cache: the frames that models see of every video, decoded once, on disk.

frames/<folder of the videos>-<size>-<hash>/ holds shards, each of up to 256 videos:

<shard>.npy     frames of its videos, one behind the other, [sum of F, 3, size, size] uint8; memory-mapped
<shard>.json    which videos these are, with everything that tells whether they still are what would be decoded
lock            claims of the processes that fill the cache; empty

The hash stands for the decoder and its version, PREPROCESSING, config.resize and the folder of the videos: data sets
with the same videos share their frames. The sampling is no part of it. An entry holds the positions that were decoded,
the number of frames and the frame rate, and counts only where the rule of the run that asks gives these very positions:
other settings find no entry, and theirs lie beside it.

A video is the same while its path, size, time of change (mtime) and time of the last change of any kind (ctime, which
nobody can set back) are. Where only times differ, as for a copy, the hash of its first and last MiB decides.

A shard whose index cannot be read, whose size is not what the index says, or of which a clip that is read does not
have its checksum, counts as absent.
"""

import hashlib
import os
import secrets
from collections.abc import Sequence
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, lockf
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from hbi.config import DataConfig
from hbi.data.dataset import Dataset, Progress, Video
from hbi.data.decode import Decoded
from hbi.data.frames import sampling
from hbi.data.preprocess import PREPROCESSING
from hbi.data.video import decoder_version
from hbi.files import WRITING, write_atomically

LAYOUT = 1
"""Goes up when the files below begin to mean something else."""

_MIB = 2**20


class FileState(BaseModel, frozen=True):
    """Of a video's file: bytes, the two times in nanoseconds, and the hash of its first and last MiB."""

    bytes: int
    mtime_ns: int
    ctime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "FileState":
        """Raises OSError where the file cannot be read."""
        stat = path.stat()
        return cls(bytes=stat.st_size, mtime_ns=stat.st_mtime_ns, ctime_ns=stat.st_ctime_ns, sha256=_ends_hash(path))

    def still(self, path: Path) -> bool:
        """Whether the file is the same; it is only read where its times have changed."""
        try:
            stat = path.stat()
            if stat.st_size != self.bytes:
                return False
            return (stat.st_mtime_ns, stat.st_ctime_ns) == (self.mtime_ns, self.ctime_ns) or (
                _ends_hash(path) == self.sha256
            )
        except OSError:
            return False


def _ends_hash(path: Path) -> str:
    """SHA-256 of the first and the last MiB; of all where there is no more."""
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(_MIB))
        file.seek(max(_MIB, os.fstat(file.fileno()).st_size - _MIB))
        digest.update(file.read())
    return digest.hexdigest()


class Entry(BaseModel, frozen=True):
    """One clip of the cache: frames [F, 3, size, size] from row ``first`` of the shard on, F = len(positions)."""

    path: str
    state: FileState
    count: int
    fps: float
    positions: list[int]
    shard: str
    first: int
    crc32: int


class _Index(BaseModel):
    layout: Literal[1]
    bytes: int
    videos: list[Entry]


class FrameCache:
    """What is in the cache in ``folder``, which need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: set[str] = set()
        self._entries: dict[str, list[Entry]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Takes in the shards that have come since."""
        for name in self._names() - self._read:
            self._read.add(name)
            for entry in self._index(name):
                self._entries.setdefault(entry.path, []).append(entry)

    def find(self, video: Video, config: DataConfig) -> Entry | None:
        """The clip that decoding ``video`` would give now; none where it has to be decoded."""
        for entry in self._entries.get(str(video.path.absolute()), ()):
            try:
                wanted = sampling(config, video)(entry.count, entry.fps)
            except ValueError:  # nothing to sample by this rule
                continue
            if entry.positions == wanted and entry.state.still(video.path):
                return entry
        return None

    def read(self, entry: Entry) -> NDArray[np.uint8] | None:
        """[F, 3, size, size] uint8; none where the shard is damaged."""
        try:
            rows = _mapped(self.folder / f"{entry.shard}.npy")[entry.first : entry.first + len(entry.positions)]
        except (OSError, ValueError):
            return None
        frames = np.array(rows)
        return frames if crc32(frames.data) == entry.crc32 else None

    def remove_damaged(self, progress: Progress | None = None) -> None:
        """Reads everything, and removes the shards that are damaged."""
        entries = [entry for found in self._entries.values() for entry in found]
        damaged = self._read - {entry.shard for entry in entries}  # not those that another process has just added
        for done, entry in enumerate(entries, start=1):
            if entry.shard not in damaged and self.read(entry) is None:
                damaged.add(entry.shard)
            if progress:
                progress("checking clip", done, len(entries))
        for name in damaged:
            for kind in ("json", "npy"):  # in this order: what is left by a kill is no entry
                (self.folder / f"{name}.{kind}").unlink(missing_ok=True)
        for path, found in self._entries.items():
            self._entries[path] = [entry for entry in found if entry.shard not in damaged]

    def write(self, clips: Sequence[tuple[Video, FileState, Decoded]]) -> None:
        """Adds a shard; ``refresh`` finds it."""
        name, first, entries = secrets.token_hex(8), 0, []
        for video, state, clip in clips:
            entries.append(
                Entry(
                    path=str(video.path.absolute()),
                    state=state,
                    count=clip.count,
                    fps=clip.fps,
                    positions=clip.positions,
                    shard=name,
                    first=first,
                    crc32=crc32(clip.frames.data),
                )
            )
            first += len(clip.frames)

        def content(file: BinaryIO) -> None:
            shape = (first, *clips[0][2].frames.shape[1:])
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for _, _, clip in clips:
                file.write(clip.frames.data)

        array = self.folder / f"{name}.npy"
        write_atomically(array, content)
        index = _Index(layout=LAYOUT, bytes=array.stat().st_size, videos=entries)
        write_atomically(array.with_suffix(".json"), index.model_dump_json())

    def _names(self) -> set[str]:
        return {path.stem for path in self.folder.glob("*.json")}

    def _index(self, name: str) -> list[Entry]:
        array = self.folder / f"{name}.npy"
        try:
            index = _Index.model_validate_json(array.with_suffix(".json").read_bytes())
            whole = array.stat().st_size == index.bytes
        except (OSError, ValidationError):
            return []
        return index.videos if whole else []


def frame_cache(dataset: Dataset, config: DataConfig, size: int, cache: Path) -> FrameCache:
    """The cache under the folder ``cache`` for the videos of ``dataset``, ``size`` pixels the side."""
    parents = {video.path.absolute().parent for split in dataset.splits.values() for video in split.videos}
    videos = Path(os.path.commonpath(parents))
    parts: tuple[object, ...] = (LAYOUT, PREPROCESSING, decoder_version(config.reader), size, str(videos))
    if config.resize != "once":  # what came later does not change the hash of what was there before
        parts += (config.resize,)
    name = f"{'-'.join(videos.parts[-2:])}-{size}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:10]}"
    return FrameCache(cache / "frames" / name.lstrip("/-."))


class Claims:
    """Who decodes which video, among the processes that fill one cache: locks on bytes of one file, a byte a video.

    The kernel frees them when the process ends, however it does. A second object on one folder in one process
    would free those of the first.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "lock").open("a+b")
        if self._lock(LOCK_EX, 0):  # nobody else is at work: what is half-written was left by a kill
            for path in folder.glob(WRITING):
                path.unlink()
            for path in folder.glob("*.npy"):
                if not path.with_suffix(".json").exists():
                    path.unlink()
        lockf(self._file, LOCK_SH, 1, 0)

    def take(self, path: Path) -> bool:
        """Whether this process may decode the video; False where another does."""
        return self._lock(LOCK_EX, self._byte(path))

    def release(self, path: Path) -> None:
        lockf(self._file, LOCK_UN, 1, self._byte(path))

    def __enter__(self) -> "Claims":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _lock(self, kind: int, byte: int) -> bool:
        try:
            lockf(self._file, kind | LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    @staticmethod
    def _byte(path: Path) -> int:
        return 1 + int.from_bytes(hashlib.sha256(os.fsencode(path.absolute())).digest()[:7], "big")


@cache
def _mapped(path: Path) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return array
