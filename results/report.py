"""The report of a suite: one HTML file with everything that is known of it, for a browser without a network."""

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from results.disk import spelled
from results.html import html, page
from results.layout import Layout
from results.metrics import metric
from results.numerals import rounded, scaled
from results.record import Provenance, Record

MOST_NAMED = 12
"""What calls for attention is named up to this number; all of it is further down."""

MOST_OF_A_DIFF, MOST_OF_ALL_DIFFS = 20_000, 1_000_000
"""Characters: a page of a thousand runs, each of other code, is still one that opens."""


@dataclass(frozen=True)
class PlannedRun:
    """One run that the suite wants, as `status` tells of it; ``record`` is its last, whatever its state is now."""

    label: str
    seed: int
    run_id: str
    state: str
    why: str
    failed: bool = False
    """Whether it has ended without a result, and nothing is under way that could bring one."""
    record: Record | None = None

    @property
    def name(self) -> str:
        return f"{self.label}, seed {self.seed}"

    @property
    def result(self) -> Record | None:
        """The record that its row of the tables is made of."""
        return self.record if self.record and self.record.outcome == "complete" else None


@dataclass(frozen=True)
class Page:
    """What a report shows.

    source    the suite's YAML, as it was read
    figures   caption and SVG
    problems  records that were left aside, a line each
    made      when, for a person
    commit    of the code that made the page
    command   the command line that did
    """

    suite: str
    summary: str
    source: str
    layouts: Sequence[Layout]
    figures: Sequence[tuple[str, str]]
    runs: Sequence[PlannedRun]
    problems: Sequence[str]
    made: str
    commit: str | None
    command: str


def report(content: Page) -> str:
    """The page as HTML. It runs no script but its own, and asks the network for nothing, whatever the records say."""
    recorded = [run for run in content.runs if run.record]
    codes = _counted(_code, recorded)
    changes = {code: number for number, code in enumerate([code for code in codes if code[1]], 1)}
    return page(
        "report.html",
        title=f"{content.suite}: report",
        page=content,
        states=_states(content.runs),
        number=len(_distinct(content.runs)),
        troubles=list(_by_reason(run for run in content.runs if run.failed).items()),
        mixed=_mixed(content.runs),
        tables=[(layout.name, Markup(html(layout))) for layout in content.layouts],
        figures=[(caption, base64.b64encode(svg.encode()).decode()) for caption, svg in content.figures],
        runs=[(run, _kind(run), _facts(run.record, changes) if run.record else None) for run in content.runs],
        machines=_counted(_machine, recorded),
        codes=[(code, changes.get(code), count) for code, count in codes.items()],
        took=_took,
        device=_device,
        most_of_a_diff=min(MOST_OF_A_DIFF, MOST_OF_ALL_DIFFS // max(1, len(changes))),
        most_named=MOST_NAMED,
    )


def _states(runs: Sequence[PlannedRun]) -> list[tuple[str, str, int]]:
    """Kind (failed, complete, open), state and number of runs: failures first, then what is complete, were it none."""
    found = Counter({("complete", "complete"): 0})
    found.update((_kind(run), run.state) for run in _distinct(runs))
    order = ("failed", "complete", "open")
    return [(*which, found[which]) for which in sorted(found, key=lambda which: order.index(which[0]))]


def _distinct(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """A run of two rows once."""
    return list({run.run_id: run for run in runs}.values())


def _kind(run: PlannedRun) -> str:
    return "failed" if run.failed else "complete" if run.state == "complete" else "open"


def _by_reason(runs: Iterable[PlannedRun]) -> dict[tuple[str, str], list[str]]:
    """State and reason, with the names of the runs."""
    found: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        found.setdefault((run.state, run.why), []).append(run.name)
    return found


def _mixed(runs: Sequence[PlannedRun]) -> dict[str, dict[str, list[int]]]:
    """Rows whose seeds ran on different hardware: by label, what each ran on, with the seeds."""
    found: dict[str, dict[str, list[int]]] = {}
    for run in runs:
        if run.result:
            found.setdefault(run.label, {}).setdefault(_hardware(run.result), []).append(run.seed)
    return {label: seeds for label, seeds in found.items() if len(seeds) > 1}


def _counted(key: Callable[[Record], Any], runs: Iterable[PlannedRun]) -> dict[Any, Counter[str]]:
    """The hosts of each key, with their numbers of runs; most runs first."""
    found: dict[Any, Counter[str]] = {}
    for run in _distinct(runs):
        if run.record:
            found.setdefault(key(run.record), Counter())[run.record.provenance.host] += 1
    return dict(sorted(found.items(), key=lambda item: -item[1].total()))


# ---- one record -----------------------------------------------------------------------------------------------------


def _machine(record: Record) -> tuple[str, str]:
    return record.provenance.gpu or "none", record.provenance.cpu


def _code(record: Record) -> tuple[str | None, str | None]:
    return record.provenance.commit, record.provenance.dirty_diff


def _device(record: Record) -> str:
    """What computed, and how many of it."""
    processes = record.spec.runtime.processes
    return (f"{processes} × " if processes > 1 else "") + (record.provenance.gpu or record.provenance.cpu)


def _hardware(record: Record) -> str:
    """Of the device, what can change a result."""
    return f"{_device(record)}, {_several(record.provenance.threads, 'thread')}"


def _facts(record: Record, changes: dict[tuple[str | None, str | None], int]) -> dict[str, Any]:
    """What a run's details say: provenance in words, and metrics as they are printed."""
    made, runtime = record.provenance, record.spec.runtime
    told = {
        "commit": f"{made.commit or 'none'}, {'with changes' if made.dirty_diff else 'clean'}",
        "host": made.host,
        "CPU": made.cpu,
        "GPU": made.gpu or "none",
        "threads": str(made.threads),
        "processes": str(runtime.processes),
        "precision": record.cost.precision if record.cost else record.spec.training.precision,
        "decoder": made.decoder,
        "packages": ", ".join(
            f"{name} {version}" for name, version in {"python": made.python, **made.packages}.items()
        ),
        "started": record.started,
        "finished": record.finished,
        "duration": "; ".join(f"{part} {_duration(seconds)}" for part, seconds in record.timings.items()),
        "peak memory": f"{spelled(record.peak_memory)} of the {'GPU' if made.gpu else 'process'}"
        if record.peak_memory
        else "",
        "parameters": f"{scaled(made.parameters)} trainable" if made.parameters else "",
        "epoch kept": f"{record.selected_epoch}, chosen on the {record.selection_split} split"
        if record.selection_split
        else "",
        "SLURM job": _job(made),
    }
    return {
        "told": {term: text for term, text in told.items() if text},
        "changes": changes.get(_code(record)),
        "metrics": [(name, rounded(value, metric(name).decimals)) for name, value in record.metrics.items()],
    }


def _job(made: Provenance) -> str:
    """The job that made a record; "" where there was none."""
    job = made.job
    if job is None:
        return ""
    number = job.number if job.task is None else f"{job.number}_{job.task}"
    again = f"requeued {_several(job.restarts, 'time')}" if job.restarts else ""
    return ", ".join(filter(None, [number, job.cluster and f"cluster {job.cluster}", job.nodes, again]))


def _took(record: Record) -> str:
    """As `status` has it: of all its turns where that is known."""
    if "total" in record.timings:
        return _duration(record.timings["total"])
    try:
        between = datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)
    except (ValueError, TypeError):  # not a time, or one of them without its zone
        return ""
    return _duration(between.total_seconds())


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def _several(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"
