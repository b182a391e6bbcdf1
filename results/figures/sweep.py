"""A metric against the options that a suite sweeps."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log10
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from results.collect import Cell
from results.figures.lines import Line, draw_level, draw_line
from results.figures.options import Sweep, is_number, sweeps
from results.figures.rows import axis_title, baseline, cells, spread_told, watched
from results.figures.style import COLUMN, PAGE, READABLE, Drawn, legend, legend_height, line_style, short_labels
from results.record import Record
from suites.expand import Run
from suites.schema import Suite

MOST_PANELS = 12
"""Of a figure with a panel for each line."""

MOST_LEVELS = 4
"""Rows beside the sweep that are drawn; of more, the baseline alone."""

_LETTER = 0.055
"""Inches that a letter at a tick takes."""


@dataclass(frozen=True)
class _Places:
    """Where values stand on the x-axis: ``at`` by value, as JSON. Scale "in turn": not where they belong."""

    title: str
    at: Mapping[str, float]
    texts: Mapping[float, str]
    scale: str = "linear"

    def draw(self, panel: Axes, width: float) -> None:
        """The axis of a panel so many inches wide, with a tick at every value and a text wherever one has room."""
        places = sorted(self.texts)
        if self.scale == "symlog":
            panel.set_xscale("symlog", linthresh=min(place for place in places if place > 0))
        elif self.scale == "log":
            panel.set_xscale("log")
        transform = panel.xaxis.get_transform()
        where = [float(transform.transform(place)) for place in places]
        shown: list[int] = []
        for at, place in enumerate(places):
            if shown:
                apart = width * (where[at] - where[shown[-1]]) / (where[-1] - where[0])
                letters = (len(self.texts[place]) + len(self.texts[places[shown[-1]]])) / 2 + 1
            if not shown or apart >= _LETTER * letters:
                shown.append(at)
        if self.scale == "in turn" and len(shown) < len(places):
            panel.set_xticks(places, [self.texts[place] for place in places], rotation=30, ha="right")
        else:
            panel.set_xticks(places, [self.texts[place] if at in shown else "" for at, place in enumerate(places)])
        panel.xaxis.set_minor_locator(NullLocator())


def swept(suite: Suite, runs: Sequence[Run], records: Mapping[str, Record]) -> Iterator[Drawn]:
    """SUITE.OPTION for every option that is swept, where there is a result at two of its values or more."""
    found, title = cells(suite, runs, records), axis_title(watched(suite, runs))
    for sweep in sweeps(suite, runs):
        places = _places(sweep)
        lines = [
            Line(name, {places.at[_key(sweep.values[row])]: found[row] for row in rows if found[row].values})
            for name, rows in sweep.lines.items()
        ]
        lines = [Line(line.label, dict(sorted(line.cells.items()))) for line in lines if len(line.cells) > 1]
        if not lines:
            continue
        beside = [row for row in sweep.others if found[row].values]
        levels = beside if len(beside) <= MOST_LEVELS else [row for row in beside if row == baseline(suite, runs)]
        asked = [found[row] for rows in sweep.lines.values() for row in rows] + [found[row] for row in levels]
        told = [f"{title} against {', '.join((*sweep.options, *sweep.along))}: {spread_told(asked, 'bands')}"]
        if any(len(cell.values) > 1 for line in lines for cell in line.cells.values()):
            told.append("small markers: single seeds")
        if levels:
            told.append(f"horizontal: {', '.join(levels)}")
        if len(levels) < len(beside):
            told.append(f"not shown: {len(beside) - len(levels)} rows beside the sweep")
        if len(lines) > READABLE:
            told.append("in light grey: the other lines")
        if len(lines) > MOST_PANELS:
            told.append(f"{MOST_PANELS} of {len(lines)} lines, the first of the suite")
        draw = _one_panel if len(lines) <= READABLE else _a_panel_each
        figure = draw(title, places, lines[:MOST_PANELS], {row: found[row] for row in levels})
        option = re.sub(r"[^A-Za-z0-9._-]", "-", sweep.options[0])  # one of another package may hold anything
        yield Drawn(f"{suite.name}.{option}", "; ".join(told) + ".", figure)


def _one_panel(title: str, places: _Places, lines: Sequence[Line], others: Mapping[str, Cell]) -> Figure:
    labels = [*(line.label for line in lines), *others]
    figure = Figure(figsize=(COLUMN, 2.0 + legend_height(labels, COLUMN)), layout="constrained")
    panel = figure.subplots()
    places.draw(panel, COLUMN - 0.7)
    entries: dict[str, Any] = {}
    for n, line in enumerate(lines):
        style = line_style(n, len(lines))
        draw_line(panel, line, style)
        entries[line.label] = Line2D([], [], **style)
    for n, (label, cell) in enumerate(others.items()):
        entries[label] = draw_level(panel, cell, n, label)
    panel.set_xlabel("\n".join(textwrap.wrap(places.title, 48)))
    panel.set_ylabel(title)
    legend(figure, entries)
    return figure


def _a_panel_each(title: str, places: _Places, lines: Sequence[Line], others: Mapping[str, Cell]) -> Figure:
    """On the same axes, the other lines behind each in grey."""
    columns = 4
    rows = -(-len(lines) // columns)
    figure = Figure(figsize=(PAGE, 1.35 * rows + 0.3 + legend_height(others, PAGE)), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    short = short_labels(line.label for line in lines)
    entries: dict[str, Any] = {}
    for line, panel in zip(lines, panels, strict=False):
        places.draw(panel, PAGE / columns - 0.4)
        for other in lines:
            if other is not line:
                panel.plot(list(other.cells), [cell.mean for cell in other.cells.values()], color="0.85", linewidth=0.6)
        for n, (label, cell) in enumerate(others.items()):
            entries[label] = draw_level(panel, cell, n, label)
        draw_line(panel, line, line_style(0, 1) | {"markersize": 4, "linewidth": 1.4})
        panel.set_title("\n".join(textwrap.wrap(short[line.label], 30)))
    for panel in panels[len(lines) :]:
        panel.set_axis_off()
    for panel in panels[max(0, len(lines) - columns) : len(lines)]:
        panel.tick_params(labelbottom=True)
        panel.set_xlabel("\n".join(textwrap.wrap(places.title, 32)))
    figure.supylabel(title, fontsize=7)
    if entries:
        legend(figure, entries)
    return figure


# ---- the x-axis -----------------------------------------------------------------------------------------------------


def _key(value: Any) -> str:
    return json.dumps(value)


def _places(sweep: Sweep) -> _Places:
    """Numbers where they belong; of lists in which one number varies, that one; other lists in turn, as texts."""
    title = " = ".join(sweep.options) + (f", with {', '.join(sweep.along)}" if sweep.along else "")
    values = {_key(value): value for value in sweep.values.values()}
    if all(map(is_number, values.values())):
        return _of_numbers(title, {key: float(value) for key, value in values.items()})
    lengths = {len(value) if isinstance(value, list) else 0 for value in values.values()}
    if len(lengths) == 1:
        varying = [at for at, numbers in enumerate(zip(*values.values(), strict=True)) if len(set(numbers)) > 1]
        if len(varying) == 1:
            title = f"{title}, number {varying[0] + 1} of {lengths.pop()}"
            return _of_numbers(title, {key: float(value[varying[0]]) for key, value in values.items()})
    at = {key: float(place) for place, key in enumerate(values)}
    texts = {place: key.strip("[]") for key, place in at.items()}
    return _Places(f"{title} (not to scale)", at, texts, "in turn")


def _of_numbers(title: str, at: Mapping[str, float]) -> _Places:
    """On a logarithmic axis where that brings the closest two farther apart; 0, if it is there, at its end."""
    places = sorted(set(at.values()))
    texts = {place: f"{place:.10g}" for place in places}
    if places[0] < 0:
        return _Places(title, at, texts)
    positive = [log10(place) for place in places if place > 0]
    zero = [positive[0] - 1] if places[0] == 0 else []  # that far from it "symlog" puts it
    scale = "symlog" if zero else "log"
    return _Places(title, at, texts, scale if _closest([*zero, *positive]) > _closest(places) else "linear")


def _closest(places: Sequence[float]) -> float:
    """The smallest gap, of all that they span."""
    gaps = [upper - lower for lower, upper in pairwise(places)]
    return min(gaps) / sum(gaps) if gaps else 1.0
