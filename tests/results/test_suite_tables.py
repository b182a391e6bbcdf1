"""The tables of a suite: published rows beside measured ones, empty slots, the check of files, bad records."""

from pathlib import Path

import numpy as np
import pytest

from hbi.errors import InputError
from results.layout import MISSING, lay_out
from results.store import RECORD, run_folder
from results.suite_tables import SuiteTables, check, printed_rows, suite_tables
from results.tables import comma_separated, render, write_files
from suites.expand import Run, expand
from suites.load import load_suite
from suites.schema import Suite
from tests.command_line import call
from tests.results.ranked import answers, leave_run, retrieval

OURS = Path(__file__).parents[2] / "suites"
SUITE = """
data: {name: msrvtt}
seeds: 2
variants: [no-hbi, hbi]
"""


def suite(folder: Path, text: str = SUITE, *overrides: str) -> tuple[Suite, list[Run]]:
    (folder / "small.yaml").write_text(text)
    loaded = load_suite(folder / "small.yaml", overrides)
    return loaded, expand(loaded)


def tables(folder: Path, text: str = SUITE, *overrides: str) -> SuiteTables:
    return suite_tables(suite(folder, text, *overrides)[0], folder / "runs")


def fill(folder: Path, text: str = SUITE, *overrides: str) -> list[Run]:
    """Every run of the suite has a record."""
    generator = np.random.default_rng(0)
    hard = generator.normal(0.9, 1.2, 60)
    runs = [run for run in suite(folder, text, *overrides)[1] if run.in_tables]
    for run in runs:
        ranked = answers if run.spec.data.task == "qa" else retrieval
        leave_run(folder / "runs", run, ranked(generator, hard, 0.2), queries="0123456789abcdef")
    return runs


# ---- published rows


def test_published_rows_stand_apart_and_never_win(tmp_path: Path) -> None:
    text = SUITE + "published: [HBI, 'CLIP4Clip, seqTransf', MILES]\n"
    fill(tmp_path, text)
    table = tables(tmp_path, text).table
    assert table
    layout = lay_out(table)
    assert [(title, len(lines)) for title, lines in layout.sections] == [("measured here", 2), ("as published", 3)]
    hbi, clip4clip, miles = layout.lines[2:]
    assert [entry.text for entry in hbi.entries[1:6]] == ["48.6", "74.6", "83.4", "2.0", "12.0"]
    assert miles.entries[5].text == ""  # a paper that prints no MnR
    assert all(entry.place == 0 for line in layout.lines[2:] for entry in line.entries)
    assert {entry.place for line in layout.lines[:2] for entry in line.entries[1:]} == {1, 2}
    assert clip4clip.symbols
    assert "read in another's table" in render(table, "terminal")
    published = [line for line in comma_separated(table).splitlines() if ",published," in line]
    assert len(published) == 10 + 10 + 4


def test_a_published_row_of_no_data_set_is_one_line_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        tables(tmp_path, SUITE + "published: [HBI, DiCoSa]\n")
    assert str(caught.value) == "suite small: published: no row is called 'DiCoSa'; did you mean 'DiCoSA'?"
    with pytest.raises(InputError, match="no row is called 'DiCoSa'"):
        tables(tmp_path, SUITE + "published: [HBI, DiCoSa]\n", "data=shapes")


def test_a_row_of_another_data_set_is_left_out(tmp_path: Path) -> None:
    text = SUITE + "published: [HBI, EMCL-QA]\n"
    for data, labels in (("msrvtt", ["HBI"]), ("shapes", [])):
        table = tables(tmp_path, text, f"data={data}").table
        assert table
        assert [row.label for row in table.published] == labels
    questions = text.replace("msrvtt", "msrvtt-qa").replace("no-hbi, hbi", "no-hbi-qa, hbi-qa")
    table = tables(tmp_path, questions).table
    assert table
    assert [row.label for row in table.published] == ["HBI", "EMCL-QA"]
    assert all(row.values[0] is None or row.values[1] is None for row in table.published)


def test_two_data_sets_in_one_table_have_no_published_rows(tmp_path: Path) -> None:
    text = "data: msrvtt\nvariants: [no-hbi, hbi: {data: msvd}]\npublished: [HBI]\n"
    table = tables(tmp_path, text).table
    assert table
    assert table.published == ()


@pytest.mark.parametrize("name", ["components", "levels", "merge_rates", "interaction", "loss_weights", "samples"])
def test_a_table_of_the_paper_that_could_not_be_obtained_has_an_empty_slot(name: str) -> None:
    """On the paper's data; on generated ones it would say nothing."""
    loaded = load_suite(OURS / f"{name}.yaml")
    slots = printed_rows(loaded, {"msrvtt"}, ("t2v/R@1", "t2v/MnR"))
    assert len(slots) == 2
    for slot in slots:
        assert slot.values == (None, None)
        assert "looked for" in slot.marks[0]
        assert "CVPR 2023" in slot.label or "TPAMI" in slot.label
    assert printed_rows(loaded, {"shapes"}, ("t2v/R@1",)) == ()


def test_an_empty_slot_is_shown_as_such(tmp_path: Path) -> None:
    loaded = load_suite(OURS / "components.yaml")
    table = suite_tables(loaded, tmp_path).table
    assert table
    line = lay_out(table).lines[-1]
    assert [entry.text for entry in line.entries] == ["", *[MISSING] * len(table.columns)]
    assert f"{line.symbols} HBI's own table: looked for, not found" in render(table, "terminal")


# ---- what is compared


def test_the_first_row_is_the_baseline_unless_the_suite_names_one(tmp_path: Path) -> None:
    fill(tmp_path)
    for text, baseline in ((SUITE, "no-hbi"), (SUITE + "baseline: hbi\n", "hbi")):
        table = tables(tmp_path, text).table
        assert table
        assert table.baseline == baseline
        assert [row.label for row in table.rows if row.cells[0].comparison] != [baseline]
    with pytest.raises(InputError, match="baseline: no row is called 'hbj'; did you mean 'hbi'"):
        tables(tmp_path, SUITE + "baseline: hbj\n")


def test_a_baseline_that_is_filtered_away_is_told(tmp_path: Path) -> None:
    fill(tmp_path)
    for text in (SUITE, SUITE + "baseline: no-hbi\n"):
        table = suite_tables(suite(tmp_path, text)[0], tmp_path / "runs", only="hbi").table
        assert table
        assert "nothing is compared: no-hbi is not among these rows" in render(table, "terminal")


@pytest.mark.parametrize(
    ("changes", "only", "told"),
    [
        ((), None, "shapes"),
        (("training.epochs=2",), None, "shapes, --set training.epochs=2"),
        (("data=shapes",), "hbi", "shapes, --set data=shapes, --only hbi"),
    ],
)
def test_files_say_what_they_are_of(tmp_path: Path, changes: tuple[str, ...], only: str | None, told: str) -> None:
    """A suite that is tried on other data, or in part, leaves files of the same names."""
    text = SUITE.replace("msrvtt", "shapes")
    fill(tmp_path, text, *changes)
    found = suite_tables(suite(tmp_path, text, *changes)[0], tmp_path / "runs", only)
    for name, text in found.files.items():
        assert told in text.replace('"', ""), name


def test_a_row_of_the_same_runs_is_not_compared(tmp_path: Path) -> None:
    text = SUITE.replace("hbi]", "hbi, {name: no-hbi, label: again}]")
    fill(tmp_path, text)
    table = tables(tmp_path, text).table
    assert table
    assert "not compared with no-hbi: the same runs" in table.rows[2].marks
    assert all(cell.comparison is None for cell in table.rows[2].cells)
    assert table.rows[1].cells[0].p_holm == table.rows[1].cells[0].comparison.p_value  # type: ignore[union-attr]


# ---- files, and whether they still follow from the records


def test_what_was_written_is_checked(tmp_path: Path) -> None:
    runs = fill(tmp_path)
    folder = tmp_path / "paper"
    with pytest.raises(InputError, match="no table of suite small is there to be checked"):
        check(tables(tmp_path), folder)
    written = write_files(tables(tmp_path).files, folder)
    assert check(tables(tmp_path), folder) == []
    for path in written[1:]:
        path.unlink()  # a paper needs one format
    assert check(tables(tmp_path), folder) == []

    before = written[0].read_text()
    leave_run(tmp_path / "runs", runs[-1], retrieval(np.random.default_rng(9), np.zeros(60)))
    told = check(tables(tmp_path), folder)
    assert told[0] == f"{written[0]} does not follow from the records:"
    assert any(line.startswith("-| hbi") for line in told)
    assert any(line.startswith("+| hbi") for line in told)
    assert written[0].read_text() == before

    written[0].write_text(tables(tmp_path).files[written[0].name].replace("standard deviation", "standard error"))
    told = check(tables(tmp_path), folder)
    assert [line[:1] for line in told[1:] if "standard" in line] == ["-", "+"]
    written[0].write_bytes(b"\xff\xfe")
    assert "cannot be read" in check(tables(tmp_path), folder)[0]


def test_a_long_difference_is_cut(tmp_path: Path) -> None:
    fill(tmp_path)
    (path,) = (path for path in write_files(tables(tmp_path).files, tmp_path) if path.suffix == ".csv")
    path.write_text("no longer\n" * 100)
    told = check(tables(tmp_path), tmp_path)
    assert len(told) == 22
    assert told[-1].startswith("… and ")


def test_the_check_through_the_command_line(tmp_path: Path) -> None:
    runs = fill(tmp_path)
    done = call("tables", "small.yaml", "--to", "paper", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"wrote {Path('paper', 'small.tex')}" in done.stdout
    done = call("tables", "small.yaml", "--to", "paper", "--check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "the tables of small in paper follow from the records\n")
    run_folder(tmp_path / "runs", runs[-1].run_id).joinpath(RECORD).unlink()
    done = call("tables", "small.yaml", "--to", "paper", "--check", cwd=tmp_path)
    assert done.returncode == 1
    assert "paper/small.md does not follow from the records:\n" in done.stdout
    done = call("tables", "small.yaml", "--to", "nowhere", "--check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nowhere: no table of suite small is there to be checked\n"


# ---- what there is not, or cannot be used


def test_a_suite_without_any_record_says_so(tmp_path: Path) -> None:
    suite(tmp_path)
    done = call("tables", "small.yaml", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "nothing is written: no run of this suite has a record in runs yet; `run` makes them\n"
    assert not (tmp_path / "runs" / "tables").exists()
    assert done.stdout.count("0/2") == 2
    assert not (tmp_path / "runs" / "store").exists()
    fill(tmp_path)
    assert call("tables", "small.yaml", cwd=tmp_path).stderr == ""


def test_records_that_cannot_be_used_are_named_and_left_aside(tmp_path: Path) -> None:
    runs = fill(tmp_path)
    paths = [run_folder(tmp_path / "runs", run.run_id) / RECORD for run in runs]
    paths[0].write_text(paths[0].read_text()[:700])
    paths[1].write_text(paths[1].read_text().replace('"version": 1', '"version": 2'))
    for _ in range(2):  # also when all others are known already
        done = call("tables", "small.yaml", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        lines = done.stderr.splitlines()
        assert len(lines) == 2
        assert all(line.startswith("left aside: ") for line in lines)
        assert any("version 2 is not one that this program reads" in line for line in lines)
        assert "0/2" in done.stdout
        assert "nothing is compared: no-hbi has no result" in done.stdout


def test_a_damaged_record_of_cost_leaves_the_table_of_results(tmp_path: Path) -> None:
    text = SUITE + "cost: {}\n"
    fill(tmp_path, text)
    (measuring,) = (run for run in suite(tmp_path, text)[1] if run.alone)
    folder = run_folder(tmp_path / "runs", measuring.run_id)
    folder.mkdir()
    (folder / RECORD).write_text("{")
    found = tables(tmp_path, text)
    assert found.cost is None
    assert found.uncosted == "no cost has been measured yet; `run` with --only cost measures it"
    assert len(found.problems) == 1
    assert found.table
    assert found.table.rows[0].cells[0].values


def test_a_record_of_impossible_numbers_is_printed(tmp_path: Path) -> None:
    """A stranger's: whatever it is, no traceback."""
    runs = fill(tmp_path)
    path = run_folder(tmp_path / "runs", runs[0].run_id) / RECORD
    record = path.read_text()
    path.write_text(record.replace('"t2v/R@1": ', '"t2v/R@1": 1e300, "x": '))
    done = call("tables", "small.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
