"""What the README says is so: its commands run, its examples load, its suite is the suite."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ablations import registry
from suites.expand import expand
from suites.load import load_suite

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def between(name: str) -> str:
    found = re.search(rf"<!-- {re.escape(name)}: begin -->\n(.*?)<!-- {re.escape(name)}: end -->", README, re.DOTALL)
    assert found, f"the README has no part {name}"
    return found[1]


def commands() -> list[str]:
    lines = [line.partition("#")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    return [line for line in lines if line]


def test_the_suite_it_explains_is_the_quickstart():
    assert between("suites/quickstart.yaml").strip() == f"```yaml\n{(ROOT / 'suites/quickstart.yaml').read_text()}```"


def test_its_table_has_the_rows_and_columns_of_the_quickstart():
    table = between("quickstart table")
    labels = dict.fromkeys(run.label for run in expand(load_suite(ROOT / "suites" / "quickstart.yaml")))
    shown = [line.split()[0] for line in table.splitlines() if line.startswith(tuple(labels))]
    assert list(dict.fromkeys(shown)) == [label for label in labels if label in shown]
    assert {"no-hbi", "entity-only", "hbi", "hbi-no-banzhaf", "hbi-shapley"} <= set(shown)
    assert "R@1 ↑" in table
    assert "paired over queries" in table
    assert "data: shapes" in table


def test_make_knows_the_two_commands():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_it_names_commands():
    assert len(commands()) >= 4


# `run quickstart` has a test of its own
@pytest.mark.parametrize("command", [line for line in commands() if "run quickstart" not in line])
def test_a_command_it_shows_runs(command, tmp_path):
    program, script, *arguments = shlex.split(command)
    assert (program, script) == ("python", "run_suite.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_variant_it_adds_can_be_registered(monkeypatch):
    registry.names()
    monkeypatch.setattr(registry, "_variants", dict(registry._variants))
    (example,) = blocks("python")
    exec(example, {"register": registry.register})
    assert registry.get("hbi-small-student").summary


def test_the_suite_for_msrvtt_loads(tmp_path):
    (example,) = [block for block in blocks("yaml") if "name: msrvtt" in block]
    (tmp_path / "mine.yaml").write_text(example)
    runs = expand(load_suite(tmp_path / "mine.yaml"))
    assert {run.spec.data.name for run in runs} == {"msrvtt"}
    assert {run.spec.model.pretrained for run in runs} == {"openai"}


def test_every_option_and_folder_it_names_exists():
    for option in set(re.findall(r"`(--[a-z-]+)", README)):
        source = (ROOT / "run_suite.py").read_text()
        assert f'"{option}"' in source or re.search(rf"\b{option[2:].replace('-', '_')}:", source), option
    for folder in re.findall(r"^    (\w+/)  ", README, re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder
