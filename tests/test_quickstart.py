"""`make quickstart` as a newcomer has it: the suite itself, from nothing, to its table."""

import csv
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from suites.expand import expand
from suites.load import load_suite

ROOT = Path(__file__).parent.parent
CHANCE_AT_10 = 100 * 10 / 200
"""Percent: ten of 200 test videos."""


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for command in ("run quickstart --executor local", "tables quickstart"):
        done = subprocess.run(
            [sys.executable, str(ROOT / "run_suite.py"), *command.split()],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1800,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    rows = list(csv.DictReader((folder / "runs" / "tables" / "quickstart.csv").open()))
    return folder, rows


def test_every_row_has_numbers_of_all_its_seeds(quickstart):
    _, rows = quickstart
    wanted = [run.label for run in expand(load_suite(ROOT / "suites" / "quickstart.yaml")) if run.in_tables]
    assert {row["label"] for row in rows} == set(wanted)
    for row in rows:
        assert row["mean"]
        assert int(row["n"]) == int(row["expected"]) == wanted.count(row["label"])


def test_the_baseline_has_learned(quickstart):
    _, rows = quickstart
    (recall,) = [float(row["mean"]) for row in rows if (row["label"], row["metric"]) == ("no-hbi", "t2v/R@10")]
    assert recall >= 5 * CHANCE_AT_10


def test_mlflow_holds_the_same_numbers(quickstart):
    folder, rows = quickstart
    with sqlite3.connect(folder / "runs" / "mlflow.db") as database:
        mirrored = database.execute(
            "select tags.value, metrics.value from latest_metrics as metrics join tags "
            "on tags.run_uuid = metrics.run_uuid and tags.key = 'variant' where metrics.key = 't2v/R_at_1'"
        ).fetchall()
    for row in rows:
        if row["metric"] == "t2v/R@1":
            found = [value for variant, value in mirrored if variant == row["label"]]
            assert sum(found) / len(found) == pytest.approx(float(row["mean"]))
