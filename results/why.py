"""Where one cell of a suite's table comes from: its runs, seed by seed, and what was made of their values."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.registry import did_you_mean
from hbi.errors import InputError
from results.collect import Cell, Printed, Row, Table, printable
from results.comparisons import is_tested
from results.layout import BETTER, MISSING, WORSE, Column, Entry, Layout, Line, lay_out
from results.metrics import GROUPS, metric
from results.numerals import rounded
from results.published import PublishedRow, published, sources
from results.record import Record
from results.store import RECORD, RecordError, read_own_record, run_folder
from results.wording import between, over, p_text, signed, unit
from suites.expand import Run
from suites.identity import resolved
from suites.spec import RunSpec

_DIGITS = 4
"""Behind the point of a seed's value, at most."""

Fact = dict[str, Any]
"""Of one run, as JSON has it."""


def explain(table: Table, row: str, name: str, wanted: Sequence[Run], runs: Path) -> Layout:
    """One cell of ``table``, laid out: a line a run, and below what the text in the cell is made of.

    row     its label, or a beginning that no other has
    name    the metric, as records or headings have it: "t2v/R@1"; "R@1", which is of text to video; "MdR"
    wanted  the runs of the suite, under the folder ``runs``; records are read of this row alone

    Raises InputError for a row or metric that the table does not have, with the nearest names.
    """
    label, column = row_called(row, _labels(table), table.name), column_called(name, table.columns, table.name)
    if measured := _measured(table, label):
        return _of_measured(table, measured, column, wanted, runs)
    return _of_published(table, _printed(table, label), column, _as_published(label, wanted))


def plain(table: Table, row: str, name: str, wanted: Sequence[Run], runs: Path) -> dict[str, Any]:
    """The same as data for other programs, with the numbers as they are kept. Raises as ``explain``."""
    label, column = row_called(row, _labels(table), table.name), column_called(name, table.columns, table.name)
    told = {"suite": table.name, "row": label, "metric": column, "printed": _text(_entry(table, label, column))}
    if measured := _measured(table, label):
        cell, own = _cell(table, measured, column), _runs_of(label, wanted)
        discordant = cell.comparison.discordant if cell.comparison else ()
        return {
            **told,
            "origin": "measured",
            **cell.numbers,
            "baseline": table.baseline,
            "corrected_for": _rows_tested(table, column),
            "discordant": [{"only_baseline": a, "only_this": b} for a, b in discordant],
            "marks": list(measured.marks),
            "protocol": _protocol(own[0].spec),
            "runs": _facts(own, column, runs),
        }
    printed, kept = _printed(table, label), _as_published(label, wanted)
    return {
        **told,
        "origin": "published",
        "value": printed.values[table.columns.index(column)],
        "status": kept.status if kept else None,
        "sources": _resolved_sources(printed),
        "note": printed.note,
        "marks": list(printed.marks),
    }


# ---- which cell -----------------------------------------------------------------------------------------------------


def row_called(given: str, labels: Iterable[str], suite: str) -> str:
    """The label that is ``given``, or the only one that begins so. Raises InputError with the nearest."""
    known = list(dict.fromkeys(labels))
    begun = [label for label in known if given and label.startswith(given)]
    if given in known or len(begun) == 1:
        return given if given in known else begun[0]
    if begun:
        raise InputError(f"{suite}: {given!r} is the beginning of several rows: {', '.join(map(repr, begun))}")
    raise InputError(f"{suite}: no row is called {given!r}; {did_you_mean(given, known)}")


def column_called(given: str, columns: Sequence[str], suite: str) -> str:
    """The metric that is ``given``, as records have it or by its heading; the first of those with that heading."""
    headed = [column for column in columns if metric(column).heading == given]
    if given in columns or headed:
        return given if given in columns else headed[0]
    raise InputError(f"{suite}: no column is called {given!r}; {did_you_mean(given, columns)}")


def _labels(table: Table) -> list[str]:
    return [row.label for row in table.rows] + [printed.label for printed in table.published]


def _measured(table: Table, label: str) -> Row | None:
    return next((row for row in table.rows if row.label == label), None)


def _printed(table: Table, label: str) -> Printed:
    return next(printed for printed in table.published if printed.label == label)


def _cell(table: Table, row: Row, column: str) -> Cell:
    return row.cells[table.columns.index(column)]


def _entry(table: Table, label: str, column: str) -> Entry:
    """As the suite's own table has it."""
    line = lay_out(table).lines[_labels(table).index(label)]
    return line.entries[1 + table.columns.index(column)]


def _text(entry: Entry) -> str:
    return entry.text + (f" ±{entry.deviation}" if entry.deviation else "") + entry.rest + entry.symbol


def _runs_of(label: str, wanted: Sequence[Run]) -> list[Run]:
    return list({run.run_id: run for run in wanted if run.in_tables and run.label == label}.values())


# ---- runs -----------------------------------------------------------------------------------------------------------


def _facts(own: Sequence[Run], column: str, runs: Path) -> list[Fact]:
    found = []
    for run in own:
        folder = run_folder(runs, run.run_id)
        fact: Fact = {"seed": run.spec.seed, "run": run.run_id, "record": str(folder / RECORD), "value": None}
        try:
            record = read_own_record(folder)
        except RecordError as error:
            found.append(fact | {"state": "record damaged", "why": str(error)})
            continue
        found.append(fact | (_recorded(record, column) if record else {"state": "no record"}))
    return found


def _recorded(record: Record, column: str) -> Fact:
    made, spec = record.provenance, record.spec
    told: Fact = {
        "state": record.outcome,
        "epoch": record.selected_epoch,
        "selected_on": record.selection_split,
        "commit": made.commit,
        "changes": made.dirty_diff is not None,
        "host": made.host,
        "device": made.gpu or made.cpu,
        "processes": spec.runtime.processes,
        "threads": made.threads,
        "precision": spec.training.precision,
        "decoder": made.decoder,
        "job": made.job.model_dump() if made.job else None,
        "finished": record.finished,
    }
    if record.outcome == "complete":
        missing = {} if column in record.metrics else {"why": f"the record has no {column}"}
        return told | {"value": record.metrics.get(column)} | missing
    failure = record.failure
    return told | {"why": f"{failure.kind}: {failure.message}" if failure else "the record does not say why"}


def _baseline_seeds(table: Table, wanted: Sequence[Run], runs: Path) -> list[int]:
    """Those of the baseline's complete runs, in the order in which they were compared."""
    facts = _facts(_runs_of(table.baseline, wanted), "", runs)
    return [fact["seed"] for fact in facts if fact["state"] == "complete"]


def _protocol(spec: RunSpec) -> dict[str, Any]:
    """What an evaluation hangs on besides its model; what such a run does not read is left out."""
    weights = {"checkpoint": spec.checkpoint} if spec.checkpoint else {"selection": spec.training.selection}
    return {"data": spec.data.name, "post_processing": "none", **resolved(spec)["evaluation"], **weights}


# ---- a measured row -------------------------------------------------------------------------------------------------

_COLUMNS: dict[str, tuple[str, ...]] = {
    "result": ("value", "state", "epoch"),
    "code": ("commit", "decoder", "precision"),
    "machine": ("host", "device", "processes", "threads"),
    "record": ("finished", "run"),
}


def _of_measured(table: Table, row: Row, column: str, wanted: Sequence[Run], runs: Path) -> Layout:
    own = _runs_of(row.label, wanted)
    facts = _facts(own, column, runs)
    seeds = [fact["seed"] for fact in facts if fact["state"] == "complete"]
    common = [seed for seed in _baseline_seeds(table, wanted, runs) if seed in seeds]
    columns = tuple(Column(name, group) for group, names in _COLUMNS.items() for name in names)
    lines = tuple(Line(str(fact["seed"]), "", tuple(_shown(fact, c.heading) for c in columns)) for fact in facts)
    notes = [(f"seed {fact['seed']}:", printable(fact["why"], 400)) for fact in facts if "why" in fact]
    notes += _of_text(table, row, column) + _of_test(table, row, column, common)
    symbols = {text: symbol for symbol, text in lay_out(table).notes}
    notes += [(symbols[mark], f"of the row: {mark}") for mark in row.marks]
    protocol = ", ".join(f"{option} {value}" for option, value in _protocol(own[0].spec).items())
    notes += [("protocol:", printable(protocol, 400)), ("records:", str(run_folder(runs, "RUN") / RECORD))]
    return Layout(_title(table, row.label, column), "seed", columns, lines, tuple(notes))


def _shown(fact: Fact, name: str) -> Entry:
    if name == "value" and fact["value"] is not None:
        whole, point, digits = rounded(fact["value"], _DIGITS).partition(".")
        return Entry(whole, rest=point + (digits.rstrip("0") or "0"))
    value = fact.get(name)
    if name == "epoch" and fact["state"] == "complete":
        value = f"{value}, best on {fact['selected_on']}" if fact["selected_on"] else "last"
    if name == "commit" and value:
        value = f"{value[:9]}{' + changes' if fact['changes'] else ''}"
    if name == "finished" and value:
        value = value[:19].replace("T", " ")
    return Entry("", rest=MISSING if value is None else printable(str(value), 60))


def _of_text(table: Table, row: Row, column: str) -> list[tuple[str, str]]:
    """What stands in the cell, part by part."""
    cell, entry = _cell(table, row, column), _entry(table, row.label, column)
    best = {1: ", the best of its column", 2: ", the second of its column"}.get(entry.place, "")
    notes = [("printed:", f"{_text(entry)}{best}")]
    if cell.mean is None:
        return notes
    number = f"{len(cell.values)} of {cell.expected}" if not cell.complete else f"{cell.expected}"
    seeds = "seeds" if cell.expected > 1 else "seed"
    mark = entry.symbol.strip(BETTER + WORSE)
    notes.append(
        (entry.text + mark, f"mean of {number} {seeds}" if len(cell.values) > 1 else f"value of {number} {seeds}")
    )
    if entry.deviation:
        notes.append((f"±{entry.deviation}", "standard deviation over the seeds (n − 1)"))
    if cell.interval:
        lower, upper = (rounded(end, metric(column).decimals) for end in cell.interval)
        of_what = "queries and seeds" if len(cell.values) > 1 else "queries, of one trained model"
        notes.append(("interval:", f"{lower} to {upper}, with 95 % confidence over {of_what}"))
    return notes


def _of_test(table: Table, row: Row, column: str, seeds: Sequence[int]) -> list[tuple[str, str]]:
    """Against the baseline; ``seeds`` are those that both have, in the order in which they were compared."""
    cell, baseline = _cell(table, row, column), printable(table.baseline, 100)
    if row.label == table.baseline:
        return [("baseline:", "the other rows are compared with this one")]
    against = cell.comparison
    if against is None:
        if not baseline or is_tested(column):  # why not is among the row's marks, where it has any result
            return []
        command = shlex.join(["compare", "SUITE", table.baseline, row.label])
        return [("test:", f"none in tables; `{printable(command, 300)}` has one")]
    decimals = metric(column).decimals
    change = f"{signed(against.difference, decimals)} {unit(column)}, {between(against.interval, decimals)}"
    notes = [(f"against {baseline}:", f"{change} with 95 % confidence {over(against.seeds)}")]
    p_value = f"p {p_text(against.p_value)}"
    if cell.p_holm is not None:
        p_value += f"; {p_text(cell.p_holm).removeprefix('= ')} corrected for {_tests(table, column)} in "
        p_value += f"this column (Holm); level {100 * table.level:g} %"
    sign = _entry(table, row.label, column).symbol[:1]
    told = {BETTER: "better than", WORSE: "worse than"}.get(sign, "no significant difference to")
    notes.append((sign if sign in (BETTER, WORSE) else "", f"{told} {baseline}: {p_value}"))
    for seed, (only_baseline, only_this) in zip(seeds, against.discordant, strict=False):  # () of MnR
        told = f"{only_baseline} queries only {baseline} gets right, {only_this} only {printable(row.label, 100)}"
        notes.append((f"seed {seed}:", told))
    return notes


def _tests(table: Table, column: str) -> str:
    number = _rows_tested(table, column)
    return f"the {number} tests" if number > 1 else "the only test"


def _rows_tested(table: Table, column: str) -> int:
    return sum(_cell(table, row, column).comparison is not None for row in table.rows)


def _title(table: Table, label: str, column: str) -> str:
    shown = metric(column)
    group = f"{GROUPS[shown.group].title}, " if shown.group else ""
    return printable(f"{table.name}: {label}, {group}{shown.heading}", 200)


# ---- a published row ------------------------------------------------------------------------------------------------


def _as_published(label: str, wanted: Sequence[Run]) -> PublishedRow | None:
    """As its file has it; none for a slot of a table that could not be obtained."""
    datasets = dict.fromkeys(run.spec.data.name for run in wanted if run.in_tables)
    return next((row for name in datasets for row in published(name) if row.label == label), None)


def _resolved_sources(printed: Printed) -> Mapping[str, str]:
    known = sources()
    return {source: known.get(source, source) for source in printed.sources}


def _of_published(table: Table, printed: Printed, column: str, kept: PublishedRow | None) -> Layout:
    entry = _entry(table, printed.label, column)
    notes = [("status:", f"published, {kept.status}" if kept else "published, not obtained")]
    notes += [("", mark) for mark in printed.marks]
    notes += [
        ("source:", text if text == key else f"{key}: {text}") for key, text in _resolved_sources(printed).items()
    ]
    notes += [("note:", printed.note)] if printed.note else []
    line = Line(printed.label, "", (entry if entry.text else Entry(MISSING),))
    return Layout(_title(table, printed.label, column), "row", (Column("value"),), (line,), tuple(notes))
