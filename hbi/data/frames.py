"""Which frames of a video a model sees."""

import math

import numpy as np


def sample_positions(
    frames: int,
    fps: float,
    max_frames: int,
    frame_rate: float,
    start: int | None = None,
    end: int | None = None,
) -> list[int]:
    """Positions of the frames to decode: ``frame_rate`` a second, and of these at most ``max_frames``.

    The rule of the published MSR-VTT and QA loaders (Wang et al., DRL, arXiv 2203.07111, and HBI after it):
    every round(fps / frame_rate)-th frame, halves rounded to even; if they are too many, those at
    ``max_frames`` equally spaced places, both ends included, rounded down.

    ``start``, ``end``: a span in whole seconds. A span given backwards is turned round, one without length
    lasts a second, and one beyond the end of the video has no frames: the empty list.
    Raises ValueError where ``fps`` is no number or so low that the stride would be 0.
    """
    stride = round(fps / frame_rate) if math.isfinite(fps) else 0
    if stride < 1:
        raise ValueError(f"a video of {fps:g} frames a second cannot be sampled {frame_rate:g} times a second")
    if start is not None and end is not None:
        start, end = sorted((max(start, 0), max(end, 0)))
        end = max(end, start + 1)
    first = 0 if start is None else int(start * fps)
    last = frames - 1 if end is None else int(min(end * fps, frames - 1))
    positions = list(range(first, last + 1, stride))
    if len(positions) <= max_frames:
        return positions
    return [positions[place] for place in np.linspace(0, len(positions) - 1, max_frames, dtype=int)]
