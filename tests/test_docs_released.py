"""docs/released_vs_corrected.md: it lists every choice, its table is that of the suite, what it shows runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import torch
import yaml

from ablations import registry
from hbi.config import SYSTEMS, DeparturesConfig, HBIConfig, TrainingConfig
from suites.expand import expand
from suites.load import load_suite
from tests.golden_weights import published_weights
from tests.test_docs_exact_games import SMALL

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "released_vs_corrected.md").read_text()


def test_every_departure_is_in_the_table_of_options():
    for name in DeparturesConfig.model_fields:
        assert f"| `model.departures.{name}` |" in PAGE


def test_so_is_every_departure_of_the_other_systems():
    for system, config in SYSTEMS.items():
        if departures := config.model_fields.get("departures"):
            for name in type(departures.default).model_fields:
                assert f"`model.departures.{name}`" in PAGE, (system, name)


def test_hbi_released_departs_in_all_and_hbi_in_none():
    model = registry.get("hbi-released").config["model"]
    assert set(HBIConfig.model_validate(model).departures.model_dump().values()) == {"released"}
    assert set(HBIConfig().departures.model_dump().values()) == {"correct"}
    training = registry.get("hbi-released").config["training"]
    assert TrainingConfig.model_validate(training) != TrainingConfig()


def test_its_table_has_the_rows_of_the_suite():
    labels = dict.fromkeys(r.label for r in expand(load_suite(ROOT / "suites" / "released_vs_corrected.yaml")))
    table = re.search(r"<!-- table: begin -->\n(.*?)<!-- table: end -->", PAGE, re.DOTALL)[1]
    rows = [line.split("|")[1].replace("\\", "").strip() for line in table.splitlines() if line.startswith("|")]
    assert [row.rstrip("*†‡§¶") for row in rows if row != "variant" and set(row) - set(":-")] == list(labels)


def test_its_commands_run(tmp_path):
    """On a small data set, the first row alone."""
    commands = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()
    assert [command.split()[2] for command in commands] == ["run", "tables"]
    for command in commands:
        _, _, name, argument, *options = command.split()
        assert options[-2:] == ["--set", "training.epochs=20"]
        more = options[:-2] + [part for override in SMALL for part in ("--set", override)]
        more += ["--only", "hbi"] if name == "run" else []
        call = [sys.executable, str(ROOT / "run_suite.py"), name, argument, *more]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        answer = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert answer.returncode == 0, answer.stderr


def test_its_python_reads_and_writes_a_checkpoint(tmp_path, monkeypatch):
    weights = json.loads((ROOT / "tests" / "golden" / "hbi_released.json").read_text())["weights"]
    torch.save(published_weights(weights), tmp_path / "hbi_msrvtt.bin")
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], {})
    first, again = (torch.load(tmp_path / name, weights_only=True) for name in ("hbi_msrvtt.bin", "again.bin"))
    assert first.keys() == again.keys()


def test_its_suite_loads(tmp_path):
    (tmp_path / "hbi_msrvtt.bin").write_bytes(b"weights")
    text = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1].replace("hbi_msrvtt", str(tmp_path / "hbi_msrvtt"))
    assert yaml.safe_load(text)
    (tmp_path / "page.yaml").write_text(text)
    assert [run.label for run in expand(load_suite(tmp_path / "page.yaml"))] == ["hbi-released"]
