"""Identical variants are not told apart, a slow-down of a tenth is, and the intervals hold what they promise.

On a simulated machine, so that no test can fail because the real one is busy.
"""

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from hbi.cost.latency import FEWEST_ROUNDS, ROUNDS, Samples, orders
from hbi.cost.machine import PowerState, hardware
from hbi.cost.statistics import COPIES, compare, fitted_exponent, summary

HARDWARE = hardware("cpu")


def samples_of(**seconds: NDArray[np.float64]) -> Samples:
    return Samples(seconds, 1, "perf_counter", 0, HARDWARE, (PowerState(), PowerState()))


# ---- quantiles ------------------------------------------------------------------------------------------------------


def test_intervals_are_order_statistics() -> None:
    """P(Bin(100, ½) ≤ 39) is 1.8 %, ≤ 40 is 2.8 %: the median of 100 lies between the 40th and the 61st."""
    found = summary(np.random.default_rng(0).permutation(np.arange(1.0, 101)))
    assert (found.p50.lower, found.p50.value, found.p50.upper) == (40, 50.5, 61)
    assert found.p95.upper == 100
    assert math.isinf(found.p99.upper)
    few = summary(np.arange(1.0, 12))
    assert math.isinf(few.p95.upper)
    assert few.p50.upper == 10
    assert [math.isinf(summary(np.arange(1.0, n + 1)).p99.upper) for n in (367, 368)] == [True, False]
    assert (summary([2.0]).p50.lower, summary([2.0]).p50.upper) == (0, math.inf)


def test_intervals_hold_the_quantiles_of_a_heavy_tailed_time() -> None:
    generator = np.random.default_rng(0)
    trials = [summary(1 + generator.pareto(1.5, 400)) for _ in range(1000)]
    for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        true = (1 - q) ** (-1 / 1.5)
        held = np.mean([getattr(t, name).lower <= true <= getattr(t, name).upper for t in trials])
        assert held >= 0.94, name


def test_throughput_is_all_items_by_all_the_time() -> None:
    assert summary([1.0, 1.0, 2.0], items=32).throughput == 24
    with pytest.raises(ValueError, match=r"seconds must be \[rounds\], not \[0\]"):
        summary([])


# ---- comparisons ----------------------------------------------------------------------------------------------------


def autocorrelated(generator: np.random.Generator, n: int, phi: float) -> NDArray[np.float64]:
    """AR(1) of variance 1."""
    noise = generator.standard_normal(n)
    noise[1:] *= math.sqrt(1 - phi**2)
    for t in range(1, n):
        noise[t] += phi * noise[t - 1]
    return noise


def machine(generator: np.random.Generator, moments: int, noise: float) -> NDArray[np.float64]:
    """How many times slower than at its best a machine is, at one moment after the other.

    It heats up by a third, swings with another load (autocorrelation 0.9 from a moment to the next), and every
    twentieth moment something gets in between, for a time without a mean (Pareto 0.9).
    """
    t = np.linspace(0, 1, moments)
    heat = 0.3 * (1 - np.exp(-3 * t)) + 0.05 * np.sin(9 * t)
    scatter = autocorrelated(generator, moments, 0.9) + generator.standard_t(2, moments) / 2
    interrupted = generator.pareto(0.9, moments) * (generator.random(moments) < 0.05)
    return np.exp(heat + noise * scatter) + interrupted


def simulated(trial: int, slower: float = 1.0, noise: float = 0.05, variants: int = 2) -> Samples:
    """A measurement of "a", "b", … on that machine, in the order in which ``measure`` takes them; "b" is ``slower``."""
    generator = np.random.default_rng(trial)
    order = orders(ROUNDS, variants, seed=trial)
    at = machine(generator, order.size, noise).reshape(order.shape)
    times = np.take_along_axis(at, np.argsort(order), axis=1)  # of each moment → of each variant
    times[:, 1] *= slower
    return samples_of(**dict(zip("abcdef"[:variants], times.T, strict=True)))


def share_different(make: Callable[[int], Samples], trials: int) -> float:
    return float(np.mean([compare(make(trial), "a", "b").different for trial in range(trials)]))


def test_identical_variants_are_not_different() -> None:
    """The test is exact at 1 %, whatever the machine does; what is asked is 5 %."""
    assert share_different(simulated, 2000) < 0.02
    assert share_different(lambda trial: simulated(trial, variants=4), 1000) < 0.02


def test_nor_are_they_where_noise_sticks_to_a_variant_for_rounds() -> None:
    """Then the coin's argument fails; that blocks count, not rounds, still holds the rate."""

    def sticky(trial: int) -> Samples:
        generator = np.random.default_rng(trial)
        noise = [autocorrelated(generator, ROUNDS, 0.7) + generator.standard_t(2, ROUNDS) / 2 for _ in "ab"]
        return samples_of(a=np.exp(0.05 * noise[0]), b=np.exp(0.05 * noise[1]))

    assert share_different(sticky, 2000) < 0.05


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.1])
def test_a_slow_down_of_a_tenth_is_found(noise: float) -> None:
    assert share_different(lambda trial: simulated(trial, 1.1, noise), 1000) > 0.9


def test_the_interval_holds_the_ratio() -> None:
    found = [compare(simulated(trial, 1.1), "a", "b") for trial in range(1000)]
    assert np.mean([one.interval[0] <= 1.1 <= one.interval[1] for one in found]) > 0.98
    assert np.median([one.ratio for one in found]) == pytest.approx(1.1, rel=0.01)


def test_agrees_with_wilcoxon_and_with_itself() -> None:
    """The p-value is scipy's exact one, on the blocks; the interval excludes 1 exactly where p is at most 1 %."""
    for trial in range(200):
        samples = simulated(trial, slower=1 + trial / 2000)
        found, back = compare(samples, "a", "b"), compare(samples, "b", "a")
        blocks = np.array_split(np.log(samples.seconds["b"] / samples.seconds["a"]), 12)
        expected = wilcoxon([np.median(block) for block in blocks], method="exact").pvalue
        assert found.p_value == pytest.approx(expected, rel=1e-9)
        assert found.different == (found.p_value <= 0.01) == back.different
        assert found.interval[0] <= found.ratio <= found.interval[1]
        assert back.ratio == pytest.approx(1 / found.ratio)
        assert back.interval == pytest.approx((1 / found.interval[1], 1 / found.interval[0]))


@pytest.mark.parametrize(("slower", "expected"), [(1.02, False), (1.1, True), (1 / 1.02, False), (1 / 1.1, True)])
def test_up_to_a_margin_they_are_not_different(slower: float, expected: bool) -> None:
    """What is found is the same; only what it is called changes."""
    samples = simulated(0, slower, noise=0.005)
    plain, found = compare(samples, "a", "b"), compare(samples, "a", "b", COPIES)
    assert plain.different
    assert found.different == expected
    assert (found.ratio, found.interval, found.p_value) == (plain.ratio, plain.interval, plain.p_value)


def test_an_interval_that_reaches_into_the_margin_is_not_beyond_it() -> None:
    samples = samples_of(a=np.ones(12), b=np.array([1.01, *[1.2] * 11]))
    found = compare(samples, "a", "b", margin=0.15)
    assert found.interval[0] < 1.15 < found.ratio
    assert not found.different


def test_too_few_rounds_find_nothing() -> None:
    for rounds in range(1, FEWEST_ROUNDS):
        found = compare(samples_of(a=np.full(rounds, 1.0), b=np.full(rounds, 3.0)), "a", "b")
        assert not found.different
        assert found.interval == (0, math.inf)
        assert found.ratio == pytest.approx(3)
    assert compare(samples_of(a=np.full(FEWEST_ROUNDS, 1.0), b=np.full(FEWEST_ROUNDS, 3.0)), "a", "b").different
    same = compare(samples_of(a=np.ones(100), b=np.ones(100)), "a", "b")
    assert (same.different, same.ratio, same.p_value) == (False, 1, 1)


# ---- how a cost grows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [0, 1, 2, 3])
def test_the_exponent_of_an_exact_power(exponent: int) -> None:
    sizes = np.array([100, 200, 400, 800])
    found, (lower, upper) = fitted_exponent(sizes, 7e-9 * sizes.astype(float) ** exponent)
    assert found == pytest.approx(exponent, abs=1e-9)
    assert (lower, upper) == pytest.approx((exponent, exponent), abs=1e-6)


def test_its_interval_holds_it_as_often_as_it_says() -> None:
    sizes = np.array([64, 128, 256, 512, 1024])
    held = []
    for trial in range(1000):
        scatter = np.exp(0.1 * np.random.default_rng(trial).standard_normal(len(sizes)))
        _, (lower, upper) = fitted_exponent(sizes, 1e-6 * sizes**1.5 * scatter)
        held.append(lower <= 1.5 <= upper)
    assert 0.93 < np.mean(held) < 0.97


def test_an_exponent_needs_two_sizes_and_an_interval_three() -> None:
    assert fitted_exponent([1, 2], [1, 4]) == (pytest.approx(2), (-math.inf, math.inf))
    for sizes, costs in (([2, 2], [1, 4]), ([0, 1], [1, 2]), ([1, 2], [1, math.nan]), ([1, 2, 3], [1, 2]), ([], [])):
        with pytest.raises(ValueError, match="an exponent needs positive sizes"):
            fitted_exponent(sizes, costs)


def test_tables_need_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import hbi.cost.statistics, hbi.cost.machine, hbi.cost.report"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
