"""Equals are called different no more often than stated, whatever seeds and queries do; intervals hold what they say.

By simulation, with fixed seeds; a share is taken for too high where it would be in one of a thousand such tests.
"""

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc, ndtr

from results.estimates import Variation, of_means, resampled_medians, variation
from results.resolution import TYPICAL, resolvable
from results.significance import compare, holm, interval, mcnemar

Runs = list[NDArray[np.float64]]

SCALE = 2.28
MIDDLE = 0.08
"""Of the logarithm of a rank, which gives R@1, R@5 and R@10 of 49, 75 and 84 %, as on MSR-VTT."""


def variants(
    generator: np.random.Generator,
    effects: Sequence[float],
    seeds: int,
    queries: int = 200,
    seed: float = 0.0,
    query: float = 0.1,
    both: float = 0.1,
) -> list[Runs]:
    """Ranks of as many variants as effects on the same queries; an effect is on the logarithm of the ranks.

    seed: how far a training moves all queries; query, both: the parts of a query's variance that are the variant's and
    the single training's. Defaults: of a fifth of the queries only one of two equal variants gets it right.
    """
    shared = math.sqrt(1 - query - both) * generator.standard_normal(queries)

    def runs(effect: float) -> Runs:
        own = math.sqrt(query) * generator.standard_normal(queries)
        single = math.sqrt(both) * generator.standard_normal((seeds, queries))
        moved = seed * generator.standard_normal((seeds, 1))
        logarithm = MIDDLE + effect + moved + SCALE * (shared + own + single)
        return list(np.minimum(1 + np.floor(np.exp(logarithm)), queries))

    return [runs(effect) for effect in effects]


def simulated(
    generator: np.random.Generator, seeds: int, queries: int = 200, effect: float = 0.0, **parts: float
) -> tuple[Runs, Runs]:
    """Two of them, the second with the effect."""
    a, b = variants(generator, (0.0, effect), seeds, queries, **parts)
    return a, b


def expected(metric: str, middle: float, queries: int, seed: float = 0.0) -> float:
    """R@K or MnR of such a variant, over all trainings and queries."""
    up_to = ndtr((np.log(np.arange(1, queries)) - middle) / math.hypot(SCALE, seed))
    return float(1 + (1 - up_to).sum() if metric.endswith("MnR") else 100 * up_to[int(metric.split("@")[1]) - 1])


def too_often(found: Sequence[bool], level: float = 0.05) -> bool:
    """Whether so many would be found in at most one of a thousand tests, were ``level`` right."""
    return bool(found) and float(bdtrc(sum(found) - 1, len(found), level)) < 0.001


# ---- equals ---------------------------------------------------------------------------------------------------------

NULLS = {
    "queries and single trainings": {},
    "seeds too": {"seed": 0.1},
    "seeds above all": {"seed": 0.5},
    "queries alone": {"query": 0.2, "both": 0.0},
    "single trainings alone": {"query": 0.0, "both": 0.2},
    "almost the same model": {"query": 0.004, "both": 0.004},
}


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("null", NULLS)
def test_equal_methods_are_not_different(null: str, seeds: int) -> None:
    generator = np.random.default_rng(0)
    found = [compare("t2v/R@1", *simulated(generator, seeds, **NULLS[null])).p_value <= 0.05 for _ in range(600)]
    assert not too_often(found)


@pytest.mark.parametrize("metric", ["t2v/R@1", "t2v/MnR"])
def test_nor_are_equal_models(metric: str) -> None:
    generator = np.random.default_rng(0)
    found = [compare(metric, *simulated(generator, 1)).p_value <= 0.05 for _ in range(1000)]
    assert not too_often(found)
    assert any(found)


@pytest.mark.parametrize("seeds", [1, 3])
def test_no_row_of_a_table_of_equals_is_marked(seeds: int) -> None:
    """Of six variants that equal their baseline, in one table of twenty at most is any different."""
    generator = np.random.default_rng(0)
    suites = [variants(generator, [0.0] * 7, seeds, seed=0.0 if seeds == 1 else 0.1) for _ in range(200)]
    raw = [[compare("t2v/R@1", baseline, row).p_value for row in rows] for baseline, *rows in suites]
    assert not too_often([min(p for p in holm(p_values) if p is not None) <= 0.05 for p_values in raw])
    assert np.mean([min(p_values) <= 0.05 for p_values in raw]) > 0.08


@pytest.mark.parametrize(("seeds", "seed"), [(1, 0.0), (3, 0.1), (3, 0.5)])
def test_nor_are_equal_medians(seeds: int, seed: float) -> None:
    generator = np.random.default_rng(0)
    for effect in (0.0, 2.2):  # a median rank of 2 and of 10
        trials = [variants(generator, [effect] * 2, seeds, seed=seed) for _ in range(100)]
        assert not too_often([compare("t2v/MdR", *trial).p_value <= 0.05 for trial in trials])


def test_queries_alone_would_take_the_models_for_the_methods() -> None:
    """Why the seeds count: models that a seed has moved are different, the methods are not."""
    generator = np.random.default_rng(0)
    trials = [simulated(generator, 3, queries=1000, seed=0.1) for _ in range(200)]
    pooled = [mcnemar(*(np.concatenate(runs) <= 1 for runs in trial)) <= 0.05 for trial in trials]
    assert np.mean(pooled) > 0.2
    assert not too_often([compare("t2v/R@1", *trial).p_value <= 0.05 for trial in trials])


def test_queries_of_one_video_are_not_many() -> None:
    """60 videos with 10 captions each, which are right together."""
    generator = np.random.default_rng(0)
    video = np.repeat(np.arange(60), 10)
    for seeds in (1, 3):
        together, alone = [], []
        for _ in range(400):
            of_videos = simulated(generator, seeds, queries=60, query=0.2, both=0.0)
            a, b = ([run[video] + (generator.random(600) < 0.1) for run in runs] for runs in of_videos)
            together.append(compare("t2v/R@1", a, b, groups=video).p_value <= 0.05)
            alone.append(compare("t2v/R@1", a, b).p_value <= 0.05)
        assert not too_often(together)
        assert np.mean(alone) > 0.3


# ---- differences ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("metric", "seeds"), [("t2v/R@1", 1), ("t2v/R@1", 3), ("t2v/MnR", 1), ("t2v/MnR", 3)])
def test_the_interval_holds_the_difference(metric: str, seeds: int) -> None:
    generator = np.random.default_rng(0)
    seed = 0.05 if seeds > 1 else 0.0
    true = expected(metric, MIDDLE - 0.3, 500, seed) - expected(metric, MIDDLE, 500, seed)
    found = [compare(metric, *simulated(generator, seeds, 500, -0.3, seed=seed)) for _ in range(300)]
    assert not too_often([not one.interval[0] <= true <= one.interval[1] for one in found])
    assert np.mean([one.difference for one in found]) == pytest.approx(true, rel=0.1)


def test_it_is_not_wider_than_it_must() -> None:
    """By the half-width of who knows all variances, for five seeds."""
    generator = np.random.default_rng(0)
    for null in NULLS.values():
        found = [compare("t2v/R@1", *simulated(generator, 5, **null)) for _ in range(100)]
        known = 1.96 * np.std([one.difference for one in found])
        assert np.median([np.diff(one.interval) / 2 for one in found]) < 1.7 * known


def test_a_planted_difference_is_found() -> None:
    generator = np.random.default_rng(0)
    for metric, sign in (("v2t/R@1", -1), ("v2t/R@10", -1), ("v2t/MnR", 1), ("v2t/MdR", 1)):
        for seeds in (1, 3):
            a, b = simulated(generator, seeds, queries=1000, effect=1.0)
            found = compare(metric, a, b)
            assert found.p_value < 0.05, metric
            assert sign * found.difference > 0
            assert (found.seeds, found.queries) == (seeds, 1000)
            assert found.over == ("queries" if seeds == 1 else "queries and seeds")


def test_a_variant_s_interval_holds_its_metric() -> None:
    generator = np.random.default_rng(0)
    for seeds, seed in ((1, 0.0), (3, 0.1)):
        trials = [simulated(generator, seeds, queries=500, seed=seed)[0] for _ in range(300)]
        for metric in ("t2v/R@1", "t2v/R@10", "t2v/MnR"):
            true = expected(metric, MIDDLE, 500, seed)
            missed = [not lower <= true <= upper for lower, upper in (interval(metric, runs) for runs in trials)]
            assert not too_often(missed), metric


def test_a_variant_s_interval_of_nothing_right_or_wrong() -> None:
    """Agresti and Coull: of n with none right, 2 ± 1.96 √(2 (n + 2) / (n + 4)) of n + 4."""
    lower, upper = interval("accuracy", [np.zeros(100)])
    assert (lower, upper) == (0, pytest.approx(100 * (2 + 1.96 * math.sqrt(2 * 102 / 104)) / 104, rel=0.02))
    assert interval("accuracy", [np.ones(100)]) == (pytest.approx(100 - upper), 100)
    assert interval("t2v/MnR", [np.ones(100)]) == (1, 1)
    assert interval("t2v/MdR", [np.ones(100), np.ones(100)]) == (1, 1)


def test_of_skewed_ranks_student_s_interval_lies_too_low() -> None:
    """Hall: T + cT² + c²T³/3 + c/2, c = skewness / 3√N, has the distribution of t, T the studentised mean."""
    generator = np.random.default_rng(0)
    true = expected("t2v/MnR", MIDDLE, 1000)
    missed, missed_by_student = [], []
    for _ in range(1000):
        ranks = simulated(generator, 1, queries=1000)[0][0]
        lower, upper = interval("t2v/MnR", [ranks])
        error = ranks.std(ddof=1) / math.sqrt(1000)
        c = np.mean((ranks - ranks.mean()) ** 3) / ranks.std() ** 3 / (3 * math.sqrt(1000))
        for end, t in ((lower, 1.9623), (upper, -1.9623)):
            studentised = (ranks.mean() - end) / error
            transformed = studentised + c * studentised**2 + c**2 * studentised**3 / 3 + c / 2
            assert transformed == pytest.approx(t, abs=1e-3)
        missed.append(not lower <= true <= upper)
        missed_by_student.append(abs(ranks.mean() - true) > 1.9623 * error)
    assert not too_often(missed)
    assert too_often(missed_by_student)


def test_one_seed_s_interval_is_the_published_one() -> None:
    """With counts 26 and 4 of 48: 0.2548 … 0.6252 (function ci.prop.ps of R's statpsych), there with the normal."""
    a, b = np.zeros(48), np.zeros(48)
    a[:4] = b[4:30] = 1
    found = compare("accuracy", [a], [b])
    lower, upper = found.interval
    assert (lower + upper) / 2 == pytest.approx(44)
    assert (upper - lower) / 2 == pytest.approx(18.519 * 2.0096 / 1.96 * math.sqrt(50 / 49), rel=1e-3)
    assert found.difference == pytest.approx(100 * 22 / 48)
    assert found.discordant == ((4, 26),)
    assert found.variation is None


def test_interval_and_p_value_agree() -> None:
    for only_a in range(20):
        for only_b in range(20):
            a, b = np.zeros(45), np.zeros(45)
            a[:only_a] = b[only_a : only_a + only_b] = 1
            found = compare("accuracy", [a], [b])
            assert found.p_value == mcnemar(a, b)
            assert (found.p_value <= 0.05) == (not found.interval[0] <= 0 <= found.interval[1])
    generator = np.random.default_rng(0)
    for metric in ("t2v/R@5", "t2v/MnR", "t2v/MdR"):
        for effect in (0.0, -0.2, -0.4, -0.8):
            trial = simulated(generator, 2 if metric == "t2v/R@5" else 1, effect=effect)
            p_value = compare(metric, *trial).p_value
            for level, excluded in ((p_value * 0.999, False), (min(1.0, p_value * 1.001), p_value < 1)):
                lower, upper = compare(metric, *trial, level=level).interval
                assert (not lower <= 0 <= upper) == excluded


def test_models_that_are_the_same() -> None:
    ranks = simulated(np.random.default_rng(0), 3)[0]
    for seeds in (1, 3):
        for metric in ("t2v/R@1", "t2v/MnR", "t2v/MdR"):
            found = compare(metric, ranks[:seeds], ranks[:seeds])
            assert (found.difference, found.p_value) == (0, 1)
        low, high = compare("t2v/R@1", ranks[:seeds], ranks[:seeds]).interval
        assert low == pytest.approx(-high)
        assert 0 < high < 2  # that no query was different does not say that none is


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("metric", ["t2v/R@1", "t2v/MnR", "t2v/MdR"])
def test_what_changes_nothing(metric: str, seeds: int) -> None:
    """The other way round it is the mirror image; neither the order of queries nor that of seeds matters."""
    generator = np.random.default_rng(0)
    a, b = simulated(generator, seeds, effect=-0.4)
    found, back = compare(metric, a, b), compare(metric, b, a)
    assert back.difference == pytest.approx(-found.difference)
    assert back.interval == pytest.approx((-found.interval[1], -found.interval[0]))
    assert back.p_value == pytest.approx(found.p_value)
    assert compare(metric, a, b) == found
    seed_order, order = generator.permutation(seeds), generator.permutation(200)
    reordered = compare(metric, *([runs[s][order] for s in seed_order] for runs in (a, b)))
    assert reordered.difference == pytest.approx(found.difference)
    noise = 0.5 if metric.endswith("MdR") else 1e-9  # the order decides which of the queries are drawn
    assert reordered.interval == pytest.approx(found.interval, abs=noise)


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_query_given_often_is_one(seeds: int) -> None:
    a, b = simulated(np.random.default_rng(0), seeds, effect=-0.4)
    often = [[np.tile(run, 4) for run in runs] for runs in (a, b)]
    for metric in ("t2v/MnR", "t2v/MdR"):
        found, tiled = compare(metric, a, b), compare(metric, *often, groups=np.tile(np.arange(200), 4))
        assert tiled.interval == pytest.approx(found.interval)
        assert tiled.p_value == pytest.approx(found.p_value)
        assert interval(metric, often[0], groups=np.tile(np.arange(200), 4)) == pytest.approx(interval(metric, a))


# ---- parts ----------------------------------------------------------------------------------------------------------


def test_mcnemar_by_hand() -> None:
    """1 and 8: 2 · (1 + 9) / 2⁹."""
    a, b = np.zeros(20), np.zeros(20)
    a[0] = b[1:9] = a[10:] = b[10:] = 1
    assert mcnemar(a, b) == mcnemar(b, a) == 2 * 10 / 2**9
    assert mcnemar(a, a) == 1
    assert mcnemar([1, 0], [0, 1]) == 1
    with pytest.raises(ValueError, match=r"not comparable: \[2\] and \[3\]"):
        mcnemar([1, 0], [0, 1, 1])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, None, 0.02]) == [0.02, None, 0.02]
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_lowers_nothing(p_values: list[float | None]) -> None:
    adjusted = holm(p_values)
    assert [p is None for p in adjusted] == [p is None for p in p_values]
    pairs = sorted((p, q) for p, q in zip(p_values, adjusted, strict=True) if p is not None and q is not None)
    assert all(p <= q <= 1 for p, q in pairs)
    assert all(q <= r for (_, q), (_, r) in pairwise(pairs))
    if pairs:
        assert pairs[0][1] == min(1, len(pairs) * pairs[0][0])


@pytest.mark.parametrize("count", [200, 201])
def test_resampled_medians_are_those_of_samples(count: int) -> None:
    """The lower of the middle ranks is at most x where at least half of the drawn ones are: binomial."""
    ranks, _ = simulated(np.random.default_rng(0), 1, queries=count)
    medians = resampled_medians(ranks[0][None], None)[0]
    assert (0.5 in medians % 1) == (count % 2 == 0)
    for x in (1, 2, 3):
        at_most = (ranks[0] <= x).mean()
        whole = 1 - bdtr(count // 2, count, at_most)  # more than half: both middle ones, so their mean
        half = 1 - bdtr((count + 1) // 2 - 1, count, at_most)
        assert whole - 0.04 < (medians <= x).mean() < half + 0.04
    skewed = resampled_medians(np.arange(1.0, count + 1)[None], None)[0]
    assert skewed.mean() == pytest.approx((count + 1) / 2, rel=0.01)
    assert skewed.std() == pytest.approx(0.5 * math.sqrt(count), rel=0.1)


def normal(generator: np.random.Generator, seeds: int, queries: int, by: Variation) -> NDArray[np.float64]:
    """[S,N] about 0."""
    seed, query = generator.standard_normal((seeds, 1)), generator.standard_normal(queries)
    return by.seeds * seed + by.queries * query + by.both * generator.standard_normal((seeds, queries))


def test_variation_is_told_apart() -> None:
    generator = np.random.default_rng(0)
    found = variation(normal(generator, 400, 400, Variation(1.0, 2.0, 3.0)))
    assert found is not None
    assert (found.seeds, found.queries, found.both) == pytest.approx((1, 2, 3), rel=0.1)
    a, b = simulated(generator, 100, queries=2000, seed=0.02)  # a third of a point of R@1, of each of the two
    told = compare("t2v/R@1", a, b).variation
    assert told is not None
    assert told.seeds == pytest.approx(TYPICAL.seeds, abs=0.3)
    assert (told.queries, told.both) == pytest.approx((TYPICAL.queries, TYPICAL.both), rel=0.3)
    assert math.hypot(told.queries, told.both) == pytest.approx(math.sqrt(2000), rel=0.05)
    assert compare("t2v/MdR", a[:2], b[:2]).variation is None


# ---- before launch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [Variation(0.5, 10.0, 10.0), Variation(4.0, 10.0, 10.0)])
@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_what_is_called_resolvable_is_found_four_times_of_five(seeds: int, by: Variation) -> None:
    generator = np.random.default_rng(0)
    difference = resolvable(100, seeds, [by])
    if seeds == 1:  # of two models: what their training has moved is part of the difference
        by = Variation(0.0, by.queries, by.both)
    intervals = [of_means(difference + normal(generator, seeds, 100, by)).interval(0.05) for _ in range(1000)]
    assert np.mean([not low <= 0 <= high for low, high in intervals]) == pytest.approx(0.8, abs=0.04)


def test_what_resolves_more() -> None:
    """2.8 standard errors; more seeds, queries, and tests at a laxer level."""
    assert resolvable(1000, 1) == pytest.approx(2.8 * math.sqrt(2000 / 1000), rel=0.01)
    by_seeds = [resolvable(1000, seeds) for seeds in (2, 3, 5, 10, 100)]
    assert by_seeds == sorted(by_seeds, reverse=True)
    assert by_seeds[0] > 10  # points of R@1: two seeds hardly tell the methods apart
    assert resolvable(4000, 3) < resolvable(1000, 3) < resolvable(1000, 3, level=0.01)
    assert resolvable(1000, 3, [TYPICAL, TYPICAL]) == resolvable(1000, 3)
    assert resolvable(1000, 3, [TYPICAL, Variation(0.0, 0.0, 0.0)]) == pytest.approx(resolvable(1000, 3) / math.sqrt(2))
    assert resolvable(1000, 3, [Variation(0.0, 0.0, 0.0)]) == 0
    with pytest.raises(ValueError, match="a comparison needs two queries and a seed, not 1 and 3"):
        resolvable(1, 3)


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: compare("t2v/R@1", [r], [r[1:]]), "not comparable: 1 seed of 6 queries and 1 seed of 5 queries"),
        (lambda r: compare("t2v/R@1", [r, r], [r]), "not comparable: 2 seeds of 6 queries and 1 seed of 6 queries"),
        (lambda r: compare("t2v/R@1", [r, r[1:]], [r, r]), r"needs one array \[N\] a seed, .* not \[\[6\], \[5\]\]"),
        (lambda r: compare("t2v/R@1", [], []), r"needs one array \[N\] a seed"),
        (lambda r: interval("t2v/R@1", [r[:1]]), r"two queries or more, not \[\[1\]\]"),
        (lambda r: compare("theirs/score", [r], [r]), "theirs/score: not known query by query"),
        (lambda r: compare("t2v/MnR", [r - 1], [r]), "t2v/MnR: needs ranks, which count from 1"),
        (lambda r: interval("t2v/MnR", [r * math.nan]), "t2v/MnR: needs ranks"),
        (lambda r: compare("accuracy", [r], [r]), "accuracy: needs 1 for a question answered right, else 0"),
        (lambda r: interval("t2v/MnR", [r], groups=[1, 2]), r"groups must be \[6\], two or more of them, not \[2\]"),
        (lambda r: interval("t2v/MnR", [r], groups=[1] * 6), "two or more of them"),
    ],
)
def test_what_cannot_be_compared(call: Callable[[NDArray[np.float64]], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.array([1.0, 1.5, 2, 3, 4, 5]))


def test_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import results.resolution, results.significance"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
