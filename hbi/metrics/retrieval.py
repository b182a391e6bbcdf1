"""Ranks and recall of a similarity matrix, with ties, several captions a video, and both directions spelled out."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hbi.metrics.registry import RECALL_AT

Direction = Literal["t2v", "v2t"]
Ties = Literal["expected", "optimistic", "pessimistic", "released"]


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
    recall = {f"R@{k}": float(100 * np.mean(rank <= k)) for k in RECALL_AT}
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
    if np.isnan(scores).any():
        raise ValueError(f"similarity {list(scores.shape)} holds {int(np.isnan(scores).sum())} NaN")
    captions, videos = scores.shape
    if groups is None and captions != videos:
        raise ValueError(f"similarity {list(scores.shape)} is not square: give the video of each caption in groups")
    column = np.arange(captions) if groups is None else np.asarray(groups)
    if column.shape != (captions,) or column.min() < 0 or column.max() >= videos:
        raise ValueError(f"groups must hold a column in [0, {videos}) for each of the {captions} captions")

    if direction == "v2t":
        missing = np.setdiff1d(np.arange(videos), column)
        if missing.size:
            raise ValueError(f"video {missing[0]} has no caption, so it has no rank")
        best = np.full((videos, videos), -np.inf)  # [group of captions, query video]
        np.maximum.at(best, column, scores)
        scores, column = best.T, np.arange(videos)
    match = scores[np.arange(len(scores)), column][:, None]  # [query,1]
    greater = (scores > match).sum(1)
    equal = (scores == match).sum(1) - 1
    rank: NDArray[np.float64]
    if ties == "released":
        query = np.repeat(np.arange(len(scores)), equal + 1)
        place = np.arange(len(query)) - np.searchsorted(query, query)  # 0, 1, … within a query
        rank = 1.0 + greater[query] + place
    else:
        rank = 1.0 + greater + {"expected": 0.5, "optimistic": 0.0, "pessimistic": 1.0}[ties] * equal
    return rank
