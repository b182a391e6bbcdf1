"""What times tell: how long calls take, how sure that is, whether one takes longer than another, how costs grow.

Free of torch, for tables use it.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, stdtrit

if TYPE_CHECKING:
    from hbi.cost.latency import Samples  # not otherwise: it needs torch

BLOCKS = 12
"""Consecutive rounds form this many blocks, each of which counts as one observation (batch means; Schmeiser 1982
recommends 10 to 30), so that noise that a variant keeps for a few rounds does not pass for many findings."""

CONFIDENCE = 0.95
"""Of the intervals of quantiles and exponents."""

LEVEL = 0.01
"""Of the comparison: two variants that cost the same are called different in at most one of a hundred measurements."""

COPIES = 0.03
"""A share of the time: by so much the medians of two copies of one model, built one after the other, were seen to
differ, for they lie in other places of memory (on one machine). Beyond it a difference is one of the systems."""

Interval = tuple[float, float]


# ---- what a variant takes -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quantile:
    """Of the time of a call, in seconds. ``upper`` is inf where there are too few rounds to bound it."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Summary:
    p50: Quantile
    p95: Quantile
    p99: Quantile
    throughput: float  # items a second


def summary(seconds: ArrayLike, items: int = 1) -> Summary:
    """Of samples [rounds], one variant's; ``items`` is how many texts, videos or pairs a call works on.

    The intervals are order statistics: how many of n independent times lie below the q-quantile is Bin(n, q), whatever
    their distribution, so they are exact, for the extreme quantiles too, where a bootstrap of the few largest times is
    not, and need no random numbers. A drift over the rounds is part of the spread; it is not modelled. Where a sample
    is the mean of several calls, the quantiles are of such means. Throughput is all items by all the time.
    """
    times = np.sort(np.asarray(seconds, dtype=np.float64))
    if times.ndim != 1 or not times.size:
        raise ValueError(f"seconds must be [rounds], not {list(times.shape)}")

    def quantile(q: float) -> Quantile:
        lower, upper = _between_order_statistics(times, bdtr(np.arange(len(times)), len(times), q), 1 - CONFIDENCE)
        return Quantile(float(np.quantile(times, q)), max(0.0, lower), upper)

    return Summary(quantile(0.50), quantile(0.95), quantile(0.99), items / float(times.mean()))


def _between_order_statistics(values: NDArray[np.float64], below: NDArray[np.float64], alpha: float) -> Interval:
    """The interval from one of the sorted ``values`` [n] to another that holds an unknown θ with probability 1 − alpha.

    below [k] is P(at most k of the values lie below θ), k = 0, 1, …; the end is infinite where n is too small for one.
    """
    ends = np.concatenate([[-np.inf], values, [np.inf]])
    return float(ends[(below <= alpha / 2).sum()]), float(ends[1 + (1 - below > alpha / 2).sum()])


# ---- whether one takes longer than another --------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """Of two variants.

    ratio      the time of b by that of a, between the ends of ``interval`` with confidence 1 − LEVEL
    p_value    of a ratio of 1, which the interval excludes exactly where this is at most LEVEL
    different  whether all of the interval lies above 1 + margin, or below 1 / (1 + margin)
    """

    ratio: float
    interval: Interval
    p_value: float
    different: bool


def compare(samples: "Samples", a: str, b: str, margin: float = 0.0) -> Comparison:
    """Variant b by variant a, paired over rounds; up to a ``margin`` (a share of the time) they are not ``different``.

    Wilcoxon's signed-rank test, with its exact distribution, on the medians of BLOCKS blocks of the rounds'
    log-ratios, and the interval and estimate that belong to it (Hodges and Lehmann 1963, Tukey 1949). Blocks of medians
    and ranks bear outliers; see hbi.cost.latency, and BLOCKS for dependent rounds. With fewer than eight rounds no
    difference is ever found.
    """
    log_ratio = np.log(samples.seconds[b] / samples.seconds[a])
    medians = np.array([np.median(block) for block in np.array_split(log_ratio, min(BLOCKS, len(log_ratio)))])
    i, j = np.triu_indices(len(medians))
    walsh = np.sort((medians[i] + medians[j]) / 2)  # as many are positive as the positive signed ranks sum to
    below = _signed_rank_distribution(len(medians)).cumsum()
    lower, upper = np.exp(_between_order_statistics(walsh, below, LEVEL)).tolist()
    rarer = min((walsh >= 0).sum(), (walsh <= 0).sum())
    return Comparison(
        ratio=float(np.exp(np.median(walsh))),
        interval=(lower, upper),
        p_value=min(1.0, 2 * float(below[rarer])),
        different=lower > 1 + margin or upper < 1 / (1 + margin),
    )


def _signed_rank_distribution(n: int) -> NDArray[np.float64]:
    """[n(n+1)/2 + 1]: P(W = w), W the sum of those of the ranks 1 … n whose coin shows heads."""
    distribution = np.ones(1)
    for rank in range(1, n + 1):
        coin = np.zeros(rank + 1)
        coin[[0, rank]] = 0.5
        distribution = np.convolve(distribution, coin)
    return distribution


# ---- how a cost grows -----------------------------------------------------------------------------------------------


def fitted_exponent(sizes: ArrayLike, costs: ArrayLike) -> tuple[float, Interval]:
    """k of cost ∝ size^k, and its confidence interval: least squares on the logarithms, Student's t with n − 2.

    sizes, costs [n], positive, in any unit. A fixed cost beside the growing one pulls k towards 0: choose sizes at
    which it no longer counts. Two sizes give no interval (−inf, inf).
    """
    x, y = np.asarray(sizes, dtype=np.float64), np.asarray(costs, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not ((x > 0) & (y > 0)).all() or len(np.unique(x)) < 2:
        raise ValueError("an exponent needs positive sizes [n] and costs [n], two of the sizes different")
    x, y = (np.log(values) - np.log(values).mean() for values in (x, y))
    exponent = float(x @ y / (x @ x))
    free = len(x) - 2
    if not free:
        return exponent, (-math.inf, math.inf)
    error = math.sqrt(((y - exponent * x) ** 2).sum() / free / (x @ x))
    margin = float(stdtrit(free, (1 + CONFIDENCE) / 2)) * error
    return exponent, (exponent - margin, exponent + margin)
