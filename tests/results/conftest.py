"""Records as a run would leave them, without running anything; an MLflow server."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hbi.config import HBIConfig, HBIQAConfig, ShapesConfig, ShapesQAConfig
from hbi.metrics.registry import KINDS, QA_COLUMNS
from results.collect import Table, collect
from results.mlflow_mirror import mirror
from results.record import Epoch, Failure, Provenance, Record
from results.summary import Summary, summary_of
from suites.spec import RunSpec
from tests.chromium import Chromium, chromium
from tests.results.mlflow_server import free_port, serving

MakeRecord = Callable[..., Record]


def build_record(variant: str = "hbi", seed: int = 0, r1: float = 41.5, **changes: Any) -> Record:
    """A complete record whose metrics hang on ``r1``; ``changes`` replace fields."""
    metrics = {
        f"{direction}/{name}": value + shift
        for direction, shift in (("t2v", 0.0), ("v2t", 0.25))
        for name, value in (("R@1", r1), ("R@5", r1 + 31), ("R@10", r1 + 42.5), ("R@50", 99.0))
    }
    metrics |= {"t2v/MdR": 2.0, "t2v/MnR": 200 / r1, "v2t/MdR": 2.0, "v2t/MnR": 190 / r1}
    curve = tuple(
        Epoch(
            epoch=epoch,
            step=4 * epoch,
            losses={"total": 3.0 / epoch, "contrastive": 2.5 / epoch},
            metrics={"t2v/R@1": 10.0 * epoch},
            learning_rate=1e-3 / epoch,
            logit_scale=14.3,
            seconds=1.25,
        )
        for epoch in (1, 2, 3)
    )
    record = Record(
        run_id=f"{variant}-shapes-s{seed}-0123abcd",
        spec=RunSpec(variant=variant, seed=seed, data=ShapesConfig(), model=HBIConfig()),
        outcome="complete",
        metrics=metrics,
        curve=curve,
        timings={"training": 14.2, "evaluation": 0.8},
        peak_memory=812_000_000,
        provenance=Provenance(
            commit="0123456789abcdef0123456789abcdef01234567",
            python="3.11.7",
            packages={"torch": "2.9.0"},
            host="node",
            cpu="a cpu",
            threads=2,
            decoder="decord 0.6.0",
        ),
        started="2026-01-02T03:04:05+00:00",
        finished="2026-01-02T03:04:35+00:00",
    )
    return record.model_copy(update=changes)


def summaries_of(records: Iterable[Record]) -> dict[str, Summary]:
    """By run id."""
    return {record.run_id: summary_of(record) for record in records}


def build_answers(variant: str = "hbi-qa", seed: int = 0, accuracy: float = 41.5, **changes: Any) -> Record:
    """A complete record of question answering whose metrics hang on ``accuracy``."""
    metrics = {"accuracy": accuracy, "accuracy/in_vocabulary": accuracy / 0.93}
    metrics |= {f"accuracy/{kind}": accuracy + shift for shift, kind in enumerate(KINDS)}
    spec = RunSpec(variant=variant, seed=seed, data=ShapesQAConfig(), model=HBIQAConfig())
    run_id = f"{variant}-shapes-qa-s{seed}-0123abcd"
    return build_record(variant, seed, run_id=run_id, spec=spec, metrics=metrics, **changes)


def build_failure(variant: str, seed: int = 0, kind: str = "nan") -> Record:
    failure = Failure(kind=kind, message="the loss is nan in epoch 2")
    return build_record(variant, seed, outcome="failed", failure=failure, metrics={}, curve=())


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    return build_record


@pytest.fixture(scope="session")
def make_failure() -> MakeRecord:
    return build_failure


@pytest.fixture(scope="session")
def make_answers() -> MakeRecord:
    return build_answers


@pytest.fixture
def questions() -> Table:
    """Question answering: one seed, two, a kind that no question of the data has."""
    without = {name: 30.0 for name in QA_COLUMNS if name != "accuracy/where"}
    records = [
        build_answers("no-hbi-qa", 0, 33.25),
        build_answers("hbi-qa", 0, 41.5),
        build_answers("hbi-qa", 1, 43.5),
        build_answers("event-only-qa", 0).model_copy(update={"metrics": without}),
    ]
    wanted = [(record.spec.variant, record.run_id) for record in records]
    return collect("questions", wanted, summaries_of(records), QA_COLUMNS)


@pytest.fixture
def example() -> Table:
    """Every case a table has: one seed, several, one missing, one failed, none, chosen on test, odd names."""
    records = [
        build_record("no-hbi", 0, 32.25),
        build_record("entity-only", 0, 41.5),
        build_record("hbi", 0, 43.5),
        build_record("hbi", 1, 44.8),
        build_record("hbi-no-banzhaf", 0, 41.5),
        build_record("hbi-shapley", 0, 44.0),
        build_record("hbi-shapley", 1, 45.5),
        build_failure("hbi-shapley", 2),
        build_record("a_b|c & 100%", 0, 43.5, selection_split="test", selected_epoch=2),
        build_failure("hbi-sampled", 0, "out of memory"),
    ]
    wanted = [(record.spec.variant, record.run_id) for record in records]
    wanted += [("hbi-no-banzhaf", "not yet"), ("hbi-estimated", "not yet")]
    return collect("example", wanted, summaries_of(records))


@pytest.fixture
def cold_runs(tmp_path: Path) -> Path:
    """A folder of runs whose name needs care inside a URI."""
    folder = tmp_path / "my runs 100%"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    mirror([], "Default", folder)
    return folder / "mlflow.db"


@pytest.fixture
def server_folder(tmp_path: Path, empty_store: Path) -> Path:
    """With a store that is there already."""
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(empty_store, folder / "server.db")
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[str]:
    """The address of one that all tests share: each takes a suite of its own."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    shutil.copy(empty_store, folder / "server.db")
    with serving(folder, port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def running() -> Iterator[Chromium]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(running: Chromium) -> Chromium:
    """As a user's, whatever the test before has set."""
    running.width(1300)
    running.media()
    running.send("Emulation.setScriptExecutionDisabled", value=False)
    return running
