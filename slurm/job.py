"""What submitit runs: one run of a suite, handed over as the path of a JSON file."""

import os
import signal
import time
from functools import partial
from pathlib import Path

from hbi.config import Config
from results.mlflow_live import live
from results.record import Failure
from results.store import run_folder
from slurm import queue
from slurm.one_run import Event, Stopped, run_here, write_log
from slurm.signals import Signals
from suites.expand import Run
from suites.spec import RunSpec


class OnCluster(Config):
    """What a SLURM job knows besides its run."""

    code: str
    """Absolute path of the sources that it runs."""
    minutes: int
    """Its time limit."""
    warning_seconds: int
    requeues: int
    """Times it may be requeued."""


class JobFile(Config):
    """The content of the file."""

    label: str
    run_id: str
    spec: RunSpec
    suite: str
    runs: str
    """Absolute path of the folder that holds the store."""
    folder: str
    """Absolute path of the folder that relative paths of the specification start from."""
    launcher: int | None = None
    """Process on the same machine that answers for the whole suite."""
    tracking_uri: str | None = None
    accumulation: int | None = None
    """Parts a batch is encoded in, for want of memory."""
    cluster: OnCluster | None = None


class RunJob:
    """A class of the module, so that a job is pickled as its name and not as code."""

    def __call__(self, path: str) -> None:
        job = JobFile.model_validate_json(Path(path).read_text())
        if job.cluster and not Path(__file__).resolve().is_relative_to(Path(job.cluster.code).resolve()):
            raise RuntimeError(f"the code that runs is {__file__}, not that of {job.cluster.code}; see PYTHONPATH")
        os.chdir(job.folder)
        tasks = int(os.environ.get("SLURM_NTASKS", 1)) if job.cluster else 1
        if tasks == 1:
            _run(job)
        else:
            _run_together(job, tasks)


def _run(job: JobFile) -> bool:
    """Whether all is well: there is a record of a complete run, or the state is saved."""
    run = Run(job.label, job.run_id, job.spec)
    began, steps = time.monotonic(), 0
    signals = Signals()

    def count(event: Event) -> None:
        nonlocal steps
        steps += event["event"] == "step"

    followed = partial(live, job.spec, job.run_id, job.suite, job.tracking_uri)
    with signals.heard():
        try:
            record = run_here(run, Path(job.runs), count, signals.take, job.launcher, job.accumulation, followed)
        except Stopped:  # the state is saved, and whoever asked knows
            if signals.warned and job.cluster:
                _again(job, job.cluster, time.monotonic() - began, steps)
            return True
    return record is not None and record.outcome == "complete"


def _again(job: JobFile, cluster: OnCluster, seconds: float, steps: int) -> None:
    """Puts the job back into the queue; a failed record where that would go on for ever."""
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", 0))
    # SLURM looks every 30 s; and a warning in the first half of a turn is no word about time
    out_of_time = seconds > max(60 * cluster.minutes - cluster.warning_seconds - 60, 30 * cluster.minutes)
    if restarts >= cluster.requeues:
        _give_up(job, f"requeued {restarts} times, which is all that retries.requeues allows")
    elif out_of_time and not steps:
        _give_up(job, f"no step in {cluster.minutes} minutes; ask for more with resources.minutes")
    else:
        number = os.environ["SLURM_JOB_ID"]
        if array := os.environ.get("SLURM_ARRAY_JOB_ID"):  # the last job of an array has the number of the array
            number = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
        deadline = time.monotonic() + cluster.warning_seconds / 2
        while True:
            try:
                queue.call("scontrol", "requeue", number)
                return
            except queue.Unreachable as error:  # the controller may be starting anew
                if time.monotonic() > deadline:
                    print(f"not requeued: {error}", flush=True)
                    return
                time.sleep(1)


def _give_up(job: JobFile, message: str) -> None:
    from ablations.run import leave_failure

    folder = run_folder(Path(job.runs), job.run_id)
    failure = Failure(kind="timed out", message=message)
    leave_failure(job.run_id, job.spec, folder, failure)
    write_log(folder, {"event": "failed", "kind": failure.kind, "message": message})


def _run_together(job: JobFile, tasks: int) -> None:
    """One process of several that SLURM has started for this run; the first does all but the encoding alone."""
    from ablations.run import follow, with_parts
    from ablations.work import device_of
    from hbi.training.distributed import attend, dismiss, together

    rank = int(os.environ["SLURM_PROCID"])
    (host, *_) = queue.hosts(os.environ["SLURM_JOB_NODELIST"])
    port = 20_000 + int(os.environ["SLURM_JOB_ID"]) % 30_000  # another job's on the same node is another
    if rank:
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the first hears them, and the others follow it
    with together(rank, tasks, host, port, device_of(job.spec.runtime.device)):
        if rank == 0:
            if _run(job):
                dismiss()
        else:
            runs = Path(job.runs)
            spec = with_parts(job.spec, job.accumulation)
            attend(lambda: follow(spec, run_folder(runs, job.run_id), runs / "data"))
