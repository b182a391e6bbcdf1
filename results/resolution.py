"""Before launch: what difference the queries and seeds of a suite can resolve."""

import math
from collections.abc import Sequence

import numpy as np

from results.estimates import Variation, t_quantile

TYPICAL = Variation(seeds=0.5, queries=math.sqrt(1000), both=math.sqrt(1000))
"""Of R@K and accuracy, in points; assumed, where no earlier records tell: of a fifth of the queries only one variant
gets it right (a variance of 0.2 · 100²), as around an R@1 of 45 %, and half of that is another query after another
training; a seed also moves the two apart by half a point, all queries alike."""


def resolvable(
    queries: int, seeds: int, typical: Sequence[Variation] = (), level: float = 0.05, power: float = 0.8
) -> float:
    """The difference that ``results.significance.compare`` finds with this power, in the unit of ``typical``.

    typical: ``Comparison.variation`` of earlier records, by the same metric (their mean; none: TYPICAL, for R@K and
    accuracy). queries: of the test set, or its groups where ``compare`` is given groups. For one of m rows under Holm's
    correction at worst, level is level / m. One seed resolves more than two: it says less, only of two trained models.
    """
    from scipy.special import gammaincinv, ndtr  # as in results.estimates

    if queries < 2 or seeds < 1:
        raise ValueError(f"a comparison needs two queries and a seed, not {queries} and {seeds}")
    of_seeds, of_queries, of_both = np.mean([[v.seeds**2, v.queries**2, v.both**2] for v in typical or [TYPICAL]], 0)
    if seeds == 1:
        by_seeds, by_queries, margin_by_seeds = 0.0, (of_queries + of_both) / queries, np.zeros(1)
    else:
        by_seeds, by_queries = (of_seeds + of_both / queries) / seeds, of_queries / queries
        chances = (np.arange(1000) + 0.5) / 1000
        estimated = by_seeds * gammaincinv((seeds - 1) / 2, chances) / ((seeds - 1) / 2)  # χ² over its degrees
        margin_by_seeds = t_quantile(seeds - 1, level) * np.sqrt(estimated)
    margin = np.hypot(margin_by_seeds, t_quantile(queries - 1, level) * math.sqrt(by_queries))
    error = math.sqrt(by_seeds + by_queries)
    if not error:
        return 0.0
    low, high = 0.0, float(margin.max()) + 10 * error
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if ndtr((middle - margin) / error).mean() >= power else (middle, high)
    return high
