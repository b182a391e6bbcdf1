"""What a researcher waits for beside the training itself: collecting results, the command line, launching a run."""

import os
import shutil
import subprocess
import sys
import time
from io import StringIO
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from submitit import LocalExecutor, SlurmExecutor

from ablations.run import execute
from hbi.metrics.registry import COLUMNS, RETRIEVAL
from hbi.metrics.retrieval import summarise
from results.collect import collect
from results.layout import lay_out
from results.record import Epoch, Provenance, Record
from results.store import RANKS, RECORD, STORE, read_all, run_folder
from results.summary import CACHE, read_summaries
from results.tables import markdown
from slurm.arrays import groups
from slurm.display import Display
from slurm.inline import run_inline
from slurm.launches import Launch
from slurm.local import run_local
from slurm.plan import plan
from slurm.profile import asked, read_profile
from slurm.snapshot import snapshot
from slurm.submit import Launcher, submit
from suites.expand import Run, expand
from suites.load import load_suite
from suites.resources import Retries

ROOT = Path(__file__).parents[2]
COMMAND_LINE = [sys.executable, str(ROOT / "run_suite.py")]
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
COLLECTING = "collecting the results of 10,000 runs"
TABLES = "tables of 10,000 runs, by the command line"
COMMAND = "the command line, in a fresh process"
RUN = "a run with two steps of training, and how it is launched"
SUBMITTING = "submitting 200 runs as one array, to an sbatch that answers at once"


# ---- collecting -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> tuple[Path, list[Run]]:
    """A folder with the records of a suite, and the suite's runs."""
    folder = tmp_path_factory.mktemp("ended")
    (folder / "suite.yaml").write_text(SUITE)
    runs = expand(load_suite(folder / "suite.yaml"))
    origin = Provenance(python="3", packages={}, host="here", cpu="some", threads=2, decoder="none")
    for run in runs:
        record = Record(
            run_id=run.run_id,
            spec=run.spec,
            outcome="complete",
            metrics=dict.fromkeys(COLUMNS, 1.0),
            provenance=origin,
            started="2026-01-01T00:00:00+00:00",
            finished="2026-01-01T00:00:00+00:00",
        )
        path = run_folder(folder, run.run_id) / RECORD
        path.parent.mkdir(parents=True)
        path.write_text(record.model_dump_json(indent=1))  # not write_record, which waits for the disk each time
    return folder, runs


def test_files_alone(benchmark, ended):
    benchmark.group = COLLECTING
    benchmark.extra_info["reference"] = True
    paths = sorted((ended[0] / STORE).glob(f"*/{RECORD}"))
    benchmark.pedantic(lambda: [path.read_bytes() for path in paths], rounds=5, warmup_rounds=1)
    assert len(paths) == 10_000


def test_read_records(benchmark, ended):
    benchmark.group = COLLECTING
    records, problems = benchmark.pedantic(read_all, (ended[0],), rounds=3)
    assert len(records) == 10_000
    assert not problems


def test_plan(benchmark, ended):
    benchmark.group = COLLECTING
    folder, runs = ended
    steps = benchmark.pedantic(plan, (runs, read_all(folder)[0], folder), rounds=5)
    assert {step.state for step in steps} == {"complete"}


def test_table(benchmark, ended):
    benchmark.group = COLLECTING
    folder, runs = ended
    wanted, summaries = [(run.label, run.run_id) for run in runs], read_summaries(folder)[0]
    text = benchmark.pedantic(lambda: markdown(lay_out(collect("all", wanted, summaries))), rounds=5)
    assert len(text.splitlines()) > 40


@pytest.mark.parametrize("call", ["first", "second"])
def test_tables(benchmark, ranked, call):
    """The whole command, with 1000 ranks a record and direction, and 39 rows compared with the first."""
    benchmark.group = TABLES
    benchmark.extra_info["reference"] = call == "first"
    command = [*COMMAND_LINE, "tables", "suite.yaml", "--runs", "."]

    def forget():
        shutil.rmtree(ranked / CACHE, ignore_errors=True)

    if call == "second":
        process(command, ranked)
    benchmark.pedantic(process, (command, ranked), setup=forget if call == "first" else None, rounds=3)
    assert "significant" in (ranked / "tables" / "suite.md").read_text()


@pytest.fixture(scope="module")
def ranked(ended, tmp_path_factory) -> Path:
    """As ``ended``, with ranks, and curves of twelve epochs: 12 and 20 kB a run."""
    folder = tmp_path_factory.mktemp("ranked")
    shutil.copy(ended[0] / "suite.yaml", folder)
    random = np.random.default_rng(0)
    losses = dict.fromkeys(("total", "contrastive", "banzhaf", "distillation", "entity", "action", "event"), 1.0)
    same = {"losses": losses, "metrics": dict.fromkeys(RETRIEVAL, 1.0), "seconds": 1.0}
    curve = [Epoch(epoch=n, step=n, learning_rate=1e-3, logit_scale=10.0, **same) for n in range(1, 13)]
    for run_id, record in read_all(ended[0])[0].items():
        ranks = {way: np.ceil(random.exponential(5, 1000)) for way in ("t2v", "v2t")}
        path = run_folder(folder, run_id)
        path.mkdir(parents=True)
        np.savez(path / RANKS, **ranks)
        metrics = {f"{way}/{name}": value for way, found in ranks.items() for name, value in summarise(found).items()}
        full = record.model_copy(update={"curve": tuple(curve), "ranks": RANKS, "metrics": metrics})
        (path / RECORD).write_text(full.model_dump_json(indent=1))
    return folder


# ---- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["-c pass", "run_suite.py --help", "run_suite.py list variants", "run_suite.py plan quickstart"]
)
def test_python(benchmark, command, tmp_path):
    benchmark.group = COMMAND
    benchmark.extra_info["reference"] = command == "-c pass"
    words = command.replace("run_suite.py", str(ROOT / "run_suite.py")).split()
    benchmark.pedantic(process, ([sys.executable, *words], tmp_path), rounds=7, warmup_rounds=1)


def process(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


# ---- launching ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> tuple[Path, Run]:
    """A folder with a suite of one run, and the run. It has run once: its data and MLflow's database are there."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yaml").write_text(SMALL)
    (run,) = expand(load_suite(folder / "small.yaml"))
    process([*COMMAND_LINE, "run", "small.yaml"], folder)
    return folder, run


@pytest.fixture
def again(small, monkeypatch):
    """Removes what an earlier round has left; a function for ``setup``."""
    folder, _ = small
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    return lambda: shutil.rmtree(folder / "runs" / STORE, ignore_errors=True)


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_executor(benchmark, small, again, executor):
    benchmark.group = RUN
    folder, run = small
    display = Display(Console(file=StringIO()), 1)
    more = (1, "small") if executor == "local" else ()
    call = {"inline": run_inline, "local": run_local}[executor]
    benchmark.pedantic(lambda: call([run], folder / "runs", display, *more), setup=again, rounds=3, warmup_rounds=1)
    assert complete(small)


def test_bare_process_of_submitit(benchmark, small, again):
    benchmark.group = RUN
    benchmark.extra_info["reference"] = True
    benchmark.pedantic(bare, small, setup=again, rounds=3)
    assert complete(small)


def bare(folder: Path, run: Run) -> None:
    runs = folder / "runs"
    executor = LocalExecutor(folder / "jobs")
    job = executor.submit(execute, run.run_id, run.spec, run_folder(runs, run.run_id), runs / "data", print)
    while not job.done():
        time.sleep(0.05)


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_whole_command(benchmark, small, again, executor):
    benchmark.group = RUN
    command = [*COMMAND_LINE, "run", "small.yaml", "--executor", executor]
    benchmark.pedantic(lambda: process(command, small[0]), setup=again, rounds=3)
    assert complete(small)


def complete(small: tuple[Path, Run]) -> bool:
    folder, run = small
    return read_all(folder / "runs")[0][run.run_id].outcome == "complete"


# ---- submitting -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> list[Run]:
    path = tmp_path_factory.mktemp("many") / "many.yaml"
    path.write_text(SMALL + f"seeds: {list(range(200))}\n")
    return expand(load_suite(path))


@pytest.fixture
def sbatch(tmp_path, monkeypatch) -> None:
    """Programs of SLURM's names; submitit asks only that srun is there."""
    for name, answer in (("sbatch", "Submitted batch job 1"), ("srun", "")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {answer}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), os.environ["PATH"]]))


def test_submitit_alone(benchmark, many, sbatch, tmp_path):
    benchmark.group = SUBMITTING
    benchmark.extra_info["reference"] = True

    def send() -> int:
        executor = SlurmExecutor(tmp_path / "jobs")
        executor.update_parameters(time=60)
        columns = zip(*((run.run_id, run.spec, tmp_path, tmp_path, print) for run in many), strict=True)
        return len(executor.map_array(execute, *columns))

    assert benchmark.pedantic(send, rounds=5, warmup_rounds=1) == 200


def test_submit(benchmark, many, sbatch, tmp_path):
    benchmark.group = SUBMITTING
    cluster = read_profile("testbed")

    def send() -> Launch:
        launcher = Launcher(tmp_path / "jobs", tmp_path, ROOT, cluster, Retries(), Launch(suite="many"))
        submit(launcher, groups(many, lambda run: asked(run, cluster), largest=1000), {})
        return launcher.launch

    (array,) = benchmark.pedantic(send, rounds=5, warmup_rounds=1).arrays
    assert len(array.runs) == 200
    assert array.number == 1


def test_snapshot_of_the_sources(benchmark, tmp_path):
    benchmark.group = SUBMITTING
    folders = (tmp_path / str(number) for number in count())
    code = benchmark.pedantic(lambda: snapshot(next(folders)), rounds=5)
    assert (code / "run_suite.py").is_file()
