"""What is printed in each place of a table, decided once for every format: texts, best and second, footnotes.

Best and second are told by the means *as printed*, so that two cells that read the same are marked the same;
all that tie are marked. Only complete cells compete, and only where at least two of them do. Halves are
rounded up, as on paper: means over two seeds often end in a half, which binary rounding sends up or down.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby

from results.collect import Cell, Row, Table
from results.metrics import GROUPS, Metric, metric

MISSING = "–"
_SYMBOLS = "*†‡§¶"


@dataclass(frozen=True)
class Entry:
    """One cell in print; ``place`` is 1 for the best of its column, 2 for the second."""

    mean: str
    deviation: str = ""
    symbol: str = ""
    place: int = 0


@dataclass(frozen=True)
class Line:
    """One row in print; ``seeds`` is "3", or "2/3" where one is missing."""

    label: str
    symbols: str
    seeds: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Layout:
    """A table in print; ``groups`` are neighbouring columns with their common title, "" for none."""

    name: str
    metrics: tuple[Metric, ...]
    lines: tuple[Line, ...]
    notes: tuple[tuple[str, str], ...]

    @property
    def groups(self) -> list[tuple[str, range]]:
        found, start = [], 0
        for group, members in groupby(self.metrics, key=lambda one: one.group):
            stop = start + len(list(members))
            found.append((GROUPS[group].title if group in GROUPS else "", range(start, stop)))
            start = stop
        return found


def lay_out(table: Table) -> Layout:
    """Texts, places and footnotes of ``table``; footnotes are numbered in reading order."""
    metrics = tuple(metric(name) for name in table.columns)
    places = [_places([row.cells[i] for row in table.rows], metrics[i]) for i in range(len(metrics))]
    symbols: dict[str, str] = {}
    lines = []
    for r, row in enumerate(table.rows):
        marks = "".join(_symbol(mark, symbols) for mark in row.marks)
        entries = (_entry(row.cells[i], metrics[i], places[i][r], symbols) for i in range(len(metrics)))
        lines.append(Line(" ".join(row.label.split()), marks, _seeds(row), tuple(entries)))
    notes = [(symbol, text) for text, symbol in symbols.items()]
    if any(not cell.values for row in table.rows for cell in row.cells):
        notes.append((MISSING, "no result"))
    if any(line.entries and entry.deviation for line in lines for entry in line.entries):
        notes.append(("±", "standard deviation over the seeds (n − 1)"))
    return Layout(" ".join(table.name.split()), metrics, tuple(lines), tuple(notes))


def _entry(cell: Cell, column: Metric, place: int, symbols: dict[str, str]) -> Entry:
    if cell.mean is None:
        return Entry(MISSING)
    deviation = cell.standard_deviation
    return Entry(
        mean=_rounded(cell.mean, column),
        deviation="" if deviation is None else _rounded(deviation, column),
        symbol="" if cell.complete else _symbol(f"{len(cell.values)} of {cell.expected} seeds", symbols),
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


def _seeds(row: Row) -> str:
    """How many runs gave a number, and of how many where some did not."""
    finished = max((len(cell.values) for cell in row.cells), default=0)
    expected = max((cell.expected for cell in row.cells), default=0)
    return str(finished) if finished == expected else f"{finished}/{expected}"


def _symbol(text: str, symbols: dict[str, str]) -> str:
    """The footnote mark of ``text``: * † ‡ § ¶ ** †† ..., the next free one for a text not seen before."""
    repeat, index = divmod(len(symbols), len(_SYMBOLS))
    return symbols.setdefault(text, _SYMBOLS[index] * (repeat + 1))
