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
from hbi.cost.calls import (
    ALL,
    ANSWER,
    CHANGED_BY,
    ONE,
    TIMED,
    VIDEO,
    arguments,
    as_evaluated,
    items_of,
    model_of,
    remembered,
    system,
    timed,
    timed_call,
)
from hbi.cost.flops import FlopReport
from hbi.cost.latency import Samples, measure
from hbi.cost.machine import energy
from hbi.cost.memory import peak_memory
from hbi.cost.report import CaseCost, CostReport, Count, Latency, Memory, Point
from hbi.cost.stages import evaluations, stages
from hbi.cost.systems import image_size, parameters, sizes_of
from hbi.models import System

Progress = Callable[[str, int, int], None]
Stages = dict[str, FlopReport]
Raw = dict[str, NDArray[np.float64]]
Timing = Callable[[CostConfig, Collection[str], str], dict[str, Samples]]
Place = tuple[Size, int]
"""A point of the scaling: the size that is another there, and how much it is."""

SCALING_ROUNDS = 20
SCALING_SHARE = 5
"""A median for a curve takes fewer rounds, and this part of the time."""

DEADLINE = 600.0
"""Seconds for the process in which the memory of a call is measured."""


def profile(config: CostConfig, device: torch.device, seed: int, progress: Progress) -> tuple[CostReport, Raw]:
    """What the cases of ``config`` cost, and the raw times, which are never none: "LABEL/CALL", and of the scaling
    "LABEL/CALL at SIZE VALUE" → [rounds], seconds.

    seed      of the order of the cases in each round
    progress  is told what is done, how much of it, and of how much, between rounds and stages; what it raises ends all

    Raises InputError for a case that has no stages, for more tokens than it has positions, or for frames smaller than
    one of its patches.
    """
    counted = _counted(config, progress)
    memory = _remembered(config, device, progress)
    models = _built(config, device, progress)
    possible = {case.label: _possible(case, memory[case.label]) for case in config.cases}
    timing = partial(_timed, models, possible, device, seed, progress)
    samples = timing(config, TIMED, "")
    joules = _energies(config, models, samples, device, progress)
    points, raw_of_points = _scaled(config, counted, timing)
    cases = {}
    for case in config.cases:
        latency = {
            name: _latency(of, case.label, items_of(name, config), joules.get((name, case.label)))
            for name, of in samples.items()
            if case.label in of.seconds
        }
        cases[case.label] = _cost(config, case, counted[None][case.label], latency, memory[case.label])
    in_turn = list(samples.values())
    found = CostReport(
        cases=cases,
        scaling=points,
        hardware=in_turn[0].hardware,
        power=(in_turn[0].power[0], in_turn[-1].power[1]),
        precision=config.precision,
        clock=in_turn[0].clock,
        seed=seed,
    )
    return found, _raw(samples) | raw_of_points


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
        resolution=image_size(sizes_of(model, resolution=config.resolution)),
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


def _built(config: CostConfig, device: torch.device, progress: Progress) -> dict[str, System]:
    """The models of all cases by label: they are timed in turn, so all of them live at the same time."""
    models = {}
    for number, case in enumerate(config.cases):
        progress("building models", number, len(config.cases))
        models[case.label] = system(case, config, device)
    return models


def _possible(case: CaseConfig, memory: Mapping[str, Memory]) -> list[str]:
    """The calls that are timed: what did not fit, took too long or failed in a process of its own would end this one,
    and so would what begins with it."""
    failed = {name for name, one in memory.items() if one.bytes is None}
    if VIDEO in failed:
        failed |= {ONE, ALL, ANSWER}
    return [name for name in timed(model_of(case)) if name not in failed]


def _timed(
    models: Mapping[str, System],
    possible: Mapping[str, Collection[str]],
    device: torch.device,
    seed: int,
    progress: Progress,
    config: CostConfig,
    names: Collection[str],
    where: str,
) -> dict[str, Samples]:
    """By name of the call: the times of the cases in turn, of those by label for which it is ``possible``."""
    found = {}
    for name in names:
        cases = [case for case in config.cases if name in possible[case.label]]
        if cases:
            with as_evaluated(name, device, config.precision):
                found[name] = measure(  # the calls of one kind at a time: they hold galleries
                    {case.label: timed_call(name, models[case.label], case, config) for case in cases},
                    config.rounds,
                    seed,
                    device,
                    seconds=config.seconds,
                    progress=partial(progress, f"timing {name}{where}"),
                )
    return found


def _scaled(
    config: CostConfig, counted: Mapping[Place | None, Mapping[str, Stages]], timing: Timing
) -> tuple[dict[str, tuple[Point, ...]], Raw]:
    """The points of each case, by label, and the raw times; the calls that a size does not change are not timed."""
    points: dict[str, tuple[Point, ...]] = {}
    raw: Raw = {}
    less = {"rounds": min(config.rounds, SCALING_ROUNDS), "seconds": config.seconds / SCALING_SHARE}
    for place, stages_of in counted.items():
        if place is None:
            continue
        size, value = place
        where = f" at {size} {value}"
        samples = timing(_at(config, place).model_copy(update=less), CHANGED_BY[size], where)
        raw |= _raw(samples, where)
        for label, found in stages_of.items():
            flops = {stage: one.total for stage, one in found.items()}
            times = {name: of.seconds[label] for name, of in samples.items() if label in of.seconds}
            medians = {name: float(np.median(of)) for name, of in times.items()}
            points[label] = (*points.get(label, ()), Point(size=size, value=value, flops=flops, seconds=medians))
    return points, raw


def _raw(samples: Mapping[str, Samples], where: str = "") -> Raw:
    return {f"{label}/{name}{where}": times for name, of in samples.items() for label, times in of.seconds.items()}


def _energies(
    config: CostConfig,
    models: Mapping[str, System],
    samples: Mapping[str, Samples],
    device: torch.device,
    progress: Progress,
) -> dict[tuple[str, str], float | None]:
    """Of the calls that were timed, by name and label; none but of a GPU."""
    found: dict[tuple[str, str], float | None] = {}
    todo = [(name, case) for name, of in samples.items() for case in config.cases if case.label in of.seconds]
    for done, (name, case) in enumerate(todo if device.type == "cuda" else ()):
        progress(f"energy of {name}", done, len(todo))
        with as_evaluated(name, device, config.precision):
            found[name, case.label] = energy(timed_call(name, models[case.label], case, config), device)
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
    compared = statistics.compare(samples, first, label, statistics.COPIES)
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
