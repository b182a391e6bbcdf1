"""Latency: the times of calls, measured side by side.

Variants are measured together, in rounds: every round times each variant once, in an order drawn anew. Drift (heat,
other load) then hits all alike, and a round's log-ratio of two variants is free of what the round had in common.

The random order makes the comparison (hbi.cost.statistics) exact. If two variants cost the same, a round's two times
belong to two moments, and which variant got which moment is the toss of a fair coin. So the sign of each log-ratio is a
fair coin too, independent of all other rounds, however the machine drifted, swung or stuttered: Fisher's randomisation
test.
"""

import gc
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from time import get_clock_info, perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from hbi.cost.machine import Hardware, PowerState, hardware, power_state
from hbi.seeds import spread

ROUNDS = 100
"""Enough to find a difference of 10 % where single times scatter by 10 %, and to bound the 95th percentile; a bound of
the 99th needs 368."""

FEWEST_ROUNDS = 8
"""In fewer no difference is ever found, however large."""

CLOCK_STEPS = 1000
"""A sample is at least this many steps of the clock, so that reading the clock is 0.1 % of it."""

EVENT_STEP = 0.5e-6
"""Seconds: the resolution of CUDA events (cudaEventElapsedTime in the manual of the CUDA runtime)."""

Call = Callable[[], object]


@dataclass(frozen=True, eq=False)
class Samples:
    """What ``measure`` saw.

    seconds  variant → [rounds], the time of one call: in each round the mean over ``calls`` in a row
    calls    1, or more where one call is too short for the clock; the same for all variants
    clock    "perf_counter" or "CUDA events"
    seed     of ``orders``
    power    before the first round (after warm-up) and after the last
    """

    seconds: dict[str, NDArray[np.float64]]
    calls: int
    clock: str
    seed: int
    hardware: Hardware
    power: tuple[PowerState, PowerState]


def measure(
    variants: Mapping[str, Call],
    rounds: int = ROUNDS,
    seed: int = 0,
    device: torch.device | str = "cpu",
    warm_up: int = 3,
    seconds: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """Times every variant once a round, in an order drawn from ``seed``; ``warm_up`` rounds before that do not count.

    seconds   how long the rounds may take together: as many are made, of ``rounds`` at most, as fit by the last round
              of warm-up, but not fewer than FEWEST_ROUNDS; and the warm-up ends where it has taken a tenth of it
    progress  is told after every round how many are done and of how many; what it raises ends the measurement

    On CUDA a sample lasts from the call until the device has finished, by events on its stream.
    """
    device = torch.device(device)
    if not variants or rounds < 1:
        raise ValueError(f"nothing to measure: {len(variants)} variants, {rounds} rounds")
    sample, step = _clock(device)
    tell = progress or (lambda done, total: None)
    calls_of = list(variants.values())
    with _on(device), _no_garbage_collection():
        tell(0, rounds)
        for call in calls_of:
            call()  # the first allocates, loads and compiles
            tell(0, rounds)
        # One number for all: the first call of several finds cold caches, and should weigh the same in each variant.
        calls = _calls_a_sample(calls_of, sample, step)

        def round_of(order: NDArray[np.int64]) -> NDArray[np.float64]:
            times = np.empty(len(calls_of))
            for column in order:
                times[column] = sample(calls_of[column], calls) / calls
            return times

        started = perf_counter()
        for order in orders(warm_up, len(calls_of), seed):
            took = calls * round_of(order).sum()
            tell(0, rounds)
            if seconds and perf_counter() - started > seconds / 10:
                break
        if seconds and warm_up:
            rounds = min(rounds, max(FEWEST_ROUNDS, int(seconds / took)))
        before = power_state(device)
        times = np.empty((rounds, len(calls_of)))
        for row, order in enumerate(orders(rounds, len(calls_of), seed)):
            times[row] = round_of(order)
            tell(row + 1, rounds)
        after = power_state(device)
    clock = "CUDA events" if device.type == "cuda" else "perf_counter"
    return Samples(dict(zip(variants, times.T, strict=True)), calls, clock, seed, hardware(device), (before, after))


def _calls_a_sample(calls_of: list[Call], sample: Callable[[Call, int], float], step: float) -> int:
    """1, or as many as make the shortest call's sample CLOCK_STEPS steps of the clock long."""
    shortest = min(sample(call, 1) for call in calls_of)
    if shortest >= CLOCK_STEPS * step:
        return 1
    shortest = min(shortest, *(sample(call, 1) for call in calls_of for _ in range(2)))
    return max(1, math.ceil(CLOCK_STEPS * step / max(shortest, step)))


def orders(rounds: int, variants: int, seed: int) -> NDArray[np.int64]:
    """[rounds, variants]: the variants of each round, first to last."""
    generator = np.random.default_rng(spread(seed, "order of variants"))
    return generator.permuted(np.tile(np.arange(variants), (rounds, 1)), axis=1)


def _clock(device: torch.device) -> tuple[Callable[[Call, int], float], float]:
    """What gives the seconds of so many calls, and the smallest step of the clock it reads."""
    if device.type == "cuda":
        return _device_seconds, EVENT_STEP
    if device.type != "cpu":
        raise ValueError(f"latency is measured on cpu and cuda, not on {device.type}")
    readings = [perf_counter() for _ in range(101)]
    return _seconds, max(get_clock_info("perf_counter").resolution, float(np.median(np.diff(readings))))


def _seconds(call: Call, calls: int) -> float:
    started = perf_counter()
    for _ in range(calls):
        call()
    return perf_counter() - started


def _device_seconds(call: Call, calls: int) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()  # an idle device takes ``start`` at once, so that the launch is part of the sample
    start.record()
    for _ in range(calls):
        call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000  # from milliseconds


def _on(device: torch.device) -> AbstractContextManager[object]:
    """Makes it the current GPU, on whose stream the events are recorded."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A collection would fall on whichever variant happens to fill the quota (timeit does the same)."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
