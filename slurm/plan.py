"""The comparison behind `plan`, `run`, `retry` and `status`: the runs a suite wants against the records that exist."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from results.record import Record
from results.store import run_folder
from slurm.launches import Submission
from slurm.queue import Job
from slurm.states import State, live, state_of, stuck, told_failure, why
from slurm.under_way import Progress, holder, progress
from suites.expand import Run
from suites.identity import flat, resolved
from suites.spec import RunSpec

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
    """Kind of the failure, for a run that has ended without a result."""
    seconds: float | None = None
    """How long it took, or will take by the records of its like; none where there are none."""
    record: Record | None = None
    job: Job | None = None
    """The run's last one, as far as SLURM remembers it."""
    submission: Submission | None = None
    now: Progress | None = None
    in_vain: bool = False
    """Whether the run that it needs has failed in a way that the same code would only repeat."""

    @property
    def queued(self) -> bool:
        """Whether SLURM runs it, or will."""
        return self.state != "complete" and live(self.job) and not self.failure

    @property
    def failed_there(self) -> bool:
        """Whether it has ended on a cluster without a result."""
        return self.failure is not None and self.submission is not None

    @property
    def stuck(self) -> bool:
        """Whether its job waits for something that only a person can change."""
        return self.job is not None and self.queued and stuck(self.job)

    def starts(self, retry: bool) -> bool:
        """Whether `run`, or `retry`, starts it; one under way elsewhere is waited for."""
        return self.state != "complete" and (retry or not (self.in_vain or self.failure in NOT_REPEATED))


def plan(
    wanted: Sequence[Run],
    records: Mapping[str, Record],
    runs: Path,
    submitted: Mapping[str, Submission] | None = None,
    jobs: Mapping[str, Job] | None = None,
) -> list[Step]:
    """One step for each wanted run, in order; ``submitted`` and ``jobs`` by run id, where a cluster is at work."""
    per_epoch: dict[Kind, list[float]] = {}
    siblings: dict[tuple[Kind, int], Record] = {}
    for record in records.values():
        siblings[_kind(record.spec), record.spec.seed] = record
        if record.outcome == "complete" and record.cost is None:
            for kind in (_kind(record.spec), _kind(record.spec, ANY)):
                seconds = record.timings.get("total", 0.0)
                per_epoch.setdefault(kind, []).append(seconds / _epochs(record.spec))
    pace = {like: statistics.median(durations) for like, durations in per_epoch.items()}
    submitted, jobs = submitted or {}, jobs or {}
    steps = [
        _step(run, records.get(run.run_id), submitted.get(run.run_id), jobs.get(run.run_id), siblings, pace, runs)
        for run in wanted
    ]
    complete = {step.run.run_id for step in steps if step.state == "complete"}
    lost = {step.run.run_id for step in steps if step.failure in NOT_REPEATED}
    found = []
    for step in steps:  # each behind the one it needs
        step = _behind(step, complete, lost)
        lost |= {step.run.run_id} if step.in_vain else set()
        found.append(step)
    return found


def _behind(step: Step, complete: set[str], lost: set[str]) -> Step:
    """``step``, or, where the run it needs has no result yet, or will have none, one that says so."""
    needed = step.run.needed
    if needed is not None and needed.run_id in lost and step.state != "complete" and not step.queued:
        return replace(step, why=f"needs {needed.run_id}, which has failed", in_vain=True)
    if step.state != "waiting" or step.job or needed is None or needed.run_id in complete:
        return step
    return replace(step, why=f"waits for {needed.run_id}")


def _step(
    run: Run,
    record: Record | None,
    submission: Submission | None,
    job: Job | None,
    siblings: Mapping[tuple[Kind, int], Record],
    pace: Mapping[Kind, float],
    runs: Path,
) -> Step:
    if record and record.outcome == "complete":
        told = f"recorded {record.finished} on {record.provenance.gpu or 'CPU'}"
        seconds = record.timings.get("total")
        return Step(run, "complete", told, seconds=seconds, record=record, submission=submission)
    folder = run_folder(runs, run.run_id)
    at, now = holder(folder), progress(folder)
    epoch = pace.get(_kind(run.spec)) or pace.get(_kind(run.spec, ANY))
    seconds = epoch * _epochs(run.spec) if epoch and not run.alone else None  # no measurement takes like another
    since = _since(record, submission)
    state = state_of(record, job, at is not None, since)
    how_far = now.told if now else ""
    failure = None
    failed = told_failure(record, job, since)
    if failed and not at:
        told, failure = f"{failed.kind}: {failed.message}", failed.kind
    elif job and (live(job) or at is None):
        told = ", ".join(filter(None, [how_far if state == "running" else "", why(job)]))
        failure = None if live(job) else "killed" if state in ("failed", "unknown") else state
    elif at:
        told = ", ".join(filter(None, [how_far, f"process {at.pid} on {at.host}"]))
    elif submission:
        state, failure, told = "unknown", "killed", "SLURM knows nothing of its job any more"
    elif now:
        told = f"interrupted in {how_far}"
    else:
        sibling = siblings.get((_kind(run.spec), run.spec.seed))
        told = _difference(run, sibling) if sibling else "no record yet"
    return Step(run, state, told, failure, seconds, record, job, submission, now)


def _since(record: Record | None, submission: Submission | None) -> str:
    """When the run was last submitted, for a comparison with its record; clocks of two machines may differ, so that a
    record which names its job is before all of that time, or behind it."""
    if submission is None:
        return ""
    array, job = submission.array, record.provenance.job if record else None
    if job is None or array.number is None:
        return array.submitted
    return "" if (job.number, job.task) == (str(array.number), submission.place) else "~"


def _kind(spec: RunSpec, variant: str | None = None) -> Kind:
    """What runs have in common that take alike; an evaluation of given weights is none of a training."""
    return variant or spec.variant, spec.data.name, spec.trains and spec.training.epochs > 0


def _epochs(spec: RunSpec) -> int:
    return max(1, spec.training.epochs) if spec.trains else 1


def _difference(run: Run, record: Record) -> str:
    """What keeps a record of the same variant, data and seed from being the wanted one."""
    ours, theirs = dict(flat(resolved(run.spec))), dict(flat(resolved(record.spec)))
    changed = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if not changed:
        return (
            f"no record yet; {record.run_id} agrees in all that is in the id now, but was made by another version of it"
        )
    shown = [f"{key} {theirs.get(key)} → {ours.get(key)}" for key in changed[:3]]
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return f"no record yet; {record.run_id} differs in {', '.join(shown)}{more}"
