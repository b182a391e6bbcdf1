"""Lines with the spread of their seeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from results.collect import Cell

_BAND = 0.12
_LEVELS = ("--", ":", "-.", (0, (6, 1, 1, 1)))
_HATCHES = ("/////", "\\\\\\\\\\", "|||||", ".....")


@dataclass(frozen=True)
class Line:
    """``cells`` are what the seeds gave, by place on the x-axis, in its order; none is empty."""

    label: str
    cells: Mapping[float, Cell]


def draw_line(
    panel: Axes, line: Line, style: Mapping[str, Any], seeds: bool = True, markers: tuple[int, int] = (0, 1)
) -> None:
    """Means, a band where there are two seeds or more and, where asked for, every seed as a small, faint marker.

    ``markers``: the first point with a marker, and how many on the next has one.
    """
    colour, dashes = style["color"], style["linestyle"]
    places, means = list(line.cells), [cell.mean or 0.0 for cell in line.cells.values()]
    deviations = [cell.standard_deviation for cell in line.cells.values()]
    known = [deviation is not None for deviation in deviations]
    margins = [nan if deviation is None else deviation for deviation in deviations]
    low = [mean - margin for mean, margin in zip(means, margins, strict=True)]
    high = [mean + margin for mean, margin in zip(means, margins, strict=True)]
    if any(known):
        panel.fill_between(places, low, high, where=known, color=colour, alpha=_BAND, linewidth=0)
        edge: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": 0.4, "alpha": 0.7}
        panel.plot(places, low, places, high, label="_edges", **edge)  # by which bands differ in grey
    for at, place in enumerate(places):  # a band has no width where its neighbours have none
        if known[at] and not any(known[max(0, at - 1) : at] + known[at + 1 : at + 2]):
            panel.vlines(place, low[at], high[at], color=colour, linewidth=0.8)
    for place, cell in line.cells.items():
        if seeds and len(cell.values) > 1:
            dots: dict[str, Any] = {"linestyle": "none", "marker": style["marker"], "label": "_seeds"}
            panel.plot([place] * len(cell.values), cell.values, color=colour, alpha=0.5, markersize=2, **dots)
    panel.plot(places, means, label=line.label, markevery=markers, **style)


def draw_level(panel: Axes, cell: Cell, n: int, label: str) -> tuple[Artist, ...]:
    """The ``n``-th row that is the same at every place: a horizontal line, without markers, with a hatched band.

    Returns what stands for it in a legend.
    """
    mean, deviation = cell.mean or 0.0, cell.standard_deviation
    style: dict[str, Any] = {"color": "0.25", "linestyle": _LEVELS[n % len(_LEVELS)], "linewidth": 1.0}
    panel.axhline(mean, label=label, zorder=1.5, **style)
    line = Line2D([], [], **style)
    if deviation is None:
        return (line,)
    hatch = _HATCHES[n % len(_HATCHES)]
    band: dict[str, Any] = {"facecolor": "none", "edgecolor": "0.75", "hatch": hatch, "linewidth": 0}
    panel.axhspan(mean - deviation, mean + deviation, zorder=0.5, **band)
    return Patch(**band), line
