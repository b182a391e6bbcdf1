"""docs/explain.md: its commands run, it names the files that are written, and its picture is small."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import run_suite
from tests.command_line import call

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "explain.md").read_text()
SUITE = """
data: {name: shapes, train: 16, val: 2, test: 8, size: 32}
model: {encoder: tiny}
training: {epochs: 1, batch_size: 8, lr: 1e-3, coef_lr: 1}
runtime: {threads: 1, device: cpu}
variants: [{hbi: {seeds: [0, 1]}}]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Two runs, weights apart from their record, and a video."""
    folder = tmp_path_factory.mktemp("explain")
    (folder / "small.yaml").write_text(SUITE)
    done = call("run", "small.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    one, _ = runs(folder)
    shutil.copy(folder / "runs" / "store" / one / "model.safetensors", folder / "weights.safetensors")
    shutil.copy(next((folder / "runs" / "data").glob("*/videos/*.mp4")), folder / "clip.mp4")
    return folder


def runs(place: Path) -> list[str]:
    return sorted(path.name for path in (place / "runs" / "store").iterdir())


def test_its_commands_run(place):
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    one, two = runs(place)
    for line in block.splitlines():
        told = line.replace("RUN ", f"{one} ").replace("OTHER", two).replace("FILE", "clip.mp4")
        _, _, *arguments = shlex.split(told.replace("WEIGHTS", "weights.safetensors"), comments=True)
        done = call(*arguments, cwd=place)
        assert done.returncode == 0, (line, done.stderr)
        assert "entity level, " in done.stdout
        for path in re.findall(r"^wrote (.*)$", done.stdout, re.MULTILINE):
            assert (place / path).is_file()
        assert ("difference" in done.stdout) == ("difference" in line)


def test_settings_are_those_of_the_weights_that_a_run_is_held_against(place):
    one, _ = runs(place)
    arguments = ("--against", "weights.safetensors", "--set", "model.encoder=tiny", "--set", "data=shapes")
    done = call("explain", one, "--query", "a red ring", "--video", "clip.mp4", *arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    assert re.search(r"similarity \S+ by hbi, weights.safetensors", done.stdout)
    assert ".less-hbi-weights.safetensors" in done.stdout


def test_it_names_the_files_that_are_written(place):
    one, _ = runs(place)
    done = call("explain", one, "--query", "1", "--method", "exact", "--method", "released", cwd=place)
    written = {path.rpartition("/")[2] for path in re.findall(r"^wrote (.*)$", done.stdout, re.MULTILINE)}
    rows = re.findall(r"^\| (`NAME.*?) \|", PAGE, re.MULTILINE)
    endings = [ending.removeprefix("NAME") for row in rows for ending in re.findall(r"`([A-Za-z.]+)`", row)]
    (name,) = {path.removesuffix(".html") for path in written if path.endswith(".html")}
    assert {f"{name}{ending}" for ending in endings} <= written
    assert len(written) == len(endings) + 2  # the other two formats of the difference


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("RU --query 0", "'RU' is no complete run and no file of weights; "),
        ("nothing.pt --query 0", "no complete run and no file of weights"),
        ("RUN --query 0 --variant hbi", "--variant and --set are for weights"),
        ("RUN --query 0 --against OTHER --set model.encoder=tiny", "--variant and --set are for weights"),
        ("RUN --query 0 --against runs/store/RUN/model.safetensors", "itself; name another run"),
        ("RUN --query 0 --runs nowhere", "no run is complete in nowhere"),
        ("weights.safetensors --query a --video clip.mp4 --variant drl", "does not fit the model"),
        ("weights.safetensors --query a --video clip.mp4 --variant hbbi", "unknown variant 'hbbi'"),
        ("weights.safetensors --query 0", "data/MSR-VTT: no such folder"),
        ("small.yaml --query a --video clip.mp4", "small.yaml: not readable as plain weights"),
        ("RUN --query 0 --against other", "'other' is no complete run"),
        ("RUN --query a --video small.yaml", "small.yaml"),
        ("RUN --query 0 --method exakt", "did you mean 'exact'"),
    ],
)
def test_a_mistake_is_one_line(place, arguments, message, monkeypatch, capsys):
    monkeypatch.chdir(place)
    one, two = runs(place)
    told = arguments.replace("RUN", one).replace("OTHER", two)
    monkeypatch.setattr(sys, "argv", ["run_suite.py", "explain", *told.split()])
    with pytest.raises(SystemExit) as ended:
        run_suite.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_its_notebook_runs(place):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    program = place / "notebook.py"
    program.write_text(code.replace("store/RUN", f"store/{runs(place)[0]}") + "\nprint(len(table), figure.axes)\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(program)], cwd=place, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_its_picture_is_there_and_small():
    (picture,) = re.findall(r"!\[.*?\]\((.*?)\)", PAGE)
    assert 10_000 < (ROOT / "docs" / picture).stat().st_size < 150_000
