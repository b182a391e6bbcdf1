"""Measurements of cost as they would be found, without measuring anything."""

from typing import Any

from hbi.cost.machine import Hardware, PowerState
from hbi.cost.report import CaseCost, CostReport, Count, Latency, Memory, Point, Quantile

CALLS = {"encode one query": 0.0082, "encode one video": 0.071, "score 1 × N": 0.0031, "score N × N": 1.9}
"""Seconds."""


def count(flops: float, *unpriced: str) -> Count:
    return Count(flops=round(flops), macs=round(0.49 * flops), unpriced=unpriced)


def latency(seconds: float, factor: float = 1.0, different: bool = False, **changes: Any) -> Latency:
    """A row's times that is ``factor`` times as slow as the first; 1: it is the first."""

    def quantile(value: float, lower: float, upper: float | None) -> Quantile:
        return Quantile(value=value, interval=(lower, upper))

    median = seconds * factor
    found = Latency(
        p50=quantile(median, 0.98 * median, 1.015 * median),
        p95=quantile(1.1 * median, 1.05 * median, 1.3 * median),
        p99=quantile(1.4 * median, 1.1 * median, None),
        rounds=100,
        calls=1,
        items=1,
        throughput=0.97 / median,
        against=None if factor == 1 else factor,
        against_interval=None if factor == 1 else (0.97 * factor, 1.04 * factor),
        different=different,
    )
    return found.model_copy(update=changes)


def case(factor: float = 1.0, teacher: str | None = None, **changes: Any) -> CaseCost:
    """A row of ViT-B/32 that is ``factor`` times as dear as the first."""
    stages = {
        "text encoder": count(1.7e9),
        "frame encoder": count(106.1e9),
        "temporal": count(0.22e9),
        "encode text": count(1.76e9 * factor),
        "encode video": count(106.4e9 * factor),
        "similarity": count(300.2e9 * factor),
        "training step": count(41.3e12 * factor),
    }
    evaluations = {}
    if teacher:
        stages |= {"merge/text/action": count(2.1e6), "merge/video/action": count(0.9e6)}
        for level, flops in (("entity", 21.4e6), ("action", 0.31e6)):
            stages |= {f"{teacher}/{level}": count(flops), f"student/{level}": count(1.4 * flops)}
        evaluations = {"entity": 46080, "action": 1200}
    found = CaseCost(
        words=24,
        frames=12,
        resolution=224,
        gallery=1000,
        batch=128,
        parameters=164_271_105,
        trainable=164_271_105,
        stages=stages,
        evaluations=evaluations,
        latency={call: latency(seconds, factor, factor > 1.05) for call, seconds in CALLS.items()},
        memory={call: Memory(bytes=round(812e6 * factor), how="VmHWM") for call in ("score N × N", "training step")},
    )
    return found.model_copy(update=changes)


SWEPT = {
    "words": ((8, 16, 32, 64), "encode text", "encode one query", 1),
    "frames": ((4, 8, 16, 32), "encode video", "encode one video", 1),
    "gallery": ((250, 500, 1000, 2000), "similarity", "score N × N", 2),
    "batch": ((32, 64, 128), "training step", None, 1),
}
"""By size: its values, what grows most with it, and the power by which that grows."""


def points(factor: float = 1.0) -> tuple[Point, ...]:
    """Costs that are powers of the sizes, but for something fixed, of which times have more than FLOPs."""
    found = []
    for size, (values, stage, call, power) in SWEPT.items():
        for value in values:
            grown = factor * (value / values[0]) ** power
            flops = {other: round(5e9 * factor) for other in ("encode text", "encode video", "similarity")}
            flops |= {"training step": round(1e12 * factor * (1 + grown / 9))} if size != "gallery" else {}
            flops |= {stage: round(4e9 * grown)}
            seconds = {call: 0.01 * (0.5 + 0.1 * (value % 3) + grown)} if call else {}
            found.append(Point.model_validate({"size": size, "value": value, "flops": flops, "seconds": seconds}))
    return tuple(found)


def report(
    cases: dict[str, CaseCost], scaling: dict[str, tuple[Point, ...]] | None = None, **changes: Any
) -> CostReport:
    found = CostReport(
        cases=cases,
        scaling=scaling or {},
        hardware=Hardware("A Processor 9000", 2, 2, "2.15.0", None, None),
        power=(PowerState("performance", (2400.0, 3100.0), load=0.31), PowerState("performance", (2390, 3080), load=2)),
        precision="fp32",
        clock="perf_counter",
        seed=0,
    )
    return found.model_copy(update=changes)


def example() -> CostReport:
    """All that a report can have: no teacher, unpriced operations, what was not measured, odd names."""
    bare = case(0.999, "estimator", trainable=13_633)
    odd = {
        "stages": {**bare.stages, "encode text": count(1.9e9, "aten.x [2,3] 4 times")},
        "latency": {call: time for call, time in bare.latency.items() if call != "score N × N"},
        "memory": {"score N × N": Memory(bytes=None, how="the process was killed")},
    }
    cases = {
        "no-hbi": case(),
        "hbi": case(1.062, "game"),
        "hbi, all levels scored": case(1.74, "game"),
        "a_b|c & 100%\n#1": bare.model_copy(update=odd),
    }
    scaling = {label: points(1 + 0.3 * n) for n, label in enumerate(cases)}
    return report(cases, scaling)
