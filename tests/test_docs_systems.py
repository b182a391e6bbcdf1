"""docs/systems.md: its commands run, its variants are there, its FLOPs are counted."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ablations import registry
from hbi.config import SYSTEMS
from hbi.cost.stages import stages
from hbi.data.tables import SPANS, read_table, spans
from suites.expand import expand
from suites.load import load_suite
from tests.command_line import call

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "systems.md").read_text()
PRETRAINING = "pretraining_webvid_cc3m.yaml"
HEADS = re.findall(
    r"^\| `([\w-]+)`(?:, ([\w-]+))? \| ([\d.]+) \| ([\d.]+) \|$",
    PAGE.partition("<!-- heads: begin -->")[2].partition("<!-- heads: end -->")[0],
    re.MULTILINE,
)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_its_commands_run(tmp_path):
    lines = "".join(blocks("bash")).splitlines()
    assert len(lines) == 7
    for line in lines:
        _, _, *arguments = shlex.split(line, comments=True)
        done = call(*arguments, cwd=tmp_path)
        assert done.returncode == 0, (line, done.stderr)
        assert "runs to do" in done.stdout


def test_its_suite_of_pairs_reads_its_table(tmp_path, monkeypatch):
    (suite,), (table,) = blocks("yaml"), blocks("text")
    for name in ("WebVid", "CC3M"):
        file = tmp_path / "data" / name / "train.tsv"
        file.parent.mkdir(parents=True)
        file.write_text(table)
    (tmp_path / "page.yaml").write_text(suite)
    monkeypatch.chdir(tmp_path)
    (run,) = expand(load_suite(tmp_path / "page.yaml"))
    assert run.spec.files.keys() == {"data.tables.0", "data.tables.1"}
    (row,) = read_table(file).itertuples()
    phrases = {name: [row.caption[start:end] for start, end in spans(read_table(file)[name])[0]] for name in SPANS}
    assert phrases == {"nouns": ["dog", "beach"], "verbs": ["runs"]}


def test_it_fills_in_phrases(tmp_path):
    """With a pipeline of spaCy, or a line that says what is not installed."""
    (command,) = blocks("sh")
    _, _, module, source, target = shlex.split(command)
    (tmp_path / source).write_text("path\tcaption\na.mp4\ta dog runs\n")
    (tmp_path / target).parent.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", module, source, target],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (tmp_path / target).is_file() if done.returncode == 0 else "not installed" in done.stderr


def test_it_names_the_files_that_its_suites_read():
    text = "".join((ROOT / "suites" / file).read_text() for file in ("common/recipes.yaml", PRETRAINING))
    files = set(re.findall(r"weights/[\w/.]+|data/\w+/train\.tsv", text)) - {"weights/distilbert/model.safetensors"}
    assert len(files) == 7
    assert all(f"`{file}`" in PAGE for file in files)


def test_its_variants_are_registered():
    rows = re.findall(r"^\| [^|]*\| (`[^|]+) \|", PAGE, re.MULTILINE)
    named = [re.findall(r"`([\w-]+)`", row) for row in rows]
    assert len(named) == 10
    for first, *others in named:
        for name in (first, *(first + other if other.startswith("-") else other for other in others)):
            assert registry.get(name).name == name


@pytest.mark.parametrize(("name", "stage", "gmacs", "gflops"), HEADS, ids=lambda value: value or "similarity")
def test_a_head_is_counted(name, stage, gmacs, gflops):
    options = {**registry.get(name).config["model"], "encoder": "ViT-B-32-quickgelu"}
    found = stages(SYSTEMS[options["system"]].model_validate(options), 32, 12, None, (1000, 1000))
    head = found[stage or "similarity"]
    assert head.complete
    assert (f"{head.macs / 1e9:.2f}", f"{head.total / 1e9:.2f}") == (gmacs, gflops)


def test_every_system_is_in_it():
    for system in SYSTEMS:
        assert f"`{system}`" in PAGE or system in ("estimator", "hbi-qa")
