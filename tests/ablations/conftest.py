"""Small runs: of the suite that a test module has as ``SUITE``, in a folder of the module's own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from ablations.run import execute
from results.record import Record
from suites.expand import Run, expand
from suites.load import load_suite
from suites.spec import RunSpec


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder, with the suite in suite.yaml, data in data/ and runs in store/."""
    threads = torch.get_num_threads()
    folder = tmp_path_factory.mktemp("place")
    (folder / "suite.yaml").write_text(request.module.SUITE)
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def run_of(place: Path) -> Callable[..., Run]:
    """run_of(*overrides): the only run of the suite, under these overrides."""

    def run_of(*overrides: str) -> Run:
        (run,) = expand(load_suite(place / "suite.yaml", overrides))
        return run

    return run_of


@pytest.fixture(scope="module")
def done(place: Path) -> Callable[[RunSpec, str], tuple[Record, Path]]:
    """done(spec, name): executes the run under this name; its record and its folder."""

    def done(spec: RunSpec, name: str) -> tuple[Record, Path]:
        folder = place / "store" / name
        return execute(name, spec, folder, place / "data", lambda event: None), folder

    return done
