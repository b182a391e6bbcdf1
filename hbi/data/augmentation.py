"""RandAugment (Cubuk et al., 2020) with magnitudes that mean more change the larger they are, as the published loaders
use it: rand-m7-n4-mstd0.5-inc1 in the notation of timm.

Four operations are drawn with replacement, each is left out with probability ½, and its magnitude is drawn from
N(7, ½²), cut to [0, 10]. All frames of a clip undergo the same. What a rotated or moved picture leaves free is grey.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

Frames = NDArray[np.uint8]
Operation = Callable[[Image.Image], Image.Image]

OPERATIONS, MAGNITUDE, DEVIATION, MOST = 4, 7.0, 0.5, 10.0
GREY = (128, 128, 128)


def randaugment(frames: Frames, seed: int) -> Frames:
    """[F, H, W, 3] uint8 RGB → the same shape; equal seeds give equal operations."""
    operations = drawn(np.random.default_rng(seed))
    if not operations:
        return frames
    return np.stack([_applied(operations, frame) for frame in frames])


def drawn(random: np.random.Generator) -> list[Operation]:
    """The operations of one clip, in their order, with their magnitudes."""
    operations = []
    for name in random.choice(list(_KINDS), OPERATIONS):
        if random.random() < 0.5:
            share = float(np.clip(random.normal(MAGNITUDE, DEVIATION), 0, MOST)) / MOST
            sign = 1 if random.random() < 0.5 else -1
            operations.append(_KINDS[name](share, sign))
    return operations


def _applied(operations: list[Operation], frame: Frames) -> Frames:
    picture = Image.fromarray(frame)
    for operation in operations:
        picture = operation(picture)
    return np.asarray(picture)


def _moved(x_by_y: float = 0, y_by_x: float = 0, right: float = 0, down: float = 0) -> Operation:
    """Shears by factors, and moves by shares of width and height."""

    def operation(picture: Image.Image) -> Image.Image:
        back = (1, x_by_y, right * picture.width, y_by_x, 1, down * picture.height)
        return picture.transform(picture.size, Image.Transform.AFFINE, back, Image.Resampling.BICUBIC, fillcolor=GREY)

    return operation


def _enhanced(enhance: Callable[[Image.Image], ImageEnhance._Enhance], share: float, sign: int) -> Operation:
    """Towards grey, blurred or dark where ``sign`` is negative, beyond the original where it is positive."""
    return lambda picture: enhance(picture).enhance(max(0.1, 1 + sign * 0.9 * share))


def _brighter_shadows(add: int) -> Operation:
    table = [min(255, value + add) if value < 128 else value for value in range(256)] * 3
    return lambda picture: picture.point(table)


_KINDS: dict[str, Callable[[float, int], Operation]] = {  # (magnitude ÷ 10, ±1) → operation
    "auto contrast": lambda share, sign: ImageOps.autocontrast,
    "equalise": lambda share, sign: ImageOps.equalize,
    "invert": lambda share, sign: ImageOps.invert,
    "posterise": lambda share, sign: lambda picture: ImageOps.posterize(picture, max(1, 4 - int(4 * share))),
    "solarise": lambda share, sign: lambda picture: ImageOps.solarize(picture, 256 - int(256 * share)),
    "solarise, add": lambda share, sign: _brighter_shadows(int(110 * share)),
    "colour": lambda share, sign: _enhanced(ImageEnhance.Color, share, sign),
    "contrast": lambda share, sign: _enhanced(ImageEnhance.Contrast, share, sign),
    "brightness": lambda share, sign: _enhanced(ImageEnhance.Brightness, share, sign),
    "sharpness": lambda share, sign: _enhanced(ImageEnhance.Sharpness, share, sign),
    "rotate": lambda share, sign: (
        lambda picture: picture.rotate(sign * 30 * share, Image.Resampling.BICUBIC, fillcolor=GREY)
    ),
    "shear x": lambda share, sign: _moved(x_by_y=sign * 0.3 * share),
    "shear y": lambda share, sign: _moved(y_by_x=sign * 0.3 * share),
    "move x": lambda share, sign: _moved(right=sign * 0.45 * share),
    "move y": lambda share, sign: _moved(down=sign * 0.45 * share),
}
