"""From decoded frames to the encoder's input: resized and cropped once, as bytes; then normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    import torch

PREPROCESSING = 1
"""Goes up when ``preprocess`` begins to give other bytes: cached frames are those of one number."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def preprocess(frames: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """[F, H, W, 3] uint8 RGB → [F, 3, size, size] uint8: shorter side to ``size``, then the central square.

    Pillow resizes (bicubic, antialiased), as for CLIP itself: other bicubic filters give other bytes.
    """
    height, width = frames.shape[1:3]
    short = min(height, width)
    resized = (int(size * width / short), int(size * height / short))
    left, top = round((resized[0] - size) / 2), round((resized[1] - size) / 2)
    box = (left, top, left + size, top + size)
    cropped = [
        np.asarray(Image.fromarray(frame).resize(resized, Image.Resampling.BICUBIC).crop(box)) for frame in frames
    ]
    return np.ascontiguousarray(np.stack(cropped).transpose(0, 3, 1, 2))


def normalise(
    frames: torch.Tensor,
    mean: tuple[float, float, float] = CLIP_MEAN,
    std: tuple[float, float, float] = CLIP_STD,
) -> torch.Tensor:
    """[..., 3, H, W] uint8 → float32 on the same device: (frames / 255 − mean) / std, channel by channel."""
    import torch  # here, for the processes that decode do without it

    shift = torch.tensor(mean, device=frames.device).view(3, 1, 1)
    scale = torch.tensor(std, device=frames.device).view(3, 1, 1)
    return (frames.float() / 255 - shift) / scale
