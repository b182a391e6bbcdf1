"""The executor "local": several processes of this machine at once, through submitit."""

import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from hbi.files import write_atomically
from results.store import LOG, run_folder, whole_record
from slurm.display import Display
from slurm.job import JobFile, RunJob
from slurm.signals import Signals
from slurm.under_way import holder, progress
from suites.expand import Run

SOURCES = Path(__file__).resolve().parent.parent
POLL = 0.25
"""Seconds between two looks at the processes."""
NO_LIMIT = 60 * 24 * 365
"""Minutes. submitit ends a local job after two of them unless told otherwise."""


def default_jobs(pending: Sequence[Run]) -> int:
    """As many as the cores can carry: the threads of a run are part of its id, so their number gives way."""
    threads = max(run.spec.runtime.threads * run.spec.runtime.processes for run in pending)
    return max(1, (os.cpu_count() or 1) // threads)


def run_local(
    pending: Sequence[Run], runs: Path, display: Display, jobs: int, suite: str, tracking_uri: str | None = None
) -> bool:
    """Runs ``pending``, ``jobs`` at a time, each in a process of its own; False when a signal asked to stop.

    To stop is to ask every process to save its state and end. A launcher that is killed leaves its processes running:
    the next one waits for their runs instead of repeating them.
    """
    folder = (runs / "jobs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}").absolute()
    waiting = list(pending)
    file = partial(JobFile, suite=suite, tracking_uri=tracking_uri, launcher=os.getpid())
    working: dict[str, tuple[Run, Any, Callable[[], None]]] = {}
    signals = Signals()
    with signals.heard(), _sources_on_path():
        while waiting or working:
            while len(working) < jobs and (run := _next(waiting, [run for run, *_ in working.values()])):
                waiting.remove(run)
                display.start(run)
                job = _submit(run, runs, folder, file, gpu=len(display.shares) - 1)
                working[run.run_id] = run, job, _news(run, runs, display)
            match signals.take():
                case "stop":  # said again each time, for a process that still starts does not hear it
                    waiting.clear()
                    for _, job, _ in working.values():
                        _send(signal.SIGTERM, int(job.job_id))  # submitit's controller, which passes it on
                case "save":
                    for run, _, _ in working.values():
                        if (at := holder(run_folder(runs, run.run_id))) and at.is_here:
                            _send(signal.SIGUSR1, at.pid)
            time.sleep(POLL)
            for run, job, news in list(working.values()):
                ended = job.done()
                news()
                if ended:
                    if whole_record(run_folder(runs, run.run_id)) is None and signals.request != "stop":
                        display.say(run, f"its process ended without a record; what it said: {job.paths.stderr}")
                    display.end(run)
                    del working[run.run_id]
    if signals.request == "stop":
        return False
    if all(whole_record(run_folder(runs, run.run_id)) for run in pending):
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _next(waiting: Sequence[Run], working: Sequence[Run]) -> Run | None:
    """The first run that needs none of the others. One that measures cost has the machine for itself."""
    if any(run.alone for run in working):
        return None
    unfinished = {run.run_id for run in (*waiting, *working)}
    for run in waiting:
        if run.alone and working:
            continue
        if not (run.needed and run.needed.run_id in unfinished):
            return run
    return None


def _submit(run: Run, runs: Path, folder: Path, job_file: Callable[..., JobFile], gpu: int) -> Any:
    """Starts the process of ``run``, on the GPU whose turn it is where there are some."""
    import torch
    from submitit import LocalExecutor

    file = folder / f"{run.run_id}.json"
    asked = {"label": run.label, "run_id": run.run_id, "spec": run.spec}
    job = job_file(**asked, runs=str(runs.absolute()), folder=str(Path.cwd()))
    write_atomically(file, job.model_dump_json())
    executor = LocalExecutor(folder)
    executor.update_parameters(timeout_min=NO_LIMIT)
    if gpus := torch.cuda.device_count():  # without this, submitit hides them all
        executor.update_parameters(gpus_per_node=1, visible_gpus=(gpu % gpus,))
    # Ctrl-C reaches all processes of the terminal; submitit's controller would kill its task for it after a second
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return executor.submit(RunJob(), str(file))
    finally:
        signal.signal(signal.SIGINT, before)


def _send(number: signal.Signals, pid: int) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, number)


@contextmanager
def _sources_on_path() -> Iterator[None]:
    """The processes import the code that launches them, also where it is not installed."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(SOURCES), *filter(None, [before])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _news(run: Run, runs: Path, display: Display) -> Callable[[], None]:
    """A function that shows what ``run`` has logged since it was last called, and how far it is."""
    folder = run_folder(runs, run.run_id)
    log = folder / LOG
    position = log.stat().st_size if log.exists() else 0

    def news() -> None:
        nonlocal position
        if (now := progress(folder)) and now.doing:
            display.event(run, {"event": "measuring", "what": now.doing, "done": now.step, "total": now.steps})
        elif now:
            display.event(run, {"event": "step", **now.model_dump()})
        if log.exists():
            with log.open() as file:
                file.seek(position)
                for line in file:
                    _, _, said = line.rstrip().partition("  ")
                    if said:  # lines of a traceback have no time before them
                        display.say(run, said)
                position = file.tell()

    return news
