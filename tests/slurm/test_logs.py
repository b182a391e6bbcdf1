"""`logs`: the right run, to its end, and what its job has printed where it has left nothing else."""

import threading
import time

import pytest

from hbi.errors import InputError
from results.store import run_folder, write_record
from slurm.launches import JOBS, Launch, now, write_launch
from slurm.logs import lines
from slurm.under_way import held
from tests.results.conftest import build_failure
from tests.slurm.conftest import Cluster, wait_until
from tests.slurm.examples import array_of, use, without_slurm


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A store, on a machine without SLURM."""
    without_slurm(monkeypatch, tmp_path)
    return tmp_path / "runs"


def logged(runs, run_id: str, text: str = "") -> None:
    run_folder(runs, run_id).mkdir(parents=True, exist_ok=True)
    with (run_folder(runs, run_id) / "log.txt").open("a") as file:
        file.write(text)


def submitted(runs, *run_ids: str, **more):
    folder = (runs / JOBS / "1").absolute()
    write_launch(folder, Launch(suite="small", arrays=(array_of(*run_ids, **more),)))
    return folder


def read(runs, run_id: str, follow: bool = False) -> list[str]:
    return [line.rstrip() for line in lines(runs, run_id, follow)]


def test_a_run_is_named_by_the_beginning_of_its_id(runs):
    for run_id in ("hbi.s0.aa", "hbi.s0.aab", "hbi.s1.cc"):
        logged(runs, run_id, f"of {run_id}\n")
    assert read(runs, "hbi.s1") == ["of hbi.s1.cc"]
    assert read(runs, "hbi.s0.aa") == ["of hbi.s0.aa"]  # a whole id, though another begins so
    with pytest.raises(InputError, match=r"^logs: 'hbi.s0' could be hbi.s0.aa, hbi.s0.aab; give more of the id$"):
        read(runs, "hbi.s0")
    with pytest.raises(InputError, match=r"^logs: no run in .* begins with 'x'; `status` prints the ids$"):
        read(runs, "x")


def test_a_run_that_was_submitted_and_has_not_begun_has_an_empty_log(runs):
    submitted(runs, "hbi.s0.aa", "hbi.s1.bb")
    assert read(runs, "hbi.s1") == []
    assert read(runs, "hbi.s1", follow=True) == []


@pytest.mark.parametrize("follow", [False, True])
def test_a_run_that_left_no_record_is_shown_with_what_its_job_has_printed(runs, follow):
    logged(runs, "hbi.s1.bb", "began\n")
    folder = submitted(runs, "hbi.s0.aa", "hbi.s1.bb", number=7)
    printed = folder / "7_1_0_log.err"
    printed.write_bytes(b"".join(b"line %d \xff\n" % number for number in range(100)))
    (folder / "7_0_0_log.err").write_text("of the other")
    first, told, *tail = read(runs, "hbi.s1", follow)
    assert (first, told) == ("began", f"its job has printed ({printed}):")
    assert [line.split()[1] for line in tail] == [str(number) for number in range(70, 100)]


def test_a_job_alone_prints_into_a_file_of_another_name(runs):
    (submitted(runs, "hbi.s0.aa", number=9) / "9_0_log.err").write_text("module: command not found")
    assert read(runs, "hbi")[1:] == ["module: command not found"]


def test_where_there_is_a_record_it_is_enough(runs):
    logged(runs, "hbi.s0.aa", "failed\n")
    write_record(run_folder(runs, "hbi.s0.aa"), build_failure("hbi"))
    (submitted(runs, "hbi.s0.aa", number=9) / "9_0_log.err").write_text("a traceback")
    assert read(runs, "hbi") == ["failed"]


def test_what_was_logged_is_read_once_and_to_the_end_of_the_run(runs):
    logged(runs, "hbi.s0.aa", "first\n")
    release = threading.Event()

    def run():
        with held(run_folder(runs, "hbi.s0.aa"), lambda: False):
            began.set()
            release.wait(20)
            logged(runs, "hbi.s0.aa", "second\n")
            time.sleep(0.7)
            logged(runs, "hbi.s0.aa", "last")  # the end of the process follows at once

    began = threading.Event()
    process = threading.Thread(target=run)
    process.start()
    began.wait(20)
    followed = lines(runs, "hbi", follow=True)
    assert next(followed) == "first\n"
    release.set()
    assert list(followed) == ["second\n", "last"]
    process.join()


def test_a_log_that_is_not_followed_does_not_wait_for_slurm(runs, tmp_path, monkeypatch):
    logged(runs, "hbi.s0.aa", "began\n")
    submitted(runs, "hbi.s0.aa")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "squeue").write_text("#!/bin/sh\nexec sleep 5\n")
    (tmp_path / "squeue").chmod(0o755)
    began = time.monotonic()
    assert read(runs, "hbi") == ["began"]
    assert time.monotonic() - began < 3


@pytest.mark.slurm
def test_a_run_is_followed_from_the_queue_to_its_end(cluster: Cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("slurm.logs.ASK", 0.2)
    use(cluster, monkeypatch)
    runs, folder = tmp_path / "runs", submitted(tmp_path / "runs", "hbi.s0.aa", name="hbi-logs", submitted=now())
    print_there = [
        "-o",
        "/dev/null",
        "-e",
        f"{folder}/%j_0_log.err",
        "--wrap",
        "sleep 1; echo no module torch >&2; exit 1",
    ]
    job = cluster.run("sbatch", "--parsable", "-J", "hbi-logs", "--hold", *print_there)
    submitted(runs, "hbi.s0.aa", name="hbi-logs", submitted=now(), number=int(job))
    found: list[str] = []
    follower = threading.Thread(target=lambda: found.extend(read(runs, "hbi", follow=True)))
    follower.start()
    time.sleep(1)
    assert follower.is_alive()
    cluster.run("scontrol", "release", job)
    wait_until(lambda: not follower.is_alive(), 20)
    assert found[1:] == ["no module torch"]
