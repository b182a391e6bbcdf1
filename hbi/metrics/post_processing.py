"""Post-processing of scores at test time. Queries are rows, candidates columns; only the order within a row matters.

Both use more than the query at hand, so numbers with and without them are not comparable: the dual softmax all test
queries at once, the dynamic inverted softmax a bank of other queries (training captions, say).
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from hbi.config.training import DUAL_SOFTMAX_SCALE, INVERTED_SOFTMAX_SCALE
from hbi.metrics.retrieval import Direction, blocks

Scores = NDArray[np.floating[Any]]
PostProcessing = Literal["none", "dsl", "qb-norm"]


def processed(
    scores: Scores,
    direction: Direction,
    method: PostProcessing,
    scale: float | None = None,
    bank: Scores | None = None,
    nearest: int = 1,
    hub: int = 1,
) -> Scores:
    """scores [N,M], captions × videos, as the queries of ``direction`` rank by them; a matrix for each direction.

    ``bank``, of qb-norm, laid out as the scores are: of other captions [B,M] for t2v, of other videos [N,B] for v2t.
    ``scale``: none is the method's own default. ``nearest`` and ``hub``: as of ``dynamic_inverted_softmax``. Where a
    video has several captions, the scores of all of them are processed, and the best of them counts afterwards.
    """
    if method == "none":
        return scores
    queries = scores if direction == "t2v" else scores.T
    if method == "dsl":
        found = dual_softmax(queries, scale or DUAL_SOFTMAX_SCALE)
    elif bank is None:
        raise ValueError("qb-norm needs a bank of queries")
    else:
        others = bank if direction == "t2v" else bank.T
        found = dynamic_inverted_softmax(queries, others, scale or INVERTED_SOFTMAX_SCALE, nearest, hub)
    return found if direction == "t2v" else found.T


def dual_softmax(scores: Scores, scale: float = DUAL_SOFTMAX_SCALE) -> NDArray[np.float64]:
    """scores [Q,C] times their softmax over the queries (CAMoE, arXiv 2109.04290, eq. of the dual softmax loss)."""
    weighted = np.empty(scores.shape)
    for columns in blocks(scores, axis=1):
        part = scores[:, columns].astype(np.float64)
        weighted[:, columns] = part * softmax(scale * part, axis=0)
    return weighted


def dynamic_inverted_softmax(
    scores: Scores, bank: Scores, scale: float = INVERTED_SOFTMAX_SCALE, nearest: int = 1, hub: int = 1
) -> NDArray[np.float64]:
    """QB-Norm (arXiv 2112.12777): scores [Q,C] against how much a bank of other queries [B,C] likes each candidate.

    Only queries whose best candidate is a hub are changed: one that is among the ``nearest`` best of at least ``hub``
    queries of the bank (1 and 1 in the paper; DiCoSA asks for more queries). The paper divides exp(scale · score) by
    its sum over the bank; this is the logarithm of that over ``scale``, which orders alike and does not overflow.
    """
    nearest = min(nearest, bank.shape[1])
    best = bank.argmax(1) if nearest == 1 else np.argpartition(-bank, nearest - 1, axis=1)[:, :nearest]
    liked = np.bincount(best.ravel(), minlength=bank.shape[1])
    changed = liked[scores.argmax(1)] >= hub
    parts = (scale * bank[:, columns].astype(np.float64) for columns in blocks(bank, axis=1))
    popularity = np.concatenate([logsumexp(part, axis=0) for part in parts]) / scale  # [C]
    chosen = scores.astype(np.float64)
    return np.subtract(chosen, popularity, out=chosen, where=changed[:, None])
