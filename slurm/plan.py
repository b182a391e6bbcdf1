"""The comparison behind `plan`, `run`, `retry` and `status`: the runs a suite wants against the records that exist."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from results.record import Record
from results.store import run_folder
from slurm.under_way import holder, progress
from suites.expand import Run
from suites.identity import resolved
from suites.spec import RunSpec

State = Literal["complete", "failed", "running", "waiting"]
NOT_REPEATED = ("nan", "bug")
"""Kinds of failure that the same code would only repeat: `run` leaves them, `retry` does them again."""
ANY = "*"
"""In place of a variant: all of them."""

Kind = tuple[str, str, bool]
"""Variant, data set, and whether it is trained."""


@dataclass(frozen=True)
class Step:
    """One run of the suite and what stands in its place on disk."""

    run: Run
    state: State
    why: str
    """For a person, in a line."""
    failure: str | None = None
    """Kind of the failure, for a failed run."""
    seconds: float | None = None
    """How long it took, or will take by the records of its like; none where there are none."""

    def starts(self, retry: bool) -> bool:
        """Whether `run`, or `retry`, starts it; one under way elsewhere is waited for."""
        if self.state == "failed":
            return retry or self.failure not in NOT_REPEATED
        return self.state != "complete"


def plan(wanted: Sequence[Run], records: Mapping[str, Record], runs: Path) -> list[Step]:
    """One step for each wanted run, in order."""
    per_epoch: dict[Kind, list[float]] = {}
    siblings: dict[tuple[Kind, int], Record] = {}
    for record in records.values():
        siblings[_kind(record.spec), record.spec.seed] = record
        if record.outcome == "complete":
            for kind in (_kind(record.spec), _kind(record.spec, ANY)):
                seconds = record.timings.get("total", 0.0)
                per_epoch.setdefault(kind, []).append(seconds / _epochs(record.spec))
    pace = {like: statistics.median(durations) for like, durations in per_epoch.items()}
    steps = [_step(run, records.get(run.run_id), siblings, pace, runs) for run in wanted]
    complete = {step.run.run_id for step in steps if step.state == "complete"}
    return [_behind(step, complete) for step in steps]


def _behind(step: Step, complete: set[str]) -> Step:
    """``step``, or, where the run it needs has no result yet, one that says so."""
    needed = step.run.needed
    if step.state != "waiting" or needed is None or needed.run_id in complete:
        return step
    return replace(step, why=f"waits for {needed.run_id}")


def _step(
    run: Run,
    record: Record | None,
    siblings: Mapping[tuple[Kind, int], Record],
    pace: Mapping[Kind, float],
    runs: Path,
) -> Step:
    if record and record.outcome == "complete":
        why = f"recorded {record.finished} on {record.provenance.gpu or 'CPU'}"
        return Step(run, "complete", why, seconds=record.timings.get("total"))
    epoch = pace.get(_kind(run.spec)) or pace.get(_kind(run.spec, ANY))
    seconds = epoch * _epochs(run.spec) if epoch else None
    folder = run_folder(runs, run.run_id)
    if at := holder(folder):
        now = progress(folder)
        how_far = f"epoch {now.epoch} of {now.epochs}, " if now else ""
        return Step(run, "running", f"{how_far}process {at.pid} on {at.host}", seconds=seconds)
    if record and record.failure:
        why = f"{record.failure.kind}: {record.failure.message}"
        return Step(run, "failed", why, record.failure.kind, seconds)
    if now := progress(folder):
        return Step(run, "waiting", f"interrupted in epoch {now.epoch} of {now.epochs}", seconds=seconds)
    sibling = siblings.get((_kind(run.spec), run.spec.seed))
    return Step(run, "waiting", _difference(run, sibling) if sibling else "no record yet", seconds=seconds)


def _kind(spec: RunSpec, variant: str | None = None) -> Kind:
    """What runs have in common that take alike; an evaluation of given weights is none of a training."""
    return variant or spec.variant, spec.data.name, spec.checkpoint is None


def _epochs(spec: RunSpec) -> int:
    return spec.training.epochs if spec.checkpoint is None else 1


def _difference(run: Run, record: Record) -> str:
    """What keeps a record of the same variant, data and seed from being the wanted one."""
    ours, theirs = dict(_flat(resolved(run.spec))), dict(_flat(resolved(record.spec)))
    changed = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if not changed:
        return (
            f"no record yet; {record.run_id} agrees in all that is in the id now, but was made by another version of it"
        )
    shown = [f"{key} {theirs.get(key)} → {ours.get(key)}" for key in changed[:3]]
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return f"no record yet; {record.run_id} differs in {', '.join(shown)}{more}"


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
