"""A real MLflow server in processes of its own, and what one asks MLflow in tests."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from results.record import Record
from results.store import run_folder, write_record

DEADLINE = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A real server, which keeps what it has in ``folder``; its process group may be killed inside."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    log = (folder / "log").open("a")
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    # A session of its own: the server starts workers, which must end with it.
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)
    try:
        until = time.monotonic() + DEADLINE
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                if time.monotonic() > until or process.poll() is not None:
                    pytest.fail(f"the server did not start: {(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.2)
        yield process
    finally:
        end(process)
        log.close()


def end(server: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait(timeout=DEADLINE)


def store(runs: Path, *records: Record) -> list[Record]:
    written = []
    for record in records:
        folder = run_folder(runs, record.run_id)
        ranks = {"t2v": np.array([1.0, 2.0])} if record.outcome == "complete" else None
        written.append(write_record(folder, record, ranks))
        (folder / "log.txt").write_text("epoch 1\n")
    return written


def client_of(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def found(uri: str, suite: str) -> list[Any]:
    client = client_of(uri)
    experiment = client.get_experiment_by_name(suite)
    return list(client.search_runs([experiment.experiment_id]))


def history(client: Any, run: Any, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]
