"""The figure of how costs grow: FLOPs above, time below, a panel a size, for a paper's column or its full width."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from hbi.config.cost import Size
from hbi.files import write_atomically
from results.cost_scaling import Growth, Measure, sizes_of
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

_WIDTHS = {1: 3.4, 2: 3.4, 3: 7.0, 4: 7.0}
"""Inches, by number of panels: a column of a paper, or all of its page."""

_SETTINGS: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # letters stay letters: journals refuse the other kind
}
# Rows differ in colour (Okabe and Ito's, told apart by colour-blind readers), and in grey by dashes and markers.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_MARKERS = "osD^vP*X"


def write_figure(name: str, grown: Sequence[Growth], folder: Path) -> list[Path]:
    """Writes NAME.pdf, vectors, and NAME.png, each whole or not at all; neither where nothing grows. Returns the paths.

    Raises OSError if the disk refuses.
    """
    shown = [one for one in grown if one.quantity == SHOWN[one.size]]
    if not shown:
        return []
    pdf, png = folder / f"{name}.pdf", folder / f"{name}.png"
    with matplotlib.rc_context(_SETTINGS):
        figure = _figure(shown)
        # without its date: the same numbers make the same file
        write_atomically(pdf, lambda file: figure.savefig(file, format="pdf", metadata={"CreationDate": None}))
        write_atomically(png, lambda file: figure.savefig(file, format="png", dpi=300))
    return [pdf, png]


def _figure(grown: Sequence[Growth]) -> Figure:
    labels = list(dict.fromkeys(one.label for one in grown))
    styles = {label: _style(n, len(labels)) for n, label in enumerate(labels)}
    sizes = sizes_of(grown)
    measures = [measure for measure in _MEASURES if any(one.measure == measure for one in grown)]
    width = _WIDTHS[len(sizes)]
    columns = max(1, int(width / (0.5 + 0.055 * max(map(len, map(_short, labels))))))  # of the legend
    height = 1.6 * len(measures) + 0.14 * -(-len(labels) // columns) + 0.2
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(len(measures), len(sizes), squeeze=False)
    for measure, row in zip(measures, axes, strict=True):
        for size, panel in zip(sizes, row, strict=True):
            _draw(panel, [one for one in grown if (one.measure, one.size) == (measure, size)], styles)
        next(panel for panel in row if panel.axison).set_ylabel(_MEASURES[measure][0])
    for size, column in zip(sizes, axes.T, strict=True):
        [panel for panel in column if panel.axison][-1].set_xlabel(size)
    handles = [Line2D([], [], **style) for style in styles.values()]
    legend = figure.legend(
        handles, list(map(_short, labels)), loc="outside lower center", ncols=columns, frameon=False, handlelength=4
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # a $ in a label is no formula
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


def _style(n: int, rows: int) -> dict[str, Any]:
    """Of the ``n``-th of so many rows: ever thinner, with ever smaller markers, so that none hides another."""
    rest = 1 - n / max(1, rows - 1)
    return {
        "color": _COLOURS[n % len(_COLOURS)],
        "linestyle": _DASHES[(n - 1) % len(_DASHES)] if n else "-",
        "linewidth": 0.8 + 1.2 * rest,
        "marker": _MARKERS[n % len(_MARKERS)],
        "markersize": 3 + 4 * rest,
        "markeredgewidth": 0.8,
        "markerfacecolor": "none",
    }


def _short(label: str) -> str:
    """As much of a label as a legend has room for."""
    label = " ".join(label.split())
    return label if len(label) <= 40 else f"{label[:39]}…"
