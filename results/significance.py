"""What the difference of two variants is worth: intervals, p-values, and Holm's correction for the rows of a table.

A number varies for two reasons: another test set has other queries, and another seed trains another model. What can be
said depends on which of the two is seen (``Comparison.over``):

    queries            one seed: about these two trained models, on queries like these. How they would compare after
                       another training is not known, however many the queries.
    queries and seeds  two seeds or more: about the two methods.

For the second, a query's difference d[s,n] = δ + α_s + β_n + γ_sn is a crossed design with random seeds s and queries
n: α is what a seed does to all queries, β what the variants do to a query whatever the seed, γ what is left. The mean
over S seeds and N queries has the variance (σ_α² + σ_γ²/N)/S, seen between the seeds with S − 1 degrees of freedom,
and σ_β²/N, seen between the queries. The interval squares and adds the margins of the two,

    margin² = t²(S−1) · v_seeds + t²(N−1) · v_queries,

which holds its level whatever their ratio, for two seeds too: P(χ² > x) is convex in x, so mixed margins miss at most
as often as each of the two does alone (Banerjee, Sankhyā 22, 1960). What is common does not hold it: to test over all
queries of all seeds takes the trained models for the methods; to resample both (Owen, Annals of Applied Statistics 1,
2007) uses the normal's quantile where few seeds need Student's; Satterthwaite's degrees of freedom are too many just
when the seeds happen to agree. The price is that few seeds resolve little; results.resolution says how little. Seeds'
effects are taken as normal.

Queries count as independent, unless ``groups`` says which belong together (captions or questions of one video: those
of a video tend to be right together, so their number is not the sample's size); candidates count as given. Free of
torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hbi.metrics.registry import OURS, QA
from results.estimates import (
    Groups,
    Interval,
    Values,
    Variation,
    by_group,
    of_means,
    of_medians,
    resampled_medians,
    variation,
)

Over = Literal["queries", "queries and seeds"]


# ---- two variants ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """``difference``: the metric of b less that of a, mean over the seeds, in the metric's unit (points, ranks).

    interval    holds the difference with confidence 1 − level; not corrected for other comparisons
    p_value     that there is no difference; ≤ level where the interval excludes 0 and, at a level of 5 %, only there
    over        what could be seen to vary; see the module
    queries     N, those of one seed
    discordant  by seed, how many queries only a gets right, and how many only b; () for MnR and MdR
    variation   σ_α, σ_β and σ_γ, for results.resolution; None for one seed, and for MdR
    """

    metric: str
    difference: float
    interval: Interval
    p_value: float
    over: Over
    seeds: int
    queries: int
    discordant: tuple[tuple[int, int], ...] = ()
    variation: Variation | None = None


def compare(
    metric: str, a: Sequence[ArrayLike], b: Sequence[ArrayLike], level: float = 0.05, groups: ArrayLike | None = None
) -> Comparison:
    """Variant b against a, by ``metric``, one of ours: "t2v/R@1", "v2t/MdR", "accuracy" …

    a, b: an array [N] a seed, of the same seeds and queries in the same order: ranks from 1, or, of questions (for
    "accuracy/what" …, only those that count), 1 where right, else 0. groups [N]: equal where queries belong together.

    R@K, accuracy: for one seed, McNemar's exact test, and the adjusted Wald interval (Bonett and Price, Journal of
    Educational and Behavioral Statistics 37, 2012): with two more queries, one that only a gets and one that only b
    gets, so that no width is 0. It is stretched to 0 where the test, stricter as an exact one of counts is, finds
    nothing. For more seeds, the module's interval, with those two queries. McNemar's test has no say then: a query
    counts once in every seed, and sums of such counts are not binomial; ``discordant`` lets it be told of each seed.
    MnR: the same, without the two queries, and Student's t for one seed. Long tails make it cautious; bootstraps,
    those corrected for skewness the most, find differences between equals too often here.
    MdR: a paired bootstrap over the queries (percentiles), as no mean over queries gives a median. For more seeds, its
    margins are those of the queries; σ_γ is in both parts then, which errs on the safe side.
    ``groups`` stand for the queries everywhere, and the interval's p-value for McNemar's, which they would mislead.

    Raises ValueError for another metric, arrays that are no ranks or answers, and those of other seeds or queries (of
    other lengths: ranks with evaluation.ties "released" too, several for a query).
    """
    first, second = _checked(metric, a), _checked(metric, b)
    if first.shape != second.shape:
        raise ValueError(f"not comparable: {_told(first)} and {_told(second)}")
    seeds, queries = first.shape
    together = _checked_groups(groups, queries)
    discordant: tuple[tuple[int, int], ...] = ()
    spread = None
    if metric.endswith("/MdR"):
        change = np.median(second, 1) - np.median(first, 1)
        resampled = resampled_medians(np.concatenate([first, second]), together)
        estimate = of_medians(change, (resampled[seeds:] - resampled[:seeds]).mean(0))
    else:
        change = _by_query(metric, second) - _by_query(metric, first)
        spread = variation(by_group(change, together))
        if _is_share(metric):
            discordant = tuple((int((row < 0).sum()), int((row > 0).sum())) for row in change)
            estimate = of_means(by_group(*_with_queries(change, together, (-100, 100))))
        else:
            estimate = of_means(by_group(change, together))
    lower, upper = estimate.interval(level)
    if len(discordant) == 1 and together is None:
        p_value = _mcnemar(*discordant[0])
        if p_value > level:
            lower, upper = min(lower, 0.0), max(upper, 0.0)
    else:
        p_value = estimate.p_value()
    over: Over = "queries and seeds" if seeds > 1 else "queries"
    return Comparison(metric, float(change.mean()), (lower, upper), p_value, over, seeds, queries, discordant, spread)


def mcnemar(right_a: ArrayLike, right_b: ArrayLike) -> float:
    """The exact two-sided p-value of [N] and [N], whether each query is right: of those that one gets, b gets half.

    Binomial (McNemar, Psychometrika 12, 1947), not mid-p, which can exceed its level.
    """
    first, second = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"not comparable: {list(first.shape)} and {list(second.shape)}")
    return _mcnemar(int((first & ~second).sum()), int((second & ~first).sum()))


def _mcnemar(only_a: int, only_b: int) -> float:
    from scipy.special import bdtr  # as in results.estimates

    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted for being several (Holm, Scandinavian Journal of Statistics 6, 1979), in their order.

    That any of them is ≤ level although its two variants are equal has a probability ≤ level, however the p-values
    depend on each other. None, a row without a comparison, stays None and does not count.
    """
    adjusted = list(p_values)
    ascending = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    at_least = 0.0
    for smaller, (p, place) in enumerate(ascending):
        at_least = max(at_least, min(1.0, (len(ascending) - smaller) * p))
        adjusted[place] = at_least
    return adjusted


# ---- one variant ----------------------------------------------------------------------------------------------------


def interval(metric: str, runs: Sequence[ArrayLike], level: float = 0.05, groups: ArrayLike | None = None) -> Interval:
    """Holds a variant's metric with confidence 1 − level: over queries, and seeds where ``runs`` are two or more.

    metric, runs, groups and errors as in ``compare``. R@K, accuracy: with two right and two wrong queries more (Agresti
    and Coull, American Statistician 52, 1998). MnR: few queries, the worst, make most of it, and many samples have too
    few of them, so Student's interval lies too low; Hall's transformation takes the skewness out. MdR: bootstrap; what
    it holds is the MdR expected of so many queries, between 1 and 2, say, where about half of them have rank 1.
    """
    values = _checked(metric, runs)
    together = _checked_groups(groups, values.shape[1])
    if metric.endswith("/MdR"):
        estimate = of_medians(np.median(values, 1), resampled_medians(values, together).mean(0))
    elif _is_share(metric):
        estimate = of_means(by_group(*_with_queries(_by_query(metric, values), together, (0, 0, 100, 100))))
    else:
        estimate = of_means(by_group(_by_query(metric, values), together), skewed=True)
    lower, upper = estimate.interval(level)
    return (max(0.0, lower), min(100.0, upper)) if _is_share(metric) else (max(1.0, lower), upper)


# ---- arrays ---------------------------------------------------------------------------------------------------------


def _is_share(metric: str) -> bool:
    """Whether a metric is the percentage of queries that are right: R@K, accuracy."""
    return metric in QA or "/R@" in metric


def _by_query(metric: str, values: Values) -> Values:
    """[S,N] → [S,N] whose mean is the metric."""
    if metric.endswith("/MnR"):
        return values
    right = values if metric in QA else values <= int(metric.partition("/R@")[2])
    return np.where(right, 100.0, 0.0)


def _checked(metric: str, runs: Sequence[ArrayLike]) -> Values:
    """[S,N]."""
    if metric not in OURS:
        raise ValueError(f"{metric}: not known query by query")
    arrays = [np.asarray(run, dtype=np.float64) for run in runs]
    shapes = [list(array.shape) for array in arrays]
    if not arrays or any(len(shape) != 1 or shape[0] < 2 or shape != shapes[0] for shape in shapes):
        raise ValueError(f"{metric}: needs one array [N] a seed, of the same two queries or more, not {shapes}")
    values = np.stack(arrays)
    if metric in QA and not np.isin(values, (0, 1)).all():
        raise ValueError(f"{metric}: needs 1 for a question answered right, else 0")
    if metric not in QA and not (np.isfinite(values) & (values >= 1)).all():
        raise ValueError(f"{metric}: needs ranks, which count from 1")
    return values


def _checked_groups(groups: ArrayLike | None, queries: int) -> Groups:
    if groups is None:
        return None
    found: NDArray[np.int64] = np.unique(np.asarray(groups), return_inverse=True)[1]
    if found.shape != (queries,) or not found.any():
        raise ValueError(f"groups must be [{queries}], two or more of them, not {list(found.shape)}")
    return found


def _told(values: Values) -> str:
    seeds, queries = values.shape
    return f"{seeds} seed{'s' * (seeds > 1)} of {queries} queries"


def _with_queries(values: Values, groups: Groups, more: Sequence[float]) -> tuple[Values, Groups]:
    """[S,N], [N] → with more queries, of these values in every seed, each a group of its own."""
    added = np.broadcast_to(np.asarray(more, dtype=np.float64), (len(values), len(more)))
    extended = None if groups is None else np.append(groups, groups.max() + 1 + np.arange(len(more)))
    return np.concatenate([values, added], axis=1), extended
