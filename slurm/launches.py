"""What was submitted to a cluster: a file for each launch, written before SLURM is asked, and again with its answer."""

import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from hbi.config import Config
from hbi.files import write_atomically
from slurm import queue
from slurm.profile import Asked
from slurm.queue import Job
from slurm.states import live

JOBS, LAUNCH, CANCELLED = "jobs", "launch.json", "cancelled"
"""The folder of launches; in each the file of what was submitted, and one that asks to submit no more."""


class Array(Config):
    """One job array, or one job alone."""

    name: str
    """Of the jobs in SLURM; no other array has it."""
    runs: tuple[str, ...]
    """Ids, by their place in the array."""
    asked: Asked
    submitted: str
    """UTC, ISO 8601."""
    number: int | None = None
    """SLURM's; none before it has answered, and where the launcher was killed meanwhile."""
    at_once: int | None = None


class Launch(Config):
    """Arrays that one command has submitted."""

    suite: str
    arrays: tuple[Array, ...] = ()


@dataclass(frozen=True)
class Submission:
    """One run in an array."""

    folder: Path
    """Of the launch."""
    array: Array
    place: int | None
    """In the array; none where it is one job alone."""

    @property
    def key(self) -> queue.Key:
        return self.array.name, self.place

    @property
    def output(self) -> Path | None:
        """What the job has printed outside the run's log: submitit's file for its first process."""
        if self.array.number is None:
            return None
        number = f"{self.array.number}" if self.place is None else f"{self.array.number}_{self.place}"
        return self.folder / f"{number}_0_log.err"


def begun(submission: Submission) -> bool:
    """Whether the job has come as far as to open the file for what it prints."""
    return submission.output is not None and submission.output.exists()


def new_folder(runs: Path) -> Path:
    """Of a launch; its name is that of no other."""
    return (runs / JOBS / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}").absolute()


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def write_launch(folder: Path, launch: Launch) -> None:
    write_atomically(folder / LAUNCH, launch.model_dump_json(indent=1))


def submissions(runs: Path) -> dict[str, Submission]:
    """The last one of every run that was ever submitted, by its id."""
    found: dict[str, Submission] = {}
    for one in _all(runs):
        run_id = one.array.runs[one.place or 0]
        last = found.get(run_id)
        if last is None or last.array.submitted <= one.array.submitted:
            found[run_id] = one
    return found


def folders_in_use(runs: Path) -> set[Path]:
    """Of launches that have jobs in the queue; of all, where SLURM cannot be asked."""
    submitted = list(_all(runs))
    try:
        found = _jobs(submitted)
    except queue.Unreachable:
        return {one.folder for one in submitted}
    return {one.folder for one in submitted if live(found.get(one.key))}


def jobs_of(submitted: Mapping[str, Submission]) -> dict[str, Job]:
    """What SLURM says of them, by run id; nothing of those it has forgotten. Raises queue.Unreachable."""
    found = _jobs(submitted.values())
    arrays = {name for name, _ in found}
    jobs = {run_id: found[one.key] for run_id, one in submitted.items() if one.key in found}
    for run_id, one in submitted.items():
        # SLURM forgets those that were cancelled before they started, one by one, but not the others of their array
        if run_id not in jobs and one.array.name in arrays and not begun(one):
            jobs[run_id] = Job(f"{one.array.number}_{one.place}", "CANCELLED")
    return jobs


def _all(runs: Path) -> Iterator[Submission]:
    for file in sorted((runs / JOBS).glob(f"*/{LAUNCH}")):
        with suppress(OSError, ValueError):  # being removed; or none of ours
            for array in Launch.model_validate_json(file.read_text()).arrays:
                for place in range(len(array.runs)):
                    yield Submission(file.parent.absolute(), array, place if len(array.runs) > 1 else None)


def _jobs(submitted: Collection[Submission]) -> dict[queue.Key, Job]:
    if not submitted:
        return {}
    since = min(one.array.submitted for one in submitted)
    begin = datetime.fromtimestamp(datetime.fromisoformat(since).timestamp() - 3600)  # SLURM's clock is a local one
    return queue.jobs(sorted({one.array.name for one in submitted}), begin.isoformat(timespec="seconds"))
