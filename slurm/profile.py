"""Cluster profiles (slurm/clusters/*.yaml): what a cluster gives to a run that asks for nothing of its own."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

import slurm
from ablations.registry import did_you_mean
from hbi.config import RuntimeConfig
from hbi.errors import InputError
from suites.expand import Run
from suites.resources import WORD, Resources
from suites.source import read

PROFILES = Path(slurm.__path__[0], "clusters")

OWNED = (
    *("array", "job-name", "output", "error", "open-mode", "input", "dependency", "signal", "requeue", "no-requeue"),
    *("time", "time-min", "deadline", "begin", "hold", "chdir", "wrap", "wait", "parsable", "test-only", "exclude"),
    *("nodes", "ntasks", "ntasks-per-node", "cpus-per-task", "partition", "account", "qos", "constraint"),
    *("gres", "gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket", "cpus-per-gpu"),
    *("mem", "mem-per-cpu", "mem-per-gpu", "export", "export-file", "uid", "gid", "cluster-constraint", "clusters"),
)
"""Options of sbatch that follow from a profile's other keys, or on which following a job relies."""


def _free(options: dict[str, object]) -> dict[str, object]:
    for name in options:
        if any(owned.startswith(name) for owned in OWNED):  # sbatch takes names cut short
            raise ValueError(f"options: {name} is set by the harness; see the other keys of a profile and `resources`")
    return options


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("one line of printable text, please")
    if text.lstrip().startswith("#"):  # sbatch would take #SBATCH for its own
        raise ValueError("a line of bash, not a comment")
    return text


def _of_option(value: object) -> object:
    if isinstance(value, (bool, int)) or (isinstance(value, str) and re.fullmatch(WORD, value)):
        return value
    raise PydanticCustomError("option", "should be a word without blanks, a whole number, true or false")


Line = Annotated[str, AfterValidator(_one_line)]
Option = Annotated[str, Field(pattern=r"^[a-z][a-z-]*$")]
Value = Annotated[Any, BeforeValidator(_of_option)]


class Cluster(Resources):
    """One cluster, or one way to use it."""

    summary: str = Field("", description="What it is, in a sentence.")
    setup: list[Line] = Field([], description="Lines of bash before a run: module load, conda activate.")
    python: Line | None = Field(
        None,
        description="What starts Python on a node; default: the Python that submits. A container goes in front.",
    )
    options: Annotated[dict[Option, Value], AfterValidator(_free)] = Field(
        {}, description="Further options of sbatch: {exclusive: true, reservation: paper}."
    )
    warning_seconds: int = Field(
        120, ge=10, description="Time between the warning and the end of a job: enough for a step and a checkpoint."
    )
    max_array_size: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Jobs in an array; default: what the cluster says."
    )
    max_submit: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Jobs of yours in the queue at once; default: what the cluster's accounting says."
    )
    poll_seconds: float = Field(15, ge=0.5, description="Seconds between two questions to SLURM.")


def read_profile(name: str) -> Cluster:
    """The profile in the file ``name``, or of that name among ours. Raises InputError with every mistake in it."""
    ours = PROFILES / f"{name}.yaml"
    path = ours if Path(name).name == name and ours.is_file() and not Path(name).is_file() else Path(name)
    if not path.is_file():
        known = sorted(file.stem for file in PROFILES.glob("*.yaml"))
        raise InputError(f"--cluster: there is no file {name}; {did_you_mean(path.stem, known)}")
    return read(path, Cluster, "profile")[0]


class Asked(Resources):
    """What a run asks of a cluster, with nothing left open. Runs that ask for the same share job arrays."""

    gpus: int
    """On each node."""
    cpus: int
    """For each process."""
    minutes: int
    nodes: int
    processes: int
    """On each node."""
    exclude: str | None = None
    """Nodes that failed it before."""


def asked(run: Run, cluster: Cluster, exclude: str | None = None) -> Asked:
    """The suite's wishes over the cluster's. Raises InputError where processes and nodes do not fit."""
    given = {name: getattr(cluster, name) for name in Resources.model_fields} | run.resources.model_dump(
        exclude_unset=True
    )
    runtime: RuntimeConfig = run.spec.runtime
    nodes = given["nodes"] or 1
    if runtime.processes % nodes:
        raise InputError(
            f"{run.label}: resources.nodes {nodes} do not share runtime.processes {runtime.processes} evenly; "
            f"make runtime.processes a multiple of {nodes}"
        )
    minutes = given["minutes"] or 60
    if 60 * minutes < cluster.warning_seconds + 10:
        raise InputError(
            f"{run.label}: {minutes} minutes leave no time to work in before the warning, which comes "
            f"{cluster.warning_seconds} seconds before the end; ask for more minutes, or less warning_seconds"
        )
    processes = runtime.processes // nodes
    each = given["gpus"] if given["gpus"] is not None else 1
    gpus = 0 if runtime.device == "cpu" else each * processes
    return Asked(
        **{
            **given,
            "nodes": nodes,
            "processes": processes,
            "gpus": gpus,
            "gpu_type": given["gpu_type"] if gpus else None,
            "cpus": given["cpus"] or runtime.threads + runtime.workers,
            "minutes": minutes,
            "exclude": exclude,
        }
    )
