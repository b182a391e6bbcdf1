"""The benchmarks are there and their tables are right; none of them is run here."""

import ast
import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import ratios

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "tests" / "benchmarks").glob("bench_*.py"))
TINY = """
import pytest

@pytest.mark.parametrize("size", [10, 1000])
def test_sum(benchmark, size):
    benchmark.group = "sums"
    benchmark.extra_info["reference"] = size == 10
    benchmark.extra_info["peak_bytes"] = 1_000_000 * size
    benchmark(sum, range(size))

def test_sorting_alone(benchmark):
    benchmark.pedantic(sorted, ([2, 1],), rounds=1)
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict:
    """What pytest-benchmark itself writes."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "test_tiny.py").write_text(TINY)
    options = ["--benchmark-json", "tiny.json", "--benchmark-max-time", "0.01", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "test_tiny.py", *options]
    # in a worker of pytest-xdist, whose variables it inherits, pytest-benchmark measures nothing
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    subprocess.run(command, cwd=folder, env=alone, check=True, capture_output=True)
    return json.loads((folder / "tiny.json").read_text())


@pytest.fixture
def session(written) -> dict:
    """The same with numbers of ours: 2 ms, 0.5 s and 1 µs, on a machine of ours."""
    session = copy.deepcopy(written)
    session["machine_info"] |= {"node": "here", "cpu": {"brand_raw": "AMD EPYC", "count": 2}, "load": 0.25}
    session["datetime"] = "2026-01-02T03:04:05.678901+00:00"
    for benchmark, median in zip(session["benchmarks"], (0.002, 0.5, 1e-6), strict=True):
        benchmark["stats"] |= {"median": median, "iqr": median / 4, "rounds": 1 if median == 1e-6 else 7}
    return session


def saved(session: object, path: Path) -> Path:
    path.write_text(json.dumps(session))
    return path


def called(monkeypatch, *arguments: Path | str) -> None:
    monkeypatch.setattr(sys, "argv", ["ratios", *map(str, arguments)])
    ratios.main()


# ---- the tables -----------------------------------------------------------------------------------------------------


def test_what_pytest_benchmark_writes_becomes_a_table(written, tmp_path):
    file = saved(written, tmp_path / "tiny.json")
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.ratios", file], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert "### sums" in done.stdout
    assert "| sum: 10 " in done.stdout
    assert "| sorting alone |" in done.stdout
    assert written["machine_info"]["node"] not in done.stdout


def test_a_table(session, tmp_path, monkeypatch, capsys):
    called(monkeypatch, saved(session, tmp_path / "now.json"))
    assert capsys.readouterr().out == (
        """\
2026-01-02 03:04 UTC, AMD EPYC, 2 cores, load 0.2 before it began

### sums

|           |   median |    IQR |   rounds |   ratio |    peak |
|:----------|---------:|-------:|---------:|--------:|--------:|
| sum: 10   |  2.00 ms | 500 µs |        7 |    1.00 | 10.0 MB |
| sum: 1000 |   500 ms | 125 ms |        7 |     250 | 1000 MB |

### no group

|               |   median |   rounds |
|:--------------|---------:|---------:|
| sorting alone |  1.00 µs |        1 |
"""
    )


def test_a_table_beside_an_earlier_one(session, tmp_path, monkeypatch, capsys):
    before = copy.deepcopy(session)
    before["benchmarks"][0]["stats"]["median"] = 0.0025
    before["benchmarks"][1]["extra_info"]["peak_bytes"] = 2_000_000_000
    before["benchmarks"][2]["fullname"] = "test_tiny.py::test_removed"
    called(monkeypatch, saved(session, tmp_path / "now.json"), saved(before, tmp_path / "before.json"))
    out = capsys.readouterr().out
    assert "only before: test_tiny.py::test_removed\n" in out
    assert "new: test_tiny.py::test_sorting_alone\n" in out
    assert "Different machines" not in out
    assert out.endswith(
        """\
### sums

|           |   median |   before |   change |    IQR |   rounds |   ratio |   ratio before |                  peak |
|:----------|---------:|---------:|---------:|-------:|---------:|--------:|---------------:|----------------------:|
| sum: 10   |  2.00 ms |  2.50 ms |    -20 % | 500 µs |        7 |    1.00 |           1.00 |               10.0 MB |
| sum: 1000 |   500 ms |   500 ms |     +0 % | 125 ms |        7 |     250 |            200 | 1000 MB (was 2000 MB) |

### no group

|               |   median |   rounds |
|:--------------|---------:|---------:|
| sorting alone |  1.00 µs |        1 |
"""
    )


@pytest.mark.parametrize(
    "other", [{"node": "there"}, {"cpu": {"brand_raw": "Xeon", "count": 2}}, {"cpu": {"brand_raw": "AMD EPYC"}}]
)
def test_times_of_different_machines_are_not_compared(session, other, tmp_path, monkeypatch, capsys):
    before = copy.deepcopy(session)
    before["machine_info"] |= other
    before["benchmarks"][1]["stats"]["median"] = 1.0
    called(monkeypatch, saved(session, tmp_path / "now.json"), saved(before, tmp_path / "before.json"))
    out = capsys.readouterr().out
    assert "**Different machines: times cannot be compared" in out
    assert "1.00 s" not in out
    (row,) = [line for line in out.splitlines() if "sum: 1000" in line]
    assert [cell.strip() for cell in row.split("|")[2:8]] == ["500 ms", "-50 %", "125 ms", "7", "250", "500"]


def test_a_folder_stands_for_its_newest_file_and_for_the_one_before(session, tmp_path, monkeypatch, capsys):
    for year in ("2024", "2025", "2026"):
        session["datetime"] = f"{year}-01-02T03:04:05"
        saved(session, tmp_path / f"{year}0102-030405.json")
    called(monkeypatch, tmp_path, tmp_path)
    out = capsys.readouterr().out
    assert out.startswith("2026-")
    assert "before: 2025-" in out


# ---- what cannot be read --------------------------------------------------------------------------------------------


def refused(monkeypatch, capsys, *arguments: Path) -> str:
    with pytest.raises(SystemExit) as ended:
        called(monkeypatch, *arguments)
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert not out
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"benchmarks": []}', "\0", "{'a': 1}"])
def test_a_damaged_file_is_told_in_a_line(content, session, tmp_path, monkeypatch, capsys):
    good, bad = saved(session, tmp_path / "good.json"), tmp_path / "bad.json"
    bad.write_text(content)
    for arguments in ((bad,), (good, bad)):
        assert f"{bad}: not what pytest-benchmark writes" in refused(monkeypatch, capsys, *arguments)


@pytest.mark.parametrize("median", [0, -1, None, "fast", float("inf"), float("nan")])
def test_a_median_that_is_no_time_is_told_in_a_line(median, session, tmp_path, monkeypatch, capsys):
    session["benchmarks"][0]["stats"]["median"] = median
    told = refused(monkeypatch, capsys, saved(session, tmp_path / "bad.json"))
    assert "benchmarks.0.stats.median" in told


def test_two_references_are_told_in_a_line(session, tmp_path, monkeypatch, capsys):
    session["benchmarks"][1]["extra_info"]["reference"] = True
    told = refused(monkeypatch, capsys, saved(session, tmp_path / "bad.json"))
    assert "group 'sums' has 2 references: sum: 10, sum: 1000" in told


def test_a_missing_file_is_told_in_a_line(session, tmp_path, monkeypatch, capsys):
    assert "No such file" in refused(monkeypatch, capsys, tmp_path / "none.json")
    assert "no benchmarks are saved here" in refused(monkeypatch, capsys, tmp_path)
    saved(session, tmp_path / "only.json")
    assert "no earlier benchmarks are saved here" in refused(monkeypatch, capsys, tmp_path, tmp_path)


# ---- the benchmarks -------------------------------------------------------------------------------------------------


def test_every_file_has_benchmarks_that_can_be_collected():
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", *map(str, FILES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    for file in FILES:
        assert f"{file.relative_to(ROOT)}::" in done.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_benchmark_has_a_group_and_no_two_are_the_reference_of_one(file):
    """By the source; the tool refuses what cannot be seen in it."""
    of_references = []
    for test in ast.parse(file.read_text()).body:
        if isinstance(test, ast.FunctionDef) and test.name.startswith("test_"):
            source = ast.unparse(test)
            group = re.search(r"benchmark\.group = (.*)", source)
            assert group, test.name
            if re.search(r"extra_info\b.*\breference\b", source):
                of_references.append(group[1])
    assert len(set(of_references)) == len(of_references)


def test_make_compares_the_newest_with_the_one_before_or_with_another():
    for given, expected in (([], "runs/benchmarks"), (["BASE=old.json"], "old.json")):
        done = subprocess.run(["make", "-n", "benchmark-compare", *given], cwd=ROOT, capture_output=True, text=True)
        assert f"-m tests.benchmarks.ratios runs/benchmarks {expected}\n" in done.stdout
