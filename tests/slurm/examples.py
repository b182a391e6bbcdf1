"""Runs, submissions and jobs for tests that need some."""

import os
from pathlib import Path

import pytest

from slurm.launches import Array
from slurm.profile import Asked
from suites.expand import Run, expand
from suites.load import load_suite
from tests.slurm.conftest import Cluster

ASKED = Asked(gpus=1, cpus=2, minutes=30, nodes=1, processes=1)


def runs_of(folder: Path, text: str) -> list[Run]:
    """The runs of a suite given as text."""
    (folder / "suite.yaml").write_text(text)
    return expand(load_suite(folder / "suite.yaml"))


def array_of(*runs: str, name: str = "hbi-a-0", number: int | None = 7, **more: object) -> Array:
    return Array(
        **{"name": name, "runs": runs, "asked": ASKED, "submitted": "2026-01-02T03:00:00+00:00", "number": number}
        | more
    )


def use(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets this process ask ``cluster``."""
    for name in os.environ:
        if name.startswith("SLURM_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])


def without_slurm(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """As on a machine where SLURM is not installed."""
    (folder / "empty").mkdir(exist_ok=True)
    monkeypatch.setenv("PATH", str(folder / "empty"))
