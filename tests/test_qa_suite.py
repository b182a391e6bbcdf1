"""Suites of questions, through the command line: their columns, and what is refused before anything runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hbi.metrics.registry import COLUMNS, QA_COLUMNS
from suites.expand import expand
from suites.load import load_suite

ROOT = Path(__file__).parent.parent


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, str(ROOT / "run_suite.py"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)


def columns(folder: Path) -> list[str]:
    """Of the table in the only file of tables."""
    (file,) = (folder / "runs" / "tables").glob("*.csv")
    return list(dict.fromkeys(line.split(",")[1] for line in file.read_text().splitlines()[1:]))


@pytest.mark.parametrize(
    ("suite", "expected"),
    [
        ("data: shapes-qa\nvariants: [hbi-qa]", QA_COLUMNS),
        ("data: shapes\nvariants: [hbi]", COLUMNS),
        ("data: shapes\nvariants: [hbi, hbi-qa: {data: shapes-qa}]", COLUMNS + QA_COLUMNS),
        ("data: shapes-qa\nvariants: [hbi-qa]\nmetrics: [accuracy/who, t2v/R@1]", ("accuracy/who", "t2v/R@1")),
    ],
)
def test_a_table_has_the_columns_of_its_data_unless_the_suite_names_some(suite, expected, tmp_path):
    (tmp_path / "suite.yaml").write_text(suite)
    done = call(tmp_path, "tables", "suite.yaml", "--json")
    assert done.returncode == 0, done.stderr
    assert all(list(row["cells"]) == list(expected) for row in json.loads(done.stdout)["rows"])


def test_a_variant_of_another_task_is_one_line_before_anything_is_read(tmp_path):
    (tmp_path / "suite.yaml").write_text("data: msrvtt\nvariants: [hbi-qa]")
    for command in ("run", "plan"):
        done = call(tmp_path, command, "suite.yaml")
        assert done.returncode == 2
        assert done.stderr == "suite.yaml:1:7: data set msrvtt has no questions for hbi-qa to answer; take msrvtt-qa\n"
    assert not (tmp_path / "runs" / "data").exists()


def test_a_run_tells_its_accuracy_and_fills_the_table(tmp_path):
    (tmp_path / "suite.yaml").write_text(
        "data: {name: shapes-qa, train: 8, val: 2, test: 6, size: 32, max_frames: 4}\n"
        "model: {temporal_layers: 1, answers: 32, head_width: 16}\n"
        "training: {epochs: 1, batch_size: 16}\n"
        "runtime: {threads: 1, device: cpu}\n"
        "variants: [no-hbi-qa]\n"
    )
    done = call(tmp_path, "run", "suite.yaml")
    assert done.returncode == 0, done.stderr
    (log,) = (tmp_path / "runs" / "store").glob("*/log.txt")
    assert re.search(r"epoch  1/1  loss +\S+  accuracy +\d+\.\d  ", log.read_text())
    assert re.search(r"complete: accuracy \d+\.\d  accuracy/in_vocabulary \d+\.\d", done.stdout)
    table = call(tmp_path, "tables", "suite.yaml")
    assert "accuracy, % of questions" in table.stdout
    assert columns(tmp_path) == list(QA_COLUMNS)


def test_the_quickstart_of_questions_is_what_it_says():
    runs = expand(load_suite(ROOT / "suites" / "qa_quickstart.yaml"))
    assert [run.label for run in runs] == ["no-hbi-qa", "entity-only-qa", "action-only-qa", "event-only-qa", "hbi-qa"]
    assert {run.spec.data.name for run in runs} == {"shapes-qa"}
