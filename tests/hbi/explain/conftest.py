"""Small untrained models and moving patterns to explain; one thread."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hbi.config import HBIConfig
from hbi.explain import Explanation, explain
from hbi.models import build

CAPTION = "a man is skateboarding down the street while his dog runs after him"


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pattern(count: int, size: int) -> NDArray[np.uint8]:
    """[count, 3, size, size] uint8."""
    y, x = np.mgrid[:size, :size] / size
    waves = [
        [127 + 120 * np.sin(6 * x * (1 + c) + f / 3 + c) * np.cos(5 * y + f / 7) for c in range(3)]
        for f in range(count)
    ]
    return np.array(waves).astype(np.uint8)


def model_of(seed: int = 0, **options: Any) -> Any:
    return build(HBIConfig(encoder="tiny", temporal_layers=1, **options), seed)


def explained(caption: str = CAPTION, frames: int = 12, model: Any = None, **options: Any) -> Explanation:
    model = model or model_of()
    found = pattern(frames, model.image_size)
    times = [0.5 * frame for frame in range(frames)]
    return explain(model, caption, found, times, pattern(frames, 48), **options)


@pytest.fixture(scope="session")
def usual() -> Explanation:
    """Of 24 tokens and 12 frames."""
    return explained()


@pytest.fixture(scope="session")
def long() -> Explanation:
    """Of 64 tokens, which the caption fills, and 64 frames."""
    caption = f"{CAPTION}; then the flibbertigibbet camera pans left to hamburgers and skewers on the lawn, and "
    return explained(4 * caption, 64, max_words=64, max_frames=64)
