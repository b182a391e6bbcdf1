"""The frame cache of an encoder that is not trained: its features of every frame, computed once, on disk.

features/<data set>-<hash>.npy    [M, F, D] float32, memory-mapped
features/<data set>-<hash>.json   frames of each video, and what tells damage

The hash stands for the encoder's weights, precision and kind of device, and for the videos and all that decides which
frames of them are seen.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from torch import Tensor

from hbi.config import DataConfig
from hbi.data.checking import size_and_time
from hbi.data.clips import Clip, Clips
from hbi.data.dataset import Progress, Split
from hbi.data.video import decoder_version
from hbi.files import write_atomically
from hbi.models import System
from hbi.training.step import autocast

BLOCK = 32
"""Videos that are encoded at a time."""


class _Index(BaseModel):
    frames: list[int]
    bytes: int
    crc32: int


class Features:
    """The clips of a split as ``model``'s encoder sees them; computed here, with ``progress``, unless they are there.

    clips    makes the clips; it is called only where features have to be computed
    weights  ``weights_hash`` of ``model``, which is one for all splits

    Raises VideoError where a video does not decode.
    """

    in_memory = True
    augmented = False

    def __init__(
        self,
        split: Split,
        config: DataConfig,
        clips: Callable[[], Clips],
        model: System,
        weights: str,
        precision: str,
        cache: Path,
        progress: Progress | None = None,
    ) -> None:
        self.videos, self._max_frames = split.videos, config.max_frames
        device = next(model.parameters()).device
        parts: tuple[object, ...] = (
            *(precision, device.type, model.image_size, decoder_version(config.reader), weights),
            config.model_dump_json(include={"max_frames", "frame_rate", "sampler"}),
            [
                # a file that is missing is found out when it is decoded
                (str(video.path.absolute()), video.start, video.end, *(size_and_time(video.path) or (0, 0)))
                for video in split.videos
            ],
        )
        if config.resize != "once":  # what came later does not change the hash of what was there before
            parts += (config.resize,)
        digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:10]
        file = cache / "features" / f"{config.name}-{split.name}-{digest}.npy"
        found = _read(file)
        if found is None:
            _write(file, clips(), model, device, precision, progress)
            found = _read(file)
            assert found is not None
        self._features, self._frames = found

    def __len__(self) -> int:
        return len(self.videos)

    def stack(
        self, indices: Tensor, seeds: Sequence[int] | None = None, begun: Callable[[int], object] = lambda index: None
    ) -> Clip:
        """Several videos: features [B, F, D] float32 and mask [B, F] bool. Augmentation has no place here."""
        mask = torch.arange(self._max_frames) < self._frames[indices][:, None]
        return torch.from_numpy(self._features[indices.numpy()]), mask


@torch.no_grad()
def _write(
    file: Path, clips: Clips, model: System, device: torch.device, precision: str, progress: Progress | None
) -> None:
    lengths: list[int] = []
    check = 0

    def blocks(into: BinaryIO) -> None:
        nonlocal check
        for first in range(0, len(clips), BLOCK):
            frames, mask = clips.stack(torch.arange(first, min(first + BLOCK, len(clips))))
            with autocast(device, precision):
                features = model.frame_features(frames.to(device)).float().cpu().numpy()
            if not lengths:
                header = {"descr": "<f4", "fortran_order": False, "shape": (len(clips), *features.shape[1:])}
                np.lib.format.write_array_header_1_0(into, header)
            lengths.extend(mask.sum(1).tolist())
            content = np.ascontiguousarray(features, "<f4").tobytes()
            check = crc32(content, check)
            into.write(content)
            if progress:
                progress("encoding video", len(lengths), len(clips))

    file.with_suffix(".json").unlink(missing_ok=True)
    write_atomically(file, blocks)
    index = _Index(frames=lengths, bytes=file.stat().st_size, crc32=check)
    write_atomically(file.with_suffix(".json"), index.model_dump_json())


def _read(file: Path) -> tuple[NDArray[np.float32], Tensor] | None:
    """Features, memory-mapped, and the frames of each video [M]; none where they are missing or damaged."""
    try:
        index = _Index.model_validate_json(file.with_suffix(".json").read_bytes())
        if file.stat().st_size != index.bytes:
            return None
        features: NDArray[np.float32] = np.load(file, mmap_mode="r")
    except (OSError, ValueError, ValidationError):
        return None
    check = 0
    for first in range(0, len(features), BLOCK):
        check = crc32(features[first : first + BLOCK].tobytes(), check)
    return (features, torch.tensor(index.frames)) if check == index.crc32 else None


def weights_hash(model: System) -> str:
    """Of everything that frame_features depends on, and of more: the encoder's weights."""
    digest = hashlib.sha256()
    for name, weight in model.state_dict().items():
        if name.startswith(model.encoder_prefix) and "logit_scale" not in name:
            digest.update(name.encode())
            digest.update(weight.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
