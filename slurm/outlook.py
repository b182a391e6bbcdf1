"""What a suite would mean for a cluster: jobs, arrays, GPU-hours, and the limits it would meet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slurm import queue
from slurm.arrays import groups
from slurm.plan import Step
from slurm.profile import Cluster, asked

LARGEST = 1001
"""MaxArraySize of a SLURM that nobody has changed."""


@dataclass(frozen=True)
class Outlook:
    """Before anything is submitted."""

    jobs: int
    arrays: list[str]
    """One line each."""
    hours: float | None
    """On GPUs, or, where none is asked for, on cores; by earlier records, where there are some."""
    of: str
    untimed: int
    """Runs without an earlier record of their like."""
    limits: list[str]
    """What it would meet, a line each."""

    def lines(self) -> list[str]:
        """For a person."""
        known = f", about {self.hours:.1f} {self.of}-hours by earlier records" if self.hours is not None else ""
        lacking = f" ({self.untimed} runs never timed)" if known and self.untimed else ""
        counted = "1 array" if len(self.arrays) == 1 else f"{len(self.arrays)} arrays"
        return [
            f"{_counted(self.jobs)} in {counted}{known}{lacking}",
            *(f"  {line}" for line in self.arrays),
            *self.limits,
        ]


def outlook(steps: Sequence[Step], cluster: Cluster, max_parallel: int | None) -> Outlook:
    """``steps``: those that would be submitted. Asks SLURM for its limits, where it answers."""
    try:
        known = queue.limits()
        lacking = []
    except queue.Unreachable as error:
        known, lacking = {}, [f"limits of the cluster: unknown ({error})"]
    largest = largest_array(cluster, known)
    planned = groups([step.run for step in steps], lambda run: asked(run, cluster), largest, max_parallel)
    seconds = {step.run.run_id: step.seconds for step in steps}
    timed = [value for value in seconds.values() if value]
    gpus = any(group.asked.gpus for group in planned)
    hours = 0.0
    arrays, limits = [], []
    for group in planned:
        wish, each = group.asked, [seconds[run.run_id] for run in group.runs]
        width = wish.nodes * (wish.gpus if gpus else wish.cpus * wish.processes)
        hours += sum(value or 0 for value in each) * width / 3600
        arrays.append(_line(len(group.runs), group.at_once, wish.model_dump(exclude_none=True)))
        allowed = _longest(wish.partition) if not lacking else None
        if allowed is not None and wish.minutes > allowed:
            limits.append(f"time limit of {wish.partition}: {allowed} minutes, less than the {wish.minutes} asked for")
        longest = max((value for value in each if value), default=0)
        if longest > 60 * wish.minutes:
            turns = -(-longest // (60 * wish.minutes))
            limits.append(f"time limit: {wish.minutes} minutes, so {turns:.0f} turns a run by earlier records")
    most = cluster.max_submit or known.get("MaxSubmit")
    if most is not None and len(steps) > most:
        limits.append(f"submit limit: {most} jobs at a time; the rest is submitted when others have ended")
    if any(len(group.runs) == largest for group in planned):
        limits.append(f"array size: {largest} jobs, so larger sets are split")
    found = hours if timed else None
    unit = "GPU" if gpus else "core"
    return Outlook(len(steps), arrays, found, unit, len(steps) - len(timed), [*dict.fromkeys(limits), *lacking])


def largest_array(cluster: Cluster, limits: Mapping[str, int]) -> int:
    """Jobs that an array may have: places are counted from 0, and have to be less than MaxArraySize."""
    return cluster.max_array_size or max(1, limits.get("MaxArraySize", LARGEST) - 1)


def _longest(partitions: str | None) -> int | None:
    try:
        return queue.longest(partitions) if partitions else None
    except queue.Unreachable:
        return None


def _counted(jobs: int) -> str:
    return "1 job" if jobs == 1 else f"{jobs} jobs"


def _line(jobs: int, at_once: int | None, wish: dict[str, object]) -> str:
    gpus, kind = wish.pop("gpus"), wish.pop("gpu_type", "")
    told = [f"{gpus} {kind} GPUs".replace("  ", " ")] if gpus else []
    told += [f"{wish.pop('processes')} × {wish.pop('cpus')} cores", f"{wish.pop('minutes')} minutes"]
    told += [f"{name} {value}" for name, value in wish.items() if (name, value) != ("nodes", 1)]
    return f"{_counted(jobs)}{f', {at_once} at a time' if at_once else ''}: {', '.join(told)}"
