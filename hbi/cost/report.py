"""What a measurement of cost has found, as a record keeps it. Free of torch, for tables read it.

Raw times stay in a file beside the record: arrays [rounds], in seconds, "LABEL/CALL" and, of the points of the scaling,
"LABEL/CALL at SIZE VALUE".
"""

from pydantic import Field

from hbi.config.base import Config
from hbi.config.cost import Size
from hbi.cost.machine import Hardware, PowerState

Interval = tuple[float, float | None]
"""Both ends of a confidence interval; None: not bounded, for there were too few samples."""


class Count(Config):
    """FLOPs of a stage; 1 MAC makes 2 FLOPs."""

    flops: int
    macs: int = Field(description="Multiply-accumulates of matrix products, convolutions and recurrences alone.")
    unpriced: tuple[str, ...] = Field(
        (), description='Operations without a formula, "aten.x [2, 3] 4 times"; where any are, FLOPs are a lower bound.'
    )


class Quantile(Config):
    """Seconds, with the 95 % confidence interval."""

    value: float
    interval: Interval


class Latency(Config):
    """Times of one kind of call."""

    p50: Quantile
    p95: Quantile
    p99: Quantile
    rounds: int
    calls: int = Field(description="Calls in a row that a sample is the mean of; more than 1 where a call is short.")
    items: int = Field(description="Captions, videos or pairs that a call works on.")
    throughput: float = Field(description="Items a second.")
    joules: float | None = Field(None, description="Energy of a call, of the whole GPU; none where NVML gives none.")
    against: float | None = Field(None, description="Time by that of the first row; none for the first.")
    against_interval: Interval | None = Field(None, description="99 % confidence interval of ``against``.")
    different: bool = Field(
        False,
        description="Whether all of that interval lies further from 1 than copies of one model do "
        "(hbi.cost.statistics.COPIES).",
    )


class Memory(Config):
    """Most memory that a call held, beyond what was held before it."""

    bytes: int | None = Field(description="None where it could not be measured; ``how`` says why.")
    how: str = Field(description="Where it was read, or why not.")


class CaseCost(Config):
    """What one row costs."""

    words: int
    frames: int
    resolution: int = Field(description="Side of the frames, pixels.")
    gallery: int
    batch: int
    parameters: int
    trainable: int
    stages: dict[str, Count] = Field(description="By stage, as hbi.cost.stages names them.")
    evaluations: dict[str, int] = Field(
        default_factory=dict,
        description="By level, for a pair: worths of coalitions that the teacher's draws stand for, 4 · samples · "
        "cells; they are computed together, by matrix products. 0 where it draws none, exact or a network.",
    )
    latency: dict[str, Latency] = Field(
        default_factory=dict,
        description="By call, as hbi.cost.calls names them; not of a call whose memory could not be measured.",
    )
    memory: dict[str, Memory] = Field(default_factory=dict, description="By call.")


class Point(Config):
    """The cost of a row where one of its sizes is another."""

    size: Size
    value: int
    flops: dict[str, int] = Field(description="By stage.")
    seconds: dict[str, float] = Field(default_factory=dict, description="By call: the median.")


class CostReport(Config):
    """All rows that were measured together, by label."""

    cases: dict[str, CaseCost]
    scaling: dict[str, tuple[Point, ...]] = Field(default_factory=dict, description="By label.")
    hardware: Hardware
    power: tuple[PowerState, PowerState] = Field(description="Before the first round and after the last.")
    precision: str
    clock: str = Field(description='"perf_counter" or "CUDA events".')
    seed: int = Field(description="Of the order of the rows in each round.")
