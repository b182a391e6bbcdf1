"""How costs grow with the sizes of what is worked on: the quantities that tables and figures show, and their fits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from hbi.config.cost import Size
from hbi.cost.report import CostReport, Point
from hbi.cost.statistics import fitted_exponent

STAGES = {
    "encode text": ("encode text",),
    "encode video": ("encode video",),
    "score N × N": ("similarity", "re-ranking"),
    "answer": ("answer",),
    "interactions": ("game", "estimator"),
    "training step": ("training step",),
}
"""What a system does as a whole, by title: the stages whose name, up to a slash, is one of these, added up.

Interactions are what the teacher computes for a pair, over all levels.
"""

PARTS = {
    "text encoder": ("text encoder",),
    "frame encoder": ("frame encoder",),
    "video encoder": ("video encoder",),
    "temporal": ("temporal",),
    "token merging": ("merge",),
    "similarity, a pair": ("similarity",),
    "re-ranking": ("re-ranking",),
    "interactions, a pair": ("game", "estimator"),
    "student, a pair": ("student",),
    "training step": ("training step",),
}
"""The parts that it consists of, likewise; the similarity is that of the gallery, for all of its pairs."""

CALLS = {"encode one query": "encode text", "encode one video": "encode video", "answer one question": "answer"}
"""Calls (hbi.cost.calls) that make a stage, with its title; a call of another name is called so in both."""

Measure = Literal["FLOPs", "time"]


@dataclass(frozen=True)
class Growth:
    """A cost of a row at several values of a size.

    costs      by value: FLOPs, or seconds
    quantity   a title of STAGES, or a call that is none of them
    exponent   k of cost ∝ size^k, with the 95 % interval of its fit: infinite for two values
    """

    label: str
    size: Size
    quantity: str
    measure: Measure
    costs: dict[int, float]
    exponent: float
    interval: tuple[float, float]


def growths(report: CostReport) -> list[Growth]:
    """Of every cost that changes with a size."""
    return [
        Growth(label, size, quantity, measure, costs, *fitted_exponent(list(costs), list(costs.values())))
        for label, points in report.scaling.items()
        for size in dict.fromkeys(point.size for point in points)
        for measure, quantity, costs in _series([point for point in points if point.size == size])
        if len(set(costs.values())) > 1 and min(costs.values()) > 0
    ]


def sizes_of(grown: Sequence[Growth]) -> list[Size]:
    """The sizes with which something grows."""
    return [size for size in get_args(Size) if any(one.size == size for one in grown)]


def members(stages: Mapping[str, object], names: Sequence[str]) -> list[str]:
    """The stages that ``names``, of STAGES or PARTS, stand for."""
    return [stage for stage in stages if stage.partition("/")[0] in names]


def _series(points: Sequence[Point]) -> Iterator[tuple[Measure, str, dict[int, float]]]:
    """Costs of one row by the values of one size."""
    for title, names in STAGES.items():
        yield "FLOPs", title, {p.value: sum(p.flops[stage] for stage in members(p.flops, names)) for p in points}
    for call in dict.fromkeys(call for point in points for call in point.seconds):
        yield "time", CALLS.get(call, call), {p.value: p.seconds[call] for p in points if call in p.seconds}
