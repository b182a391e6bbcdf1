"""Suites written as text, loaded and expanded."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hbi.errors import InputError
from suites.expand import Run, expand
from suites.load import load_suite


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., list[Run]]:
    """The runs of a suite given as text, with --set arguments."""

    def runs(text: str, *overrides: str, only: str | None = None) -> list[Run]:
        path = tmp_path / "suite.yaml"
        path.write_text(text)
        return expand(load_suite(path, overrides), only)

    return runs


@pytest.fixture
def user_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the test is in now, with the files that suites name and nobody ships; none can be read."""
    weights = ("MCQ.pth", "MCQ_CLIP.pth", "MILES.pth", "vit_base_patch16_224_in21k.safetensors")
    distilbert = ("distilbert/vocab.txt", "distilbert/model.safetensors")
    tables = ("data/WebVid/train.tsv", "data/CC3M/train.tsv")
    for name in (*(f"weights/{file}" for file in (*weights, *distilbert)), *tables):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mistakes(tmp_path: Path, runs: Callable[..., list[Run]]) -> Callable[..., list[str]]:
    """The lines of the error that a suite ends in, without the folder it lies in."""

    def mistakes(text: str, *overrides: str, only: str | None = None) -> list[str]:
        with pytest.raises(InputError) as error:
            runs(text, *overrides, only=only)
        return str(error.value).replace(f"{tmp_path}/", "").splitlines()

    return mistakes
