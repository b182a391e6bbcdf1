"""Decoded clips of a split, at one resolution; small sets stay in memory."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from hbi.config import DataConfig
from hbi.data.dataset import Progress, Split
from hbi.data.frames import sample_positions
from hbi.data.preprocess import preprocess
from hbi.data.video import read_frames

IN_MEMORY_BYTES = 2**30
"""Clips of a split that take no more than this are decoded once; bigger sets are decoded at each read."""

Clip = tuple[Tensor, Tensor]

_kept: dict[object, Clip] = {}
"""What is in memory, for all runs of this process: (frames, mask) of a split, the oldest first."""


class Clips:
    """The clips of a split's M videos, F = config.max_frames frames of size × size pixels each.

    A small set is decoded here, with ``progress``, unless an earlier run of this process has done so.
    A video with fewer than F frames is padded with black ones, False in the mask.
    Raises VideoError where a video does not decode.
    """

    def __init__(self, split: Split, config: DataConfig, size: int, progress: Progress | None = None) -> None:
        self._videos = split.videos
        self._max_frames = config.max_frames
        self._positions = partial(sample_positions, max_frames=config.max_frames, frame_rate=config.frame_rate)
        self._reader = config.reader
        self._size = size
        self._memory: Clip | None = None
        if len(self) * config.max_frames * 3 * size * size <= IN_MEMORY_BYTES:
            key = (split.videos, config.max_frames, config.frame_rate, config.reader, size)
            if key not in _kept:
                _keep(key, self._decode_all(progress))
            self._memory = _kept[key]

    def __len__(self) -> int:
        return len(self._videos)

    @property
    def in_memory(self) -> bool:
        return self._memory is not None

    def read(self, index: int) -> Clip:
        """Video ``index``: frames [F, 3, size, size] uint8 and mask [F] bool."""
        if self._memory:
            return self._memory[0][index], self._memory[1][index]
        return self._decode(index)

    def stack(self, indices: Tensor) -> Clip:
        """Several videos: frames [B, F, 3, size, size] uint8 and mask [B, F] bool."""
        if self._memory:
            return self._memory[0][indices], self._memory[1][indices]
        frames, masks = zip(*map(self._decode, indices.tolist()), strict=True)
        return torch.stack(frames), torch.stack(masks)

    def _decode(self, index: int) -> Clip:
        found = preprocess(read_frames(self._videos[index].path, self._positions, self._reader), self._size)
        # NumPy pads on one thread; torch's threads would cost more than the work where the cores are busy.
        padding = [(0, self._max_frames - len(found))] + [(0, 0)] * 3
        mask = np.arange(self._max_frames) < len(found)
        return torch.from_numpy(np.pad(found, padding)), torch.from_numpy(mask)

    def _decode_all(self, progress: Progress | None) -> Clip:
        frames = np.empty((len(self), self._max_frames, 3, self._size, self._size), np.uint8)
        mask = np.empty(frames.shape[:2], np.bool_)
        for index in range(len(self)):
            frames[index], mask[index] = self._decode(index)
            if progress:
                progress("decoding video", index + 1, len(self))
        return torch.from_numpy(frames), torch.from_numpy(mask)


def _keep(key: object, clip: Clip) -> None:
    """Keeps ``clip`` for later runs; older ones go where all together would be more than twice the limit."""
    _kept[key] = clip
    while sum(frames.numel() for frames, _ in _kept.values()) > 2 * IN_MEMORY_BYTES:
        del _kept[next(iter(_kept))]
