"""What a person wants to know of a run: one function of its record and of what SLURM says."""

from typing import Literal

from results.record import Failure, Record
from slurm.queue import Job

State = Literal[
    "complete",
    "waiting",
    "starting",
    "running",
    "requeued",
    "failed",
    "out of memory",
    "timed out",
    "pre-empted",
    "cancelled",
    "node failure",
    "unknown",
]

SLURM_STATES: dict[str, State] = {
    "PENDING": "waiting",
    "EXPEDITING": "waiting",
    "CONFIGURING": "starting",
    "POWER_UP_NODE": "starting",
    "RUNNING": "running",
    "COMPLETING": "running",
    "RESIZING": "running",
    "SIGNALING": "running",
    "STAGE_OUT": "running",
    "STOPPED": "running",
    "SUSPENDED": "running",
    "UPDATE_DB": "running",
    "REQUEUED": "requeued",
    "REQUEUE_FED": "requeued",
    "REQUEUE_HOLD": "requeued",
    "RESV_DEL_HOLD": "requeued",
    "SPECIAL_EXIT": "requeued",
    "COMPLETED": "unknown",  # without a record: who ends well leaves one
    "FAILED": "failed",
    "OUT_OF_MEMORY": "out of memory",
    "TIMEOUT": "timed out",
    "DEADLINE": "timed out",
    "PREEMPTED": "pre-empted",
    "CANCELLED": "cancelled",
    "REVOKED": "cancelled",
    "NODE_FAIL": "node failure",
    "BOOT_FAIL": "node failure",
    "LAUNCH_FAILED": "node failure",
    "RECONFIG_FAIL": "node failure",
}
"""Every state of a job that SLURM's manuals list (squeue, sacct), where no record says more."""
_LIVE: tuple[State, ...] = ("waiting", "starting", "running", "requeued")
OF_FAILURES: dict[str, State] = {
    "out of memory": "out of memory",
    "timed out": "timed out",
    "node failure": "node failure",
}
"""Kinds of failure in a record that are states of their own."""

STUCK = (
    *("JobHeldUser", "JobHeldAdmin", "job requeued in held state", "launch failed requeued held"),
    *("DependencyNeverSatisfied", "BadConstraints", "PartitionTimeLimit", "PartitionNodeLimit", "InvalidAccount"),
    *("InvalidQOS", "QOSNotAllowed", "AccountNotAllowed", "PartitionConfig"),
    *("QOSMaxWallDurationPerJobLimit", "AssocMaxWallDurationPerJobLimit"),
)
"""Reasons to wait that nothing but a person ends. Some SLURMs write blanks as underscores."""


def live(job: Job | None) -> bool:
    """Whether SLURM runs the job, or will."""
    return job is not None and SLURM_STATES.get(job.state) in _LIVE


def stuck(job: Job) -> bool:
    """Whether it waits for something that does not come by itself."""
    reason = job.reason.strip("()").replace("_", " ").lower()
    return job.state in ("REQUEUE_HOLD", "RESV_DEL_HOLD") or any(reason.startswith(word.lower()) for word in STUCK)


def state_of(record: Record | None, job: Job | None, under_way: bool, since: str = "") -> State:
    """``job``: the run's last, submitted at ``since`` (UTC, ISO 8601; a record older than that says nothing of it).

    ``under_way``: whether a process holds the run.
    """
    if record and record.outcome == "complete":
        return "complete"
    if under_way and not live(job):
        return "running"
    if failure := told_failure(record, job, since):
        return OF_FAILURES.get(failure.kind, "failed")
    if job is None:
        return "waiting"
    state = SLURM_STATES.get(job.state, "unknown")
    if state == "waiting" and job.restarts:
        return "requeued"
    if state == "running" and job.state == "RUNNING" and not under_way:
        return "starting"
    return state


def told_failure(record: Record | None, job: Job | None, since: str) -> Failure | None:
    """The failure that the record tells, unless a job was submitted since (or in the same second: none is so quick)."""
    return record.failure if record and not (job and record.finished <= since) else None


def why(job: Job) -> str:
    """What SLURM adds to the state, for a person."""
    if SLURM_STATES.get(job.state) == "failed":
        return f"job {job.number}: its process ended without a record{_how(job.exit)}"
    if job.state == "COMPLETED":
        return f"job {job.number} ended without a record"
    where = f" on {job.nodes}" if job.nodes else ""
    reason = f": {job.reason}" if job.reason else ""
    again = f", {_times(job.restarts)} requeued" if job.restarts else ""
    return f"job {job.number} {job.state.replace('_', ' ').lower()}{where}{reason}{again}"


def _how(exit: tuple[int, int] | None) -> str:
    if exit is None:
        return ""
    code, signal = exit
    signal = signal or (code - 128 if 128 < code <= 128 + 64 else 0)  # a shell's word for a program that was killed
    return f" (killed by signal {signal})" if signal else f" (exit code {code})"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
