"""What tests of the command line share: a small suite, calls of run_suite.py as processes, their results."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
SUITE = """
summary: A road of a minute.
data: {name: shapes, train: 24, val: 6, test: 12, size: 32, max_words: 16, max_frames: 4}
model: {encoder: tiny, temporal_layers: 1}
training: {epochs: 3, batch_size: 8, lr: 1e-3, coef_lr: 1}
runtime: {threads: 1, device: cpu}
variants:
  - no-hbi: {seeds: [0, 1]}
  - hbi
"""


def start(
    *arguments: str | Path, cwd: Path, environment: Mapping[str, str] = os.environ, root: Path = ROOT, **options
) -> subprocess.Popen[str]:
    """``root``: the sources that are run."""
    environment = {"COLUMNS": "200", **environment}
    environment["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [environment.get("PYTHONPATH")])])
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, str(root / "run_suite.py"), *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, env=environment, stdout=pipe, stderr=pipe, text=True, **options)


def call(*arguments: str | Path, cwd: Path, **options) -> subprocess.CompletedProcess[str]:
    return finished(start(*arguments, cwd=cwd, **options))


def finished(process: subprocess.Popen[str], timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """What it has printed, when it has ended; killed where it does not end in time."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"not ended after {timeout} s:\n{out}\n{err}") from None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def records(folder: Path) -> dict[str, dict]:
    found = [json.loads(path.read_text()) for path in (folder / "runs" / "store").glob("*/record.json")]
    return {record["run_id"]: record for record in found}


def results_of(folder: Path) -> dict:
    """All that a run must reproduce: metrics, the curve's losses, ranks; not times and hosts."""
    return {
        run_id: (
            record["metrics"],
            [(point["losses"], point["metrics"]) for point in record["curve"]],
            {k: v.tolist() for k, v in np.load(folder / "runs" / "store" / run_id / "ranks.npz").items()},
        )
        for run_id, record in records(folder).items()
    }


def place(folder: Path, suite: str = SUITE, data: Path | None = None) -> Path:
    """A folder with the suite, and the data of an earlier run if given."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small.yaml").write_text(suite)
    if data:
        shutil.copytree(data / "runs" / "data", folder / "runs" / "data")
    return folder


def table(folder: Path) -> str:
    """The suite's table, with every digit."""
    assert call("tables", "small.yaml", cwd=folder).returncode == 0
    return (folder / "runs" / "tables" / "small.csv").read_text()


def wait_for(condition, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
