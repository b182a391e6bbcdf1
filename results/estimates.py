"""Means and medians over seeds and queries, with the margins that belong to them; the parts of results.significance."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1999
"""Of the bootstrap of a median; none of its p-values is below 2 / (RESAMPLES + 1)."""

Values = NDArray[np.float64]
Groups = NDArray[np.int64] | None
"""[N], numbers in any order: which queries belong together; None: each is alone."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A mean over S seeds: how far it may be off for other queries, level → margins (below, above), and other seeds."""

    value: float
    by_queries: Callable[[float], tuple[float, float]]
    seed_variance: float  # of the mean
    seeds: int

    def interval(self, level: float) -> Interval:
        """Holds with confidence 1 − level; the two margins are squared and added (see results.significance)."""
        below, above = self.by_queries(level)
        margin = t_quantile(self.seeds - 1, level) * math.sqrt(self.seed_variance) if self.seeds > 1 else 0.0
        return self.value - math.hypot(below, margin), self.value + math.hypot(above, margin)

    def p_value(self) -> float:
        """The lowest level at which the interval excludes 0, by bisection: to 1e-15, from above."""
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            lower, upper = self.interval(middle)
            low, high = (middle, high) if lower <= 0 <= upper else (low, middle)
        return high


def t_quantile(degrees: int, level: float) -> float:
    """Student's, two-sided."""
    from scipy.special import stdtrit  # a third of a second, which tables that are known already do without

    return -float(stdtrit(degrees, level / 2))


# ---- means ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variation:
    """Standard deviations of a query's value about the mean, in its unit: σ_α, σ_β, σ_γ of results.significance."""

    seeds: float
    queries: float
    both: float


def mean_squares(values: Values) -> tuple[float, float, float]:
    """Of values [S,N], between seeds, between queries and of the rest: of Nσ_α² + σ_γ², Sσ_β² + σ_γ², σ_γ² unbiased.

    One seed tells only the second.
    """
    seeds, queries = values.shape
    of_queries = seeds * float(values.mean(0).var(ddof=1))
    if seeds == 1:
        return 0.0, of_queries, 0.0
    of_seeds = queries * float(values.mean(1).var(ddof=1))
    rest = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    return of_seeds, of_queries, float((rest**2).sum()) / ((seeds - 1) * (queries - 1))


def variation(values: Values) -> Variation | None:
    """Of values [S,N]; None for one seed."""
    seeds, queries = values.shape
    of_seeds, of_queries, of_rest = mean_squares(values)
    if seeds == 1:
        return None
    of_seeds, of_queries = max(0.0, of_seeds - of_rest) / queries, max(0.0, of_queries - of_rest) / seeds
    return Variation(math.sqrt(of_seeds), math.sqrt(of_queries), math.sqrt(of_rest))


def of_means(values: Values, skewed: bool = False) -> Estimate:
    """The mean of values [S,N]; ``skewed``: the margin over queries by Hall's transformation, not plain Student's."""
    seeds, queries = values.shape
    of_seeds, of_queries, of_rest = mean_squares(values)
    error = math.sqrt(max(0.0, of_queries - of_rest) / values.size)
    bend = _skewness(values.mean(0)) / (3 * math.sqrt(queries)) if skewed else 0.0

    def margins(level: float) -> tuple[float, float]:
        t = t_quantile(queries - 1, level)
        return error * _untransformed(t, bend), -error * _untransformed(-t, bend)

    return Estimate(float(values.mean()), margins, of_seeds / values.size, seeds)


def _skewness(values: Values) -> float:
    scale = float(values.std())
    return float(np.mean((values - values.mean()) ** 3)) / scale**3 if scale else 0.0


def _untransformed(t: float, bend: float) -> float:
    """g⁻¹(t) of Hall (JRSS B 54, 1992): the studentised mean of a skewed sample that stands for t, which is symmetric.

    bend = skewness / 3√N
    """
    if abs(bend) < 1e-6:  # near its limit the quotient loses its digits
        return t
    return (float(np.cbrt(1 + 3 * bend * (t - bend / 2))) - 1) / bend


# ---- medians --------------------------------------------------------------------------------------------------------


def of_medians(medians: Values, resampled: Values) -> Estimate:
    """The mean of medians [S]; ``resampled`` [RESAMPLES] is what it is with other queries: percentiles."""
    value = float(medians.mean())
    ordered = np.sort(resampled)

    def margins(level: float) -> tuple[float, float]:
        outside = math.floor((RESAMPLES + 1) * level / 2)
        if not outside:
            return math.inf, math.inf
        return max(0.0, value - float(ordered[outside - 1])), max(0.0, float(ordered[-outside]) - value)

    seeds = len(medians)
    return Estimate(value, margins, float(medians.var(ddof=1)) / seeds if seeds > 1 else 0.0, seeds)


def resampled_medians(ranks: Values, groups: Groups) -> Values:
    """[R,RESAMPLES]: the medians of ranks [R,N] where the queries (groups) are drawn anew, the same for all R.

    A resample's median follows from how many of its ranks are at most x, for the few ranks x that it may be: those
    within six standard errors of the middle.
    """
    sizes = group_sums(np.ones((1, ranks.shape[1])), groups)
    drawn = _drawn(sizes.shape[1])
    reach = min(0.5, 3 / math.sqrt(len(drawn)))
    lowest, highest = np.quantile(ranks, [0.5 - reach, 0.5 + reach], axis=1)
    possible = [
        np.unique(row[(low <= row) & (row <= high)]) for row, low, high in zip(ranks, lowest, highest, strict=True)
    ]
    at_most = [row <= x[:, None] for row, x in zip(ranks, possible, strict=True)]
    counted = _times(group_sums(np.concatenate(at_most).astype(np.float64), groups), drawn)
    half = _times(sizes, drawn) / 2
    medians = []
    for x, up_to in zip(possible, np.split(counted, np.cumsum([len(x) for x in possible])[:-1]), strict=True):
        middle = [(up_to < half).sum(0), (up_to <= half).sum(0)]  # places of the lower and the upper one
        medians.append(x[np.minimum(middle, len(x) - 1)].mean(0))
    return np.stack(medians)


def _times(sums: Values, drawn: NDArray[np.float32]) -> NDArray[np.float32]:
    """[K,G] by [G,RESAMPLES]; exact, whole numbers below 2²⁴. Not by BLAS, whose threads take longer to wake up."""
    product: NDArray[np.float32] = np.einsum("kg,gr->kr", sums.astype(np.float32), drawn)
    return product


@lru_cache(maxsize=2)
def _drawn(count: int) -> NDArray[np.float32]:
    """[count,RESAMPLES]: how often each is drawn. The same at every call, so equal arrays give equal results."""
    generator = np.random.default_rng(0)
    drawn = np.empty((count, RESAMPLES), dtype=np.float32)
    for resample in drawn.T:
        resample[:] = np.bincount(generator.integers(count, size=count), minlength=count)
    return drawn


# ---- groups ---------------------------------------------------------------------------------------------------------


def group_sums(values: Values, groups: Groups) -> Values:
    """[R,N] → [R,G]."""
    if groups is None:
        return values
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups.min() - 1))
    sums: Values = np.add.reduceat(values[:, order], starts, axis=1)
    return sums


def by_group(values: Values, groups: Groups) -> Values:
    """[S,N] → [S,G] of the same means, a group's share in its seed's mean: groups, not queries, are independent.

    The mean is a ratio, of sums and of counts, where groups differ in size; this is its linear part.
    """
    if groups is None:
        return values
    mean = values.mean(1, keepdims=True)
    sums = group_sums(values - mean, groups)
    shares: Values = mean + sums * sums.shape[1] / values.shape[1]
    return shares
