"""Clips of a split, at one resolution: from memory, from the frame cache, or decoded at each read."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hbi.config import DataConfig
from hbi.data.augmentation import randaugment
from hbi.data.dataset import Progress, Split, Video
from hbi.data.decode import decode
from hbi.data.frame_cache import Entry, FrameCache
from hbi.seeds import spread

IN_MEMORY_BYTES = 2**30
"""Clips of a split that take no more than this are read once; those of bigger sets at each use."""

Clip = tuple[Tensor, Tensor]

_kept: dict[object, Clip] = {}
"""What is in memory, for all runs of this process: (frames, mask) of a split, the oldest first."""


class ClipSource(Protocol):
    """Where batches have their clips from: ``Clips``, or features of theirs (hbi.training.features)."""

    videos: tuple[Video, ...]

    def __len__(self) -> int: ...
    @property
    def in_memory(self) -> bool: ...
    @property
    def augmented(self) -> bool: ...
    def stack(
        self, indices: Tensor, seeds: Sequence[int] | None = None, begun: Callable[[int], object] = ...
    ) -> Clip: ...


class Clips:
    """The clips of a split's M videos, F = config.max_frames frames of size × size pixels each.

    They are taken from ``cache`` where it has them, and decoded where it has not: the tensors are the same.
    A small set is read here, with ``progress``, unless an earlier run of this process has done so.
    A video with fewer than F frames is padded with black ones, False in the mask.
    Raises VideoError where a video does not decode.
    """

    def __init__(
        self,
        split: Split,
        config: DataConfig,
        size: int,
        cache: FrameCache | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.videos = split.videos
        self.max_frames, self._config, self._size = config.max_frames, config, size
        self._cache, self._entries = cache, list[Entry | None]()
        self._memory: Clip | None = None
        small = len(self) * config.max_frames * 3 * size * size <= IN_MEMORY_BYTES
        key = (split.videos, config.max_frames, config.frame_rate, config.sampler, config.reader, config.resize, size)
        if small and key in _kept:
            self._memory = _kept[key]
            return
        for done, video in enumerate(self.videos if cache else (), start=1):
            self._entries.append(cache.find(video, config) if cache else None)
            if progress and not small:
                progress("looking up video", done, len(self))
        if small:
            self._memory = self._read_all(progress)
            _keep(key, self._memory)

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def in_memory(self) -> bool:
        return self._memory is not None

    @property
    def augmented(self) -> bool:
        """Whether training on them is to pass seeds."""
        return self._config.varies

    def read(self, index: int) -> Clip:
        """Video ``index``: frames [F, 3, size, size] uint8 and mask [F] bool."""
        if self._memory:
            return self._memory[0][index], self._memory[1][index]
        frames, mask = self._empty(1)
        self._read_into(frames[0], mask[0], index)
        return torch.from_numpy(frames[0]), torch.from_numpy(mask[0])

    def stack(
        self, indices: Tensor, seeds: Sequence[int] | None = None, begun: Callable[[int], object] = lambda index: None
    ) -> Clip:
        """Several videos: frames [B, F, 3, size, size] uint8 and mask [B, F] bool.

        ``seeds`` [B]: of what config changes in training; without them nothing is. ``begun`` is told each before it
        is read.
        """
        if self._memory and seeds is None:
            return self._memory[0][indices], self._memory[1][indices]
        frames, mask = self._empty(len(indices))
        for row, index in enumerate(indices.tolist()):
            begun(index)
            self._read_into(frames[row], mask[row], index, seeds[row] if seeds else None)
        return torch.from_numpy(frames), torch.from_numpy(mask)

    def _empty(self, count: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        frames = np.empty((count, self.max_frames, 3, self._size, self._size), np.uint8)
        return frames, np.empty(frames.shape[:2], np.bool_)

    def _read_into(
        self, frames: NDArray[np.uint8], mask: NDArray[np.bool_], index: int, seed: int | None = None
    ) -> None:
        # NumPy copies and pads on one thread; torch's threads would cost more than the work where cores are busy.
        found = self._found(index) if seed is None else self._varied(index, seed)
        frames[: len(found)], frames[len(found) :] = found, 0
        mask[:] = np.arange(self.max_frames) < len(found)

    def _found(self, index: int) -> NDArray[np.uint8]:
        """[≤ F, 3, size, size]: from memory, the cache, or the file."""
        if self._memory:
            found: NDArray[np.uint8] = self._memory[0][index][self._memory[1][index]].numpy()
            return found
        entry = self._entries[index] if self._entries else None
        cached = self._cache.read(entry) if self._cache and entry else None
        return decode(self.videos[index], self._config, self._size).frames if cached is None else cached

    def _varied(self, index: int, seed: int) -> NDArray[np.uint8]:
        """[≤ F, 3, size, size]: as training sees the video once, by ``seed``."""
        config = self._config
        augment = partial(randaugment, seed=seed) if config.augmentation != "none" else None
        before = augment if config.augment_order == "released" else None
        if before or config.training_frames == "drawn":
            found = decode(self.videos[index], config, self._size, before, spread(seed, "frames")).frames
        else:
            found = self._found(index)
        if augment and not before:
            found = augment(found.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        return found

    def _read_all(self, progress: Progress | None) -> Clip:
        frames, mask = self._empty(len(self))
        for index in range(len(self)):
            self._read_into(frames[index], mask[index], index)
            if progress:
                progress("reading video", index + 1, len(self))
        return torch.from_numpy(frames), torch.from_numpy(mask)


def _keep(key: object, clip: Clip) -> None:
    """Keeps ``clip`` for later runs; older ones go where all together would be more than twice the limit."""
    _kept[key] = clip
    while sum(frames.numel() for frames, _ in _kept.values()) > 2 * IN_MEMORY_BYTES:
        del _kept[next(iter(_kept))]
