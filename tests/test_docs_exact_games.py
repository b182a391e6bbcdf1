"""docs/exact_games.md: its worked example is right, and its commands run."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "exact_games.md"
SMALL = [
    "data={name: shapes, train: 16, val: 2, test: 8, size: 32, max_words: 12, max_frames: 4}",
    "training.epochs=1",
    "training.batch_size=8",
    "model.temporal_layers=1",
    "runtime.threads=1",
    "seeds=1",
]


def test_the_worked_example_is_right():
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.attempted >= 10
    assert not found.failed


def test_the_interaction_worked_out_by_hand_is_that_of_the_library():
    """The line "I[1,1] = ½ · ( ⅞·0.6 − ⅜·0.05 + ¾·0.55 − ¼·0 ) = **0.459375**", computed from what it says."""
    line, result = re.search(r"I\[1,1\] = (.*) = \*\*([\d.]+)\*\*", PAGE.read_text()).groups()
    for sign, plain in {"½": "1/2", "⅞": "7/8", "⅜": "3/8", "¾": "3/4", "¼": "1/4", "·": "*", "−": "-"}.items():
        line = line.replace(sign, plain)
    assert re.fullmatch(r"[\d./*()+ -]+", line)
    assert abs(eval(line) - float(result)) < 1e-12


def test_its_pictures_are_there():
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", PAGE.read_text())
    assert pictures
    assert all((PAGE.parent / picture).is_file() for picture in pictures)


def test_its_commands_run(tmp_path):
    """On a small data set, with RUN replaced by a run that the first command has made."""
    commands = re.search(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)[1].splitlines()
    assert [command.split()[2] for command in commands] == ["run", "games"]
    for command in commands:
        _, _, name, argument, *_ = command.split()  # what it sets besides is among SMALL
        more = [part for override in SMALL for part in ("--set", override)] + ["--only", "hbi-estimated"]
        if argument == "RUN":
            argument = next(path.name for path in (tmp_path / "runs" / "store").glob("hbi-estimated.*"))
            more = []
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        call = [sys.executable, str(ROOT / "run_suite.py"), name, argument, *more]
        answer = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert answer.returncode == 0, answer.stderr
    assert "| learned estimator" in answer.stdout
