"""What a query ranks first: the scores that stand behind a run's ranks, and the best candidates by them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hbi.config import EvaluationConfig
from hbi.metrics.post_processing import Scores, processed
from hbi.metrics.retrieval import Direction, Ties
from hbi.metrics.saved import Saved

_SHARE = {"expected": 0.5, "optimistic": 0.0, "pessimistic": 1.0, "released": 0.5}
"""Of the others that score as high, how many count. Of "released", by which a query has several ranks: their mean."""


@dataclass(frozen=True)
class Candidate:
    """A video, by its ``column``; video to text, the caption of it that scores best, by its row ``caption``.

    rank  as ``hbi.metrics.retrieval.ranks`` counts, for any candidate; ``right``: whether it is the match
    """

    column: int
    caption: int | None
    rank: float
    score: float
    right: bool


def ranked_by(found: Saved, way: Direction, asked: EvaluationConfig) -> Scores:
    """[N,M], captions × videos: what the queries of ``way`` rank by under the protocol ``asked``."""
    scale = {"none": None, "dsl": asked.dsl_scale, "qb-norm": asked.qb_norm_scale}[asked.post_processing]
    bank, nearest, hub = found.bank(way), asked.qb_norm_nearest, asked.qb_norm_hub[way == "v2t"]
    return processed(found.scores(way), way, asked.post_processing, scale, bank, nearest, hub)


def candidates(
    scores: Scores, way: Direction, groups: NDArray[np.int64], query: int, ties: Ties, most: int
) -> Sequence[Candidate]:
    """The ``most`` best of one query, the best first, and behind them the match where it is not among them.

    scores [N,M] as ``ranked_by`` gives them; groups [N]: the column of each caption's video. Where candidates tie,
    the first column comes first.
    """
    captions: NDArray[Any] | None = None
    if way == "t2v":
        of_query, right = scores[query], int(groups[query])
    else:
        by_video = np.lexsort((-scores[:, query], groups))  # of each video its best caption first
        captions = by_video[np.unique(groups[by_video], return_index=True)[1]]
        of_query, right = scores[captions, query], query
    ordered = np.sort(of_query)
    lower, not_higher = (np.searchsorted(ordered, of_query, side) for side in ("left", "right"))
    rank = 1 + (len(ordered) - not_higher) + _SHARE[ties] * (not_higher - lower - 1)
    best = [int(column) for column in np.argsort(rank, kind="stable")[:most]]
    shown = best if right in best else [*best, right]
    return [
        Candidate(
            column,
            None if captions is None else int(captions[column]),
            float(rank[column]),
            float(of_query[column]),
            column == right,
        )
        for column in shown
    ]
