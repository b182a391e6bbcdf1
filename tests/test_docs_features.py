"""docs/features.md: its commands and its Python run, its files and systems are those of the code."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import hbi.data
from hbi.config import ShapesConfig
from hbi.extract import ONE_VECTOR
from tests.command_line import call, place, records
from tests.published_towers import place_published

PAGE = (Path(__file__).parent.parent / "docs" / "features.md").read_text()
SUITE = """
data: {name: shapes, train: 4, val: 1, test: 3, size: 32, max_words: 16, max_frames: 4, root: shapes}
training: {epochs: 0}
runtime: {threads: 1, device: cpu}
variants: [bridgeformer]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, three videos with their captions in the order of their files, and a checkpoint."""
    folder = place(tmp_path_factory.mktemp("features"), SUITE)
    done = call("run", "small.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    config = ShapesConfig(train=4, val=1, test=3, size=32, root=str(folder / "shapes"))
    split = hbi.data.load(config, folder / "cache").splits["test"]
    (folder / "videos").mkdir()
    for video in split.videos:
        shutil.copy(video.path, folder / "videos")
    (folder / "captions.txt").write_text("\n".join(split.captions) + "\n")
    (folder / "weights").mkdir()
    place_published(folder / "weights")
    return folder


def test_its_commands_run_and_then_its_python(folder: Path) -> None:
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    (run,) = records(folder)
    for line in block.replace("\\\n", " ").splitlines():
        told = line.replace("RUN", run).replace("towers=base", "towers=weights/towers.json")
        _, _, *arguments = shlex.split(told, comments=True)
        done = call(*arguments, cwd=folder)
        assert done.returncode == 0, (line, done.stderr)
        assert "3 vectors of" in done.stdout
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in {path.name for path in (folder / "videos").iterdir()}
    done = call("evaluate", "similarity.npy", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "R@1" in done.stdout
    for file, columns in (("videos", ["row", "path", "frames", "bytes"]), ("captions", ["row", "caption"])):
        assert pd.read_csv(folder / f"{file}.tsv", sep="\t").columns.tolist() == columns
        assert all(f"`{column}`" in PAGE for column in columns)


def test_it_names_the_systems_that_can() -> None:
    (told,) = re.findall(r"can do it: (.*?), and `drl` with\s+`model\.interaction=dp`", PAGE, re.DOTALL)
    assert told == ", ".join(f"`{system}`" for system in ONE_VECTOR)
