"""The rows of a suite and their values, as figures need them; free of matplotlib."""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite, nan

from hbi.metrics.registry import HEADLINES
from results.collect import Cell
from results.metrics import GROUPS, metric
from results.record import Record
from suites.expand import Run
from suites.schema import Suite
from suites.spec import RunSpec


def specs(runs: Iterable[Run]) -> dict[str, RunSpec]:
    """By label, in the order of the tables; that of the row's first seed."""
    found: dict[str, RunSpec] = {}
    for run in runs:
        if run.in_tables:
            found.setdefault(run.label, run.spec)
    return found


def baseline(suite: Suite, runs: Iterable[Run]) -> str | None:
    """The label of the row that the others are compared with; the first where the suite names none."""
    labels = list(specs(runs))
    return suite.baseline if suite.baseline in labels else next(iter(labels), None)


def watched(suite: Suite, runs: Iterable[Run]) -> str:
    """The metric that is drawn: the first that the suite asks for, else the headline of its first row's task."""
    if suite.metrics:
        return suite.metrics[0]
    task = next((spec.data.task for spec in specs(runs).values()), "retrieval")
    return HEADLINES[task][0]


def cells(suite: Suite, runs: Sequence[Run], records: Mapping[str, Record]) -> dict[str, Cell]:
    """What was found of the watched metric, by label; a value that is not finite counts as missing."""
    name = watched(suite, runs)
    found: dict[str, Cell] = {}
    for label, row in complete(runs, records).items():
        values = (record.metrics.get(name, nan) for record in row.values() if record)
        found[label] = Cell(tuple(filter(isfinite, values)), len(row))
    return found


def complete(runs: Iterable[Run], records: Mapping[str, Record]) -> dict[str, dict[str, Record | None]]:
    """By label and run id, the record of each run of the tables; None of one that is not complete."""
    found: dict[str, dict[str, Record | None]] = {}
    for run in runs:
        if run.in_tables:
            record = records.get(run.run_id)
            done = record is not None and record.outcome == "complete"
            found.setdefault(run.label, {})[run.run_id] = record if done else None
    return found


def axis_title(name: str) -> str:
    """Of a metric."""
    known = metric(name)
    title = f"{GROUPS[known.group].title}: {known.heading}" if known.group else known.heading
    percent = ", %" if known.heading.startswith("R@") else ""
    return f"{title}{percent} {known.arrow}".rstrip()


def spread_told(found: Iterable[Cell], shape: str) -> str:
    """For a caption: over how many seeds means are, what the ``shape`` ("bands") that shows their spread is, and what
    is missing."""
    found = list(found)
    numbers = sorted({len(cell.values) for cell in found if cell.values})
    n = " to ".join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))
    several = f"; {shape}: ± one standard deviation of the seeds (n − 1)" + (", where n > 1" if numbers[0] == 1 else "")
    told = f"means over seeds (n = {n}){several}" if numbers[-1] > 1 else "one seed each, so no spread is shown"
    expected, there = sum(cell.expected for cell in found), sum(len(cell.values) for cell in found)
    return told + (f"; {expected - there} of {expected} runs have no result" if there < expected else "")
