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
def mistakes(tmp_path: Path, runs: Callable[..., list[Run]]) -> Callable[..., list[str]]:
    """The lines of the error that a suite ends in, without the folder it lies in."""

    def mistakes(text: str, *overrides: str, only: str | None = None) -> list[str]:
        with pytest.raises(InputError) as error:
            runs(text, *overrides, only=only)
        return str(error.value).replace(f"{tmp_path}/", "").splitlines()

    return mistakes
