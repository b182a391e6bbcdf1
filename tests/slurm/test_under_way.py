"""Who has a run under way, where SLURM has started it again while a ghost of it lives on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slurm.under_way import OWNER, GivenUp, held, holder
from tests.slurm.conftest import wait_until

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from slurm.under_way import held
print("waits", flush=True)
with held(Path(sys.argv[1]), lambda: False) as lost:
    print("holds", flush=True)
    for line in sys.stdin:
        if line == "end\\n":
            break
        print(lost(), flush=True)
"""


class Process:
    """One that waits for a run's folder, then holds it."""

    def __init__(self, folder: Path, job: str | None, place: int | None = 0, restarts: int = 0) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        environment |= {"SLURM_JOB_NAME": job} if job else {}
        environment |= {"SLURM_ARRAY_TASK_ID": str(place)} if place is not None else {}
        environment |= {"SLURM_RESTART_COUNT": str(restarts)} if restarts else {}
        command = [sys.executable, "-c", HOLD, str(folder)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True)
        assert self.says() == "waits"

    def says(self) -> str:
        return self.process.stdout.readline().strip()

    def lost(self) -> bool:
        self.process.stdin.write("lost?\n")
        self.process.stdin.flush()
        return {"True": True, "False": False}[self.says()]

    def end(self) -> None:
        self.process.communicate("end\n", timeout=20)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start(tmp_path):
    """A function that starts a process on one folder; all have ended when the test has."""
    started = []

    def start(*arguments, **options):
        started.append(Process(tmp_path, *arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def test_a_requeued_job_takes_the_run_from_its_ghost(start, tmp_path):
    ghost = start("hbi-x-0")
    assert ghost.says() == "holds"
    assert not ghost.lost()
    again = start("hbi-x-0", restarts=1)
    wait_until(ghost.lost, 10)
    assert holder(tmp_path).pid == again.process.pid  # who answers for the run is known at once
    ghost.end()
    assert again.says() == "holds"
    assert not again.lost()
    assert holder(tmp_path).pid == again.process.pid  # the ghost has not taken the signature with it
    again.end()
    assert holder(tmp_path) is None


def test_a_ghost_that_is_killed_lets_go(start, tmp_path):
    ghost, again = start("hbi-x-0"), start("hbi-x-0", restarts=1)
    ghost.kill()
    assert again.says() == "holds"
    assert holder(tmp_path).restarts == 1


def test_the_last_start_of_several_has_the_run(start, tmp_path):
    first = start("hbi-x-0")
    assert first.says() == "holds"
    third = start("hbi-x-0", restarts=2)
    wait_until(first.lost, 10)
    second = start("hbi-x-0", restarts=1)  # slow to come, and a ghost itself by now
    time.sleep(0.5)
    assert holder(tmp_path).pid == third.process.pid
    first.end()
    wait_until(lambda: holder(tmp_path) is not None and holder(tmp_path).pid == third.process.pid, 10)
    second.kill()
    assert third.says() == "holds"
    assert not third.lost()


OTHERS = {
    "another array": ("hbi-y-0", 0, 1),
    "another place": ("hbi-x-0", 1, 1),
    "a job alone": ("hbi-x-0", None, 1),
    "the same start": ("hbi-x-0", 0, 0),
    "no job": (None, None, 0),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_other_jobs_wait_for_it(start, tmp_path, other):
    first = start("hbi-x-0")
    assert first.says() == "holds"
    job, place, restarts = other
    second = start(job, place=place, restarts=restarts)
    time.sleep(0.5)
    assert not first.lost()
    assert holder(tmp_path).pid == first.process.pid
    first.end()
    assert second.says() == "holds"
    assert holder(tmp_path).pid == second.process.pid


def test_a_holder_that_is_killed_frees_the_run_and_its_name_stands_for_nobody(start, tmp_path):
    first = start("hbi-x-0")
    assert first.says() == "holds"
    first.kill()
    assert (tmp_path / OWNER).exists()
    assert holder(tmp_path) is None
    second = start("hbi-y-0")
    assert second.says() == "holds"
    assert holder(tmp_path).pid == second.process.pid
    assert not second.lost()


def test_waiting_can_be_given_up(start, tmp_path):
    first = start("hbi-x-0")
    assert first.says() == "holds"
    with pytest.raises(GivenUp), held(tmp_path, lambda: True):
        pass
    assert not first.lost()


def test_a_signature_that_is_no_text_names_nobody(start, tmp_path):
    first = start("hbi-x-0")
    assert first.says() == "holds"
    (tmp_path / OWNER).write_bytes(b"\xff\xfe")
    assert holder(tmp_path) is None
    assert not first.lost()  # a shared folder that does not answer well for a moment is no word
