"""Ranks and recall of a similarity matrix, with ties, several captions a video, and both directions spelled out."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hbi.metrics.registry import RECALL_AT

Direction = Literal["t2v", "v2t"]
Ties = Literal["expected", "optimistic", "pessimistic", "released"]

BLOCK = 16 * 2**20
"""Bytes of a matrix that are worked on at once: more is no faster, and takes memory beside the matrix."""


def retrieval_metrics(
    similarity: ArrayLike, groups: Sequence[int] | None = None, ties: Ties = "expected"
) -> dict[str, float]:
    """R@1/5/10/50 (percent), MdR and MnR (ranks from 1), as "t2v/R@1" … "v2t/MnR".

    similarity [N,M]: captions × videos. groups[n] is the column of caption n's video; none: N = M and caption n
    belongs to video n. Raises ValueError for a shape or group that does not fit, and for NaN.
    """
    directions: tuple[Direction, ...] = ("t2v", "v2t")
    ranked = {direction: ranks(similarity, direction, groups, ties) for direction in directions}
    return {f"{way}/{name}": value for way, rank in ranked.items() for name, value in summarise(rank).items()}


def summarise(rank: NDArray[np.float64]) -> dict[str, float]:
    """Ranks [N] → {"R@1": percent, …, "MdR": median, "MnR": mean}."""
    most = max(RECALL_AT)
    within = np.bincount(np.minimum(np.ceil(rank), most + 1).astype(np.int64), minlength=most + 1).cumsum()
    recall = {f"R@{k}": 100 * (float(within[k]) / len(rank)) for k in RECALL_AT}
    return recall | {"MdR": float(np.median(rank)), "MnR": float(np.mean(rank))}


def ranks(
    similarity: ArrayLike,
    direction: Direction,
    groups: Sequence[int] | None = None,
    ties: Ties = "expected",
) -> NDArray[np.float64]:
    """The rank of every query's match: t2v [N], v2t [M].

    A match has rank 1 + #greater + ½ · #others equal ("expected": the mean over all orders of the ties); "optimistic"
    counts no equal one, "pessimistic" all. "released" counts as the published code does, every place that the match
    shares: a query gives as many ranks, one after the other, as there are candidates tied with its match, itself
    included, so that there are more ranks than queries and a tied query weighs more.

    Text to video, a caption's candidates are the videos. Video to text, the candidates are the videos' caption groups,
    each as good as the best of its captions (CLIP4Clip's protocol for several captions a video); a video without any
    caption has no rank and is refused.
    """
    scores = np.asarray(similarity)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"similarity must be [captions, videos], not {list(scores.shape)}")
    if missing := count_nan(scores):
        raise ValueError(f"similarity {list(scores.shape)} holds {missing} NaN")
    captions, videos = scores.shape
    if groups is None and captions != videos:
        raise ValueError(f"similarity {list(scores.shape)} is not square: give the video of each caption in groups")
    column = np.arange(captions) if groups is None else np.asarray(groups)
    if column.shape != (captions,) or column.min() < 0 or column.max() >= videos:
        raise ValueError(f"groups must hold a column in [0, {videos}) for each of the {captions} captions")

    greater, equal = (_among_videos if direction == "t2v" else _among_captions)(scores, column)
    rank: NDArray[np.float64]
    if ties == "released":
        places = equal + 1
        before = places.cumsum() - places  # ranks of the queries before
        rank = 1.0 + np.arange(places.sum()) + np.repeat(greater - before, places)
    else:
        rank = 1.0 + greater + {"expected": 0.5, "optimistic": 0.0, "pessimistic": 1.0}[ties] * equal
    return rank


def count_nan(scores: NDArray[Any]) -> int:
    """How many of the scores [N,M] are none."""
    return sum(int(np.isnan(scores[rows]).sum()) for rows in blocks(scores))


def blocks(matrix: NDArray[Any], axis: int = 0) -> Iterator[slice]:
    """All rows, or columns, in order, of BLOCK bytes at once or one."""
    length = matrix.shape[axis]
    step = max(1, BLOCK * length // matrix.nbytes)
    return (slice(start, start + step) for start in range(0, length, step))


Counts = tuple[NDArray[np.int64], NDArray[np.int64]]
"""By query: candidates that score higher than the match, and others that score as high."""


def _among_videos(scores: NDArray[Any], column: NDArray[np.int64]) -> Counts:
    """scores [N,M], column [N] → of each caption [N]."""
    greater, equal = np.empty((2, len(scores)), np.int64)
    for rows in blocks(scores):
        part = scores[rows]
        match = np.take_along_axis(part, column[rows, None], axis=1)
        greater[rows] = (part > match).sum(1)
        equal[rows] = (part == match).sum(1) - 1
    return greater, equal


def _among_captions(scores: NDArray[Any], column: NDArray[np.int64]) -> Counts:
    """scores [N,M], column [N] → of each video [M], by the best caption of every video."""
    videos = np.arange(scores.shape[1])
    if missing := np.setdiff1d(videos, column).tolist():
        raise ValueError(f"video {missing[0]} has no caption, so it has no rank")
    by_video = column.argsort(kind="stable")
    first = np.searchsorted(column[by_video], videos)
    greater, equal = np.empty((2, len(videos)), np.int64)
    for columns in blocks(scores, axis=1):
        best = scores[by_video, columns]  # [candidate, query video]
        if len(best) > len(videos):  # else each candidate is one caption
            best = np.maximum.reduceat(best, first)
        match = np.take_along_axis(best, videos[None, columns], axis=0)
        greater[columns] = (best > match).sum(0)
        equal[columns] = (best == match).sum(0) - 1
    return greater, equal
