"""What a job does by itself, without a cluster: processes with the variables that SLURM would set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slurm.job import JobFile, OnCluster
from suites.expand import expand
from suites.load import load_suite
from tests.command_line import ROOT, SUITE, call, place, records, results_of, wait_for

LONG = SUITE.replace("epochs: 3", "epochs: 50").replace("  - no-hbi: {seeds: [0, 1]}\n", "")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = place(tmp_path_factory.mktemp("undisturbed"), LONG)
    assert call("run", "small.yaml", cwd=folder).returncode == 0
    return folder


def job_file(folder: Path, **changes) -> Path:
    (run,) = expand(load_suite(folder / "small.yaml"))
    asked = {"label": run.label, "run_id": run.run_id, "spec": run.spec, "suite": "small"}
    job = JobFile(**asked, runs=str(folder / "runs"), folder=str(folder), **changes)
    (folder / "job.json").write_text(job.model_dump_json())
    return folder / "job.json"


def start_job(path: Path, code: Path = ROOT, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"from slurm.job import RunJob; RunJob()({str(path)!r})"]
    environment = {**os.environ, "PYTHONPATH": str(code), **environment}
    return subprocess.Popen(command, cwd=code, env=environment, stderr=subprocess.PIPE, text=True)


def test_a_requeued_job_takes_the_run_over_and_its_ghost_writes_nothing_more(undisturbed, tmp_path):
    folder = place(tmp_path / "work", LONG, undisturbed)
    job = {"SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "hbi-launch-0", "SLURM_ARRAY_TASK_ID": "3"}
    ghost = start_job(job_file(folder), **job)
    wait_for(lambda: any(folder.glob("runs/store/*/training.pt")))
    requeued = start_job(folder / "job.json", **job, SLURM_RESTART_COUNT="1", SLURM_ARRAY_JOB_ID="70")
    assert ghost.wait(60) == 0
    assert requeued.poll() is None
    assert not records(folder)
    assert requeued.wait(120) == 0, requeued.stderr.read()
    (record,) = records(folder).values()
    written = record["provenance"]["job"]
    assert (written["number"], written["task"], written["restarts"]) == ("70", 3, 1)
    log = next(folder.glob("runs/store/*/log.txt")).read_text()
    assert "stopped" not in log  # the ghost says nothing any more
    assert log.count("complete:") == 1
    assert results_of(folder) == results_of(undisturbed)


def test_a_job_refuses_to_run_other_code_than_was_submitted(tmp_path):
    folder = place(tmp_path / "work", LONG)
    cluster = OnCluster(code=str(tmp_path / "code"), minutes=5, warning_seconds=10, requeues=1)
    job = start_job(job_file(folder, cluster=cluster))
    _, told = job.communicate(timeout=60)
    assert job.returncode
    assert "the code that runs is" in told
    assert not list(folder.glob("runs/store/*/record.json"))


def test_memory_that_torch_cannot_have_is_no_bug():
    from ablations.run import _failure

    message = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
    assert _failure(RuntimeError(message)).kind == "out of memory"
    assert _failure(RuntimeError("a bug")).kind == "bug"


def test_a_failure_in_another_process_is_told_as_its_own(tmp_path):
    """Two processes that somebody else has started; the second one has no room for its work."""
    code = """
import sys, torch
from hbi.training.distributed import agreed, attend, spawn, together
rank, port = int(sys.argv[1]), int(sys.argv[2])
def work():
    raise MemoryError("nothing left")
with together(rank, 2, "127.0.0.1", port, torch.device("cpu")):
    if rank:
        attend(work)
    else:
        try:
            with spawn(2, torch.device("cpu"), work):
                agreed("a batch")
                agreed("another")
                while True:
                    agreed("and so on")
        except Exception as error:
            print(getattr(error, "kind", None), error)
"""
    from tests.results.mlflow_server import free_port

    port = str(free_port())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen([sys.executable, "-c", code, rank, port], env=environment, stdout=subprocess.PIPE, text=True)
        for rank in "01"
    ]
    out, _ = both[0].communicate(timeout=120)
    assert both[1].wait(60) != 0
    assert out.strip() == "out of memory process 1: nothing left"


def test_processes_started_by_others_end_when_there_is_nothing_to_train():
    """The record is there already: the first process says so, and the others do not wait for a training."""
    code = """
import sys, torch
from hbi.training.distributed import attend, dismiss, together
rank, port = int(sys.argv[1]), int(sys.argv[2])
with together(rank, 2, "127.0.0.1", port, torch.device("cpu")):
    attend(lambda: sys.exit(3)) if rank else dismiss("well")
"""
    from tests.results.mlflow_server import free_port

    port = str(free_port())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [subprocess.Popen([sys.executable, "-c", code, rank, port], env=environment) for rank in "01"]
    assert [process.wait(120) for process in both] == [0, 0]


def test_the_file_of_a_job_is_checked(tmp_path):
    folder = place(tmp_path / "work", LONG)
    path = job_file(folder)
    job = json.loads(path.read_text())
    path.write_text(json.dumps({**job, "spec": {**job["spec"], "version": 2}}))
    told = start_job(path).communicate(timeout=60)[1]
    assert "version" in told
    assert not list(folder.glob("runs/store/*"))
