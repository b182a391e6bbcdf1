"""Where a number comes from: code, packages, machine."""

import os
import platform
import socket
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from results.record import Provenance

SOURCES = Path(__file__).resolve().parent.parent
PACKAGES = ("torch", "torchvision", "open_clip_torch", "numpy", "decord", "av", "hbi-benchmark")
LONGEST_DIFF = 200_000
"""Characters of a dirty diff that are kept; what is beyond is counted."""


def provenance(device: torch.device, threads: int, decoder: str, parameters: int) -> Provenance:
    """Of this process, now."""
    return Provenance(
        commit=_git("rev-parse", "HEAD"),
        dirty_diff=_shortened(_git("diff", "HEAD")),
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
        host=socket.gethostname(),
        cpu=f"{_processor()}, {os.cpu_count()} cores",
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        threads=threads,
        decoder=decoder,
        parameters=parameters,
    )


def _git(*arguments: str) -> str | None:
    """What git says of the sources; none outside a repository, or where nothing is said."""
    command = ["git", "-C", str(SOURCES), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, errors="replace")
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def _shortened(diff: str | None) -> str | None:
    if diff is None or len(diff) <= LONGEST_DIFF:
        return diff
    return f"{diff[:LONGEST_DIFF]}\n[{len(diff) - LONGEST_DIFF} more characters]"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
