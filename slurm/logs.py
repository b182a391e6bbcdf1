"""What a run has logged, so far or until it ends."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hbi.errors import InputError
from results.store import LOG, STORE, run_folder, whole_record
from slurm import queue
from slurm.launches import Submission, jobs_of, submissions
from slurm.states import live
from slurm.under_way import holder

ASK, AWAY = 15.0, 600.0
"""Seconds between two questions to SLURM, and for which its last answer counts when there is no other."""
TAIL = 30
"""Lines of what a job has printed that are shown of a run that has left no record."""


def lines(runs: Path, run_id: str, follow: bool) -> Iterator[str]:
    """Lines of the log of the run whose id begins so; with ``follow`` until nobody has it under way.

    Where it has left no record, then also the end of what its job on a cluster has printed. Raises InputError when no
    run, or more than one, is meant.
    """
    submitted = submissions(runs)
    run_id = _meant(runs, run_id, submitted)
    folder, submission = run_folder(runs, run_id), submitted.get(run_id)
    queued = _asked_now_and_then(submission)
    log, position = folder / LOG, 0
    while True:
        # asked first, so that what it writes last is still read
        under_way = follow and (holder(folder) is not None or queued())
        if log.exists():
            with log.open() as file:
                file.seek(position)
                yield from file
                position = file.tell()
        if not under_way:
            break
        time.sleep(0.5)
    printed = submission.output if submission and whole_record(folder) is None else None
    if printed and printed.is_file():
        yield f"its job has printed ({printed}):\n"
        yield from printed.read_text(errors="replace").splitlines(keepends=True)[-TAIL:]


def _asked_now_and_then(submission: Submission | None) -> Callable[[], bool]:
    """A function that tells whether SLURM runs the job, or will."""
    answer, asked, heard = False, 0.0, time.monotonic()

    def queued() -> bool:
        nonlocal answer, asked, heard
        if submission and time.monotonic() - asked > ASK:
            try:
                answer = any(map(live, jobs_of({"": submission}).values()))
                heard = time.monotonic()
            except queue.Unreachable:
                answer = answer and time.monotonic() - heard < AWAY
            asked = time.monotonic()
        return answer

    return queued


def _meant(runs: Path, beginning: str, submitted: Iterable[str]) -> str:
    known = {path.name for path in (runs / STORE).glob("*/")} | set(submitted)
    found = sorted(name for name in known if name.startswith(beginning))
    if beginning in known or len(found) == 1:
        return beginning if beginning in known else found[0]
    if not found:
        raise InputError(f"logs: no run in {runs} begins with {beginning!r}; `status` prints the ids")
    raise InputError(f"logs: {beginning!r} could be {', '.join(found[:4])}; give more of the id")
