"""The store of records: folders ``runs/store/<run_id>/`` with record.json, ranks.npz, weights and log."""

import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from hbi.errors import InputError
from hbi.files import write_atomically
from results.record import Record

if TYPE_CHECKING:
    from results.summary import Summary

STORE = "store"
RECORD = "record.json"
RANKS = "ranks.npz"
SAMPLES = "samples.npz"
LOG = "log.txt"
WEIGHTS = "model.safetensors"

# One component of a path: not hidden, no separator, no control character.
_PLAIN_NAME = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*")

# What numpy raises on a damaged archive. AttributeError and TypeError: a lone array in its place. MemoryError: a
# header that claims terabytes.
_UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error),
    *(AttributeError, TypeError, MemoryError),
)


class RecordError(InputError):
    """A record, or a file beside it, cannot be used; the message names the file and the reason."""


def is_plain_name(name: str) -> bool:
    """Whether ``name`` can name a file of ours: it stays in its folder, whatever a stranger put in it."""
    return _PLAIN_NAME.fullmatch(name) is not None and len(name.encode(errors="replace")) <= 200


def run_folder(runs: Path, run_id: str) -> Path:
    """Folder of one run. Raises RecordError for an id that would leave the store."""
    if not is_plain_name(run_id):
        raise RecordError(f"run id {run_id!r} cannot name a folder: no /, no leading dot, 200 bytes at most")
    return runs / STORE / run_id


def write_record(
    folder: Path,
    record: Record,
    ranks: Mapping[str, np.ndarray] | None = None,
    samples: Mapping[str, np.ndarray] | None = None,
) -> Record:
    """Writes ``ranks`` and ``samples`` (arrays as Record has them), then ``record``, and returns it as written.

    The record comes last and atomically, and names the files that lie beside it: whoever sees a record
    sees all of it. Raises OSError (a full disk, say) without leaving a record that was not there before.
    """
    beside = {
        "ranks": ranks and _write_arrays(folder / RANKS, ranks),
        "samples": samples and _write_arrays(folder / SAMPLES, samples),
    }
    record = record.model_copy(update={name: file or None for name, file in beside.items()})
    write_atomically(folder / RECORD, record.model_dump_json(indent=1) + "\n")
    return record


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """The name of the file, written."""
    plain: dict[str, Any] = {name: np.asarray(values) for name, values in arrays.items()}
    for name, values in plain.items():
        _check_ranks(name, values)
    write_atomically(path, lambda file: np.savez(file, **plain))
    return path.name


def read_record(folder: Path) -> Record | None:
    """The record in ``folder``, None while there is none. Raises RecordError if damaged or foreign."""
    path = folder / RECORD
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise RecordError(f"{path}: {_reason(error)}") from error


def read_own_record(folder: Path) -> Record | None:
    """As ``read_record``; raises RecordError too where the folder is another run's: a copied or renamed folder must
    not count as a second run."""
    record = read_record(folder)
    if record and record.run_id != folder.name:
        raise RecordError(f"{folder / RECORD}: is the record of {record.run_id!r}, in another run's folder")
    return record


def whole_record(folder: Path) -> Record | None:
    """The record in ``folder``; None while there is none, or only a damaged one, which counts as none."""
    try:
        return read_record(folder)
    except RecordError:
        return None


def read_ranks(folder: Path, record: "Record | Summary") -> dict[str, np.ndarray]:
    """The arrays of ``Record.ranks`` by name; {} if there are none. Raises RecordError if damaged."""
    return _read_arrays(folder, "ranks", record.ranks)


def read_samples(folder: Path, record: Record) -> dict[str, np.ndarray]:
    """Those of ``Record.samples``, likewise."""
    return _read_arrays(folder, "samples", record.samples)


def _read_arrays(folder: Path, kind: str, name: str | None) -> dict[str, np.ndarray]:
    if name is None:
        return {}
    path = folder / name
    if not is_plain_name(name):
        raise RecordError(f"{folder / RECORD}: {kind}: {name!r} is not a file beside the record")
    try:
        with zipfile.ZipFile(path) as file:
            arrays = {name.removesuffix(".npy"): _array(file.read(name)) for name in file.namelist()}
        for name, values in arrays.items():
            _check_ranks(name, values)
    except _UNREADABLE as error:
        raise RecordError(f"{path}: not readable as {kind} ({_one_line(error)})") from error
    return arrays


def _array(content: bytes) -> np.ndarray:
    """An array as npy has it. np.load reads each header as Python's syntax, which takes most of its time; of ten
    thousand files nearly all headers are the same."""
    start = 10 + int.from_bytes(content[8:10], "little")
    shape, _, dtype = _header(content[:start])
    return np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape)


@lru_cache(maxsize=1000)
def _header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type. Raises ValueError for another version than the first, the only one that we write."""
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array of another version of npy")
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = np.lib.format.read_array_header_1_0(stream)
    return header


def read_all(runs: Path) -> tuple[dict[str, Record], list[str]]:
    """Every usable record under ``runs`` by run id, and one line for each that had to be skipped."""
    store = runs / STORE
    records: dict[str, Record] = {}
    problems: list[str] = []
    if not store.is_dir():
        return records, problems
    for folder in sorted(store.iterdir()):
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        try:
            record = read_own_record(folder)
        except RecordError as error:
            problems.append(str(error))
            continue
        if record:
            records[record.run_id] = record
    return records, problems


def _check_ranks(name: str, values: np.ndarray) -> None:
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise ValueError(f"{name}: {values.dtype} of shape {list(values.shape)} is not one number a query")


def _reason(error: ValidationError) -> str:
    """One line: the version where that is wrong, else the first mistake and how many more there are."""
    mistakes = error.errors(include_url=False)
    for mistake in mistakes:
        if mistake["loc"][-1:] == ("version",):
            where = ".".join(map(str, mistake["loc"]))
            return f"{where} {mistake['input']!r} is not one that this program reads"
    first = mistakes[0]
    where = ".".join(map(str, first["loc"]))
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    return f"{where + ': ' if where else ''}{_one_line(first['msg'])}{more}"


def _one_line(error: object) -> str:
    """``error`` without line breaks, not longer than a person reads."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:199] + "…"
