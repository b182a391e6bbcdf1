"""What tables know of a run: the part of its record that they print, mark and pair by. Read anew only where it changed.

Ten thousand records are a hundred megabytes of JSON. What was read is kept in runs/cache/summaries.json, by run id and
with the size and time of the record it stands for; a record that is another now is read again. The file can be
removed at any time.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from hbi.files import write_atomically
from results.record import Record
from results.store import RECORD, STORE, RecordError, is_plain_name, read_own_record

CACHE = "cache"
"""Folder of what is kept beside the store to be quick."""
_FORMAT = 1
"""Raise it when ``summary_of`` finds something else in the same record."""

Stamp = tuple[int, int, int]
"""Of a file: time of its last change in ns, size in bytes, inode."""


class Summary(BaseModel):
    """Of one record. Text in it is as the record has it: from a file, whoever wrote that."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    stamp: Stamp = (0, 0, 0)
    seed: int
    complete: bool
    failure: str | None
    """Its kind."""
    metrics: dict[str, float]
    ranks: str | None
    queries: str | None
    selection_split: str | None
    accumulation: int | None
    data: str
    ties: str
    post_processing: str
    device: str
    processes: int
    precision: str
    decoder: str
    dirty: bool
    measures_cost: bool


class _Kept(BaseModel):
    format: int
    summaries: dict[str, Summary]


_FILE = TypeAdapter(_Kept)


def summary_of(record: Record, stamp: Stamp = (0, 0, 0)) -> Summary:
    """The part of ``record`` that tables know."""
    spec, origin = record.spec, record.provenance
    return Summary(
        run_id=record.run_id,
        stamp=stamp,
        seed=spec.seed,
        complete=record.outcome == "complete",
        failure=(record.failure.kind if record.failure else "unknown") if record.outcome == "failed" else None,
        metrics=record.metrics,
        ranks=record.ranks,
        queries=record.queries,
        selection_split=record.selection_split,
        accumulation=record.accumulation,
        data=spec.data.name,
        ties=spec.evaluation.ties,
        post_processing=spec.evaluation.post_processing,
        device=origin.gpu or "CPU",
        processes=spec.runtime.processes,
        precision=spec.training.precision,
        decoder=origin.decoder,
        dirty=origin.dirty_diff is not None,
        measures_cost=record.cost is not None,
    )


def read_summaries(runs: Path) -> tuple[dict[str, Summary], list[str]]:
    """Of every usable record under ``runs`` by run id, and one line for each record that had to be left aside."""
    kept, found = _kept(runs), dict[str, Summary]()
    problems: list[str] = []
    for name, stamp in _stamps(runs / STORE):
        known = kept.get(name)
        if known is None or known.stamp != stamp:
            try:
                record = read_own_record(runs / STORE / name)
            except RecordError as error:
                problems.append(str(error))
                continue
            if record is None:
                continue
            known = summary_of(record, stamp)
        found[name] = known
    if found != kept:
        _keep(runs, found)
    return found, problems


def _stamps(store: Path) -> Iterable[tuple[str, Stamp]]:
    """Of the record in every folder of the store, by the folder's name, in order."""
    if not store.is_dir():
        return
    with os.scandir(store) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        if is_plain_name(name) and (stamp := stamp_of(f"{store}/{name}/{RECORD}")):
            yield name, stamp


def stamp_of(path: str) -> Stamp | None:
    """None where there is no such file."""
    try:
        found = os.stat(path)  # noqa: PTH116  (ten thousand of them)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _kept(runs: Path) -> dict[str, Summary]:
    try:
        kept = _FILE.validate_json((runs / CACHE / "summaries.json").read_bytes())
    except (OSError, ValidationError):  # none yet, or damaged: all records are read
        return {}
    return kept.summaries if kept.format == _FORMAT else {}


def _keep(runs: Path, summaries: dict[str, Summary]) -> None:
    try:
        kept = _FILE.dump_json(_Kept(format=_FORMAT, summaries=summaries))
        write_atomically(runs / CACHE / "summaries.json", kept)
    except OSError:  # another's folder, a full disk: the next call is as slow as this one
        return
