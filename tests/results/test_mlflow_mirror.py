"""The mirror against real MLflow stores: sqlite files, and a server in a process of its own."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from results import mlflow_mirror
from results.mlflow_mirror import MirrorError, mirror
from results.record import Record
from results.store import read_all
from tests.results.mlflow_server import DEADLINE, client_of, end, found, free_port, history, serving, store

MakeRecord = Callable[..., Record]


@pytest.fixture
def runs(cold_runs: Path, empty_store: Path) -> Path:
    """With an MLflow store that is there already: making one takes seconds."""
    shutil.copy(empty_store, cold_runs)
    return cold_runs


def local(runs: Path) -> str:
    return f"sqlite:///{str(runs / 'mlflow.db').replace('%', '%25')}"


def everything(uri: str, suite: str) -> list[tuple[Any, ...]]:
    """All that MLflow knows, in an order of our own."""
    client = client_of(uri)
    return sorted(
        (
            run.info.run_id,
            run.info.status,
            run.info.start_time,
            run.info.end_time,
            sorted(run.data.params.items()),
            sorted(run.data.tags.items()),
            sorted((key, history(client, run, key)) for key in run.data.metrics),
            sorted(file.path for file in client.list_artifacts(run.info.run_id)),
        )
        for run in found(uri, suite)
    )


def test_importing_the_module_does_not_import_mlflow() -> None:
    program = "import sys, results.mlflow_mirror, results.tables; print({'mlflow', 'torch'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE)
    assert result.stdout == "set()\n", result.stderr


def test_everything_arrives_and_twice_is_once(runs: Path, make_record: MakeRecord, make_failure: MakeRecord) -> None:
    records = store(runs, make_record(), make_record(seed=1), make_failure("hbi-shapley"))
    seen: list[tuple[int, int]] = []
    assert mirror(records, "suite @ 100%", runs, progress=lambda done, total: seen.append((done, total))) == 3
    assert seen == [(1, 3), (2, 3), (3, 3)]
    before = everything(local(runs), "suite @ 100%")

    begun = time.monotonic()
    assert mirror(records, "suite @ 100%", runs) == 0
    assert time.monotonic() - begun < 5
    assert everything(local(runs), "suite @ 100%") == before

    first = next(run for run in found(local(runs), "suite @ 100%") if run.data.tags["run_id"] == records[0].run_id)
    assert first.info.status == "FINISHED"
    assert first.info.run_name == records[0].run_id
    assert (first.info.end_time - first.info.start_time) == 30_000
    assert first.data.metrics["t2v/R_at_1"] == 41.5
    assert first.data.metrics["seconds/training"] == 14.2
    assert first.data.params["training.lr"] == "0.0001"
    assert first.data.params["model.levels"] == '["entity", "action", "event"]'
    assert first.data.params["model.similarity_rates.entity"] == "1.0"
    wanted = {"variant": "hbi", "data": "shapes", "seed": "0", "outcome": "complete", "host": "node", "dirty": "false"}
    assert wanted.items() <= first.data.tags.items()
    curve = client_of(local(runs)).get_metric_history(first.info.run_id, "loss/total")
    assert [(point.step, point.value) for point in curve] == [(4, 3.0), (8, 1.5), (12, 1.0)]
    assert "val/t2v/R_at_1" in first.data.metrics
    files = {file.path for file in client_of(local(runs)).list_artifacts(first.info.run_id)}
    assert files == {"record.json", "ranks.npz", "log.txt"}
    assert (runs / "mlartifacts" / first.info.run_id / "artifacts" / "ranks.npz").is_file()

    failed = next(run for run in found(local(runs), "suite @ 100%") if run.data.tags["outcome"] == "failed")
    assert failed.info.status == "FAILED"
    assert failed.data.tags["failure"] == "nan"


def test_accuracies_keep_their_names(runs: Path, make_answers: MakeRecord) -> None:
    (record,) = store(runs, make_answers())
    assert mirror([record], "questions", runs) == 1
    (run,) = found(local(runs), "questions")
    assert {name: run.data.metrics[name] for name in record.metrics} == record.metrics


def test_a_retried_run_replaces_its_failure(runs: Path, make_record: MakeRecord, make_failure: MakeRecord) -> None:
    failure = store(runs, make_failure("hbi"))
    assert mirror(failure, "suite", runs) == 1
    assert mirror(store(runs, make_record("hbi")), "suite", runs) == 1
    assert [run.info.status for run in found(local(runs), "suite")] == ["FINISHED"]


@pytest.mark.parametrize("step", ["log_batch", "log_artifact", "set_terminated"])
def test_a_half_mirrored_run_is_finished_not_doubled(
    runs: Path, step: str, monkeypatch: pytest.MonkeyPatch, make_record: MakeRecord
) -> None:
    import mlflow

    class Interrupted(Exception):
        pass

    def stop(*_: object, **__: object) -> None:
        raise Interrupted

    records = store(runs, make_record(), make_record(seed=1))
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, step, stop)
        with pytest.raises(Interrupted):
            mirror(records, "suite", runs)
    assert [run.info.status for run in found(local(runs), "suite")] == ["RUNNING"]
    half = found(local(runs), "suite")[0].info.run_id
    assert mirror(records, "suite", runs) == 2
    assert half in {run.info.run_id for run in found(local(runs), "suite")}
    resumed = everything(local(runs), "suite")
    assert len(resumed) == 2
    assert resumed[0][6] == resumed[1][6]  # no point of a curve is there twice


PROGRAM = """
import sys
from pathlib import Path
from results.mlflow_mirror import mirror
from results.store import read_all
runs = Path(sys.argv[1])
print(mirror(read_all(runs)[0].values(), "suite", runs, *sys.argv[2:]))
"""


def processes(runs: Path, count: int, *arguments: str) -> list[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, str(runs), *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [subprocess.Popen(command, **pipes) for _ in range(count)]


AT_ONCE = """
import os
import sys
from pathlib import Path
import mlflow, sqlalchemy  # once, for all that are forked from here
from results.mlflow_mirror import mirror
from results.store import read_all
runs, count = Path(sys.argv[1]), int(sys.argv[2])
records = list(read_all(runs)[0].values())
gate, opener = os.pipe()
for number in range(count):
    if not os.fork():
        os.close(opener)
        os.read(gate, 1)  # returns when the parent lets all go
        changed = mirror([records[number], records[(number + 1) % count]], "suite", runs)
        os.write(1, f"{changed}\\n".encode())
        os._exit(0)
os.close(opener)
failed = [number for number in range(count) if os.wait()[1]]
sys.exit(f"{len(failed)} failed" if failed else None)
"""


def test_sixteen_at_once_on_a_cold_store_lose_and_double_nothing(cold_runs: Path, make_record: MakeRecord) -> None:
    """Each mirrors two records and shares both with others. They say nothing: migrations stay off the terminal."""
    store(cold_runs, *(make_record(seed=seed) for seed in range(16)))
    command = [sys.executable, "-c", AT_ONCE, str(cold_runs), "16"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=3 * DEADLINE)
    assert (result.returncode, result.stderr) == (0, "")
    assert sum(map(int, result.stdout.split())) == 16
    mirrored = everything(local(cold_runs), "suite")
    assert len({dict(run[5])["run_id"] for run in mirrored}) == len(mirrored) == 16
    assert all(run[1] == "FINISHED" and run[6] == mirrored[0][6] and len(run[7]) == 3 for run in mirrored)


def test_a_killed_mirror_is_completed(runs: Path, make_record: MakeRecord) -> None:
    records = store(runs, *(make_record(seed=seed) for seed in range(16)))
    mirror(records[:1], "suite", runs)
    (process,) = processes(runs, 1)
    until = time.monotonic() + DEADLINE
    while len(found(local(runs), "suite")) < 4 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=DEADLINE)
    mirror(records, "suite", runs)
    mirrored = everything(local(runs), "suite")
    assert len(mirrored) == 16
    assert all(run[1] == "FINISHED" and run[6] == mirrored[0][6] and len(run[7]) == 3 for run in mirrored)


@pytest.mark.parametrize("delay", [0.4, 0.8])
def test_a_store_killed_while_it_was_made_is_made_again(cold_runs: Path, delay: float, make_record: MakeRecord) -> None:
    store(cold_runs, make_record())
    (process,) = processes(cold_runs, 1)
    until = time.monotonic() + DEADLINE
    while not (cold_runs / "mlflow.db.new").exists() and time.monotonic() < until:
        time.sleep(0.005)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=DEADLINE)
    mirror(read_all(cold_runs)[0].values(), "suite", cold_runs)
    assert [run.info.status for run in found(local(cold_runs), "suite")] == ["FINISHED"]


def test_a_server_that_goes_away_delays_and_loses_nothing(
    cold_runs: Path, server_folder: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed in the middle of a mirror, stays away for one, and comes back."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    records = store(cold_runs, *(make_record(seed=seed) for seed in range(4)))
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    with serving(server_folder, port) as process:

        def killed_at_the_second(done: int, total: int) -> None:
            if done == 2:
                end(process)

        with pytest.raises(MirrorError, match="cannot be reached"):
            mirror(records, "suite", cold_runs, url, killed_at_the_second)
    with pytest.raises(MirrorError, match="cannot be reached; the records are kept, mirror again later"):
        mirror(records, "suite", cold_runs, url)

    with serving(server_folder, port):
        assert mirror(records, "suite", cold_runs, url) >= 2
        assert mirror(records, "suite", cold_runs, url) == 0
        mirrored = found(url, "suite")
        curves = [history(client_of(url), run, "loss/total") for run in mirrored]
        files = [{file.path for file in client_of(url).list_artifacts(run.info.run_id)} for run in mirrored]
    assert len({run.data.tags["run_id"] for run in mirrored}) == len(mirrored) == 4
    assert [run.info.status for run in mirrored] == ["FINISHED"] * 4
    assert curves == [[(4, 3.0), (8, 1.5), (12, 1.0)]] * 4
    assert files == [{"record.json", "ranks.npz", "log.txt"}] * 4


def test_a_server_takes_several_at_once(
    cold_runs: Path, server: str, make_record: MakeRecord, make_failure: MakeRecord
) -> None:
    store(cold_runs, *(make_record(seed=seed) for seed in range(3)), make_failure("no-hbi"))
    (other,) = processes(cold_runs, 1, server)
    mine = mirror(read_all(cold_runs)[0].values(), "suite", cold_runs, server)
    out, err = other.communicate(timeout=DEADLINE)
    assert (mine + int(out), err) == (4, "")
    mirrored = found(server, "suite")
    assert sorted(run.info.status for run in mirrored) == ["FAILED", "FINISHED", "FINISHED", "FINISHED"]
    assert all(run.data.metrics["t2v/R_at_1"] == 41.5 for run in mirrored if run.info.status == "FINISHED")
    for run in mirrored:
        files = {file.path for file in client_of(server).list_artifacts(run.info.run_id)}
        assert files == {"record.json", "log.txt"} | ({"ranks.npz"} if run.info.status == "FINISHED" else set())
    assert not (cold_runs / "mlflow.db").exists()


def test_a_server_that_is_away_is_one_line(runs: Path, make_record: MakeRecord) -> None:
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        begun = time.monotonic()
        with pytest.raises(MirrorError, match=r"MLflow at http://127\.0\.0\.1:\d+ cannot be reached") as caught:
            mirror([make_record()], "suite", runs, f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert time.monotonic() - begun < 30


def test_a_broken_store_is_one_line(runs: Path, make_record: MakeRecord) -> None:
    (runs / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(MirrorError, match="not a database") as caught:
        mirror([make_record()], "suite", runs)
    assert "\n" not in str(caught.value)


def test_a_suite_mlflow_cannot_name_is_one_line(runs: Path, make_record: MakeRecord) -> None:
    with pytest.raises(MirrorError):
        mirror([make_record()], "x" * 501, runs)
    mirror([], "gone", runs)
    client = client_of(local(runs))
    client.delete_experiment(client.get_experiment_by_name("gone").experiment_id)
    with pytest.raises(MirrorError, match="'gone' is deleted"):
        mirror([make_record()], "gone", runs)


@pytest.mark.parametrize(
    ("name", "mapped"),
    [
        ("t2v/R@1", "t2v/R_at_1"),
        ("accuracy/top 5%", "accuracy/top 5_percent"),
        ("é:(x)", "___x_"),
        ("../up", "_/up"),
        ("x" * 300, "x" * 250),
    ],
)
def test_names(name: str, mapped: str) -> None:
    assert mlflow_mirror._name(name) == mapped


@pytest.mark.parametrize(
    ("moment", "milliseconds"),
    [
        ("1970-01-01T00:00:01+00:00", 1000),
        ("1970-01-01T00:00:01.5Z", 1500),
        ("1970-01-01T00:00:01", 1000),
        ("1969-01-01", 0),
        ("yesterday", 0),
    ],
)
def test_times(moment: str, milliseconds: int) -> None:
    assert mlflow_mirror._milliseconds(moment) == milliseconds
