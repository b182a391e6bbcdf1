"""From records to a table: what the suite wants against what the store has. Nothing wanted is dropped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from hbi.metrics.registry import COLUMNS
from results.record import Record


@dataclass(frozen=True)
class Cell:
    """One metric of one variant: a value a seed, in the suite's order; ``expected`` when all have run."""

    values: tuple[float, ...]
    expected: int

    @property
    def mean(self) -> float | None:
        """None without a value. Exactly rounded, so it does not depend on the order of the seeds."""
        return fmean(self.values) if self.values else None

    @property
    def standard_deviation(self) -> float | None:
        """Of the population the seeds were drawn from (ddof 1); None for fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def complete(self) -> bool:
        return len(self.values) == self.expected


@dataclass(frozen=True)
class Row:
    """One variant: a cell a column, and in ``marks`` what a reader must know before comparing it."""

    label: str
    cells: tuple[Cell, ...]
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """``columns`` are metric names as records keep them."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def collect(
    name: str,
    wanted: Sequence[tuple[str, str]],
    records: Mapping[str, Record],
    columns: Sequence[str] = COLUMNS,
) -> Table:
    """The table of the ``wanted`` runs: pairs of row label and run id, rows in the order of first mention."""
    runs: dict[str, list[str]] = {}
    for label, run_id in dict.fromkeys(wanted):  # a run wanted twice in a row is still one value
        runs.setdefault(label, []).append(run_id)
    devices = {_device(records[run_id]) for _, run_id in wanted if run_id in records and records[run_id].metrics}
    rows = (_row(label, runs[label], records, columns, len(devices) > 1) for label in runs)
    return Table(name, tuple(columns), tuple(rows))


def _row(
    label: str, run_ids: Sequence[str], records: Mapping[str, Record], columns: Sequence[str], name_devices: bool
) -> Row:
    found = [records[run_id] for run_id in run_ids if run_id in records]
    complete = [record for record in found if record.outcome == "complete"]
    cells = tuple(
        Cell(tuple(record.metrics[column] for record in complete if column in record.metrics), len(run_ids))
        for column in columns
    )
    failures = Counter(
        record.failure.kind if record.failure else "unknown" for record in found if record.outcome == "failed"
    )
    of = "the run" if len(run_ids) == 1 else f"{{}} of {len(run_ids)} runs"
    marks = [f"{of.format(count)} failed ({_printable(kind)})" for kind, count in sorted(failures.items())]
    if any(record.selection_split == "test" for record in complete):
        marks.append("epoch chosen on the test split")
    parts = {record.accumulation for record in complete if record.accumulation}
    if parts:  # other sums are rounded otherwise
        marks.append(f"batch encoded in {' or '.join(map(str, sorted(parts)))} parts for want of memory")
    if any(record.spec.evaluation.ties == "released" for record in complete):
        marks.append("a query counts once for each candidate tied with its match")
    if name_devices and complete:  # other devices round otherwise, and an id of device "auto" does not tell them apart
        marks.append(f"on {', '.join(sorted(set(map(_device, complete))))}")
    return Row(label, cells, tuple(marks))


def _device(record: Record) -> str:
    return _printable(record.provenance.gpu or "CPU")


def _printable(text: str) -> str:
    """A kind comes from a file: no line break or terminal code of its author reaches the screen."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:80]
