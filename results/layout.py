"""What is printed in each place of a table, decided once for every format: texts, best and second, footnotes.

Best and second are told by the means *as printed*, so that two cells that read the same are marked the same;
all that tie are marked. Only complete cells compete, and only where at least two of them do. Halves are
rounded up, as on paper: means over two seeds often end in a half, which binary rounding sends up or down.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from results.collect import Cell, Row, Table
from results.metrics import GROUPS, Metric, metric
from results.numerals import rounded
from results.significance import Comparison

MISSING = "–"
BETTER, WORSE = "⁺", "⁻"
_SYMBOLS = "*†‡§¶"
_SECTIONS = ("measured here", "as published")
_ONE_SEED = "by one seed: it holds for these trained models alone"


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
    places = [_places([(row.cells[i], row.competes) for row in table.rows], metrics[i]) for i in range(len(metrics))]
    symbols: dict[str, str] = {}
    single = _ONE_SEED if _compared_seeds(table) == {True, False} else ""
    measured, printed = _SECTIONS if table.published else ("", "")
    lines = []
    for r, row in enumerate(table.rows):
        marks = _joined([symbol(mark, symbols) for mark in row.marks])
        cells = zip(row.cells, metrics, (column[r] for column in places), strict=True)
        entries = [_entry(cell, column, place, table.level, symbols, single) for cell, column, place in cells]
        lines.append(Line(" ".join(row.label.split()), marks, (_seeds(row), *entries), measured))
    for other in table.published:
        marks = _joined([symbol(mark, symbols) for mark in other.marks])
        entries = [_printed(value, column) for value, column in zip(other.values, metrics, strict=True)]
        if all(value is None for value in other.values):
            entries = [Entry(MISSING)] * len(entries)
        lines.append(Line(other.label, marks, (Entry(""), *entries), printed))
    notes = [(symbol, text) for text, symbol in symbols.items()]
    if any(not cell.values for row in table.rows for cell in row.cells):
        notes.append((MISSING, "no result"))
    if any(entry.deviation for line in lines for entry in line.entries):
        notes.append(("±", "standard deviation over the seeds (n − 1)"))
    notes += _of_tests(table)
    if table.origin:
        notes.append(("data:", table.origin))
    columns = (Column("seeds", kept=True), *map(column_of, metrics))
    return Layout(" ".join(table.name.split()), "variant", columns, tuple(lines), tuple(notes))


def symbol(text: str, symbols: dict[str, str]) -> str:
    """The footnote mark of ``text``: * † ‡ § ¶ ** †† ..., the next free one for a text not seen before."""
    repeat, index = divmod(len(symbols), len(_SYMBOLS))
    return symbols.setdefault(text, _SYMBOLS[index] * (repeat + 1))


def _joined(found: list[str]) -> str:
    """Marks beside each other; apart where ** could be read as two of *."""
    return ("," if any(len(one) > 1 for one in found) else "").join(found)


def column_of(metric: Metric) -> Column:
    """Its heading, with the arrow, under its group."""
    heading = f"{metric.heading} {metric.arrow}".rstrip()
    return Column(heading, *GROUPS[metric.group]) if metric.group else Column(heading)


def _of_tests(table: Table) -> list[tuple[str, str]]:
    """What the marks of better and worse mean, or their absence, where rows were compared."""
    seeds = _compared_seeds(table)
    if table.uncompared:
        return [("", f"nothing is compared: {' '.join(table.uncompared.split())}")]
    if not seeds:
        return []
    over = "over queries and the seeds that both have" if True in seeds else f"over queries, {_ONE_SEED}"
    label, level = " ".join(table.baseline.split()), f"{100 * table.level:g} %"
    test = f"paired {over}; level {level}, corrected for the rows of a column (Holm)"
    if not any(sign(cell.comparison, cell.p_holm, table.level) for row in table.rows for cell in row.cells):
        return [("", f"no difference to {label} is significant: {test}")]
    return [(f"{BETTER} {WORSE}", f"better, worse than {label}: {test}")]


def _compared_seeds(table: Table) -> set[bool]:
    """Whether rows are compared by several seeds; both where some are and some are not."""
    return {cell.comparison.seeds > 1 for row in table.rows for cell in row.cells if cell.comparison}


def sign(found: Comparison | None, p_holm: float | None, level: float) -> str:
    """Whether what was compared is better or worse than what it was compared with; "" where that cannot be said."""
    if found is None or p_holm is None or p_holm > level:
        return ""
    return BETTER if (found.difference > 0) == metric(found.metric).higher_is_better else WORSE


def _printed(value: float | None, column: Metric) -> Entry:
    """A figure of a paper; "" where it prints none."""
    return Entry("" if value is None else rounded(value, column.decimals))


def _entry(cell: Cell, column: Metric, place: int, level: float, symbols: dict[str, str], single: str) -> Entry:
    """``single`` is what a reader must know of a comparison by one seed; "" where the table's are all alike."""
    if cell.mean is None:
        return Entry(MISSING)
    deviation, verdict = cell.standard_deviation, sign(cell.comparison, cell.p_holm, level)
    marks = [single] if verdict and single and cell.comparison and cell.comparison.seeds == 1 else []
    marks += [] if cell.complete else [f"{len(cell.values)} of {cell.expected} seeds"]
    return Entry(
        text=rounded(cell.mean, column.decimals),
        deviation="" if deviation is None else rounded(deviation, column.decimals),
        symbol=verdict + _joined([symbol(mark, symbols) for mark in marks]),
        place=place,
    )


def _places(cells: list[tuple[Cell, bool]], column: Metric) -> list[int]:
    printed = [
        Decimal(rounded(cell.mean, column.decimals)) if competes and cell.complete and cell.mean is not None else None
        for cell, competes in cells
    ]
    values = [value for value in printed if value is not None]
    if column.higher_is_better is None or len(values) < 2:
        return [0] * len(cells)
    ranking = sorted(set(values), reverse=column.higher_is_better)[:2]
    return [1 + ranking.index(value) if value in ranking else 0 for value in printed]


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
