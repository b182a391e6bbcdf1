"""Learning curves: the loss and the metric on the selection split, epoch by epoch."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from results.collect import Cell
from results.figures.lines import Line, draw_line
from results.figures.rows import axis_title, complete, spread_told, watched
from results.figures.style import COLUMN, READABLE, Drawn, legend, legend_height, line_style
from results.record import Epoch, Record
from suites.expand import Run
from suites.schema import Suite

_MARKERS = 8
"""Of a line, at most, or a few more."""

_LOSS = "total loss"


def learning_curves(suite: Suite, runs: Sequence[Run], records: Mapping[str, Record]) -> Iterator[Drawn]:
    """SUITE.curves, where a run has been trained; of complete runs alone, and of the first rows that have any."""
    rows = complete(runs, records)
    curves = {label: [record for record in row.values() if record and record.curve] for label, row in rows.items()}
    curves = {label: found for label, found in curves.items() if found}
    shown = dict(list(curves.items())[:READABLE])
    metric = watched(suite, runs)
    panels = {_LOSS: _lines(shown, None), axis_title(metric): _lines(shown, metric)}
    panels = {title: lines for title, lines in panels.items() if lines}
    if not panels:
        return
    counts = [Cell((0.0,) * len(found), len(rows[label])) for label, found in shown.items()]
    told = [f"Learning curves: {spread_told(counts, 'bands')}"]
    splits = sorted({record.selection_split for found in shown.values() for record in found if record.selection_split})
    if len(panels) > 1:
        told.append(f"{list(panels)[-1]} is on the {' or '.join(splits) or 'selection'} split")
    if len(shown) > 1:
        told.append("losses of rows whose terms or weights differ are not to be compared")
    if len(curves) > len(shown):
        told.append(f"{len(shown)} of {len(curves)} rows, the first of the suite")
    yield Drawn(f"{suite.name}.curves", "; ".join(told) + ".", _figure(panels, list(shown)))


def _lines(shown: Mapping[str, Sequence[Record]], metric: str | None) -> list[Line]:
    """A line a row, of the total loss where no metric is given; what is not finite is left out."""
    lines = []
    for label, records in shown.items():
        values: dict[float, list[float]] = {}
        for record in records:
            for epoch in record.curve:
                value = _value(epoch, metric)
                if value is not None and isfinite(value):
                    values.setdefault(epoch.epoch, []).append(value)
        if values:
            lines.append(Line(label, {n: Cell(tuple(values[n]), len(records)) for n in sorted(values)}))
    return lines


def _value(epoch: Epoch, metric: str | None) -> float | None:
    return epoch.metrics.get(metric) if metric else epoch.losses.get("total")


def _figure(panels: Mapping[str, Sequence[Line]], labels: Sequence[str]) -> Figure:
    height = 1.5 * len(panels) + 0.3 + legend_height(labels, COLUMN)
    figure = Figure(figsize=(COLUMN, height), layout="constrained")
    styles = {label: line_style(n, len(labels)) for n, label in enumerate(labels)}
    axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for panel, (title, lines) in zip(axes, panels.items(), strict=True):
        for n, line in enumerate(lines):
            every = -(-len(line.cells) // _MARKERS)
            draw_line(panel, line, styles[line.label], seeds=False, markers=(n % every, every))
        panel.set_ylabel(title)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels()
    legend(figure, {label: Line2D([], [], **style) for label, style in styles.items()})
    return figure
