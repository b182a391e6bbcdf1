"""What submitit runs: one run of a suite, handed over as the path of a JSON file."""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Literal

from hbi.config import Config
from results.mlflow_live import live
from results.record import Failure
from results.store import run_folder
from slurm import queue
from slurm.one_run import Event, Stopped, run_here, write_log
from slurm.signals import Signals
from suites.expand import Run
from suites.spec import RunSpec

AGAIN = 85
"""Exit code that asks the script around a run to put the job back into the queue."""

Ended = Literal["well", "badly", "again"]
"""There is a record of a complete run, or the state is saved; neither; the state is saved, and the job is to go on."""


class OnCluster(Config):
    """What a SLURM job knows besides its run."""

    code: str
    """Absolute path of the sources that it runs."""
    gpus: int = 0
    """On this node."""
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
        if job.cluster and job.cluster.gpus and job.spec.runtime.device == "auto":
            _check_gpu()
        if (_run(job) if tasks == 1 else _run_together(job, tasks)) == "again":
            sys.exit(AGAIN)


def _run(job: JobFile) -> Ended:
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
            if job.cluster and (signals.warned or _pre_empted()) and _may_go_on(job, job.cluster, began, steps):
                return "again"
            return "well"
    return "well" if record is not None and record.outcome == "complete" else "badly"


def _pre_empted() -> bool:
    """Whether SLURM has asked for an end without a warning, and means to run the job again, if that asks for it.

    A job that was cancelled or is out of time is completing by then.
    """
    try:
        state = queue.call("squeue", "--noheader", f"--jobs={os.environ['SLURM_JOB_ID']}", "-o", "%T", deadline=10)
    except queue.Unreachable:  # as in a container
        return False
    return state.strip() == "RUNNING"


def _may_go_on(job: JobFile, cluster: OnCluster, began: float, steps: int) -> bool:
    """Whether to put the job back into the queue; leaves a failed record where that would go on for ever."""
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", 0))
    # SLURM looks every 30 s; and a warning in the first half of a turn is no word about time
    turn = max(60 * cluster.minutes - cluster.warning_seconds - 60, 30 * cluster.minutes)
    if restarts >= cluster.requeues:
        _give_up(job, f"requeued {restarts} times, which is all that retries.requeues allows")
        return False
    if time.monotonic() - began > turn and not steps:
        _give_up(job, f"no step in {cluster.minutes} minutes; ask for more with resources.minutes")
        return False
    return True


def _check_gpu() -> None:
    """Raises RuntimeError where the job has GPUs that torch does not see: it would compute on the CPU, unasked."""
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError(
            f"the job has GPUs ({os.environ.get('CUDA_VISIBLE_DEVICES')}), but torch {torch.__version__} sees none on "
            f"{os.uname().nodename}: a build for CPUs, or a broken driver; runtime.device: cpu asks for none"
        )


def _give_up(job: JobFile, message: str) -> None:
    from ablations.run import leave_failure

    folder = run_folder(Path(job.runs), job.run_id)
    failure = Failure(kind="timed out", message=message)
    leave_failure(job.run_id, job.spec, folder, failure)
    write_log(folder, {"event": "failed", "kind": failure.kind, "message": message})


def _run_together(job: JobFile, tasks: int) -> Ended:
    """One process of several that SLURM has started for this run; the first does all but the encoding alone."""
    from ablations.run import follow, with_parts
    from ablations.work import device_of
    from hbi.training.distributed import attend, dismiss, together

    rank, local = int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_LOCALID"])
    host = os.environ["SLURM_LAUNCH_NODE_IPADDR"]  # of the batch script, on the first node
    # another job's on the same node is another, and so is that of a ghost
    port = 10_000 + (int(os.environ["SLURM_JOB_ID"]) + int(os.environ.get("SLURM_RESTART_COUNT", 0))) % 20_000
    if rank:
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the first hears them, and the others follow it
    with together(rank, tasks, host, port, device_of(job.spec.runtime.device), local):
        if rank == 0:
            ended = _run(job)
            if ended != "badly":
                dismiss(ended)
            return ended
        runs = Path(job.runs)
        spec = with_parts(job.spec, job.accumulation)
        word = attend(lambda: follow(spec, run_folder(runs, job.run_id), runs / "data"))
        return "again" if word == "again" else "well"  # all with the same exit code
