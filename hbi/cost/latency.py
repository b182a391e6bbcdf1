"""Latency: how long calls take, how sure that is, and whether one takes longer than another.

Variants are measured together, in rounds: every round times each variant once, in an order drawn anew. Drift (heat,
other load) then hits all alike, and a round's log-ratio of two variants is free of what the round had in common.

The random order makes the comparison exact. If two variants cost the same, a round's two times belong to two moments,
and which variant got which moment is the toss of a fair coin. So the sign of each log-ratio is a fair coin too,
independent of all other rounds, however the machine drifted, swung or stuttered: Fisher's randomisation test.
"""

import gc
import importlib
import math
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from time import get_clock_info, perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, stdtrit

from hbi.seeds import spread

ROUNDS = 100
"""Enough to find a difference of 10 % where single times scatter by 10 %, and to bound the 95th percentile; a bound of
the 99th needs 368."""

CLOCK_STEPS = 1000
"""A sample is at least this many steps of the clock, so that reading the clock is 0.1 % of it."""

EVENT_STEP = 0.5e-6
"""Seconds: the resolution of CUDA events (cudaEventElapsedTime in the manual of the CUDA runtime)."""

BLOCKS = 12
"""Consecutive rounds form this many blocks, each of which counts as one observation (batch means; Schmeiser 1982
recommends 10 to 30), so that noise that a variant keeps for a few rounds does not pass for many findings."""

LEVEL = 0.01
"""Of the comparison: two variants that cost the same are called different in at most one of a hundred measurements."""

Call = Callable[[], object]
Interval = tuple[float, float]


# ---- measuring ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hardware:
    """What a time depends on beside the code. Times of different hardware are not compared."""

    processor: str
    cores: int  # that this process may use
    threads: int  # of torch
    torch: str
    gpu: str | None
    driver: str | None  # of the GPU


@dataclass(frozen=True)
class PowerState:
    """Clocks and power at one moment; None where the machine does not tell."""

    governor: str | None = None  # of the processor's clock
    processor_mhz: tuple[float, float] | None = None  # slowest and fastest core
    gpu_mhz: int | None = None
    gpu_memory_mhz: int | None = None
    gpu_watts: float | None = None
    gpu_celsius: int | None = None


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
) -> Samples:
    """Times every variant once a round, in an order drawn from ``seed``; ``warm_up`` rounds before that do not count.

    On CUDA a sample lasts from the call until the device has finished, by events on its stream.
    """
    device = torch.device(device)
    if not variants or rounds < 1:
        raise ValueError(f"nothing to measure: {len(variants)} variants, {rounds} rounds")
    sample, step = _clock(device)
    calls_of = list(variants.values())
    with _on(device), _no_garbage_collection():
        for call in calls_of:
            call()  # the first allocates, loads and compiles
        shortest = min(sample(call, 1) for call in calls_of for _ in range(3))
        # One number for all: the first call of several finds cold caches, and should weigh the same in each variant.
        calls = max(1, math.ceil(CLOCK_STEPS * step / max(shortest, step)))
        for order in orders(warm_up, len(calls_of), seed):
            for column in order:
                sample(calls_of[column], calls)
        before = power_state(device)
        times = np.empty((rounds, len(calls_of)))
        for row, order in enumerate(orders(rounds, len(calls_of), seed)):
            for column in order:
                times[row, column] = sample(calls_of[column], calls) / calls
        after = power_state(device)
    clock = "CUDA events" if device.type == "cuda" else "perf_counter"
    return Samples(dict(zip(variants, times.T, strict=True)), calls, clock, seed, hardware(device), (before, after))


def orders(rounds: int, variants: int, seed: int) -> NDArray[np.int64]:
    """[rounds, variants]: the variants of each round, first to last."""
    generator = np.random.default_rng(spread(seed, "order of variants"))
    return generator.permuted(np.tile(np.arange(variants), (rounds, 1)), axis=1)


def energy(call: Call, device: torch.device | str, seconds: float = 2.0) -> float | None:
    """Joules of one call, of the whole board, its idle power included; None where NVML does not count them.

    The mean over as many calls as fill ``seconds``, for the counter moves in steps of up to 0.1 s.
    """
    device = torch.device(device)
    counter = "nvmlDeviceGetTotalEnergyConsumption"  # in millijoules
    if _ask_nvml(device, counter) is None:
        return None
    with _on(device):
        call()
        torch.cuda.synchronize()
        before, calls, started = _ask_nvml(device, counter), 0, perf_counter()
        while perf_counter() - started < seconds:
            call()
            torch.cuda.synchronize()
            calls += 1
        after = _ask_nvml(device, counter)
    return None if before is None or after is None else (after - before) / 1000 / calls


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


def summary(seconds: ArrayLike, items: int = 1, confidence: float = 0.95) -> Summary:
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
        lower, upper = _between_order_statistics(times, bdtr(np.arange(len(times)), len(times), q), 1 - confidence)
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
    """``ratio``: the time of b by that of a, between the ends of ``interval`` with confidence 1 − LEVEL.

    different     the interval excludes 1, which is p_value ≤ LEVEL
    interleaved   both were timed in the same rounds; if not, a drift between the two measurements is in the ratio
    """

    ratio: float
    interval: Interval
    p_value: float
    different: bool
    interleaved: bool


def compare(samples: Samples, a: str, b: str, of_b: Samples | None = None) -> Comparison:
    """Variant b by variant a, paired over rounds; ``of_b`` is another measurement of as many rounds that b comes from.

    Wilcoxon's signed-rank test, with its exact distribution, on the medians of BLOCKS blocks of the rounds'
    log-ratios, and the interval and estimate that belong to it (Hodges and Lehmann 1963, Tukey 1949). Blocks of medians
    and ranks bear outliers; see above and BLOCKS for dependent rounds. With fewer than eight rounds no difference is
    ever found.
    """
    second = of_b or samples
    if second.hardware != samples.hardware:
        raise ValueError(f"not comparable, measured on different hardware: {_differences(samples, second)}")
    for name, one in ((a, samples), (b, second)):
        if name not in one.seconds:
            raise ValueError(f"no variant {name!r} was measured, only {', '.join(one.seconds)}")
    first_times, second_times = samples.seconds[a], second.seconds[b]
    if first_times.shape != second_times.shape:
        raise ValueError(f"not comparable, {len(first_times)} rounds and {len(second_times)} rounds")
    log_ratio = np.log(second_times / first_times)
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
        different=not lower <= 1 <= upper,
        interleaved=second is samples,
    )


def _signed_rank_distribution(n: int) -> NDArray[np.float64]:
    """[n(n+1)/2 + 1]: P(W = w), W the sum of those of the ranks 1 … n whose coin shows heads."""
    distribution = np.ones(1)
    for rank in range(1, n + 1):
        coin = np.zeros(rank + 1)
        coin[[0, rank]] = 0.5
        distribution = np.convolve(distribution, coin)
    return distribution


def _differences(one: Samples, other: Samples) -> str:
    pairs = [(field.name, *(getattr(of.hardware, field.name) for of in (one, other))) for field in fields(Hardware)]
    return "; ".join(f"{name} {left} and {right}" for name, left, right in pairs if left != right)


# ---- how a cost grows -----------------------------------------------------------------------------------------------


def fitted_exponent(sizes: ArrayLike, costs: ArrayLike, confidence: float = 0.95) -> tuple[float, Interval]:
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
    margin = float(stdtrit(free, (1 + confidence) / 2)) * error
    return exponent, (exponent - margin, exponent + margin)


# ---- what it ran on -------------------------------------------------------------------------------------------------

PROCESSORS = Path("/sys/devices/system/cpu")


def hardware(device: torch.device | str) -> Hardware:
    """Of this process, now."""
    device = torch.device(device)
    on_gpu = device.type == "cuda"
    return Hardware(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        gpu=torch.cuda.get_device_name(device) if on_gpu else None,
        driver=_driver() if on_gpu else None,
    )


def power_state(device: torch.device | str) -> PowerState:
    """Clocks and power now: of the processor from Linux's cpufreq, of a GPU from NVML."""
    device = torch.device(device)
    governors = sorted(set(_of_all_cores("scaling_governor")))
    kilohertz = [int(value) for value in _of_all_cores("scaling_cur_freq")]
    milliwatts = _ask_nvml(device, "nvmlDeviceGetPowerUsage")
    return PowerState(
        governor=", ".join(governors) or None,
        processor_mhz=(min(kilohertz) / 1000, max(kilohertz) / 1000) if kilohertz else None,
        gpu_mhz=_ask_nvml(device, "nvmlDeviceGetClockInfo", "NVML_CLOCK_SM"),
        gpu_memory_mhz=_ask_nvml(device, "nvmlDeviceGetClockInfo", "NVML_CLOCK_MEM"),
        gpu_watts=None if milliwatts is None else milliwatts / 1000,
        gpu_celsius=_ask_nvml(device, "nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU"),
    )


def _of_all_cores(name: str) -> list[str]:
    values = []
    for path in PROCESSORS.glob(f"cpu[0-9]*/cpufreq/{name}"):
        with suppress(OSError):  # a core that is switched off
            values.append(path.read_text().strip())
    return values


def _ask_nvml(device: torch.device, question: str, constant: str | None = None) -> int | None:
    """What NVML (package nvidia-ml-py, where installed) says of the GPU; None where it cannot say."""
    if device.type != "cuda":
        return None
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
        # by UUID, for NVML numbers all GPUs of the machine, torch those that CUDA_VISIBLE_DEVICES leaves
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        return int(getattr(nvml, question)(handle, *([getattr(nvml, constant)] if constant else [])))
    except Exception:  # NVML's errors have no common base that is known without the package
        return None


def _driver() -> str | None:
    with suppress(OSError):
        found = re.search(r"\s(\d+\.[\d.]+)\s", Path("/proc/driver/nvidia/version").read_text())
        return found[1] if found else None
    return None


def _processor() -> str:
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()
