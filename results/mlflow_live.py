"""Shows a run in MLflow while it goes on, where there is a server. Its record, once mirrored, takes the place of that.

A thread of its own does all the talking. The run hands it events and never waits: what a server that is away, hangs or
refuses has not taken yet is sent when it is back, the oldest step losses forgotten first. The MLflow run is tagged
``live`` and stays RUNNING until the run ends, so that a run which is started again goes on in it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from results.mlflow_mirror import (
    LIVE,
    Point,
    epoch_values,
    experiment_id,
    explained,
    import_mlflow,
    log_parameters,
    log_points,
    spec_tags,
)
from results.record import Epoch
from suites.spec import RunSpec

_EVERY = 3.0  # seconds between step losses, and between calls of the server
_FAREWELL = 5.0  # seconds that the end of the run waits for what is not sent yet
_STEP_POINTS, _EPOCH_POINTS = 1000, 10_000  # kept while the server is away: 50 minutes; hundreds of epochs
_STATUS = {"complete": "FINISHED", "failed": "FAILED"}

_log = logging.getLogger(__name__)


@contextmanager
def live(
    spec: RunSpec, run_id: str, suite: str, tracking_uri: str | None
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yields a function that takes the run's events (see hbi.training.loop), at once and whatever the server does.

    Their numbers appear in MLflow's experiment ``suite`` within seconds. Where ``tracking_uri`` is no server (http,
    https), the function does nothing. Enter it for a run that is going to be executed, before it is: what started
    before a record's end is taken to be that record's. Leaving waits 5 seconds at most. Raises nothing.
    """
    if not tracking_uri or not tracking_uri.startswith(("http://", "https://")):
        yield lambda event: None
        return
    started = 1000 * int(time.time())  # whole seconds, as in a record
    steps: deque[Point] = deque(maxlen=_STEP_POINTS)
    epochs: deque[Point] = deque(maxlen=_EPOCH_POINTS)
    status: list[str] = []
    leaving = threading.Event()
    next_step = time.monotonic()

    def log(event: dict[str, Any]) -> None:
        nonlocal next_step
        with suppress(Exception):  # whatever an event lacks, the run goes on
            kind, now = event["event"], round(1000 * time.time())
            if kind == "step" and time.monotonic() >= next_step:
                next_step = time.monotonic() + _EVERY
                steps.append(("loss/total", event["loss"], now, event["step"]))
            elif kind == "epoch":
                epoch = Epoch.model_validate({name: event[name] for name in Epoch.model_fields.keys() & event})
                epochs.extend((name, value, now, epoch.step) for name, value in epoch_values(epoch).items())
            elif kind in _STATUS:
                status.append(_STATUS[kind])

    join = partial(_joined, spec=spec, run_id=run_id, suite=suite, started=started)
    thread = threading.Thread(
        target=_send, args=(tracking_uri, join, steps, epochs, status, leaving), name="mlflow-live", daemon=True
    )
    try:
        import_mlflow()  # here: what a thread is importing while a worker is forked stays locked in the worker
        thread.start()
    except Exception as error:
        _log.warning("no live metrics: %s: %s", type(error).__name__, error)
    try:
        yield log
    finally:
        leaving.set()
        if thread.is_alive():
            thread.join(_FAREWELL)


def _send(
    uri: str,
    join: Callable[[Any], str | None],
    steps: deque[Point],
    epochs: deque[Point],
    status: list[str],
    leaving: threading.Event,
) -> None:
    """The thread: sends what is in the queues every few seconds, once more when ``leaving``, and then ends the run."""
    from mlflow import MlflowClient

    client, mlflow_id = None, None
    points: list[Point] = []
    told = last = False
    while True:
        try:
            client = client or MlflowClient(tracking_uri=uri, registry_uri=uri)
            mlflow_id = mlflow_id or join(client)
            if mlflow_id is None:
                return
            points = points or _taken(steps, epochs)
            log_points(client, mlflow_id, points)  # again after a failure: MLflow keeps one copy of an equal point
            points, told = [], False
            if last and status:
                client.set_terminated(mlflow_id, status[-1])
        except Exception as error:
            mlflow_id = None  # it may have been deleted
            if not told:
                _log.warning("live metrics are late: %s", explained(uri, error))
            told = True
        if last:
            return
        last = leaving.wait(_EVERY)


def _taken(*queues: deque[Point]) -> list[Point]:
    """Empties them; the other side may add meanwhile, and what is full forgets its oldest by itself."""
    return [queue.popleft() for queue in queues for _ in range(len(queue))]


def _joined(client: Any, spec: RunSpec, run_id: str, suite: str, started: int) -> str | None:
    """The MLflow run to log into: that of an earlier start, or a new one; none where the record is there already.

    It looks again after creating: another process may be mirroring the record, and a request that was thought lost
    may have created a twin. A mirror looks after creating too, so that one of both sees the other.
    """
    experiment = experiment_id(client, suite)

    def found() -> tuple[list[Any], bool]:
        runs = client.search_runs([experiment], f"tags.run_id = '{run_id}'")
        going = [run for run in runs if LIVE in run.data.tags and run.info.status == "RUNNING"]
        return going, any("record" in run.data.tags and run.info.start_time >= started for run in runs)

    going, recorded = found()
    if not going and not recorded:
        tags = spec_tags(spec) | {"run_id": run_id, LIVE: "true"}
        client.create_run(experiment, started, tags, run_name=run_id)
        going, recorded = found()
    keep = None if recorded else going[0]
    for run in going:
        if run is not keep:
            client.delete_run(run.info.run_id)
    if keep is None:
        return None
    log_parameters(client, keep.info.run_id, spec, known=keep.data.params)  # data.root may be another this time
    return str(keep.info.run_id)
