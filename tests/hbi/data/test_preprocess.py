from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hbi.data.preprocess import CLIP_MEAN, CLIP_STD, normalise, preprocess


def test_preprocessing_is_that_of_the_released_code(golden: Path) -> None:
    with np.load(golden / "hbi_preprocess.npz") as arrays:
        for number in range(4):  # landscape, portrait, smaller than the target, already of its height
            image, expected = arrays[f"img{number}"], torch.from_numpy(arrays[f"out{number}"])
            frames = torch.from_numpy(preprocess(image[None], 32))
            assert (frames.dtype, frames.shape) == (torch.uint8, (1, 3, 32, 32))
            torch.testing.assert_close(normalise(frames)[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(90, 160), (160, 90), (20, 30), (32, 32)])
def test_resized_twice_as_published_for_mcq(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    bilinear, short = Image.Resampling.BILINEAR, min(shape)
    side = round(28 * 256 / 224)
    larger = Image.fromarray(image).resize((side * shape[1] // short, side * shape[0] // short), bilinear)
    left, top = round((larger.width - side) / 2), round((larger.height - side) / 2)
    square = larger.crop((left, top, left + side, top + side))
    expected = np.asarray(square.resize((28, 28), bilinear)).transpose(2, 0, 1)
    np.testing.assert_array_equal(preprocess(image[None], 28, "twice")[0], expected)
    assert not np.array_equal(preprocess(image[None], 28)[0], expected)


def test_normalise_undoes_to_bytes() -> None:
    frames = torch.arange(256, dtype=torch.uint8).view(1, 1, 1, 16, 16).expand(2, 5, 3, 16, 16)
    restored = normalise(frames) * torch.tensor(CLIP_STD).view(3, 1, 1) + torch.tensor(CLIP_MEAN).view(3, 1, 1)
    assert torch.equal((255 * restored).round().to(torch.uint8), frames)
