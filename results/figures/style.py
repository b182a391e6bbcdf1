"""How all figures look, for a column of a paper or its full width, in colour and in grey; and how they are written."""

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib import font_manager, rc_context
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from hbi.files import write_atomically

COLUMN, PAGE = 3.4, 7.0
"""Widths, inches: a column of a paper, or all of its page."""

READABLE = 7
"""Lines that one panel holds; as many as there are colours."""

GREY = "0.45"

_FONT = "DejaVu Sans"  # comes with matplotlib, so a figure is the same on every machine
_SETTINGS: dict[str, Any] = {
    "font.family": [_FONT],
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.4,
    "text.parse_math": False,  # a $ in a label is no formula
    "pdf.fonttype": 42,  # letters stay letters: journals refuse the other kind
    "svg.fonttype": "path",
}
# Lines differ in colour (Okabe and Ito's, told apart by colour-blind readers), and in grey by dashes and markers.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_MARKERS = "osD^vP*X"
_MOST_LINES = 3
"""Of a label."""

_LETTER, _LINE = 0.055, 0.14
"""Inches that a letter of a legend takes, more than most, and a line of it."""


@dataclass(frozen=True)
class Drawn:
    """A figure; ``caption`` says what its lines, bands and points are, and what is not shown."""

    name: str
    caption: str
    figure: Figure

    @property
    def svg(self) -> str:
        """As an SVG element, without what stands before it in a file, so it can also be put into a page."""
        # ids hang on the name, so that several figures of a page do not share any
        with drawing(), rc_context({"svg.hashsalt": self.name}):
            settle(self.figure)
            text = io.StringIO()
            metadata = {"Title": self.name, "Description": self.caption, "Date": None, "Creator": None, "Type": None}
            self.figure.savefig(text, format="svg", metadata=metadata)
        return text.getvalue()[text.getvalue().index("<svg") :]


def drawing() -> AbstractContextManager[None]:
    """The settings under which figures are drawn and written; those of the user do not count."""
    context: AbstractContextManager[None] = matplotlib.style.context(["default", _SETTINGS])
    return context


def save(drawn: Drawn, folder: Path) -> list[Path]:
    """Writes NAME.pdf and NAME.svg, vectors, and NAME.png, each whole or not at all; returns the paths.

    Without dates: the same figure makes the same bytes. Raises OSError if the disk refuses.
    """
    pdf, svg, png = (folder / f"{drawn.name}.{ending}" for ending in ("pdf", "svg", "png"))
    title, figure = {"Title": drawn.name}, drawn.figure
    of_pdf = {**title, "Subject": drawn.caption, "CreationDate": None}
    of_png = {**title, "Description": drawn.caption}
    with drawing():
        settle(figure)
        write_atomically(pdf, lambda file: figure.savefig(file, format="pdf", metadata=of_pdf))
        write_atomically(svg, drawn.svg)
        write_atomically(png, lambda file: figure.savefig(file, format="png", dpi=300, metadata=of_png))
    return [pdf, svg, png]


def settle(figure: Figure) -> None:
    """Lays it out, once: what is fitted to it, and every format, finds the same places."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine(None)


def line_style(n: int, lines: int) -> dict[str, Any]:
    """Of the ``n``-th of so many lines: ever thinner, with ever smaller markers, so that none hides another."""
    rest = 1 - n / max(1, lines - 1)
    return {
        "color": _COLOURS[n % len(_COLOURS)],
        "linestyle": _DASHES[(n - 1) % len(_DASHES)] if n else "-",
        "linewidth": 0.8 + 0.8 * rest,
        "marker": _MARKERS[n % len(_MARKERS)],
        "markersize": 3 + 3 * rest,
        "markeredgewidth": 0.8,
        "markerfacecolor": "none",
    }


def short_labels(labels: Iterable[str], width: int = 50) -> dict[str, str]:
    """Each label in lines of so many letters; of what is too long beginning and end. Those that would read the same are
    numbered."""
    short: dict[str, str] = {}
    longest = _MOST_LINES * width - 10  # lines break at blanks, so not all are full
    for label in dict.fromkeys(labels):
        line = " ".join("".join(map(_legible, label)).split())
        if len(line) > longest:
            line = f"{line[: longest // 2]}…{line[-(longest // 2) :]}"
        text, number = line, 1
        while text in short.values():
            number += 1
            text = f"{line} ({number})"
        short[label] = text
    return {label: "\n".join(textwrap.wrap(text, width, break_on_hyphens=False)) for label, text in short.items()}


def legend(figure: Figure, entries: Mapping[str, Any]) -> None:
    """Below the panels, in as many columns as there is room for; ``entries``: an artist, or several, by label."""
    texts = list(short_labels(entries).values())
    columns = _columns(texts, figure.get_figwidth())
    options: dict[str, Any] = {"loc": "outside lower center", "frameon": False, "handlelength": 4}
    below = figure.legend(list(entries.values()), [" "] * len(texts), ncols=columns, **options)
    for text, written in zip(below.get_texts(), texts, strict=True):
        text.set_text(written)  # not at once: some versions leave out a label that begins with _


def legend_height(labels: Iterable[str], width: float) -> float:
    """Inches that a legend of so many inches' width takes."""
    texts = list(short_labels(labels).values())
    if not texts:
        return 0.0
    rows = -(-len(texts) // _columns(texts, width))
    return _LINE * (rows + sum(sorted(text.count("\n") for text in texts)[-rows:]))


def _columns(texts: Sequence[str], width: float) -> int:
    longest = max(len(line) for text in texts for line in text.split("\n"))
    return max(1, min(len(texts), int(width / (0.5 + _LETTER * longest))))


def _legible(letter: str) -> str:
    """The letter; a blank for what is not to be printed, its number for what the font lacks and would draw as a box."""
    if not letter.isprintable():
        return " "
    return letter if ord(letter) in _letters() else letter.encode("ascii", "backslashreplace").decode()


@cache
def _letters() -> frozenset[int]:
    """What the font has."""
    return frozenset(FT2Font(font_manager.findfont(_FONT)).get_charmap())
