"""What is kept of records: read once, and never wrong."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.record import Record
from results.store import RECORD, read_all, run_folder, write_record
from results.summary import Summary, read_summaries
from tests.results.conftest import build_failure, build_record, summaries_of

ROOT = Path(__file__).parents[2]


def cold(runs: Path) -> dict[str, Summary]:
    """What a reader finds that keeps nothing."""
    return summaries_of(read_all(runs)[0].values())


def found(runs: Path) -> dict[str, Summary]:
    return {name: one.model_copy(update={"stamp": (0, 0, 0)}) for name, one in read_summaries(runs)[0].items()}


def write(runs: Path, record: Record) -> Path:
    write_record(run_folder(runs, record.run_id), record)
    return run_folder(runs, record.run_id) / RECORD


def kept(runs: Path) -> Path:
    return runs / "cache" / "summaries.json"


@pytest.fixture
def some(tmp_path: Path) -> Path:
    for seed in range(3):
        write(tmp_path, build_record("hbi", seed, 41.5))
    write(tmp_path, build_failure("no-hbi"))
    assert read_summaries(tmp_path)[0]
    return tmp_path


def test_a_record_is_read_once_and_again_when_it_has_changed(some: Path) -> None:
    path = run_folder(some, build_record("hbi", 1).run_id) / RECORD
    stamp, before = path.stat(), found(some)
    text = path.read_text()
    assert text.count("41.5,") == 1
    with path.open("r+") as file:  # the same file, as long as before
        file.write(text.replace("41.5,", "77.7,"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert found(some) == before != cold(some)
    path.touch()
    assert found(some) == cold(some)
    assert found(some)[build_record("hbi", 1).run_id].metrics["t2v/R@1"] == 77.7


def test_nothing_is_written_where_nothing_is_new(some: Path) -> None:
    before = kept(some).stat()
    read_summaries(some)
    after = kept(some).stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


FOREIGN = [
    b"",
    b"{",
    b"null",
    b"\xff\xfe",
    b'{"format": 1, "summaries": {"hbi-shapes-s0-0123abcd": {"run_id": "x"}}}',
    b'{"format": 1, "summaries": []}',
]


@pytest.mark.parametrize("content", FOREIGN)
def test_a_damaged_file_is_made_anew(some: Path, content: bytes) -> None:
    whole = kept(some).read_bytes()
    kept(some).write_bytes(content)
    assert found(some) == cold(some)
    assert kept(some).read_bytes() == whole


def test_a_file_of_another_format_is_made_anew(some: Path) -> None:
    whole = kept(some).read_text()
    assert '"format":1' in whole
    kept(some).write_text(whole.replace('"format":1', '"format":0').replace("41.5", "99.9"))
    assert found(some) == cold(some)
    assert kept(some).read_text() == whole


def test_a_copied_store_is_read_anew(some: Path, tmp_path: Path) -> None:
    """Its files are others, whatever came with them."""
    kept(some).write_text(kept(some).read_text().replace("41.5", "99.9"))
    copy = tmp_path / "copy"
    for record in (some / "store").glob("*/record.json"):
        (copy / "store" / record.parent.name).mkdir(parents=True)
        (copy / "store" / record.parent.name / RECORD).write_bytes(record.read_bytes())
    kept(copy).parent.mkdir()
    kept(copy).write_bytes(kept(some).read_bytes())
    assert found(copy) == cold(copy)


def test_a_folder_that_cannot_be_written_is_read_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, build_record())
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert found(tmp_path) == cold(tmp_path)
    assert found(tmp_path) == cold(tmp_path)


def test_what_cannot_be_used_is_named_each_time(some: Path) -> None:
    ours = build_record("hbi", 0)
    half = run_folder(some, build_record("hbi", 1).run_id) / RECORD
    half.write_text(half.read_text()[:300])
    other = run_folder(some, build_record("hbi", 2).run_id) / RECORD
    other.write_text(other.read_text().replace('"version": 1', '"version": 7'))
    run_folder(some, "copied").mkdir()
    (run_folder(some, "copied") / RECORD).write_text(ours.model_dump_json())
    for _ in range(2):
        summaries, problems = read_summaries(some)
        assert sorted(summaries) == [ours.run_id, build_failure("no-hbi").run_id]
        assert len(problems) == 3
        assert any(f"{other}: version 7 is not one that this program reads" in line for line in problems)
        assert any(str(half) in line for line in problems)
        assert any("in another run's folder" in line for line in problems)


def test_a_number_that_is_none_spoils_nothing(some: Path) -> None:
    """In a stranger's record: it is left aside, or kept like any other."""
    path = write(some, build_record("hbi", 7, 41.5))
    path.write_text(path.read_text().replace("41.5,", "NaN,", 1))
    first, problems = read_summaries(some)
    assert [str(path)] == [line.partition(":")[0] for line in problems]
    assert build_record("hbi", 0).run_id in first


def touch(path: Path, seed: int, value: int) -> None:
    if path.exists():
        path.touch()


changes = st.lists(
    st.tuples(
        st.sampled_from(["complete", "failed", "removed", "damaged", "touched", "moved", "forgotten"]),
        st.integers(0, 3),
        st.integers(10, 60),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=30)
@given(changes)
def test_whatever_happens_it_is_as_read_anew(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int, int]]
) -> None:
    runs = tmp_path_factory.mktemp("runs")
    acts: dict[str, Callable[[Path, int, int], object]] = {
        "complete": lambda path, seed, value: write(runs, build_record("hbi", seed, float(value))),
        "failed": lambda path, seed, value: write(runs, build_failure("hbi", seed)),
        "removed": lambda path, seed, value: path.unlink(missing_ok=True),
        "damaged": lambda path, seed, value: path.exists() and path.write_text("{"),
        "touched": touch,
        "moved": lambda path, seed, value: path.exists() and path.replace(path.with_name("moved.json")),
        "forgotten": lambda path, seed, value: kept(runs).unlink(missing_ok=True),
    }
    for change, seed, value in changes:
        acts[change](run_folder(runs, build_record("hbi", seed).run_id) / RECORD, seed, value)
        assert found(runs) == cold(runs)


def test_several_processes_at_once(some: Path) -> None:
    """They read while records are written; each sees whole ones, and what is kept in the end is right."""
    code = "import sys; from pathlib import Path; from results.summary import read_summaries\n"
    code += "for _ in range(40): assert len(read_summaries(Path(sys.argv[1]))[0]) >= 4"
    readers = [subprocess.Popen([sys.executable, "-c", code, str(some)], cwd=ROOT) for _ in range(3)]
    written = 0
    while any(reader.poll() is None for reader in readers):
        write(some, build_record("hbi", written % 6, 20.0 + written % 50))
        written += 1
    assert [reader.wait() for reader in readers] == [0, 0, 0]
    assert written > 6
    assert found(some) == cold(some)
    assert not list((some / "cache").glob(".*"))
