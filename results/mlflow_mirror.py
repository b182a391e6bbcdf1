"""Copies records into MLflow, where people browse and plot. The records stay the truth.

A record becomes one MLflow run, known by two tags: ``run_id`` and ``record``, the hash of the record. Ending
the run comes last, so a run that is still RUNNING was interrupted, and everything is logged into it again:
MLflow keeps one copy of an equal parameter, tag or point, and times come from the record, so points are equal.
A run that ``results.mlflow_live`` showed while it went on, tagged ``live``, goes when its record is mirrored.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hbi.errors import InputError
from results.record import Epoch, Record
from results.store import LOG, RANKS, RECORD, SAMPLES, run_folder
from suites.spec import RunSpec

_PARAMETERS_A_CALL, _METRICS_A_CALL = 100, 1000  # the most MLflow takes in one batch
_LONGEST_PARAMETER, _LONGEST_TAG, _LONGEST_KEY = 6000, 5000, 250

LIVE = "live"
"""Tag of an MLflow run that has no record yet."""

Point = tuple[str, float, int, int]
"""Name, value, milliseconds since 1970, step."""


class MirrorError(InputError):
    """MLflow cannot be reached or refuses; one line. No record is touched, a later mirror catches up."""


def mirror(
    records: Iterable[Record],
    suite: str,
    runs: Path,
    tracking_uri: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Brings the MLflow experiment ``suite`` up to date; returns how many of ``records`` were new or changed.

    ``tracking_uri``: by default sqlite in ``runs``/mlflow.db, artifacts in ``runs``/mlartifacts. ``progress`` gets
    the number done and the number to do. A run deleted in MLflow comes back. Raises MirrorError.
    """
    records = list(records)
    runs = runs.absolute()
    import_mlflow()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.engine import URL
    from sqlalchemy.exc import SQLAlchemyError

    uri = tracking_uri or URL.create("sqlite", database=str(runs / "mlflow.db")).render_as_string()
    database = _sqlite_file(uri)
    try:
        with _lock(Path(f"{database}.lock") if database else runs / "mlflow.lock"):
            if database and not database.exists():
                _create_store(uri, database)
            return _mirror(records, suite, runs, uri, progress)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise MirrorError(explained(uri, error)) from error


def _mirror(
    records: list[Record], suite: str, runs: Path, uri: str, progress: Callable[[int, int], None] | None
) -> int:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = experiment_id(client, suite, (runs / "mlartifacts").as_uri() if uri.startswith("sqlite:") else None)
    existing = _existing(client, experiment)
    changed = 0
    for done, record in enumerate(records, start=1):
        digest = hashlib.sha256(record.model_dump_json().encode()).hexdigest()
        same = None
        for run in existing.get(record.run_id, []):
            if same is None and run.data.tags.get("record") == digest:
                same = run
            elif not _goes_on(run, record):  # of an older record (a retried failure, say), or a twin, or live
                client.delete_run(run.info.run_id)
        if same is None:
            tags = {"run_id": record.run_id, "record": digest}
            same = client.create_run(experiment, _milliseconds(record.started), tags, run_name=record.run_id)
        if same.info.status == "RUNNING":
            _fill(client, same.info.run_id, record, runs)
            changed += 1
        if progress:
            progress(done, len(records))
    if changed:  # a job may have made its live run meanwhile: the server had been away, say
        late = _existing(client, experiment, f"tags.{LIVE} = 'true'")
        for record in records:
            for run in late.get(record.run_id, []):
                if not _goes_on(run, record):
                    client.delete_run(run.info.run_id)
    return changed


def _goes_on(run: Any, record: Record) -> bool:
    """Whether ``run`` is the live one of a later attempt than the failed ``record``."""
    later = run.info.start_time > _milliseconds(record.finished)
    return LIVE in run.data.tags and record.outcome == "failed" and later


def _fill(client: Any, mlflow_id: str, record: Record, runs: Path) -> None:
    """Logs all of ``record``, then ends the run."""
    from mlflow.entities import RunTag

    tags = [RunTag(name, value[:_LONGEST_TAG]) for name, value in _tags(record).items()]
    client.log_batch(mlflow_id, tags=tags)
    log_parameters(client, mlflow_id, record.spec)
    log_points(client, mlflow_id, _points(record))
    folder = run_folder(runs, record.run_id)
    for file in (RECORD, RANKS, SAMPLES, LOG):
        if (folder / file).is_file():
            client.log_artifact(mlflow_id, str(folder / file))
    status = "FINISHED" if record.outcome == "complete" else "FAILED"
    client.set_terminated(mlflow_id, status, end_time=_milliseconds(record.finished))


# ---- what a run becomes, live and as a record --------------------------------------------------------------


def log_parameters(client: Any, mlflow_id: str, spec: RunSpec, known: Container[str] = ()) -> None:
    """Logs the whole of ``spec``, but for the parameters ``known`` there: MLflow refuses another value."""
    from mlflow.entities import Param

    flat = {_name(key): value[:_LONGEST_PARAMETER] for key, value in _flattened(spec.model_dump(mode="json")).items()}
    parameters = [Param(name, value) for name, value in flat.items() if name not in known]
    for start in range(0, len(parameters), _PARAMETERS_A_CALL):
        client.log_batch(mlflow_id, params=parameters[start : start + _PARAMETERS_A_CALL])


def log_points(client: Any, mlflow_id: str, points: Iterable[Point]) -> None:
    from mlflow.entities import Metric

    metrics = [Metric(_name(name), value, time, step) for name, value, time, step in points]
    for start in range(0, len(metrics), _METRICS_A_CALL):
        client.log_batch(mlflow_id, metrics=metrics[start : start + _METRICS_A_CALL])


def spec_tags(spec: RunSpec) -> dict[str, str]:
    return {"variant": spec.variant, "data": spec.data.name, "seed": str(spec.seed)}


def epoch_values(epoch: Epoch) -> dict[str, float]:
    """What is plotted of an epoch, by name."""
    values = {"epoch": float(epoch.epoch), "learning_rate": epoch.learning_rate}
    values |= {"logit_scale": epoch.logit_scale, "epoch_seconds": epoch.seconds}
    values |= {f"loss/{name}": value for name, value in epoch.losses.items()}
    return values | {f"val/{name}": value for name, value in epoch.metrics.items()}


def _tags(record: Record) -> dict[str, str]:
    tags = spec_tags(record.spec) | {
        "outcome": record.outcome,
        "commit": record.provenance.commit or "none",
        "dirty": str(record.provenance.dirty_diff is not None).lower(),
        "host": record.provenance.host,
    }
    if record.failure:
        tags |= {"failure": record.failure.kind, "failure.message": record.failure.message}
    return tags


def _flattened(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested mappings as "training.lr": "0.001"; lists and what is not text as JSON."""
    if isinstance(value, Mapping) and value:
        flat: dict[str, str] = {}
        for key, inner in value.items():
            flat |= _flattened(inner, f"{prefix}.{key}" if prefix else str(key))
        return flat
    return {prefix: value if isinstance(value, str) else json.dumps(value)}


def _points(record: Record) -> Iterator[Point]:
    """The learning curve over optimiser steps, then the final numbers, at the last step."""
    started, step, seconds = _milliseconds(record.started), 0, 0.0
    for epoch in record.curve:
        step = epoch.step
        seconds += epoch.seconds
        for name, value in epoch_values(epoch).items():
            yield name, value, started + round(1000 * seconds), step
    final = record.metrics | {f"seconds/{part}": value for part, value in record.timings.items()}
    if record.peak_memory is not None:
        final["peak_memory_bytes"] = float(record.peak_memory)
    for name, value in final.items():
        yield name, value, _milliseconds(record.finished), step


def _name(name: str) -> str:
    """A name MLflow takes, of letters, digits, blanks and _ - . / alone: "t2v/R@1" becomes "t2v/R_at_1"."""
    name = name.replace("@", "_at_").replace("%", "_percent")
    name = re.sub(r"[^\w\-./ ]", "_", name, flags=re.ASCII)
    return "/".join(part if part.strip(".") else "_" for part in name.split("/"))[:_LONGEST_KEY]


def _milliseconds(moment: str) -> int:
    """Since 1970, of an ISO 8601 time in UTC; 0 for another text: an odd clock must not keep a result out."""
    try:
        time = datetime.fromisoformat(moment.replace("Z", "+00:00"))
        return max(0, round(1000 * (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()))
    except (ValueError, OverflowError):
        return 0


# ---- MLflow's corners --------------------------------------------------------------------------------------


def experiment_id(client: Any, name: str, artifacts: str | None = None) -> str:
    """The experiment's id; it is created where there is none. Raises MirrorError where it is deleted."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts))
        except MlflowException:  # another machine may have been quicker; anything else happens again below
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise MirrorError(f"MLflow's experiment {name!r} is deleted; restore it there or remove it for good")
    return str(found.experiment_id)


def _existing(client: Any, experiment: str, which: str = "") -> dict[str, list[Any]]:
    """The experiment's MLflow runs by our run id, page by page: one query a record would be slow."""
    found: dict[str, list[Any]] = {}
    token = None
    while True:
        page = client.search_runs([experiment], which, max_results=1000, page_token=token)
        for run in page:
            found.setdefault(run.data.tags.get("run_id", ""), []).append(run)
        token = page.token
        if not token:
            return found


def import_mlflow() -> None:
    """Imports MLflow so that it is quiet: no telemetry, no progress bars, no minutes of retries."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    os.environ |= {
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    import mlflow  # noqa: F401  it reads the above when imported or called, and sets up its loggers

    for name in ("mlflow", "alembic", "urllib3.connectionpool"):  # migrations and retries, told line by line
        logging.getLogger(name).setLevel(logging.ERROR)


def _sqlite_file(uri: str) -> Path | None:
    from sqlalchemy.engine import make_url

    database = make_url(uri).database if uri.startswith("sqlite:") else None
    return Path(database).absolute() if database else None


def _create_store(uri: str, database: Path) -> None:
    """Makes the sqlite file aside and renames it: a creation killed midway leaves a file MLflow cannot repair."""
    from mlflow import MlflowClient
    from sqlalchemy.engine import make_url

    aside = database.with_name(f"{database.name}.new")
    for leftover in (aside, aside.with_name(f"{aside.name}-journal")):
        leftover.unlink(missing_ok=True)
    MlflowClient(tracking_uri=make_url(uri).set(database=str(aside)).render_as_string()).search_experiments()
    aside.replace(database)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Waits for the lock, which the system takes back from a process that dies. The file is never removed.

    One for a sqlite file, which breaks when several processes create it at once; one for ``runs`` with a server.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def explained(uri: str, error: Exception) -> str:
    """What is wrong with the store at ``uri``, as one line without the password that ``uri`` may hold."""
    return re.sub(r"//[^/@\s]*@", "//", f"MLflow at {uri} {_reason(error)}")


def _reason(error: Exception) -> str:
    """One line. MLflow's own words for a server that is away are a screenful; they hide a connection error."""
    if not isinstance(error, OSError) and isinstance(error.__context__, OSError):
        return "cannot be reached; the records are kept, mirror again later"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"refuses: {lines[0] if len(lines[0]) <= 300 else lines[0][:299] + '…'}"
