import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from results.record import Record
from results.store import (
    RANKS,
    RECORD,
    RecordError,
    read_all,
    read_ranks,
    read_record,
    run_folder,
    write_record,
)

MakeRecord = Callable[..., Record]

RANKS_OF_THREE = {"t2v": np.array([1.0, 2.5, 7.0]), "v2t": np.array([1.0, 1.0])}


@pytest.fixture
def stored(tmp_path: Path, make_record: MakeRecord) -> tuple[Path, Record]:
    record = make_record()
    folder = run_folder(tmp_path, record.run_id)
    return folder, write_record(folder, record, RANKS_OF_THREE)


def test_what_is_written_is_read(stored: tuple[Path, Record], tmp_path: Path) -> None:
    folder, record = stored
    assert read_record(folder) == record
    assert record.ranks == RANKS
    ranks = read_ranks(folder, record)
    assert {name: values.tolist() for name, values in ranks.items()} == {
        name: values.tolist() for name, values in RANKS_OF_THREE.items()
    }
    assert read_all(tmp_path) == ({record.run_id: record}, [])


def test_a_record_without_ranks_says_so(tmp_path: Path, make_failure: MakeRecord) -> None:
    written = write_record(tmp_path / "run", make_failure("hbi"))
    assert written.ranks is None
    assert read_ranks(tmp_path / "run", written) == {}


def test_nothing_there(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    assert read_record(tmp_path / "no such folder") is None
    assert read_all(tmp_path / "no such folder") == ({}, [])


@pytest.mark.parametrize("run_id", ["", ".", "..", "../up", "a/b", "/etc", "a\\b", ".hidden", "a\0b", "x" * 201])
def test_an_id_does_not_leave_the_store(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(RecordError, match="cannot name a folder"):
        run_folder(tmp_path, run_id)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Invalid JSON"),
        (b"\xff\xfe\x00", "JSON"),
        (b"[]", "valid|object"),
        (b"{}", "run_id"),
        (b'{"version": 7, "run_id": "x", "novel": 1}', "version 7 is not one that this program reads"),
        (b"[" * 100_000, "JSON"),
    ],
)
def test_a_damaged_record_is_named_and_skipped(
    tmp_path: Path, make_record: MakeRecord, content: bytes, reason: str
) -> None:
    good = make_record()
    write_record(run_folder(tmp_path, good.run_id), good)
    bad = run_folder(tmp_path, "bad")
    bad.mkdir()
    (bad / RECORD).write_bytes(content)
    with pytest.raises(RecordError, match=reason):
        read_record(bad)
    records, problems = read_all(tmp_path)
    assert list(records) == [good.run_id]
    assert len(problems) == 1
    assert str(bad / RECORD) in problems[0]
    assert "\n" not in problems[0]


def test_every_truncation_is_refused(stored: tuple[Path, Record]) -> None:
    folder, _ = stored
    whole = (folder / RECORD).read_bytes()
    for length in range(0, len(whole) - 2, 97):
        (folder / RECORD).write_bytes(whole[:length])
        with pytest.raises(RecordError):
            read_record(folder)


def test_an_unknown_data_set_is_one_line(stored: tuple[Path, Record]) -> None:
    folder, _ = stored
    path = folder / RECORD
    path.write_text(path.read_text().replace('"name":"shapes"', '"name":"films"').replace('"shapes"', '"films"'))
    with pytest.raises(RecordError, match="unknown data set 'films'"):
        read_record(folder)


def test_a_copied_folder_is_no_second_run(stored: tuple[Path, Record], tmp_path: Path) -> None:
    folder, record = stored
    folder.rename(folder.with_name("copy"))
    (tmp_path / "store" / "stray file").touch()
    (tmp_path / "store" / "unfinished").mkdir()
    records, problems = read_all(tmp_path)
    assert records == {}
    assert len(problems) == 1
    assert record.run_id in problems[0]


def test_an_unreadable_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "store" / "odd" / RECORD).mkdir(parents=True)
    assert "Is a directory" in read_all(tmp_path)[1][0]


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch exploded",)


def bad_ranks(kind: str, path: Path) -> None:
    if kind == "pickled object":
        np.savez(path, t2v=np.array([Bomb()], dtype=object))
    elif kind == "bare pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    elif kind == "lone array":
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    elif kind == "matrix":
        np.savez(path, t2v=np.ones((2, 2)))
    elif kind == "text":
        np.savez(path, t2v=np.array(["one"]))
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    elif kind == "flipped":
        content = bytearray(path.read_bytes())
        content[len(content) // 4] ^= 0xFF
        path.write_bytes(content)
    elif kind == "absent":
        path.unlink()


@pytest.mark.parametrize(
    "kind",
    ["pickled object", "bare pickle", "lone array", "matrix", "text", "truncated", "flipped", "absent"],
)
def test_bad_ranks_are_refused(
    stored: tuple[Path, Record], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, record = stored
    monkeypatch.chdir(tmp_path)
    bad_ranks(kind, folder / RANKS)
    with pytest.raises(RecordError, match=RANKS):
        read_ranks(folder, record)
    assert not (tmp_path / "exploded").exists()


def test_ranks_do_not_leave_the_folder(stored: tuple[Path, Record]) -> None:
    folder, record = stored
    with pytest.raises(RecordError, match="not a file beside the record"):
        read_ranks(folder, record.model_copy(update={"ranks": "../other/ranks.npz"}))


def in_a_process(body: str, folder: Path, record: Record) -> subprocess.CompletedProcess[str]:
    """Runs ``body``, then writes ``record`` with 100,000 ranks into ``folder``, in a process of its own."""
    source = folder.parent / "input.json"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(record.model_dump_json())
    program = f"""
import os, resource, signal, sys
from pathlib import Path
import numpy as np
from results.record import Record
from results.store import write_record
record = Record.model_validate_json(Path({str(source)!r}).read_bytes())
{body}
try:
    write_record(Path({str(folder)!r}), record, {{"t2v": np.arange(1.0, 100_001.0)}})
except OSError as error:
    print(error.strerror)
"""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("limit", "left"), [(400_000, []), (801_000, [RANKS])])
def test_a_full_disk_leaves_no_half_record(
    tmp_path: Path, make_record: MakeRecord, limit: int, left: list[str]
) -> None:
    """The limit on a file's size fails a write midway, as a full disk does: in the ranks, then in the record."""
    folder = tmp_path / "run"
    record = make_record().model_copy(update={"run_id": "x" * 900_000})
    result = in_a_process(f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))", folder, record)
    assert result.stdout == "File too large\n", result.stderr
    assert [path.name for path in folder.iterdir()] == left
    assert read_record(folder) is None


@pytest.mark.parametrize("moment", [1, 2, 3, 4])
def test_a_kill_leaves_a_whole_record_or_none(tmp_path: Path, make_record: MakeRecord, moment: int) -> None:
    """Killed at each flush: of the ranks, of their folder, of the record, of its folder (when it is in place)."""
    folder = tmp_path / "run"
    kill = f"""
flush, calls = os.fsync, []
def fsync(descriptor):
    calls.append(descriptor)
    if len(calls) == {moment}:
        os.kill(os.getpid(), signal.SIGKILL)
    flush(descriptor)
os.fsync = fsync
"""
    assert in_a_process(kill, folder, make_record()).returncode == -9
    record = read_record(folder)
    assert (record is not None) == (moment == 4)
    again = write_record(folder, make_record(), RANKS_OF_THREE)
    assert read_record(folder) == again
    assert read_ranks(folder, again)["t2v"].tolist() == [1.0, 2.5, 7.0]
