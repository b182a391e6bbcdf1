"""From decoded frames to the encoder's input: resized and cropped once, as bytes; then normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    import torch

PREPROCESSING = 1
"""Goes up when ``preprocess`` begins to give other bytes: cached frames are those of one number."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def preprocess(frames: NDArray[np.uint8], size: int, resize: Literal["once", "twice"] = "once") -> NDArray[np.uint8]:
    """[F, H, W, 3] uint8 RGB → [F, 3, size, size] uint8: shorter side to ``size``, then the central square.

    Pillow resizes (bicubic, antialiased), as for CLIP itself: other bicubic filters give other bytes.
    ``resize`` twice: the square has 256/224 of that side, and is resized to ``size``, both bilinear, as for MCQ and
    MILES (Ge et al., arXiv 2201.04850 and 2204.12408).
    """
    resized = _once if resize == "once" else _twice
    squares = [np.asarray(resized(Image.fromarray(frame), size)) for frame in frames]
    return np.ascontiguousarray(np.stack(squares).transpose(0, 3, 1, 2))


def _once(picture: Image.Image, size: int, filter: Image.Resampling = Image.Resampling.BICUBIC) -> Image.Image:
    short = min(picture.size)
    width, height = int(size * picture.width / short), int(size * picture.height / short)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return picture.resize((width, height), filter).crop((left, top, left + size, top + size))


def _twice(picture: Image.Image, size: int) -> Image.Image:
    bilinear = Image.Resampling.BILINEAR
    return _once(picture, round(size * 256 / 224), bilinear).resize((size, size), bilinear)


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
