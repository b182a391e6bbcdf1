"""Live metrics against a real server, one that is killed, and ones that do not behave."""

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from results import mlflow_live
from results.mlflow_live import live
from results.mlflow_mirror import mirror
from results.record import Record
from tests.results.mlflow_server import DEADLINE, client_of, end, found, free_port, history, serving, store

MakeRecord = Callable[..., Record]
Log = Callable[[dict[str, Any]], None]

AT_ONCE = 0.3
"""Seconds that an event may take: the machine is shared. A request to a server that is away takes seconds."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_live, "_EVERY", 0.1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "8")


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name == "mlflow-live"])


@pytest.fixture
def suite(request: pytest.FixtureRequest) -> str:
    """One of the test's own: the server is shared."""
    return str(request.node.name)


def eventually(true: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.1)


def step(number: int) -> dict[str, Any]:
    return {"event": "step", "epoch": 1, "step": number, "steps": 12, "loss": 10.0 - number / 10}


def epochs(record: Record) -> list[dict[str, Any]]:
    return [{"event": "epoch", **epoch.model_dump(), "epochs": 3} for epoch in record.curve]


def shown(url: str, suite: str) -> list[Any]:
    return found(url, suite) if client_of(url).get_experiment_by_name(suite) else []


def steps_of(url: str, suite: str, key: str = "loss/total") -> list[int]:
    """The steps at which the only run has a point."""
    client = client_of(url)
    return [number for run in shown(url, suite) for number, _ in history(client, run, key)]


def recent(record: Record, seconds: float = 0) -> Record:
    """As if executed just now, or ``seconds`` ago."""
    moment = datetime.now(timezone.utc) - timedelta(seconds=seconds)
    now = moment.isoformat(timespec="seconds")
    return record.model_copy(update={"started": now, "finished": now})


class Clocked:
    """Passes events on and keeps how long the slowest took."""

    def __init__(self, log: Log) -> None:
        self.log, self.slowest = log, 0.0

    def __call__(self, event: dict[str, Any]) -> None:
        begun = time.perf_counter()
        self.log(event)
        self.slowest = max(self.slowest, time.perf_counter() - begun)


def test_points_appear_while_the_run_goes_on(cold_runs: Path, server: str, suite: str, make_record: MakeRecord) -> None:
    """Under the names that the mirror uses."""
    record = make_record()
    with live(record.spec, record.run_id, suite, server) as log:
        eventually(lambda: len(shown(server, suite)) == 1)  # before any event
        for number in range(1, 4):
            log(step(number))  # three within the interval: one is enough
        eventually(lambda: steps_of(server, suite) == [1])
        log({"event": "reading", "what": "videos"})
        for event in epochs(record):
            log(event)
        log({"no": "event"})
        eventually(lambda: steps_of(server, suite) == [1, 4, 8, 12])
        (run,) = shown(server, suite)
        assert run.info.status == "RUNNING"
        assert (run.info.run_name, run.data.tags["run_id"]) == (record.run_id, record.run_id)
        assert {"live": "true", "variant": "hbi", "data": "shapes", "seed": "0"}.items() <= run.data.tags.items()
        log({"event": "complete", "metrics": {}})
    (run,) = shown(server, suite)
    assert run.info.status == "FINISHED"

    mirror([record], f"{suite}, mirrored", cold_runs, server)
    (mirrored,) = found(server, f"{suite}, mirrored")
    assert run.data.params == mirrored.data.params
    curve = {"epoch", "learning_rate", "logit_scale", "epoch_seconds"}
    curve |= {"loss/total", "loss/contrastive", "val/t2v/R_at_1"}
    assert set(run.data.metrics) == curve
    client = client_of(server)
    for name in curve - {"loss/total"}:
        assert history(client, run, name) == history(client, mirrored, name)


def test_a_server_killed_midway_delays_nothing_and_gets_the_rest(
    server_folder: Path, suite: str, make_record: MakeRecord
) -> None:
    record, port = make_record(), free_port()
    url = f"http://127.0.0.1:{port}"
    with serving(server_folder, port) as process, live(record.spec, record.run_id, suite, url) as log:
        clocked = Clocked(log)
        clocked(step(1))
        eventually(lambda: steps_of(url, suite) == [1])
        end(process)
        for number in range(2, 102):
            clocked(step(number))
            time.sleep(0.02)
        with serving(server_folder, port):
            clocked(step(102))
            for event in epochs(record):
                clocked(event)
            eventually(lambda: 102 in steps_of(url, suite))
            eventually(lambda: steps_of(url, suite, "loss/contrastive") == [4, 8, 12])
            (run,) = found(url, suite)  # the same one
            assert len(steps_of(url, suite)) > 10  # what was logged while it was away is there too
    assert run.info.status == "RUNNING"
    assert clocked.slowest < AT_ONCE


def test_a_server_that_comes_late(
    server_folder: Path,
    suite: str,
    make_record: MakeRecord,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Only the newest steps are kept meanwhile, and every epoch; the trouble is told once, without the password."""
    monkeypatch.setattr(mlflow_live, "_EVERY", 0.01)
    monkeypatch.setattr(mlflow_live, "_STEP_POINTS", 5)
    record, port = make_record(), free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        caplog.at_level(logging.WARNING, mlflow_live.__name__),
        live(record.spec, record.run_id, suite, url.replace("//", "//user:secret@")) as log,
    ):
        clocked = Clocked(log)
        for event in epochs(record):
            clocked(event)
        for number in range(101, 151):
            clocked(step(number))
            time.sleep(0.02)
        monkeypatch.setattr(mlflow_live, "_EVERY", 0.1)
        with serving(server_folder, port):
            eventually(lambda: steps_of(url, suite) == [4, 8, 12, 146, 147, 148, 149, 150])
    assert clocked.slowest < AT_ONCE
    (warning, *_) = caplog.messages
    assert warning.startswith(f"live metrics are late: MLflow at {url} cannot be reached")
    assert "\n" not in warning
    assert "secret" not in caplog.text


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_server_that_never_answers(silent: str, suite: str, make_record: MakeRecord) -> None:
    record = make_record()
    with live(record.spec, record.run_id, suite, silent) as log:
        clocked = Clocked(log)
        for number in range(100):
            clocked(step(number))
            time.sleep(0.01)
        begun = time.monotonic()
    assert time.monotonic() - begun < 5.5
    assert clocked.slowest < AT_ONCE


PROGRAM = """
import sys
from results.mlflow_live import live
from results.record import Record
record = Record.model_validate_json(sys.argv[1])
with live(record.spec, record.run_id, "suite", sys.argv[2] if len(sys.argv) > 2 else None) as log:
    log({"event": "step", "step": 1, "loss": 2.0})
    log({"event": "epoch"})
print("mlflow" in sys.modules)
"""


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)


def test_a_process_ends_although_a_request_hangs(
    silent: str, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "600")
    begun = time.monotonic()
    ended = process(make_record().model_dump_json(), silent)
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("uri", [(), ("",), ("sqlite:///mlflow.db",), ("runs/mlruns",)], ids=repr)
def test_without_a_server_mlflow_is_not_imported(uri: tuple[str, ...], make_record: MakeRecord) -> None:
    ended = process(make_record().model_dump_json(), *uri)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "False\n", "")


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_server_of_something_else(status: int, suite: str, make_record: MakeRecord) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>it works</html>")

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    record = make_record()
    with HTTPServer(("127.0.0.1", 0), Answer) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            with live(record.spec, record.run_id, suite, f"http://127.0.0.1:{other.server_port}") as log:
                clocked = Clocked(log)
                for number in range(100):
                    clocked(step(number))
                    time.sleep(0.01)
            assert clocked.slowest < AT_ONCE
        finally:
            other.shutdown()
            thread.join()


@pytest.mark.parametrize("uri", ["http://", "http://[", "https://no such host/"])
def test_an_address_that_is_none(uri: str, suite: str, make_record: MakeRecord) -> None:
    with live(make_record().spec, "run", suite, uri) as log:
        log(step(1))


def test_what_the_run_raises_goes_through(server: str, suite: str, make_record: MakeRecord) -> None:
    def run() -> None:
        with live(make_record().spec, "run", suite, server) as log:
            log(step(1))
            raise KeyError

    with pytest.raises(KeyError):
        run()
    assert steps_of(server, suite) == [1]  # sent on leaving, at the latest


def test_two_starts_are_one_run(server: str, suite: str, make_record: MakeRecord) -> None:
    """The second finds its data elsewhere, which does not make it another run."""
    record = make_record()
    with live(record.spec, record.run_id, suite, server) as log:
        log(step(1))
        log({"event": "stopped"})
    (first,) = found(server, suite)
    assert first.info.status == "RUNNING"
    moved = record.spec.data.model_copy(update={"root": "elsewhere"})
    with live(record.spec.model_copy(update={"data": moved}), record.run_id, suite, server) as log:
        log({"event": "resumed", "epoch": 1, "step": 1})
        log(step(2))
        log({"event": "failed", "kind": "bug", "message": "a bug"})
    (second,) = found(server, suite)
    assert (second.info.run_id, second.info.status) == (first.info.run_id, "FAILED")
    assert steps_of(server, suite) == [1, 2]
    with live(record.spec, record.run_id, suite, server):
        pass
    assert {run.info.status for run in found(server, suite)} == {"RUNNING", "FAILED"}  # a retry is another


def test_a_run_deleted_in_mlflow_comes_back(server: str, suite: str, make_record: MakeRecord) -> None:
    record = make_record()
    with live(record.spec, record.run_id, suite, server) as log:
        log(step(1))
        eventually(lambda: steps_of(server, suite) == [1])
        client_of(server).delete_run(found(server, suite)[0].info.run_id)
        log(step(2))
        eventually(lambda: steps_of(server, suite) == [2])


@pytest.mark.parametrize("closed", [True, False])
def test_the_record_takes_its_place(
    closed: bool, cold_runs: Path, server: str, suite: str, make_record: MakeRecord
) -> None:
    """Also where the live run was never closed. That of another run, without a record, stays and goes on."""
    other = make_record("no-hbi")
    with live(other.spec, other.run_id, suite, server) as log_other:
        eventually(lambda: len(shown(server, suite)) == 1)
        (untouched,) = shown(server, suite)
        record = make_record()
        with live(record.spec, record.run_id, suite, server) as log:
            log(step(3))
            for event in epochs(record):
                log(event)
            (record,) = store(cold_runs, recent(record))
            if closed:
                log({"event": "complete", "metrics": {}})
        assert len(found(server, suite)) == 2
        assert mirror([record], suite, cold_runs, server) == 1
        mirrored, going = sorted(found(server, suite), key=lambda run: str(run.info.status))
        assert mirrored.data.tags["run_id"] == record.run_id
        assert "live" not in mirrored.data.tags
        assert mirrored.data.tags["outcome"] == "complete"
        assert mirrored.data.metrics["t2v/R_at_1"] == 41.5
        client = client_of(server)
        assert history(client, mirrored, "loss/total") == [(4, 3.0), (8, 1.5), (12, 1.0)]
        assert len(client.list_artifacts(mirrored.info.run_id)) == 3
        assert mirror([record], suite, cold_runs, server) == 0
        assert going.info.run_id == untouched.info.run_id
        log_other(step(1))
        eventually(lambda: history(client, going, "loss/total") == [(1, 9.9)])
    assert len(found(server, suite)) == 2


def test_mirrored_while_the_run_says_goodbye(cold_runs: Path, server: str, suite: str, make_record: MakeRecord) -> None:
    """What the thread still has does not bring the live run back."""
    record = make_record()
    with live(record.spec, record.run_id, suite, server) as log:
        log(step(1))
        eventually(lambda: steps_of(server, suite) == [1])
        mirror(store(cold_runs, recent(record)), suite, cold_runs, server)
        log(step(2))
        eventually(lambda: not [thread for thread in threading.enumerate() if thread.name == "mlflow-live"])
        log({"event": "complete", "metrics": {}})
    (run,) = found(server, suite)
    assert run.data.tags["outcome"] == "complete"


def test_mirrored_while_the_live_run_is_created(
    cold_runs: Path, server: str, suite: str, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole mirror happens between the thread's look for a record and its creating a run."""
    from mlflow import MlflowClient

    record = make_record()
    create = MlflowClient.create_run
    mirrored: list[int] = []

    def late(self: Any, experiment: str, start: int, tags: dict[str, str], run_name: str) -> Any:
        if "live" in tags:
            mirrored.append(mirror([recent(record)], suite, cold_runs, server))
        return create(self, experiment, start, tags, run_name)

    monkeypatch.setattr(MlflowClient, "create_run", late)
    with live(record.spec, record.run_id, suite, server) as log:
        log(step(1))
    assert mirrored == [1]
    (run,) = found(server, suite)
    assert run.data.tags["outcome"] == "complete"


def test_a_live_run_is_created_while_it_is_mirrored(
    cold_runs: Path, server: str, suite: str, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mirror has looked already: a request that hung comes through."""
    from mlflow import MlflowClient

    record = recent(make_record())
    log_batch = MlflowClient.log_batch

    def meanwhile(self: Any, run_id: str, **what: Any) -> None:
        if what.get("tags"):
            (run,) = found(server, suite)
            self.create_run(run.info.experiment_id, run.info.start_time, {"run_id": record.run_id, "live": "true"})
        log_batch(self, run_id, **what)

    monkeypatch.setattr(MlflowClient, "log_batch", meanwhile)
    assert mirror([record], suite, cold_runs, server) == 1
    (run,) = found(server, suite)
    assert run.data.tags["outcome"] == "complete"


def test_a_retry_is_live_beside_its_failed_record(
    cold_runs: Path, server: str, suite: str, make_record: MakeRecord, make_failure: MakeRecord
) -> None:
    failure, record = recent(make_failure("hbi"), seconds=60), make_record()
    with live(record.spec, record.run_id, suite, server) as log:
        log(step(1))
        eventually(lambda: steps_of(server, suite) == [1])
        assert mirror([failure], suite, cold_runs, server) == 1
        log(step(2))
        log({"event": "complete", "metrics": {}})
    assert sorted(run.data.tags.get("live", "") for run in found(server, suite)) == ["", "true"]
    assert steps_of(server, suite) == [1, 2]
    assert mirror([recent(record)], suite, cold_runs, server) == 1
    (run,) = found(server, suite)
    assert run.data.tags["outcome"] == "complete"


def test_several_start_at_once(server: str, suite: str, make_record: MakeRecord) -> None:
    """The first to come creates the experiment for all."""
    records = [make_record(seed=seed) for seed in range(6)]
    gate = threading.Barrier(len(records))

    def run(record: Record) -> None:
        gate.wait(DEADLINE)
        with live(record.spec, record.run_id, suite, server) as log:
            log(step(1))
            eventually(lambda: record.run_id in {run.data.tags["run_id"] for run in shown(server, suite)})

    threads = [threading.Thread(target=run, args=(record,)) for record in records]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert sorted(run.data.tags["run_id"] for run in found(server, suite)) == sorted(r.run_id for r in records)
    assert steps_of(server, suite) == [1] * 6


def test_a_request_thought_lost_leaves_no_twin(
    server: str, suite: str, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    create = MlflowClient.create_run

    def twice(self: Any, *arguments: Any, **named: Any) -> Any:
        create(self, *arguments, **named)
        return create(self, *arguments, **named)

    monkeypatch.setattr(MlflowClient, "create_run", twice)
    record = make_record()
    with live(record.spec, record.run_id, suite, server) as log:
        log(step(1))
    assert steps_of(server, suite) == [1]
    assert len(found(server, suite)) == 1
