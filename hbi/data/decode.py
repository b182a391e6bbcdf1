"""One video → the frames that a model sees."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from signal import ITIMER_REAL, SIG_DFL, SIGALRM, setitimer, signal

import numpy as np
from numpy.typing import NDArray

from hbi.config import DataConfig
from hbi.data.dataset import Video
from hbi.data.frames import sampling
from hbi.data.preprocess import preprocess
from hbi.data.video import Frames, read_frames

LIMIT_SECONDS = 60.0
"""A process that decodes for others ends itself when one video takes longer."""


@dataclass(frozen=True)
class Decoded:
    """``frames`` [F, 3, size, size] uint8, at the ``positions`` sampled of a video of ``count`` frames, ``fps`` each
    second; F ≤ config.max_frames."""

    frames: NDArray[np.uint8]
    positions: list[int]
    count: int
    fps: float


def decode(
    video: Video,
    config: DataConfig,
    size: int,
    changed: Callable[[Frames], Frames] | None = None,
    seed: int | None = None,
) -> Decoded:
    """The sampled frames, resized and cropped, ``changed`` before that; raises VideoError as ``read_frames`` does.

    ``seed``: of the frames of training, where config draws these (``sampling``).
    """
    seen: list[tuple[list[int], int, float]] = []

    def positions_of(count: int, fps: float) -> list[int]:
        seen[:] = [(sampling(config, video, seed)(count, fps), count, fps)]
        return seen[0][0]

    frames = read_frames(video.path, positions_of, config.reader)
    return Decoded(preprocess(changed(frames) if changed else frames, size, config.resize), *seen[0])


@contextmanager
def ending_process_after(seconds: float) -> Iterator[None]:
    """The process dies of SIGALRM when what is done inside takes longer, even within a decoder that hangs.

    No thread and no exception could end that. For the main thread of a process that does nothing but decode.
    """
    signal(SIGALRM, SIG_DFL)
    setitimer(ITIMER_REAL, seconds)
    try:
        yield
    finally:
        setitimer(ITIMER_REAL, 0)
