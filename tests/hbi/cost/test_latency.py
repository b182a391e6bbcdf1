"""Every variant is timed in every round, for as long as is asked; on a GPU by its own clock.

Most of it by a clock that moves only as it is told, so that no test can fail because the machine is busy.
"""

import gc
import importlib
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hbi.cost import latency, machine
from hbi.cost.latency import FEWEST_ROUNDS, measure, orders
from hbi.cost.machine import energy, hardware, power_state
from hbi.cost.statistics import compare

# ---- measuring, by a clock that moves only as it is told ------------------------------------------------------------


class Clock:
    """Each reading takes a step; ``call(seconds)`` is a function that lasts so long, and notes that it ran."""

    def __init__(self, step: float) -> None:
        self.now, self.step, self.ran = 0.0, step, list[str]()

    def __call__(self) -> float:
        self.now += self.step
        return self.now

    def call(self, name: str, seconds: float | Callable[[int], float]) -> Callable[[], None]:
        def run() -> None:
            self.ran.append(name)
            self.now += seconds(self.ran.count(name)) if callable(seconds) else seconds

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stand_in = Clock(step=1e-6)
    for module in (latency, machine):
        monkeypatch.setattr(module, "perf_counter", stand_in)
    return stand_in


def test_every_round_times_every_variant_once_in_the_drawn_order(clock: Clock) -> None:
    names = ["a", "b", "c"]
    samples = measure({name: clock.call(name, 0.5) for name in names}, rounds=20, seed=3, warm_up=2)
    assert samples.calls == 1
    assert [len(times) for times in samples.seconds.values()] == [20, 20, 20]
    drawn = orders(20, 3, seed=3)
    assert clock.ran[-60:] == [names[column] for column in drawn.ravel()]
    assert {tuple(row) for row in orders(200, 3, seed=0)} == {
        tuple(row) for row in np.ndindex(3, 3, 3) if len(set(row)) == 3
    }
    assert not np.array_equal(drawn, orders(20, 3, seed=4))
    np.testing.assert_allclose(list(samples.seconds.values()), 0.5, rtol=1e-4)


def test_warm_up_does_not_count(clock: Clock) -> None:
    """The first call, one that finds how many make a sample, and three rounds of warm-up: five slow ones."""
    slow_at_first = clock.call("slow at first", lambda number: 9.0 if number <= 5 else 1.0)
    samples = measure({"slow at first": slow_at_first, "b": clock.call("b", 1.0)}, rounds=5)
    np.testing.assert_allclose(samples.seconds["slow at first"], 1.0, rtol=1e-4)


def test_short_calls_are_timed_several_at_once(clock: Clock) -> None:
    """A sample is 1000 steps of a clock that steps a microsecond: 100 calls of 10 µs, of each variant alike."""
    samples = measure({"short": clock.call("short", 10e-6), "long": clock.call("long", 30e-6)}, rounds=5)
    assert 80 < samples.calls <= 100
    np.testing.assert_allclose(samples.seconds["short"], 10e-6, rtol=0.01)
    np.testing.assert_allclose(samples.seconds["long"], 30e-6, rtol=0.01)


def test_as_many_rounds_as_fit_into_the_time(clock: Clock) -> None:
    def rounds_in(seconds: float, at_most: int = 100) -> int:
        variants = {"a": clock.call("a", 1.0), "b": clock.call("b", 2.0)}
        return len(measure(variants, at_most, seconds=seconds).seconds["a"])

    assert rounds_in(60.5) == 20  # of 3 s
    assert rounds_in(60.5, at_most=15) == 15
    assert rounds_in(6.5) == FEWEST_ROUNDS
    assert rounds_in(6.5, at_most=3) == 3


def test_a_warm_up_takes_a_tenth_of_the_time_at_most(clock: Clock) -> None:
    for seconds, warm_up in ((29.0, 1), (None, 3)):
        measure({"a": clock.call("a", 3.0)}, rounds=10, seconds=seconds)
        assert clock.ran.count("a") == 2 + warm_up + (9 if seconds else 10)
        clock.ran.clear()


def test_tells_of_every_round_and_can_be_stopped_after_any(clock: Clock) -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, rounds: int) -> None:
        told.append((done, rounds))
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure({"a": clock.call("a", 1.0)}, rounds=5, warm_up=0, progress=progress)
    assert told[-4:] == [(0, 5), (1, 5), (2, 5), (3, 5)]
    assert clock.ran == ["a"] * 5  # the first, one for the length of a sample, three rounds
    assert gc.isenabled()


def test_a_variant_that_fails_is_heard_and_the_collector_runs_again() -> None:
    with pytest.raises(ZeroDivisionError):
        measure({"a": lambda: 1 / 0})
    assert gc.isenabled()
    with pytest.raises(ValueError, match="nothing to measure: 0 variants, 100 rounds"):
        measure({})
    with pytest.raises(ValueError, match="latency is measured on cpu and cuda, not on meta"):
        measure({"a": lambda: None}, device="meta")


def test_says_what_it_ran_on() -> None:
    samples = measure({"a": lambda: None}, rounds=2)
    assert samples.hardware == hardware("cpu")
    assert samples.hardware.processor
    assert samples.hardware.threads == torch.get_num_threads()
    assert samples.hardware.gpu is samples.hardware.driver is None
    assert energy(lambda: None, "cpu") is None


# ---- on a GPU -------------------------------------------------------------------------------------------------------


def test_measures_by_device_events() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    x = torch.randn(2048, 2048, device="cuda")
    samples = measure({"one": lambda: x @ x, "four": lambda: [x @ x for _ in range(4)]}, device="cuda")
    assert samples.clock == "CUDA events"
    assert samples.hardware.gpu
    found = compare(samples, "one", "four")
    assert found.different
    assert found.ratio > 2
    if power_state("cuda").gpu_watts is not None:
        joules = energy(lambda: [x @ x for _ in range(100)], "cuda", seconds=1)
        assert joules is None or joules > 0


def test_asks_the_device_for_times_power_and_energy(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """With stand-ins for CUDA and NVML, so that these lines run without a GPU. 400 µs and 250 W on the device."""

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.at = clock.now

        def synchronize(self) -> None:
            pass

        def elapsed_time(self, end: "Event") -> float:
            return 1000 * (end.at - self.at)

    nvml = SimpleNamespace(
        NVML_CLOCK_SM="SM",
        NVML_CLOCK_MEM="memory",
        NVML_TEMPERATURE_GPU="GPU",
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetClockInfo=lambda handle, which: {"SM": 1980, "memory": 2619}[which],
        nvmlDeviceGetPowerUsage=lambda handle: 250_000,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: int(250_000 * clock.now),
    )
    monkeypatch.setattr(os, "getloadavg", lambda: (1.0, 1.0, 1.0))
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="1234"))
    samples = measure({"a": clock.call("a", 400e-6)}, rounds=4, device="cuda")
    assert (samples.clock, samples.calls, samples.hardware.gpu) == ("CUDA events", 2, "a GPU")
    np.testing.assert_allclose(samples.seconds["a"], 400e-6, rtol=0.01)
    assert samples.power[1] == replace(  # this NVML does not know the temperature
        power_state("cpu"), gpu_mhz=1980, gpu_memory_mhz=2619, gpu_watts=250.0
    )
    assert energy(clock.call("a", 400e-6), "cuda") == pytest.approx(250 * 400e-6, rel=0.02)
    monkeypatch.setitem(sys.modules, "pynvml", None)  # not installed
    with pytest.raises(ImportError):
        importlib.import_module("pynvml")
    assert power_state("cuda") == power_state("cpu")
    assert energy(clock.call("a", 400e-6), "cuda") is None


# ---- once for real --------------------------------------------------------------------------------------------------


def spin(steps: int) -> Callable[[], int]:
    return lambda: sum(range(steps))


def test_one_function_measured_twice_is_not_different() -> None:
    """Exact at 1 %, so three findings in six measurements are one case in 50,000, on the busiest machine."""
    work = spin(5000)
    found = [compare(measure({"a": work, "b": work}, seed=seed), "a", "b").different for seed in range(6)]
    assert sum(found) <= 2


def test_a_tenth_more_work_is_found() -> None:
    """The work is counted, not timed; a machine too busy to tell gets more rounds."""
    for attempt in range(6):
        found = compare(measure({"a": spin(5000), "b": spin(5500)}, rounds=100 * 2**attempt), "a", "b")
        if found.different and 1.05 < found.ratio < 1.15:
            return
    pytest.fail(f"a tenth more work was not found in {100 * 2**attempt} rounds: {found}")
