"""From runs to job arrays in SLURM's queue, through submitit."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from hbi.files import write_atomically
from slurm import queue
from slurm.arrays import Group
from slurm.job import JobFile, OnCluster, RunJob
from slurm.launches import Array, Launch, now, write_launch
from slurm.profile import Asked, Cluster
from slurm.queue import Job
from suites.expand import Run
from suites.resources import Retries


@dataclass
class Launcher:
    """What all submissions of one command share; ``launch`` grows with each."""

    folder: Path
    runs: Path
    code: Path
    cluster: Cluster
    retries: Retries
    launch: Launch
    tracking_uri: str | None = None
    named: int = 0
    """Arrays that have a name; none is given twice, also when SLURM has refused one."""
    accumulation: dict[str, int] = field(default_factory=dict)
    """Parts a batch is encoded in, by run id, of those that ran out of memory."""


class Refused(Exception):
    """SLURM does not take the jobs; one line."""

    def __init__(self, said: str) -> None:
        lines = [line.partition("error: ")[2] for line in said.splitlines() if "sbatch: error:" in line]
        super().__init__("; ".join(dict.fromkeys(lines)) or said.strip().partition("\n")[0] or "sbatch gives no reason")
        self.for_now = any(word in said for word in ("MaxSubmit", "MaxJobCount", "temporarily"))
        """Whether it may take them when others have ended."""


def submit(launcher: Launcher, planned: Sequence[Group], under_way: Mapping[str, Job]) -> None:
    """Puts the arrays of ``planned`` into the queue, one behind the other.

    ``under_way``: live jobs by run id; a run that needs one of those waits for it as well. Raises Refused: the arrays
    before the refused one are in the queue, and in the launch's file.
    """
    numbers: list[int] = []
    for group in planned:
        others = launcher.launch.arrays
        name = f"hbi-{launcher.folder.name}-{launcher.named}"
        launcher.named += 1
        run_ids = tuple(run.run_id for run in group.runs)
        array = Array(name=name, runs=run_ids, asked=group.asked, submitted=now(), at_once=group.at_once)
        behind = [str(numbers[other]) for other in group.after]
        needed = {run.needed.run_id for run in group.runs if run.needed}
        behind += sorted(under_way[run_id].number for run_id in needed & under_way.keys())
        for run in group.runs:
            _write_job(launcher, run, group.asked)
        _write(launcher, (*others, array))  # first, so that no job is in the queue that nobody knows of
        try:
            numbers.append(_sbatch(launcher, array, behind))
        except Refused:
            _write(launcher, others)
            raise
        _write(launcher, (*others, array.model_copy(update={"number": numbers[-1]})))


def _write(launcher: Launcher, arrays: tuple[Array, ...]) -> None:
    launcher.launch = launcher.launch.model_copy(update={"arrays": arrays})
    write_launch(launcher.folder, launcher.launch)


def _job_path(launcher: Launcher, run_id: str) -> Path:
    return launcher.folder / f"{run_id}.json"


def _write_job(launcher: Launcher, run: Run, asked: Asked) -> None:
    job = JobFile(
        label=run.label,
        run_id=run.run_id,
        spec=run.spec,
        suite=launcher.launch.suite,
        runs=str(launcher.runs.absolute()),
        folder=str(Path.cwd()),
        tracking_uri=launcher.tracking_uri,
        accumulation=launcher.accumulation.get(run.run_id),
        cluster=OnCluster(
            code=str(launcher.code),
            minutes=asked.minutes,
            warning_seconds=launcher.cluster.warning_seconds,
            requeues=launcher.retries.requeues,
        ),
    )
    write_atomically(_job_path(launcher, run.run_id), job.model_dump_json())


def _sbatch(launcher: Launcher, array: Array, behind: Sequence[str]) -> int:
    """Number of the array in SLURM. Raises Refused."""
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    with _own_environment(), redirect_stderr(StringIO()):  # submitit prints what sbatch says, as well as raising it
        try:
            executor = SlurmExecutor(launcher.folder, python=launcher.cluster.python)
            executor.update_parameters(**_parameters(launcher, array, behind))
            jobs = executor.map_array(RunJob(), [str(_job_path(launcher, run_id)) for run_id in array.runs])
        except (FailedJobError, FailedSubmissionError, RuntimeError, OSError) as error:
            raise Refused(str(error)) from error
    return int(jobs[0].job_id.partition("_")[0])


def _parameters(launcher: Launcher, array: Array, behind: Sequence[str]) -> dict[str, object]:
    """As submitit's SlurmExecutor takes them."""
    asked, cluster = array.asked, launcher.cluster
    gpus = f"gpu:{asked.gpu_type}:{asked.gpus}" if asked.gpu_type else f"gpu:{asked.gpus}"
    optional = {
        "partition": asked.partition,
        "account": asked.account,
        "qos": asked.qos,
        "constraint": asked.constraint,
        "exclude": asked.exclude,
        "gres": gpus if asked.gpus else None,
        "dependency": f"afterany:{':'.join(behind)}" if behind else None,
    }
    # a python that starts in the working tree would import that, whatever PYTHONPATH says
    further = {"requeue": True, "chdir": str(launcher.code)}
    further |= {name: value for name, value in cluster.options.items() if value is not False}
    if asked.memory:
        further["mem"] = asked.memory
    return {
        **{name: value for name, value in optional.items() if value is not None},
        "job_name": array.name,
        "time": asked.minutes,
        "nodes": asked.nodes,
        "ntasks_per_node": asked.processes,
        "cpus_per_task": asked.cpus,
        "signal_delay_s": cluster.warning_seconds,
        "array_parallelism": array.at_once or len(array.runs),
        "setup": [*cluster.setup, f"export PYTHONPATH={shlex.quote(str(launcher.code))}${{PYTHONPATH:+:$PYTHONPATH}}"],
        # one that fails must not leave the others waiting for it; nor one that ends first
        "srun_args": ["--kill-on-bad-exit=1", "--wait=60"],
        "additional_parameters": further,
    }


@contextmanager
def _own_environment() -> Iterator[None]:
    """sbatch passes this process's environment on; that of an enclosing job would mislead it."""
    before = dict(os.environ)
    kept = queue.environment()
    for name in list(os.environ):
        if name not in kept:
            del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)
