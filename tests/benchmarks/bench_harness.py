"""What a researcher waits for: planning against 10,000 records, the command line's answers, a local run's overhead."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from results.record import Provenance, Record
from results.store import read_all, run_folder, write_record
from slurm.plan import plan
from suites.expand import expand
from suites.load import load_suite

ROOT = Path(__file__).parents[2]
SUITE = """
data: shapes
variants: [no-hbi, hbi, hbi-shapley, hbi-no-banzhaf]
seeds: 250
grid: {training.lr: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4, 7e-4, 8e-4, 9e-4, 1e-3]}
"""
SMALL = """
data: {name: shapes, train: 8, val: 2, test: 4, size: 32, max_words: 16, max_frames: 2}
model: {encoder: tiny, temporal_layers: 1}
training: {epochs: 1, batch_size: 4, lr: 1e-3, coef_lr: 1}
runtime: {threads: 1, device: cpu}
variants: [no-hbi]
"""


def test_planning_ten_thousand_runs_against_as_many_records(tmp_path):
    (tmp_path / "suite.yaml").write_text(SUITE)
    runs = expand(load_suite(tmp_path / "suite.yaml"))
    origin = Provenance(python="3", packages={}, host="here", cpu="some", threads=2, decoder="none")
    for run in runs:
        record = Record(
            run_id=run.run_id,
            spec=run.spec,
            outcome="complete",
            metrics={"t2v/R@1": 1.0},
            provenance=origin,
            started="2026-01-01T00:00:00+00:00",
            finished="2026-01-01T00:00:00+00:00",
        )
        write_record(run_folder(tmp_path, run.run_id), record)
    started = time.perf_counter()
    records, problems = read_all(tmp_path)
    read = time.perf_counter()
    steps = plan(runs, records, tmp_path)
    planned = time.perf_counter()
    print(
        f"\n{len(steps)} runs against {len(records)} records: read {read - started:.2f} s, plan {planned - read:.2f} s"
    )
    assert not problems
    assert planned - started < 5


@pytest.mark.parametrize(("command", "limit"), [(["--help"], 0.5), (["plan", "quickstart"], 1.0)], ids=["help", "plan"])
def test_the_command_line_answers(command, limit, tmp_path):
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, ROOT / "run_suite.py", *command], cwd=tmp_path, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    print(f"\n{' '.join(command)}: best {min(seconds):.2f} s, median {sorted(seconds)[2]:.2f} s")
    assert min(seconds) < limit


def test_overhead_of_a_local_run_beside_submitits_own(tmp_path):
    """The same training in a process of submitit's, and through `run --executor local`; the difference is ours."""
    (tmp_path / "small.yaml").write_text(SMALL)
    command = [sys.executable, ROOT / "run_suite.py", "run", "small.yaml"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)  # generates the data

    bare = f"""
import json, sys, time
from pathlib import Path
import submitit
sys.path.insert(0, {str(ROOT)!r})
from ablations.run import execute
from suites.expand import expand
from suites.load import load_suite
(run,) = expand(load_suite("small.yaml", ["seeds=[1]"]))
executor = submitit.LocalExecutor("jobs")
started = time.perf_counter()
Path("bare").mkdir()
job = executor.submit(execute, run.run_id, run.spec, Path("bare"), Path("runs/data"), print)
while not job.done():
    time.sleep(0.05)
print(time.perf_counter() - started)
"""
    done = subprocess.run([sys.executable, "-c", bare], cwd=tmp_path, check=True, capture_output=True, text=True)
    alone = float(done.stdout.split()[-1])

    def local(seeds: int) -> float:
        started = time.perf_counter()
        options = ["--executor", "local", "--jobs", "1", "--set", f"seeds={list(range(10, 10 + seeds))}"]
        subprocess.run([*command, *options, "--runs", f"runs{seeds}"], cwd=tmp_path, check=True, capture_output=True)
        return time.perf_counter() - started

    one, three = local(1), local(3)  # what all runs of a launch share (imports, data, MLflow) cancels out
    each = (three - one) / 2
    print(f"\na run through `local` {each:.2f} s, bare submitit {alone:.2f} s: overhead {each - alone:+.2f} s")
