"""A private SLURM cluster for the tests, from slurm/testbed. None of it reaches the environment of the test process."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
TESTBED = Path(__file__).resolve().parents[2] / "slurm" / "testbed"
OTHERS = ("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "SACCT_", "SQUEUE_", "SINFO_", "SUBMITIT_", "TESTBED_")
"""Variables of a cluster or a job around the tests: they would change what the commands of SLURM do."""


@dataclass(frozen=True)
class Cluster:
    prefix: Path
    environment: dict[str, str]
    """The whole environment of a subprocess that is to use this cluster."""

    def up(self) -> None:
        """Starts what is not running, and returns when all nodes are ready."""
        _script("up.sh", str(self.prefix), environment=self.environment)

    def stop_controller(self) -> None:
        """Stops slurmctld, which saves its state first; jobs go on. ``up`` starts it again."""
        pid = self.prefix / "run" / "slurmctld.pid"
        os.kill(int(pid.read_text()), 15)
        wait_until(lambda: not pid.exists(), 30)  # its last act

    def run(self, *command: str, timeout: float = 60) -> str:
        """What a command of SLURM prints, without the white space around it; RuntimeError when it fails."""
        done = subprocess.run(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def state(self, job: str) -> str:
        """The state of a job as the controller knows it, such as PENDING."""
        return self.run("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")


def wait_until(condition: Callable[[], T], timeout: float) -> T:
    """The first true value of ``condition``, which is asked again and again."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {timeout} s"
        time.sleep(0.1)
    return value


def _script(name: str, *arguments: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", str(TESTBED / name), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{name}: {done.stdout}"


@contextmanager
def _cluster(**settings: str) -> Iterator[Cluster]:
    if not shutil.which("slurmctld", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])):
        word = "SLURM is not installed (make slurm)"
        if os.environ.get("CI"):
            pytest.fail(word)
        pytest.skip(word)
    prefix = Path(tempfile.mkdtemp(prefix="testbed-", dir="/tmp"))  # short: paths of sockets lie below
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    try:
        _script("up.sh", str(prefix), environment=environment | settings)
        yield Cluster(prefix, environment | {"SLURM_CONF": str(prefix / "etc" / "slurm.conf")})
    finally:
        _script("down.sh", str(prefix), "--purge", environment=environment)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two nodes of four cores and two GPUs, with accounting where it is installed, for all tests of the session."""
    with _cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def cluster_without_accounting() -> Iterator[Cluster]:
    with _cluster(TESTBED_ACCOUNTING="none") as cluster:
        yield cluster
