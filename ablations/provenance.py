"""Where a number comes from: code, packages, machine."""

import os
import platform
import socket
from importlib.metadata import PackageNotFoundError, version

import torch

from ablations.sources import origin
from hbi.cost.machine import processor
from results.record import ClusterJob, Provenance

PACKAGES = ("torch", "torchvision", "open_clip_torch", "numpy", "decord", "av", "hbi-benchmark")


def provenance(device: torch.device, threads: int, decoder: str, parameters: int) -> Provenance:
    """Of this process, now."""
    code = origin()
    return Provenance(
        commit=code.commit,
        dirty_diff=code.dirty_diff,
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
        host=socket.gethostname(),
        cpu=f"{processor()}, {os.cpu_count()} cores",
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        threads=threads,
        decoder=decoder,
        parameters=parameters,
        job=_job(),
    )


def _job() -> ClusterJob | None:
    """The SLURM job that this process is part of."""
    number = os.environ.get("SLURM_JOB_ID")
    if number is None:
        return None
    array, place = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return ClusterJob(
        number=array or number,
        task=int(place) if place else None,
        restarts=int(os.environ.get("SLURM_RESTART_COUNT", 0)),
        cluster=os.environ.get("SLURM_CLUSTER_NAME"),
        nodes=os.environ.get("SLURM_JOB_NODELIST"),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
