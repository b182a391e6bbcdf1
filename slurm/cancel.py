"""Asks the processes and jobs that have runs under way to save their state and end."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from results.store import run_folder
from slurm import queue
from slurm.launches import CANCELLED
from slurm.plan import Step
from slurm.under_way import Holder, holder
from suites.expand import Run

PATIENCE = 60.0
"""Seconds that a run has to end its step and write its state."""


def cancel(wanted: Sequence[Run], runs: Path, launchers: bool) -> Iterator[str]:
    """Stops those of ``wanted`` that run on this machine, and says of each what came of it.

    ``launchers``: the command that started them is asked too, so that it starts no others.
    """
    asked: list[tuple[Run, Holder]] = []
    for run in wanted:
        at = holder(run_folder(runs, run.run_id))
        if at and at.is_here:
            targets = {at.pid, at.launcher} if launchers and at.launcher in _ancestors(at.pid) else {at.pid}
            for pid in targets:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            asked.append((run, at))
        elif at:
            yield f"{run.run_id}: under way on {at.host}; call the same command there"
    deadline = time.monotonic() + PATIENCE
    for run, at in asked:
        while holder(run_folder(runs, run.run_id)) == at and time.monotonic() < deadline:
            time.sleep(0.1)
        ended = holder(run_folder(runs, run.run_id)) != at
        saved = "stopped; it begins anew next time" if run.alone else "stopped, its state is saved"
        yield f"{run.run_id}: {saved if ended else f'process {at.pid} still ends its step'}"


def cancel_jobs(steps: Sequence[Step], launchers: bool) -> Iterator[str]:
    """Cancels the jobs of ``steps`` that are on a cluster, and says what came of it.

    ``launchers``: the commands that follow them are asked to submit no others.
    """
    if launchers:
        for folder in {step.submission.folder for step in steps if step.submission}:
            (folder / CANCELLED).touch()
    jobs = [step.job.number for step in steps if step.queued and step.job]
    if not jobs:
        return
    try:
        queue.cancel(jobs)
    except queue.Unreachable as error:
        yield f"not cancelled: {error}"
        return
    yield f"{'1 job' if len(jobs) == 1 else f'{len(jobs)} jobs'} cancelled; those that ran save their state"


def _ancestors(pid: int) -> set[int]:
    """Parents of ``pid``, their parents and so on: a number in a file may long be another process's."""
    found: set[int] = set()
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
        found.add(pid)
    return found
