"""From records to a table: what the suite wants against what the store has. Nothing wanted is dropped."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev

from hbi.metrics.registry import COLUMNS
from results.estimates import Interval
from results.significance import Comparison
from results.summary import Summary


@dataclass(frozen=True)
class Cell:
    """One metric of one variant: a value a seed, in the suite's order; ``expected`` when all have run.

    interval    holds the metric with 95 % confidence, over queries, and seeds where there are several
    comparison  with the baseline's cell, of the seeds that both have; p_holm: its p-value, corrected over the column
    """

    values: tuple[float, ...]
    expected: int
    interval: Interval | None = None
    comparison: Comparison | None = None
    p_holm: float | None = None

    @cached_property
    def mean(self) -> float | None:
        """None without a value. Exactly rounded, so it does not depend on the order of the seeds."""
        return fmean(self.values) if self.values else None

    @cached_property
    def standard_deviation(self) -> float | None:
        """Of the population the seeds were drawn from (ddof 1); None for fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def complete(self) -> bool:
        return len(self.values) == self.expected

    @property
    def numbers(self) -> dict[str, float | str]:
        """What is known of it, by its name in files; what is not is left out."""
        against = self.comparison
        found: dict[str, float | str | None] = {
            "n": len(self.values),
            "expected": self.expected,
            "mean": self.mean,
            "std": self.standard_deviation,
            "p_holm": self.p_holm,
        }
        if self.interval:
            found["lower"], found["upper"] = self.interval
        if against:
            found |= {"difference": against.difference, "p": against.p_value, "over": against.over}
            found["difference_lower"], found["difference_upper"] = against.interval
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Row:
    """One variant: a cell a column, and in ``marks`` what a reader must know before comparing it."""

    label: str
    cells: tuple[Cell, ...]
    marks: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = ()
    competes: bool = True
    """Whether it can be the best: not on other queries than the baseline."""


@dataclass(frozen=True)
class Printed:
    """A row that a paper prints: ``values`` a column, None where it has none; ``sources`` and ``note`` for the CSV."""

    label: str
    values: tuple[float | None, ...]
    marks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Table:
    """``columns`` are metric names as records keep them.

    baseline    label of the row that the others are compared with, at ``level``; "" where nothing is to be
    uncompared  why nothing is compared although it should be
    origin      data set, and what of the suite was changed or left out by the command
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    published: tuple[Printed, ...] = ()
    baseline: str = ""
    level: float = 0.05
    uncompared: str = ""
    origin: str = ""


def collect(
    name: str,
    wanted: Sequence[tuple[str, str]],
    summaries: Mapping[str, Summary],
    columns: Sequence[str] = COLUMNS,
) -> Table:
    """The table of the ``wanted`` runs: pairs of row label and run id, rows in the order of first mention."""
    runs: dict[str, list[str]] = {}
    for label, run_id in dict.fromkeys(wanted):  # a run wanted twice in a row is still one value
        runs.setdefault(label, []).append(run_id)
    measured = {run_id: summaries[run_id] for _, run_id in wanted if run_id in summaries and summaries[run_id].metrics}
    differing = {trait for trait in _TRAITS if len({_TRAITS[trait](one) for one in measured.values()}) > 1}
    rows = (_row(label, runs[label], summaries, columns, differing) for label in runs)
    return Table(name, tuple(columns), tuple(rows))


_TRAITS: dict[str, Callable[[Summary], str]] = {
    "on {}": lambda run: printable(run.device),
    "trained by {}": lambda run: f"{run.processes} processes" if run.processes > 1 else "1 process",
    "frames decoded by {}": lambda run: printable(run.decoder),
    "precision {}": lambda run: run.precision,
    "{} rank of what ties": lambda run: "expected" if run.ties == "released" else run.ties,
    "on {}: other queries": lambda run: run.data,
}
"""What a row is marked with where a table's runs differ in it, for it moves numbers: another device rounds otherwise,
another decoder gives other frames. An id of device "auto" or reader "auto" does not tell such runs apart."""


_PROCESSED = {
    "dsl": "dual softmax over all test queries, of which rows without it know nothing",
    "qb-norm": "QB-Norm with a bank of training queries, of which rows without it know nothing",
}


def _row(
    label: str, run_ids: Sequence[str], summaries: Mapping[str, Summary], columns: Sequence[str], differing: Set[str]
) -> Row:
    found = [summaries[run_id] for run_id in run_ids if run_id in summaries]
    complete = [run for run in found if run.complete]
    cells = tuple(
        Cell(tuple(run.metrics[column] for run in complete if column in run.metrics), len(run_ids))
        for column in columns
    )
    failures = Counter(run.failure for run in found if run.failure)
    marks = [f"{_part(count, run_ids)} failed ({printable(kind)})" for kind, count in sorted(failures.items())]
    if any(run.selection_split == "test" for run in complete):
        marks.append("epoch chosen on the test split")
    parts = {run.accumulation for run in complete if run.accumulation}
    if parts:  # other sums are rounded otherwise
        marks.append(f"batch encoded in {' or '.join(map(str, sorted(parts)))} parts for want of memory")
    if any(run.ties == "released" for run in complete):
        marks.append("a query counts once for each candidate tied with its match")
    if processed := {run.post_processing for run in complete} & _PROCESSED.keys():
        marks += [f"{_PROCESSED[name]}" for name in sorted(processed)]
    for trait, told in _TRAITS.items():
        if trait in differing and complete:
            marks.append(trait.format(", ".join(sorted(set(map(told, complete))))))
    if dirty := sum(run.dirty for run in complete):
        which = "" if dirty == len(complete) else f"{_part(dirty, run_ids)} "
        marks.append(f"{which}computed by code with changes that its commit lacks")
    return Row(label, cells, tuple(marks), tuple(run_ids))


def _part(count: int, run_ids: Sequence[str]) -> str:
    return "the run" if len(run_ids) == 1 else f"{count} of {len(run_ids)} runs"


def printable(text: str, most: int | None = 80) -> str:
    """On one line, cut to ``most`` letters if given: no line break or terminal code of a file's author gets through."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if most is None or len(line) <= most else f"{line[: most - 1]}…"
