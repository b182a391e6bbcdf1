"""What is printed in each place of a table, decided once for every format: texts, best and second, footnotes.

Best and second are told by the means *as printed*, so that two cells that read the same are marked the same;
all that tie are marked. Only complete cells compete, and only where at least two of them do. Halves are
rounded up, as on paper: means over two seeds often end in a half, which binary rounding sends up or down.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby

from results.collect import Cell, Row, Table
from results.metrics import GROUPS, Metric, metric

MISSING = "–"
_SYMBOLS = "*†‡§¶"


@dataclass(frozen=True)
class Column:
    """One column in print; ``group`` is the title it shares with its neighbours, "" for none.

    short  stands for the title where there is no room
    kept   beside the labels, also where groups stand one below the other
    """

    heading: str
    group: str = ""
    short: str = ""
    kept: bool = False


@dataclass(frozen=True)
class Entry:
    """One cell in print: ``text``, where it has one ± ``deviation``, then ``rest`` and ``symbol``.

    A column is aligned where ``text`` ends; ``place`` is 1 for the best of its column, 2 for the second.
    """

    text: str
    deviation: str = ""
    rest: str = ""
    symbol: str = ""
    place: int = 0


@dataclass(frozen=True)
class Line:
    """One row in print; ``section`` is the title it shares with its neighbours, "" for none."""

    label: str
    symbols: str
    entries: tuple[Entry, ...]
    section: str = ""


@dataclass(frozen=True)
class Layout:
    """A table in print; ``heading`` is that of the labels, ``notes`` are terms or marks with their meanings."""

    name: str
    heading: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[tuple[str, str], ...]

    @property
    def groups(self) -> list[tuple[str, range]]:
        """Neighbouring columns, with their common title."""
        return _neighbours(column.group for column in self.columns)

    @property
    def sections(self) -> list[tuple[str, range]]:
        """Neighbouring lines, with their common title."""
        return _neighbours(line.section for line in self.lines)


def lay_out(table: Table) -> Layout:
    """Texts, places and footnotes of ``table``; footnotes are numbered in reading order."""
    metrics = tuple(metric(name) for name in table.columns)
    places = [_places([row.cells[i] for row in table.rows], metrics[i]) for i in range(len(metrics))]
    symbols: dict[str, str] = {}
    lines = []
    for r, row in enumerate(table.rows):
        marks = "".join(symbol(mark, symbols) for mark in row.marks)
        entries = [_entry(row.cells[i], metrics[i], places[i][r], symbols) for i in range(len(metrics))]
        lines.append(Line(" ".join(row.label.split()), marks, (_seeds(row), *entries)))
    notes = [(symbol, text) for text, symbol in symbols.items()]
    if any(not cell.values for row in table.rows for cell in row.cells):
        notes.append((MISSING, "no result"))
    if any(entry.deviation for line in lines for entry in line.entries):
        notes.append(("±", "standard deviation over the seeds (n − 1)"))
    columns = (Column("seeds", kept=True), *map(_column, metrics))
    return Layout(" ".join(table.name.split()), "variant", columns, tuple(lines), tuple(notes))


def symbol(text: str, symbols: dict[str, str]) -> str:
    """The footnote mark of ``text``: * † ‡ § ¶ ** †† ..., the next free one for a text not seen before."""
    repeat, index = divmod(len(symbols), len(_SYMBOLS))
    return symbols.setdefault(text, _SYMBOLS[index] * (repeat + 1))


def _column(metric: Metric) -> Column:
    heading = f"{metric.heading} {metric.arrow}".rstrip()
    return Column(heading, *GROUPS[metric.group]) if metric.group else Column(heading)


def _entry(cell: Cell, column: Metric, place: int, symbols: dict[str, str]) -> Entry:
    if cell.mean is None:
        return Entry(MISSING)
    deviation = cell.standard_deviation
    return Entry(
        text=_rounded(cell.mean, column),
        deviation="" if deviation is None else _rounded(deviation, column),
        symbol="" if cell.complete else symbol(f"{len(cell.values)} of {cell.expected} seeds", symbols),
        place=place,
    )


def _places(cells: list[Cell], column: Metric) -> list[int]:
    printed = [Decimal(_rounded(c.mean, column)) if c.complete and c.mean is not None else None for c in cells]
    values = [value for value in printed if value is not None]
    if column.higher_is_better is None or len(values) < 2:
        return [0] * len(cells)
    ranking = sorted(set(values), reverse=column.higher_is_better)[:2]
    return [1 + ranking.index(value) if value in ranking else 0 for value in printed]


def _rounded(number: float, column: Metric) -> str:
    return str(Decimal(repr(number)).quantize(Decimal(1).scaleb(-column.decimals), ROUND_HALF_UP))


def _seeds(row: Row) -> Entry:
    """How many runs gave a number, and of how many where some did not: 3, or 2/3."""
    finished = max((len(cell.values) for cell in row.cells), default=0)
    expected = max((cell.expected for cell in row.cells), default=0)
    return Entry(str(finished), rest="" if finished == expected else f"/{expected}")


def _neighbours(titles: Iterable[str]) -> list[tuple[str, range]]:
    found, start = [], 0
    for title, members in groupby(titles):
        stop = start + len(list(members))
        found.append((title, range(start, stop)))
        start = stop
    return found
