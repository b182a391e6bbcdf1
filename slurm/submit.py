"""From runs to job arrays in SLURM's queue, through submitit."""

import os
import re
import shlex
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from hbi.files import write_atomically
from slurm import queue
from slurm.arrays import Group
from slurm.job import AGAIN, JobFile, OnCluster, RunJob
from slurm.launches import Array, Launch, now, write_launch
from slurm.profile import Asked, Cluster
from slurm.queue import Job
from suites.expand import Run
from suites.resources import Retries

REQUEUE = f"""status=$?
if [ $status -eq {AGAIN} ]; then
    job=${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_}}${{SLURM_ARRAY_TASK_ID:-$SLURM_JOB_ID}}
    for _ in $(seq 30); do
        scontrol requeue "$job" && sleep 60
        sleep 2
    done
fi
exit $status"""
"""Bash behind a run, which asks with its exit code to be put back into the queue: here, for a container has no SLURM.
The last job of an array has the array's number as its own, so it is not by that number that a job is requeued."""


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
    most: int | None = None
    """Jobs that the queue takes, learnt from a refusal."""
    limits: dict[str, int] | None = None
    """Those of the cluster, once they were asked for."""
    accumulation: dict[str, int] = field(default_factory=dict)
    """Parts a batch is encoded in, by run id, of those that ran out of memory."""


class Refused(Exception):
    """SLURM does not take the jobs; one line."""

    def __init__(self, said: str) -> None:
        lines = [line.partition("error: ")[2] for line in said.splitlines() if "sbatch: error:" in line]
        super().__init__("; ".join(dict.fromkeys(lines)) or said.strip().partition("\n")[0] or "sbatch gives no reason")
        self.for_now = re.search(r"Submit\w*Limit|job submit limit|MaxJobCount|temporarily", said) is not None
        """Whether it may take them when others have ended."""


def submit(launcher: Launcher, planned: Sequence[Group], under_way: Mapping[str, Job]) -> None:
    """Puts the arrays of ``planned`` into the queue, one behind the other.

    ``under_way``: live jobs by run id; a run that needs one of those waits for it as well. Raises Refused: the arrays
    before the refused one are in the queue, and in the launch's file. Raises queue.Unreachable where sbatch got no
    answer: the array may be in the queue, and stays in the file, for its name will tell.
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
        _write(launcher, (*others, array))  # first, so that no job is in the queue that nobody knows of
        for run in group.runs:
            _write_job(launcher, run, group.asked)
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
            gpus=asked.gpus,
            minutes=asked.minutes,
            warning_seconds=launcher.cluster.warning_seconds,
            requeues=launcher.retries.requeues,
        ),
    )
    write_atomically(_job_path(launcher, run.run_id), job.model_dump_json())


def _sbatch(launcher: Launcher, array: Array, behind: Sequence[str]) -> int:
    """Number of the array in SLURM. Raises Refused, or queue.Unreachable where nobody knows whether it is there."""
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    # submitit prints what sbatch says, as well as raising it; and Ctrl-C is for this process, not for sbatch
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with _own_environment(), redirect_stderr(StringIO()):
        try:
            executor = SlurmExecutor(launcher.folder, python=launcher.cluster.python)
            executor.update_parameters(**_parameters(launcher, array, behind))
            jobs = executor.map_array(RunJob(), [str(_job_path(launcher, run_id)) for run_id in array.runs])
        except (FailedJobError, FailedSubmissionError, RuntimeError, OSError) as error:
            if re.search(r"timed out|Unable to contact|[Cc]onnection|Zero Bytes", str(error)):
                raise queue.Unreachable(f"sbatch: {Refused(str(error))}") from None
            for pickled in launcher.folder.glob(f"{'[0-9a-f]' * 32}.pkl"):
                pickled.unlink()
            raise Refused(str(error)) from error
        finally:
            signal.signal(signal.SIGINT, before)
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
    further: dict[str, object] = {"requeue": True, "chdir": str(launcher.code)}
    further["signal"] = f"USR2@{cluster.warning_seconds}"  # whatever SUBMITIT_PREEMPT_SIGNAL says
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
        "array_parallelism": array.at_once or len(array.runs),
        "setup": [
            *(part for line in cluster.setup for part in (line, _checked(line))),
            f"export PYTHONPATH={shlex.quote(str(launcher.code))}${{PYTHONPATH:+:$PYTHONPATH}}",
        ],
        "teardown": REQUEUE.splitlines(),
        # srun no longer has the cores of a task from sbatch; and one that fails must not leave the others waiting
        "srun_args": [f"--cpus-per-task={asked.cpus}", "--kill-on-bad-exit=1", "--wait=60"],
        "wckey": None,  # submitit's own is refused where they are enforced
        "additional_parameters": further,
    }


def _checked(line: str) -> str:
    """Bash that ends the job where the line of the setup before it has failed."""
    return f"[ $? -eq 0 ] || {{ echo {shlex.quote(f'this line of the setup has failed: {line}')} >&2; exit 1; }}"


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
