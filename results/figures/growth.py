"""The figure of how costs grow: FLOPs above, time below, a panel a size, for a paper's column or its full width."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from hbi.config.cost import Size
from results.cost_scaling import Growth, Measure, sizes_of
from results.figures.style import COLUMN, PAGE, Drawn, legend, legend_height, line_style
from results.numerals import exponent

SHOWN: dict[Size, str] = {
    "words": "encode text",
    "frames": "encode video",
    "gallery": "score N × N",
    "batch": "training step",
}
"""The quantity that each size is the size of; what else changes with it is in the table."""

_MEASURES: dict[Measure, tuple[str, str]] = {"FLOPs": ("FLOPs", ""), "time": ("median time", "s")}
"""With title and unit, from above."""

_WIDTHS = {1: COLUMN, 2: COLUMN, 3: PAGE, 4: PAGE}
"""Inches, by number of panels."""


def scaling(name: str, grown: Sequence[Growth]) -> list[Drawn]:
    """The figure, where something that is shown grows."""
    shown = [one for one in grown if one.quantity == SHOWN[one.size]]
    caption = "Costs ∝ size^k against the sizes, on doubly logarithmic axes; times are medians."
    return [Drawn(name, caption, _figure(shown))] if shown else []


def _figure(grown: Sequence[Growth]) -> Figure:
    labels = list(dict.fromkeys(one.label for one in grown))
    styles = {label: line_style(n, len(labels)) for n, label in enumerate(labels)}
    sizes = sizes_of(grown)
    measures = [measure for measure in _MEASURES if any(one.measure == measure for one in grown)]
    width = _WIDTHS[len(sizes)]
    height = 1.6 * len(measures) + legend_height(labels, width) + 0.2
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(len(measures), len(sizes), squeeze=False)
    for measure, row in zip(measures, axes, strict=True):
        for size, panel in zip(sizes, row, strict=True):
            _draw(panel, [one for one in grown if (one.measure, one.size) == (measure, size)], styles)
        next(panel for panel in row if panel.axison).set_ylabel(_MEASURES[measure][0])
    for size, column in zip(sizes, axes.T, strict=True):
        [panel for panel in column if panel.axison][-1].set_xlabel(size)
    legend(figure, {label: Line2D([], [], **style) for label, style in styles.items()})
    return figure


def _draw(panel: Axes, grown: Sequence[Growth], styles: dict[str, dict[str, Any]]) -> None:
    """The lines of one panel, on doubly logarithmic axes, where their slope is the exponent."""
    if not grown:
        panel.set_axis_off()
        return
    for one in grown:
        panel.loglog(list(one.costs), list(one.costs.values()), clip_on=False, **styles[one.label])
    values = sorted({value for one in grown for value in one.costs})
    panel.set_xticks(values, list(map(str, values)))
    costs = [cost for one in grown for cost in one.costs.values()]
    narrow = max(costs) / min(costs) < 30
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    panel.yaxis.set_major_formatter(EngFormatter(_MEASURES[grown[0].measure][1]))
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_minor_locator(NullLocator())
    exponents = sorted(one.exponent for one in grown)
    range_ = " to ".join(dict.fromkeys(map(exponent, (exponents[0], exponents[-1]))))
    panel.set_title(f"{grown[0].quantity}\nk = {range_}")
