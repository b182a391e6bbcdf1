"""A metric against FLOPs, with the Pareto front: the rows that no other beats in both."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from hbi.cost.report import CaseCost, CostReport
from results.collect import Cell
from results.cost_scaling import members
from results.cost_tables import HEAD_GALLERY
from results.figures.placement import Named, Place, place_names
from results.figures.rows import axis_title, cells, specs, spread_told, watched
from results.figures.style import COLUMN, GREY, Drawn, legend, short_labels
from results.metrics import metric
from results.published import Head, published_heads
from results.record import Record
from suites.expand import Run
from suites.schema import Suite

_FRONT = "#0072b2"
_STYLES: dict[str, dict[str, Any]] = {
    "Pareto front": {"color": _FRONT, "marker": "o", "markersize": 5},
    "dominated": {"color": "#d55e00", "marker": "s", "markersize": 5, "markerfacecolor": "white"},
    "one row": {"color": _FRONT, "marker": "o", "markersize": 5},
    "as published": {"color": GREY, "marker": "D", "markersize": 3.5, "markerfacecolor": "none"},
}


@dataclass(frozen=True)
class _Point:
    label: str
    gflops: float
    cell: Cell
    lower_bound: bool
    """Whether operations without a formula are not counted."""

    @property
    def mean(self) -> float:
        assert self.cell.mean is not None
        return self.cell.mean


def trade_offs(suite: Suite, runs: Sequence[Run], records: Mapping[str, Record], report: CostReport) -> Iterator[Drawn]:
    """SUITE.pareto.head, the similarity of the whole gallery, and SUITE.pareto.query, what one query takes; with two
    rows or more that have both cost and result. The published heads stand beside those of MSR-VTT."""
    found = cells(suite, runs, records)
    name = watched(suite, runs)
    rows = {label: case for label, case in report.cases.items() if label in found and found[label].values}
    datasets = {spec.data.name for label, spec in specs(runs).items() if label in rows}
    for kind, (title, count) in _costs(list(rows.values())).items():
        points = [
            _Point(label, count(case) / 1e9, found[label], any(stage.unpriced for stage in case.stages.values()))
            for label, case in rows.items()
            if count(case)
        ]
        if len(points) < 2:
            continue
        comparable = kind == "head" and datasets == {"msrvtt"} and name == "t2v/R@1"
        heads = published_heads() if comparable and {case.gallery for case in rows.values()} == {HEAD_GALLERY} else ()
        yield _drawn(f"{suite.name}.pareto.{kind}", title, name, points, heads)


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which of ``points``, pairs of a cost and a gain, no other dominates: none costs at most as much and gains at
    least as much, and one of them strictly. By cost."""
    order = sorted(range(len(points)), key=lambda at: (points[at][0], -points[at][1]))
    kept: list[int] = []
    for at in order:
        if not kept or points[at][1] > points[kept[-1]][1] or points[at] == points[kept[-1]]:
            kept.append(at)
    return kept


def _costs(cases: Sequence[CaseCost]) -> dict[str, tuple[str, Callable[[CaseCost], float]]]:
    """Title of the axis and FLOPs of a row, 0 where it has none such, by what they are of."""
    galleries = sorted({case.gallery for case in cases})
    n = str(galleries[0]) if len(galleries) == 1 else "N"
    of_query = f"a query: its encoding and {n} scores"
    if not any(map(_head, cases)):
        of_query = "a question: its encoding and the answer"

    def query(case: CaseCost) -> float:
        encoded = _flops(case, "encode text")
        return encoded and encoded + (_flops(case, "answer") or _head(case) / case.gallery)

    return {
        "head": (f"GFLOPs of the similarity head, {n} × {n}", _head),
        "query": (f"GFLOPs of {of_query}", query),
    }


def _flops(case: CaseCost, stage: str) -> float:
    return sum(case.stages[name].flops for name in members(case.stages, [stage]))


def _head(case: CaseCost) -> float:
    return _flops(case, "similarity")


def _drawn(name: str, cost: str, quality: str, points: Sequence[_Point], heads: Sequence[Head]) -> Drawn:
    higher = metric(quality).higher_is_better
    gain = -1.0 if higher is False else 1.0
    best = front([(point.gflops, gain * point.mean) for point in points]) if higher is not None else []
    kinds = ["Pareto front" if at in best else "dominated" if best else "one row" for at in range(len(points))]
    told = [f"{axis_title(quality)} against FLOPs: {spread_told([point.cell for point in points], 'error bars')}"]
    told.append("FLOPs are counted, 1 MAC = 2 FLOPs")
    if bounds := [point.label for point in points if point.lower_bound]:
        told.append(f"a lower bound, for operations without a formula: {', '.join(bounds)}")
    if heads:
        told.append("as published: as they are printed, no part of the front; they may be MACs, for no source says")
    figure = Figure(figsize=(COLUMN, 3.4 if heads else 2.7), layout="constrained")
    panel = figure.subplots()
    _axis(panel, [point.gflops for point in points] + [head.gflops for head in heads])
    panel.set_xlabel(cost)
    panel.set_ylabel(axis_title(quality))
    for point, kind in zip(points, kinds, strict=True):
        deviation = point.cell.standard_deviation
        options: dict[str, Any] = {
            "elinewidth": 0.8,
            "capsize": 2,
            "linestyle": "none",
            "label": point.label,
            "zorder": 3,
        }
        panel.errorbar(point.gflops, point.mean, yerr=deviation, **options, **_STYLES[kind])
    for head in heads:
        panel.plot(head.gflops, head.r_at_1, linestyle="none", label=head.system, **_STYLES["as published"])
    right = panel.get_xlim()[1]
    steps = _steps([(points[at].gflops, points[at].mean) for at in best], right)
    if steps:
        places = [place for step in steps for place in step]
        panel.plot(*zip(*places, strict=True), color=_FRONT, linewidth=1.0, label="Pareto front", zorder=2)
        panel.set_xlim(right=right)
    used = {*kinds, *(["as published"] if heads else [])}
    legend(figure, {kind: _key(kind) for kind in _STYLES if kind in used})
    short = short_labels((point.label for point in points), 24)
    named = [Named((point.gflops, point.mean), short[point.label], "black") for point in points]
    named += [Named((head.gflops, head.r_at_1), head.system, GREY) for head in heads]
    place_names(panel, named, [*steps, *_bars(points)])
    return Drawn(name, "; ".join(told) + ".", figure)


def _key(kind: str) -> Line2D:
    """What stands for it in the legend."""
    return Line2D([], [], linestyle="-" if kind == "Pareto front" else "none", **_STYLES[kind])


def _steps(best: Sequence[Place], right: float) -> list[tuple[Place, Place]]:
    """The front as horizontal and vertical lines: to the next that is better, from the last to the ``right``."""
    steps = []
    for (x, y), (dearer, better) in pairwise([*best, (right, best[-1][1])] if best else []):
        steps += [((x, y), (dearer, y)), ((dearer, y), (dearer, better))]
    return steps


def _bars(points: Sequence[_Point]) -> list[tuple[Place, Place]]:
    deviations = [point.cell.standard_deviation or 0.0 for point in points]
    return [
        ((point.gflops, point.mean - deviation), (point.gflops, point.mean + deviation))
        for point, deviation in zip(points, deviations, strict=True)
    ]


def _axis(panel: Axes, gflops: Sequence[float]) -> None:
    """With room for names; logarithmic, unless it spans little."""
    low, high = min(gflops), max(gflops)
    if high < 3 * low:
        margin = (high - low) or 0.1 * high
        panel.set_xlim(low - 0.15 * margin, high + 0.3 * margin)
        return
    panel.set_xscale("log")
    panel.set_xlim(low / (high / low) ** 0.1, high * (high / low) ** 0.2)
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_locator(NullLocator())
