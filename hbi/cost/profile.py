"""The cost of all rows of a suite: FLOPs, parameters, memory, and times that are taken in turn."""

import math
from collections.abc import Callable, Collection, Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from hbi.config import CaseConfig, CostConfig
from hbi.config.cost import Size
from hbi.cost import report, statistics
from hbi.cost.calls import CHANGED_BY, TIMED, Timed, arguments, model_of, remembered, system, timed_calls
from hbi.cost.flops import FlopReport
from hbi.cost.latency import Samples, measure
from hbi.cost.machine import energy, hardware
from hbi.cost.memory import peak_memory
from hbi.cost.report import CaseCost, CostReport, Count, Latency, Memory, Point
from hbi.cost.stages import evaluations, parameters, sizes_of, stages
from hbi.models.hbi import HBI

Progress = Callable[[str, int, int], None]
Stages = dict[str, FlopReport]
Calls = dict[str, dict[str, Timed]]
"""By label, then by name."""
Place = tuple[Size, int]
"""A point of the scaling: the size that is another there, and how much it is."""

SCALING_ROUNDS = 20
SCALING_SHARE = 5
"""A median for a curve takes fewer rounds, and this part of the time."""

DEADLINE = 600.0
"""Seconds for the process in which the memory of a call is measured."""


def profile(
    config: CostConfig, device: torch.device, seed: int, progress: Progress
) -> tuple[CostReport, dict[str, NDArray[np.float64]]]:
    """What the cases of ``config`` cost, and the raw times: "LABEL/CALL" → [rounds], seconds.

    seed      of the order of the cases in each round
    progress  is told what is done, how much of it, and of how much, between rounds and stages; what it raises ends all

    Raises InputError for a case that has no stages, or for more tokens than its encoder has positions.
    """
    counted = _counted(config, progress)
    memory = _remembered(config, device, progress)
    models = _built(config, device, progress)
    calls = _calls(config, models)
    timed = partial(_timed, device=device, seed=seed, progress=progress)
    samples = timed(config, calls, TIMED)
    joules = _energies(calls, device, progress)
    points = _scaled(config, counted, models, timed)
    cases = {}
    for case in config.cases:
        latency = {
            name: _latency(of, case.label, calls[case.label][name].items, joules[case.label][name])
            for name, of in samples.items()
            if case.label in of.seconds
        }
        cases[case.label] = _cost(config, case, counted[None][case.label], latency, memory[case.label])
    raw = {f"{label}/{name}": times for name, of in samples.items() for label, times in of.seconds.items()}
    first, *_, last = samples.values()
    found = CostReport(
        cases=cases,
        scaling=points,
        hardware=hardware(device),
        power=(first.power[0], last.power[1]),
        precision=config.precision,
        clock=first.clock,
        seed=seed,
    )
    return found, raw


def _at(config: CostConfig, place: Place | None) -> CostConfig:
    """The same measurement there; None: as it is."""
    if place is None:
        return config
    size, value = place
    if size == "gallery":
        return config.model_copy(update={"gallery": value})
    return config.model_copy(update={"cases": tuple(case.model_copy(update={size: value}) for case in config.cases)})


# ---- what is counted ------------------------------------------------------------------------------------------------


def _counted(config: CostConfig, progress: Progress) -> dict[Place | None, dict[str, Stages]]:
    """The stages of the cases, by label: at their own sizes (None), and at each point of the scaling."""
    known: dict[str, Stages] = {}  # equal cases are counted once
    scaling: list[Place] = [(size, value) for size, values in config.scaling.items() for value in values]
    found: dict[Place | None, dict[str, Stages]] = {place: {} for place in (None, *scaling)}
    todo = [(place, number) for place in found for number in range(len(config.cases))]
    for done, (place, number) in enumerate(todo):
        progress("counting FLOPs", done, len(todo))
        there = _at(config, place)
        case = there.cases[number]
        batch = None if place and place[0] == "gallery" else case.batch  # that step is the same
        key = f"{batch} {there.gallery} {case.model_dump_json(exclude={'label'})}"
        if key not in known:
            gallery = there.gallery, there.gallery
            known[key] = stages(model_of(case), case.words, case.frames, batch, gallery, there.resolution)
        found[place][case.label] = found[None].get(case.label, {}) | known[key]
    return found


def _cost(
    config: CostConfig,
    case: CaseConfig,
    counted: Stages,
    latency: dict[str, Latency],
    memory: dict[str, Memory],
) -> CaseCost:
    model = model_of(case)
    every, trained = parameters(model, config.resolution)
    return CaseCost(
        words=case.words,
        frames=case.frames,
        resolution=sizes_of(model, resolution=config.resolution)["vision_cfg"]["image_size"],
        gallery=config.gallery,
        batch=case.batch,
        parameters=every,
        trainable=trained,
        stages={stage: _count(found) for stage, found in counted.items()},
        evaluations=dict(evaluations(model, case.words, case.frames)),
        latency=latency,
        memory=memory,
    )


def _count(found: FlopReport) -> Count:
    unpriced = (
        f"{one.operation} {' '.join(str(list(shape)) for shape in one.shapes)} {one.calls} times"
        for one in found.unpriced
    )
    return Count(flops=found.total, macs=found.macs, unpriced=tuple(unpriced))


# ---- what is measured -----------------------------------------------------------------------------------------------


def _remembered(config: CostConfig, device: torch.device, progress: Progress) -> dict[str, dict[str, Memory]]:
    """Peak memory of each case's calls, by label."""
    known: dict[str, Memory] = {}  # equal cases are measured once
    found: dict[str, dict[str, Memory]] = {case.label: {} for case in config.cases}
    todo = [(case, name) for case in config.cases for name in remembered(model_of(case))]
    for done, (case, name) in enumerate(todo):
        tell = partial(progress, f"memory of {name}", done, len(todo))
        tell()
        key = f"{name} {case.model_dump_json(exclude={'label'})}"
        if key not in known:
            known[key] = _memory(case, config, name, device, tell)
        found[case.label][name] = known[key]
    return found


def _memory(
    case: CaseConfig, config: CostConfig, name: str, device: torch.device, waiting: Callable[[], None]
) -> Memory:
    given = arguments(case, config, name, device)
    try:
        peak = peak_memory("hbi.cost.calls:run", given, device, "hbi.cost.calls:prepared", DEADLINE, waiting)
    except (MemoryError, TimeoutError, RuntimeError) as error:
        return Memory(bytes=None, how=str(error))
    return Memory(bytes=peak.bytes, how=peak.method)


def _built(config: CostConfig, device: torch.device, progress: Progress) -> dict[str, HBI]:
    """The models of all cases by label: they are timed in turn, so all of them live at the same time."""
    models = {}
    for number, case in enumerate(config.cases):
        progress("building models", number, len(config.cases))
        models[case.label] = system(case, config, device)
    return models


def _calls(config: CostConfig, models: Mapping[str, HBI]) -> Calls:
    return {case.label: timed_calls(models[case.label], case, config) for case in config.cases}


def _timed(
    config: CostConfig,
    calls: Calls,
    names: Collection[str],
    where: str = "",
    *,
    device: torch.device,
    seed: int,
    progress: Progress,
) -> dict[str, Samples]:
    """By name of the call: the times of the cases that have it, in turn."""
    found = {}
    for name in names:
        variants = {label: of[name].run for label, of in calls.items() if name in of}
        if variants:
            tell = partial(progress, f"timing {name}{where}")
            found[name] = measure(variants, config.rounds, seed, device, seconds=config.seconds, progress=tell)
    return found


def _scaled(
    config: CostConfig,
    counted: Mapping[Place | None, Mapping[str, Stages]],
    models: Mapping[str, HBI],
    timed: Callable[..., dict[str, Samples]],
) -> dict[str, tuple[Point, ...]]:
    """The points of each case, by label; the calls that a size does not change are not timed."""
    points: dict[str, tuple[Point, ...]] = {}
    less = {"rounds": min(config.rounds, SCALING_ROUNDS), "seconds": config.seconds / SCALING_SHARE}
    for place, stages_of in counted.items():
        if place is None:
            continue
        size, value = place
        there = _at(config, place).model_copy(update=less)
        samples = timed(there, _calls(there, models), CHANGED_BY[size], f" at {size} {value}")
        for label, found in stages_of.items():
            flops = {stage: one.total for stage, one in found.items()}
            times = {name: of.seconds[label] for name, of in samples.items() if label in of.seconds}
            medians = {name: float(np.median(of)) for name, of in times.items()}
            points[label] = (*points.get(label, ()), Point(size=size, value=value, flops=flops, seconds=medians))
    return points


def _energies(calls: Calls, device: torch.device, progress: Progress) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for number, (label, of) in enumerate(calls.items()):
        found[label] = {}
        for name, call in of.items():
            progress(f"energy of {name}", number, len(calls))
            found[label][name] = energy(call.run, device)
    return found


def _latency(samples: Samples, label: str, items: int, joules: float | None) -> Latency:
    """Of one case; it is compared with the first that has this call."""
    times = samples.seconds[label]
    found = statistics.summary(times, items)
    latency = Latency(
        p50=_quantile(found.p50),
        p95=_quantile(found.p95),
        p99=_quantile(found.p99),
        rounds=len(times),
        calls=samples.calls,
        items=items,
        throughput=found.throughput,
        joules=joules,
    )
    first = next(iter(samples.seconds))
    if label == first:
        return latency
    compared = statistics.compare(samples, first, label)
    lower, upper = compared.interval
    return latency.model_copy(
        update={
            "against": compared.ratio,
            "against_interval": (lower, _bounded(upper)),
            "different": compared.different,
        }
    )


def _quantile(found: statistics.Quantile) -> report.Quantile:
    return report.Quantile(value=found.value, interval=(found.lower, _bounded(found.upper)))


def _bounded(end: float) -> float | None:
    return end if math.isfinite(end) else None
