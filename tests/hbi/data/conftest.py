from collections.abc import Callable
from pathlib import Path

import pytest

import hbi.data
from hbi.config import ShapesConfig


@pytest.fixture(scope="session")
def config() -> ShapesConfig:
    """A small data set, quick to generate."""
    return ShapesConfig(train=10, val=4, test=7, size=32)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def dataset(config: ShapesConfig, cache: Path) -> hbi.data.Dataset:
    return hbi.data.load(config, cache)


@pytest.fixture(scope="session")
def golden() -> Path:
    return Path(__file__).parents[2] / "golden"


@pytest.fixture
def video(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a file of this name, empty, in the folder videos/ of the test's own folder."""

    def make(name: str) -> Path:
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path

    return make
