"""Which frames of a video a model sees."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np

from hbi.config import DataConfig
from hbi.data.dataset import Video


def sampling(config: DataConfig, video: Video, seed: int | None = None) -> Callable[[int, float], list[int]]:
    """The rule for one video: its number of frames and frames a second → the positions to decode, in rising order.

    It depends on config.sampler, max_frames and frame_rate, and on the video's start and end: nothing else; with
    ``seed`` also on that, where config.training_frames are drawn. A whole video of one frame has that at any rate.
    """
    if config.sampler in ("ranges", "ranges-released"):
        rule = partial(
            sample_ranges,
            released=config.sampler == "ranges-released",
            seed=seed if config.training_frames == "drawn" else None,
        )
    else:
        by_rate = {"stride": sample_positions, "seconds": sample_seconds}[config.sampler]
        rule = partial(by_rate, frame_rate=config.frame_rate)
    rule = partial(rule, max_frames=config.max_frames, start=video.start, end=video.end)
    return rule if video.start is not None else lambda frames, fps: [0] if frames == 1 else rule(frames, fps)


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
    first, last = _bounds(frames, fps, start, end)
    return _at_most(max_frames, list(range(first, last + 1, stride)))


def sample_seconds(
    frames: int,
    fps: float,
    max_frames: int,
    frame_rate: float,
    start: int | None = None,
    end: int | None = None,
) -> list[int]:
    """As ``sample_positions``, by the rule of the published DiDeMo and ActivityNet loaders (Luo et al., CLIP4Clip,
    arXiv 2104.08860, and HBI after it), whose seconds have whole numbers of frames:

    in every second from ``start`` to ``end``, both included, the first ``frame_rate`` of the places 0, s, 2s, …
    with s = ⌊fps⌋ // frame_rate, until the video ends. At 29.97 frames a second a second lasts 29.
    Raises ValueError where fps or the whole part of it is less than ``frame_rate``, which counts whole frames.
    """
    second = int(fps) if math.isfinite(fps) else 0
    rate = int(frame_rate)
    if not 1 <= rate <= second:
        raise ValueError(f"a video of {fps:g} frames a second cannot be sampled {frame_rate:g} times a second")
    start, end = _span(start, end)
    length = math.ceil(frames / second)
    seconds = range(start or 0, (length if end is None else min(end, length)) + 1)
    places = range(0, second, second // rate)[:rate]
    positions = [number * second + place for number in seconds for place in places]
    return _at_most(max_frames, [position for position in positions if position < frames])


def sample_ranges(
    frames: int,
    fps: float,
    max_frames: int,
    start: int | None = None,
    end: int | None = None,
    released: bool = False,
    seed: int | None = None,
) -> list[int]:
    """One position of each of ``max_frames`` ranges of equal length, or of as many as there are frames.

    The rule of Frozen in Time (Bain et al., arXiv 2104.00650), and of MCQ and MILES after it: the ranges lie between
    ``max_frames`` + 1 equally spaced places, rounded down; of each the middle, or with ``seed`` a frame drawn from it.

    ``released``: as published: the frame before that, and the last one of a range is never drawn (of a range of one
    frame the published code draws none, and fails; here it is that one).
    ``start``, ``end``: as for ``sample_positions``; the ranges are of the span. Raises ValueError where there is one,
    and ``fps`` does not tell where it lies.
    """
    if start is not None and not 0 < fps < math.inf:
        raise ValueError(f"a video of {fps:g} frames a second has no second {start}")
    first, last = _bounds(frames, fps, start, end)
    length, before = max(last + 1 - first, 0), 1 if released else 0
    edges = (first + np.linspace(0, length, min(max_frames, length) + 1).astype(int)).tolist()
    random = np.random.default_rng(seed)
    positions = [
        (low + high - 1) // 2 if seed is None else int(random.integers(low, max(low + 1, high - before)))
        for low, high in pairwise(edges)
    ]
    return [max(0, position - before) for position in positions]


def _bounds(frames: int, fps: float, start: int | None, end: int | None) -> tuple[int, int]:
    """The first and the last position of a span; the last is less where the video has none of it."""
    start, end = _span(start, end)
    first = 0 if start is None else int(start * fps)
    return first, frames - 1 if end is None else int(min(end * fps, frames - 1))


def _span(start: int | None, end: int | None) -> tuple[int | None, int | None]:
    if start is None or end is None:
        return start, end
    start, end = sorted((max(start, 0), max(end, 0)))
    return start, max(end, start + 1)


def _at_most(count: int, positions: list[int]) -> list[int]:
    if len(positions) <= count:
        return positions
    return [positions[place] for place in np.linspace(0, len(positions) - 1, count, dtype=int)]
