"""Post-processing of scores at test time. Queries are rows, candidates columns; only the order within a row matters.

Both use more than the query at hand, so numbers with and without them are not comparable: the dual softmax all test
queries at once, the dynamic inverted softmax a bank of other queries (training captions, say).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from hbi.metrics.retrieval import blocks

Scores = NDArray[np.floating[Any]]

DUAL_SOFTMAX_SCALE = 100.0
"""CLIP's largest logit scale: right for cosines. Published code varies; where the scores are logits it is 1."""
INVERTED_SOFTMAX_SCALE = 20.0
"""The inverse temperature of QB-Norm's paper, for cosines."""


def dual_softmax(scores: Scores, scale: float = DUAL_SOFTMAX_SCALE) -> NDArray[np.float64]:
    """scores [Q,C] times their softmax over the queries (CAMoE, arXiv 2109.04290, eq. of the dual softmax loss)."""
    weighted = np.empty(scores.shape)
    for columns in blocks(scores, axis=1):
        part = scores[:, columns].astype(np.float64)
        weighted[:, columns] = part * softmax(scale * part, axis=0)
    return weighted


def dynamic_inverted_softmax(
    scores: Scores, bank: Scores, scale: float = INVERTED_SOFTMAX_SCALE
) -> NDArray[np.float64]:
    """QB-Norm (arXiv 2112.12777): scores [Q,C] against how much a bank of other queries [B,C] likes each candidate.

    Only queries whose best candidate is the best of some query of the bank are changed. The paper divides
    exp(scale · score) by its sum over the bank; this is the logarithm of that over ``scale``, which orders alike and
    does not overflow.
    """
    liked = np.unique(bank.argmax(1))
    changed = np.isin(scores.argmax(1), liked)
    parts = (scale * bank[:, columns].astype(np.float64) for columns in blocks(bank, axis=1))
    popularity = np.concatenate([logsumexp(part, axis=0) for part in parts]) / scale  # [C]
    chosen = scores.astype(np.float64)
    return np.subtract(chosen, popularity, out=chosen, where=changed[:, None])
