"""Where a cell comes from: each of its runs, and every part of the text that is printed in it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hbi.errors import InputError
from results import why
from results.collect import Table
from results.compare import Ran
from results.record import Failure
from results.store import run_folder
from results.suite_tables import suite_table
from results.summary import read_summaries
from results.terminal import terminal
from tests.results.conftest import build_record
from tests.results.suite_store import RETRIEVAL, leave, ran, run_of

THREE = RETRIEVAL + "seeds: 3\nvariants: [no-hbi, hbi]\n"
_RANKS = np.arange(1, 21)


def table_of(mine: Ran) -> Table:
    found = suite_table(mine.suite, list(mine.wanted), read_summaries(mine.runs)[0], mine.runs)
    assert found
    return found


def shown(mine: Ran, row: str, metric: str, width: int = 120) -> str:
    return terminal(why.explain(table_of(mine), row, metric, mine.wanted, mine.runs), width=width)


def told(mine: Ran, row: str, metric: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(why.plain(table_of(mine), row, metric, mine.wanted, mine.runs)))
    return found


def one_line(text: str) -> str:
    return " ".join(text.split())


def same_ranks(mine: Ran, label: str, seed: int, right: int = 1, **changes: Any) -> None:
    ranks = np.where(right >= _RANKS, 1, _RANKS)
    leave(mine, label, seed, {"t2v": ranks, "v2t": _RANKS}, **changes)


def origin(**changes: Any) -> Any:
    return build_record().provenance.model_copy(update=changes)


@pytest.fixture
def mixed(tmp_path: Path) -> Ran:
    """Of hbi, one seed on a GPU by changed code, one on CPU, one failed; of its baseline two of three."""
    mine = ran(tmp_path, THREE)
    same_ranks(mine, "no-hbi", 0, 1)
    same_ranks(mine, "no-hbi", 2, 2)
    same_ranks(mine, "no-hbi", 1, 3)
    on_gpu = origin(gpu="a GPU", host="node-7", dirty_diff="+ 1", decoder="av 14.0", threads=4)
    same_ranks(mine, "hbi", 0, 8, provenance=on_gpu, selection_split="test", selected_epoch=7)
    same_ranks(mine, "hbi", 1, 9)
    failed = Failure(kind="nan", message="the loss is nan in epoch 2")
    leave(mine, "hbi", 2, outcome="failed", failure=failed, metrics={})
    return mine


# ---- runs -----------------------------------------------------------------------------------------------------------


def test_every_run_of_the_row_with_its_value_state_code_and_machine(mixed: Ran) -> None:
    lines = shown(mixed, "hbi", "t2v/R@1", width=400).splitlines()
    heading = next(n for n, line in enumerate(lines) if line.startswith("seed "))
    first, second, third = (line.split() for line in lines[heading + 2 : heading + 5])
    assert first[:3] == ["0", "40.0", "complete"]
    assert one_line(" ".join(first)).startswith(
        "0 40.0 complete 7, best on test 012345678 + changes av 14.0 fp32 node-7 a GPU"
    )
    assert second[:5] == ["1", "45.0", "complete", "last", "012345678"]
    assert third[:3] == ["2", "–", "failed"]
    for run, line in zip([run_of(mixed, "hbi", seed) for seed in range(3)], (first, second, third), strict=True):
        assert line[-1] == run.run_id
    assert "seed 2: nan: the loss is nan in epoch 2" in lines


def test_a_run_without_a_record_a_damaged_one_and_one_without_the_metric(tmp_path: Path) -> None:
    mine = ran(tmp_path, RETRIEVAL + "seeds: 4\nvariants: [no-hbi]\n")
    same_ranks(mine, "no-hbi", 0)
    leave(mine, "no-hbi", 1, metrics={"v2t/R@1": 5.0})
    folder = run_folder(mine.runs, run_of(mine, "no-hbi", 2).run_id)
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{")
    assert [run["state"] for run in told(mine, "no-hbi", "R@1")["runs"]] == [
        "complete", "complete", "record damaged", "no record",
    ]  # fmt: skip
    text = one_line(shown(mine, "no-hbi", "R@1"))
    assert "seed 1: the record has no t2v/R@1" in text
    assert "seed 2:" in text
    assert "value of 1 of 4 seeds" in text


def test_only_records_of_the_row_and_of_its_baseline_are_read(mixed: Ran) -> None:
    table = table_of(mixed)
    text = terminal(why.explain(table, "no-hbi", "R@1", mixed.wanted, mixed.runs))
    for seed in range(3):
        (run_folder(mixed.runs, run_of(mixed, "hbi", seed).run_id) / "record.json").write_text("{")
    assert terminal(why.explain(table, "no-hbi", "R@1", mixed.wanted, mixed.runs)) == text


def test_exact_values_and_paths_as_data(mixed: Ran) -> None:
    found = told(mixed, "hbi", "t2v/R@1")
    assert found["mean"] == 42.5
    assert (found["suite"], found["row"], found["metric"], found["origin"]) == ("mine", "hbi", "t2v/R@1", "measured")
    first, second, third = found["runs"]
    assert (first["value"], second["value"], third["value"]) == (40.0, 45.0, None)
    assert first["commit"] == build_record().provenance.commit
    assert (first["changes"], second["changes"], first["threads"]) == (True, False, 4)
    assert third["why"] == "nan: the loss is nan in epoch 2"
    for run in found["runs"]:
        assert json.loads(Path(run["record"]).read_text())["run_id"] == run["run"]
    assert found["protocol"]["ties"] == "expected"
    assert found["protocol"]["selection"] == "last"


# ---- the text of the cell -------------------------------------------------------------------------------------------


def test_parts_of_the_printed_text(mixed: Ran) -> None:
    text = one_line(shown(mixed, "hbi", "t2v/R@1"))
    cell = next(line for line in terminal(why.lay_out(table_of(mixed))).splitlines() if line.startswith("hbi"))
    printed = told(mixed, "hbi", "t2v/R@1")["printed"]
    assert printed in cell
    assert f"printed: {printed}" in text
    assert "mean of 2 of 3 seeds" in text
    assert "±3.5 standard deviation over the seeds" in text
    assert "with 95 % confidence over queries and seeds" in text
    for mark in table_of(mixed).rows[1].marks:
        assert f"of the row: {mark}" in text
    assert "ties expected" in text
    assert "post_processing none" in text


def test_the_comparison_with_the_baseline_seed_by_seed(mixed: Ran) -> None:
    """Seed 2 is the baseline's alone."""
    text = one_line(shown(mixed, "hbi", "t2v/R@1"))
    assert "against no-hbi: +32.5 points" in text
    assert "over queries and 2 seeds" in text
    assert "corrected for the only test in this column (Holm)" in text
    assert "seed 0: 0 queries only no-hbi gets right, 7 only hbi" in text
    assert "seed 1: 0 queries only no-hbi gets right, 6 only hbi" in text
    assert told(mixed, "hbi", "t2v/R@1")["discordant"] == [
        {"only_baseline": 0, "only_this": 7},
        {"only_baseline": 0, "only_this": 6},
    ]


def test_better_is_said_so(tmp_path: Path) -> None:
    mine = ran(tmp_path, RETRIEVAL + "variants: [no-hbi, hbi]\n")
    same_ranks(mine, "no-hbi", 0)
    same_ranks(mine, "hbi", 0, 15)
    assert "⁺ better than no-hbi: p < 0.001" in one_line(shown(mine, "hbi", "R@1"))
    assert "the best of its column" in one_line(shown(mine, "hbi", "R@1"))
    assert "these trained models alone" in one_line(shown(mine, "hbi", "R@1"))


def test_the_baseline_itself_and_a_metric_that_tables_do_not_test(mixed: Ran) -> None:
    assert "the other rows are compared with this one" in shown(mixed, "no-hbi", "R@1")
    assert "`compare SUITE no-hbi hbi` has one" in shown(mixed, "hbi", "MdR")


def test_a_row_without_any_result(tmp_path: Path) -> None:
    mine = ran(tmp_path, THREE)
    text = shown(mine, "hbi", "R@1")
    assert "printed: –" in text
    assert text.count("no record") == 3


# ---- which cell -----------------------------------------------------------------------------------------------------


def test_rows_by_their_beginning_and_metrics_by_their_heading(tmp_path: Path) -> None:
    mine = ran(tmp_path, RETRIEVAL + "variants: [no-hbi, hbi, hbi-shapley]\n")
    for given, found in (("hbi", "hbi"), ("hbi-", "hbi-shapley"), ("no", "no-hbi")):
        assert told(mine, given, "t2v/R@1")["row"] == found
    for given, found in (("R@1", "t2v/R@1"), ("v2t/R@1", "v2t/R@1"), ("MdR", "t2v/MdR")):
        assert told(mine, "hbi", given)["metric"] == found


@pytest.mark.parametrize(
    ("row", "metric", "message"),
    [
        ("hbj", "R@1", "no row is called 'hbj'; did you mean 'hbi'"),
        ("hbi", "t2v/R@2", "no column is called 't2v/R@2'; did you mean 't2v/R@1'"),
        ("hbi", "R@50", "no column is called 'R@50'"),
        ("h", "R@1", "'h' is the beginning of several rows: 'hbi', 'hbi-shapley'"),
    ],
)
def test_what_there_is_not(tmp_path: Path, row: str, metric: str, message: str) -> None:
    mine = ran(tmp_path, RETRIEVAL + "variants: [hbi, hbi-shapley]\n")
    with pytest.raises(InputError, match=message) as caught:
        shown(mine, row, metric)
    assert "\n" not in str(caught.value)


def test_headings_of_questions(tmp_path: Path) -> None:
    mine = ran(tmp_path, "data: shapes-qa\nvariants: [hbi-qa]\n")
    for given, found in (("all", "accuracy"), ("in vocabulary", "accuracy/in_vocabulary"), ("what", "accuracy/what")):
        assert told(mine, "hbi-qa", given)["metric"] == found


# ---- published rows -------------------------------------------------------------------------------------------------


def test_a_published_row_with_its_sources_and_status(tmp_path: Path) -> None:
    mine = ran(tmp_path, "data: msrvtt\nvariants: [hbi]\npublished: [HBI, CLIP-straight, CLIP-straight]\n".replace(
        "CLIP-straight, CLIP-straight", "'CLIP-straight, zero-shot'"
    ))  # fmt: skip
    found = told(mine, "HBI", "R@1")
    assert (found["origin"], found["value"], found["status"]) == ("published", 48.6, "confirmed")
    assert found["sources"]["PWC-HBI"].startswith("Papers with Code on arXiv")
    text = one_line(shown(mine, "HBI", "R@1"))
    assert "48.6" in text
    assert "PWC-HBI: Papers with Code on arXiv" in text
    second_hand = one_line(shown(mine, "CLIP-straight", "MnR"))
    assert "published, second-hand" in second_hand
    assert "read in another's table" in second_hand
    assert "–" in second_hand


def test_a_published_table_that_could_not_be_obtained(tmp_path: Path) -> None:
    mine = ran(tmp_path, "data: msrvtt\nvariants: [hbi]\npublished: [HBI]\n", "components")
    slot = table_of(mine).published[-1]
    text = one_line(shown(mine, slot.label, "R@1"))
    assert "published, not obtained" in text
    assert slot.marks[0] in text
    assert told(mine, slot.label, "R@1")["value"] is None


# ---- strangers ------------------------------------------------------------------------------------------------------


def test_nothing_of_a_record_can_write_on_the_screen(tmp_path: Path) -> None:
    mine = ran(tmp_path, RETRIEVAL + "seeds: 2\nvariants: [hbi]\n")
    evil = "\x1b[2J\x07\n\u202e" + "x" * 300
    same_ranks(mine, "hbi", 0, provenance=origin(host=evil, gpu=evil, decoder=evil, commit=evil), finished=evil)
    leave(mine, "hbi", 1, outcome="failed", failure=Failure(kind=evil, message=evil), metrics={})
    text = shown(mine, "hbi", "R@1", 80)
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert "x" * 61 not in text.replace("\n", " ").split("seed 1:")[0]
