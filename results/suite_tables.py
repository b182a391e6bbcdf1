"""All tables of a suite, from its runs and what the store holds of them: in print, as files, and as a check of such."""

import difflib
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

import hbi.config
from ablations.registry import did_you_mean
from hbi.cost.report import CostReport
from hbi.errors import InputError
from hbi.metrics.registry import columns_of
from results.collect import Printed, Table, collect, printable
from results.comparisons import with_statistics
from results.layout import Layout, lay_out
from results.published import PublishedRow, empty_slots, published
from results.record import Record
from results.store import run_folder, whole_record
from results.summary import Summary, read_summaries
from results.tables import table_files
from suites.expand import Run, baseline_of, chosen, expand
from suites.schema import Suite

SHOWN = 20
"""Lines of a difference that are told."""


@dataclass(frozen=True)
class SuiteTables:
    """``table`` is none where a suite only measures, ``cost`` what it has measured.

    wanted    the runs that they are of
    recorded  how many of the runs have left a record
    uncosted  why there is no table of cost although the suite measures it
    problems  records that were left aside, a line each
    """

    name: str
    wanted: tuple[Run, ...]
    table: Table | None
    cost: CostReport | None
    recorded: int
    uncosted: str | None
    problems: tuple[str, ...]

    @property
    def layouts(self) -> list[Layout]:
        """As they are printed one below the other."""
        found = [lay_out(self.table)] if self.table else []
        if self.cost:
            from results import cost_tables  # scipy: a third of a second

            found += cost_tables.layouts(self.name, self.cost)
        return found

    @property
    def files(self) -> dict[str, str]:
        """Texts by the name of their file."""
        found = table_files(self.table) if self.table else {}
        if self.cost:
            from results import cost_tables

            found |= cost_tables.files(self.name, self.cost)
        return found


def suite_tables(suite: Suite, runs: Path, only: str | None = None) -> SuiteTables:
    """The tables of ``suite``, or of its runs that match ``only``. Raises InputError for a published row unknown."""
    summaries, problems = read_summaries(runs)
    every = expand(suite)
    wanted = chosen(every, only)
    table = suite_table(suite, every, summaries, runs, only)
    measuring = [run.run_id for run in wanted if run.alone]
    measured = [record for run_id in measuring if (record := whole_record(run_folder(runs, run_id)))]
    cost = next((record.cost for record in measured if record.cost), None)
    uncosted = _uncosted(measured) if measuring and not cost else None
    recorded = sum(run.run_id in summaries for run in wanted)
    return SuiteTables(suite.name, tuple(wanted), table, cost, recorded, uncosted, tuple(problems))


def suite_table(
    suite: Suite, every: list[Run], summaries: dict[str, Summary], runs: Path, only: str | None = None
) -> Table | None:
    """The table of results, with its statistics and published rows; none where nothing is trained or evaluated.

    every  all runs of the suite: the baseline is the first row of all, whatever ``only`` says
    """
    shown = [run for run in chosen(every, only) if run.in_tables]
    if not shown:
        return None
    rows = [(run.label, run.run_id) for run in shown]
    columns = suite.metrics or columns_of({run.spec.data.task for run in shown})
    table = collect(suite.name, rows, summaries, columns)
    baseline = baseline_of(suite, [run.label for run in every if run.in_tables])
    table = with_statistics(table, summaries, runs, baseline)
    datasets = {run.spec.data.name: None for run in shown}
    evaluated = {run.spec.data.evaluated_on: None for run in shown}
    changes = [f"--set {change}" for change in suite._overrides] + [f"--only {only}"] * bool(only)
    elsewhere = [f"evaluated on {name}" for name in evaluated if name not in datasets]
    origin = printable(", ".join([*datasets, *elsewhere, *changes]), 300)
    return replace(table, published=printed_rows(suite, evaluated.keys(), columns), origin=origin)


# ---- published figures ----------------------------------------------------------------------------------------------


def printed_rows(suite: Suite, datasets: Set[str], columns: Sequence[str]) -> tuple[Printed, ...]:
    """The rows that ``suite`` asks for of those published on its data set, and empty ones for tables not obtained.

    A row that is published on another data set alone is left out: a suite can be tried on data of which nothing is
    published. Raises InputError for one that is published nowhere.
    """
    rows = {row.label: row for name in datasets for row in published(name)} if len(datasets) == 1 else {}
    if elsewhere := [label for label in suite.published if label not in rows]:
        known = {row.label for name in hbi.config.datasets() for row in published(name)}
        for label in elsewhere:
            if label not in known:
                wrong = f"published: no row is called {label!r}; {did_you_mean(label, known)}"
                raise InputError(f"suite {suite.name}: {wrong}")
    found = [_printed(rows[label], columns) for label in suite.published if label in rows]
    missing = [slot for slot in empty_slots() if slot.suite == suite.name] if rows else []
    return (
        *found,
        *(
            Printed(f"{slot.table}, {slot.paper}", (None,) * len(columns), (f"HBI's own table: {slot.why}",))
            for slot in missing
        ),
    )


def _printed(row: PublishedRow, columns: Sequence[str]) -> Printed:
    values = tuple(row.metrics.get(column) for column in columns)
    marks = {
        "second-hand": ("read in another's table, not in that of its authors",),
        "from memory": ("from memory, read nowhere",),
        "not found": ("looked for, not found",),
    }.get(row.status, ())
    return Printed(row.label, values, marks, row.sources, row.note)


# ---- cost -----------------------------------------------------------------------------------------------------------


def _uncosted(records: Sequence[Record]) -> str:
    for record in records:
        if record.failure:
            return f"cost: {record.run_id} has failed ({record.failure.kind}): {record.failure.message}"
    return "no cost has been measured yet; `run` with --only cost measures it"


# ---- files ----------------------------------------------------------------------------------------------------------


def check(tables: SuiteTables, folder: Path) -> list[str]:
    """What in ``folder`` no longer follows from the records, in lines to be printed; nothing where all does.

    Only files that are there are looked at: a paper needs one format of a table. Raises InputError where none is.
    """
    texts = {name: text for name, text in tables.files.items() if (folder / name).is_file()}
    if not texts:
        raise InputError(f"{folder}: no table of suite {tables.name} is there to be checked")
    told = []
    for name, text in texts.items():
        try:
            before = (folder / name).read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            told.append(f"{folder / name}: cannot be read: {error}")
            continue
        if before == text:
            continue
        lines = list(difflib.unified_diff(before.splitlines(), text.splitlines(), "there", "by the records", n=0))
        told.append(f"{folder / name} does not follow from the records:")
        told += lines[2 : SHOWN + 2] + [f"… and {len(lines) - 2 - SHOWN} lines more"] * (len(lines) > SHOWN + 2)
    return told
