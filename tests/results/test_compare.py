"""Two rows against each other: numbers known by hand, pairs that are refused, the queries that changed most."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hbi.errors import InputError
from results.changed import lay_out_changed, most_changed
from results.compare import Compared, Pair, Ran, compare_rows, compare_suites
from results.compare_layouts import layouts, plain
from results.queries import Queries
from results.significance import compare
from results.store import RANKS, run_folder
from results.terminal import terminal
from tests.results.suite_store import RETRIEVAL, leave, ran, run_of, texts

TWO = RETRIEVAL + "variants: [no-hbi, hbi]\n"
ONE_TO_TWENTY = np.arange(1, 21)


def shown(compared: Compared, width: int = 120) -> str:
    return "\n".join(terminal(layout, width=width) for layout in layouts(compared, width))


def by_metric(pair: Pair) -> dict[str, Any]:
    return {one.metric: one for one in pair.tested}


def one_line(text: str) -> str:
    return " ".join(text.split())


# ---- numbers --------------------------------------------------------------------------------------------------------


def test_one_seed_by_hand(tmp_path: Path) -> None:
    """Of twenty queries A gets one right, B seven more and none less: 2 · 2⁻⁷ by McNemar's test."""
    mine = ran(tmp_path, TWO)
    better = np.where(ONE_TO_TWENTY <= 8, 1, ONE_TO_TWENTY)
    leave(mine, "no-hbi", 0, {"t2v": ONE_TO_TWENTY, "v2t": ONE_TO_TWENTY})
    leave(mine, "hbi", 0, {"t2v": better, "v2t": ONE_TO_TWENTY})
    compared = compare_rows(mine, "no-hbi", "hbi")
    found = by_metric(compared.pairs[0])
    recall = found["t2v/R@1"].comparison
    assert recall
    assert (recall.difference, recall.p_value) == (pytest.approx(35), pytest.approx(2 / 2**7))
    assert (recall.over, recall.discordant) == ("queries", ((0, 7),))
    median = found["t2v/MdR"].comparison
    assert median
    assert median.difference == 0
    assert compared.tests == 4
    smallest = found["t2v/MnR"].comparison.p_value
    assert 3 * 2 / 2**7 < found["t2v/R@1"].p_holm == 4 * smallest  # of a larger p-value, no smaller
    assert not found["t2v/R@1"].significant

    text = shown(compared)
    assert "B: hbi" in text
    assert "no difference between A and B is significant" in one_line(text)
    assert "it holds for these trained models alone" in one_line(text)
    row = next(line for line in text.splitlines() if line.startswith("R@1"))
    assert row.split()[:4] == ["R@1", "↑", "5.0", "40.0"]
    assert "+35.0" in row
    assert " 0.016 " in row
    assert row.split()[-3:] == ["20", "0", "7"]


def test_a_difference_is_told_in_words_with_its_direction(tmp_path: Path) -> None:
    mine = ran(tmp_path, RETRIEVAL.replace("t2v/MdR, ", "") + "variants: [no-hbi, hbi]\n")
    worse = ONE_TO_TWENTY.repeat(10)
    leave(mine, "no-hbi", 0, {"t2v": np.ones(200), "v2t": np.ones(200)})
    leave(mine, "hbi", 0, {"t2v": worse, "v2t": np.ones(200)})
    text = one_line(shown(compare_rows(mine, "no-hbi", "hbi")))
    assert "R@1, text → video: hbi is worse than no-hbi by 95.0 points (95 % interval" in text
    assert "MnR, text → video: hbi is worse than no-hbi by 9.5 ranks" in text
    assert "hbi is better" not in text
    assert "is significant" not in text
    assert "−95.0⁻" in text
    assert "+9.5⁻" in text
    back = one_line(shown(compare_rows(mine, "hbi", "no-hbi")))
    assert "R@1, text → video: no-hbi is better than hbi by 95.0 points" in back
    assert "+95.0⁺" in back


def several(generator: np.random.Generator, seeds: int) -> list[dict[str, NDArray[np.int64]]]:
    return [{way: generator.integers(1, 30, 100) for way in ("t2v", "v2t")} for _ in range(seeds)]


def test_several_seeds_are_compared_as_the_statistics_say_and_only_those_that_both_have(tmp_path: Path) -> None:
    mine = ran(tmp_path, TWO + "seeds: 4\n")
    generator = np.random.default_rng(0)
    first, second = several(generator, 4), several(generator, 3)
    for seed, ranks in enumerate(first):
        leave(mine, "no-hbi", seed, ranks)
    for seed, ranks in enumerate(second):
        leave(mine, "hbi", seed + 1, ranks)
    compared = compare_rows(mine, "no-hbi", "hbi")
    assert compared.pairs[0].seeds == (1, 2, 3)
    for name, one in by_metric(compared.pairs[0]).items():
        way = name.partition("/")[0]
        assert one.comparison == compare(name, [r[way] for r in first[1:]], [r[way] for r in second])
        assert len(one.a.values) == 4
        assert len(one.b.values) == 3
    text = one_line(shown(compared))
    assert "paired over queries and 3 seeds; seeds 1, 2, 3" in text
    assert "A: not compared: seed 0, which the other lacks" in text
    assert "3 of 4 seeds" in text


def test_captions_of_one_video_count_together(tmp_path: Path) -> None:
    mine = ran(tmp_path, TWO)
    generator = np.random.default_rng(1)
    videos = np.repeat(np.arange(10), 10)
    for label in ("no-hbi", "hbi"):
        leave(
            mine, label, 0, {"t2v": generator.integers(1, 5, 100), "v2t": generator.integers(1, 5, 10), "video": videos}
        )
    found = by_metric(compare_rows(mine, "no-hbi", "hbi").pairs[0])["t2v/R@1"]
    alone = ran(tmp_path, TWO, runs="alone")
    for label in ("no-hbi", "hbi"):
        file = np.load(run_folder(mine.runs, run_of(mine, label).run_id) / RANKS)
        leave(alone, label, 0, {"t2v": file["t2v"], "v2t": file["t2v"]})
    other = by_metric(compare_rows(alone, "no-hbi", "hbi").pairs[0])["t2v/R@1"]
    assert found.comparison
    assert other.comparison
    assert found.comparison.interval != other.comparison.interval
    assert found.resolvable
    assert other.resolvable
    assert found.resolvable > other.resolvable


# ---- questions ------------------------------------------------------------------------------------------------------


def test_questions_by_kind_and_what_one_row_alone_answers(tmp_path: Path) -> None:
    text = "data: shapes-qa\nseeds: 3\nvariants: [no-hbi-qa, hbi-qa]\n"
    mine = ran(tmp_path, text)
    questions = ["what moves?", "who moves?", "what falls?", "what\x1b[2J turns?"] * 5
    digest = texts(mine, questions)
    kind = np.array([0, 1, 0, 0] * 5)
    beside = {"kind": kind, "in_vocabulary": np.ones(20, int), "video": np.arange(20)}
    never, always = np.zeros(20, int), np.ones(20, int)
    for seed in range(3):
        before, after = never.copy(), always.copy()
        before[1] = 1  # both
        before[2], after[2] = 1, 0  # only A
        after[3] = int(seed > 0)  # only B in most seeds
        after[4] = int(seed > 1)  # in one of three
        leave(mine, "no-hbi-qa", seed, {"correct": before, **beside}, queries=digest)
        leave(mine, "hbi-qa", seed, {"correct": after, **beside}, queries=digest)
    compared = compare_rows(mine, "no-hbi", "hbi")
    found = by_metric(compared.pairs[0])
    who, what = found["accuracy/who"].comparison, found["accuracy/what"].comparison
    assert who
    assert what
    assert (who.queries, what.queries) == (5, 15)
    assert who.difference == pytest.approx(80)
    assert "not compared" in shown(compared)
    assert not found["accuracy/how"].comparison

    (changed,) = compared.pairs[0].changed
    assert (changed.better, changed.worse) == (17, 1)
    assert [change.number for change in changed.losses] == [2]
    assert changed.losses[0].text == "what falls?"
    assert changed.losses[0].a == (1, 1, 1)
    assert all(change.number != 4 for change in changed.gains)
    seen = terminal(lay_out_changed(changed, 120))
    assert "3/3" in seen
    assert "0/3" in seen
    assert "better in B: 10 of 17" in seen
    assert "\x1b" not in shown(compared)


# ---- pairs that are refused -----------------------------------------------------------------------------------------


def same_ranks(mine: Ran, label: str, seed: int = 0, **changes: object) -> None:
    leave(mine, label, seed, {"t2v": ONE_TO_TWENTY, "v2t": ONE_TO_TWENTY}, **changes)


def refusal(compared: Compared) -> str:
    """The one reason for every metric; the means are shown all the same."""
    (reason,) = {one.refused for one in compared.pairs[0].tested}
    assert not any(one.comparison or one.p_holm for one in compared.pairs[0].tested)
    assert not compared.pairs[0].changed
    text = shown(compared)
    assert f"not compared: {reason}" in one_line(text)
    assert "5.0" in text
    assert "10.5" in text
    json.dumps(plain(compared))
    return reason


def test_queries_that_are_others(tmp_path: Path) -> None:
    mine = ran(tmp_path, TWO)
    same_ranks(mine, "no-hbi", queries="0" * 16)
    same_ranks(mine, "hbi", queries="1" * 16)
    assert refusal(compare_rows(mine, "no-hbi", "hbi")) == "other queries"


def test_another_number_of_queries(tmp_path: Path) -> None:
    mine = ran(tmp_path, TWO)
    same_ranks(mine, "no-hbi")
    leave(mine, "hbi", 0, {"t2v": ONE_TO_TWENTY[:10], "v2t": ONE_TO_TWENTY[:10]})
    assert refusal(compare_rows(mine, "no-hbi", "hbi")) == "other queries"


def test_several_ranks_a_query(tmp_path: Path) -> None:
    mine = ran(tmp_path, RETRIEVAL + "variants: [no-hbi, hbi: {evaluation: {ties: released}}]\n")
    same_ranks(mine, "no-hbi")
    same_ranks(mine, "hbi")
    assert refusal(compare_rows(mine, "no-hbi", "hbi")) == "a query has several ranks"


def test_no_seed_in_common_and_no_result(tmp_path: Path) -> None:
    mine = ran(tmp_path, TWO + "seeds: 2\n")
    same_ranks(mine, "no-hbi", 0)
    assert refusal(compare_rows(mine, "no-hbi", "hbi")) == "B has no result"
    assert refusal(compare_rows(mine, "hbi", "no-hbi")) == "A has no result"
    same_ranks(mine, "hbi", 1)
    assert refusal(compare_rows(mine, "no-hbi", "hbi")) == "no seed in common"


def test_no_ranks_or_damaged_ones(tmp_path: Path) -> None:
    mine = ran(tmp_path, TWO)
    same_ranks(mine, "no-hbi")
    record = leave(mine, "hbi", 0, None, metrics={"t2v/R@1": 5.0, "t2v/MnR": 10.5})
    assert refusal(compare_rows(mine, "no-hbi", "hbi")) == "no ranks are kept"
    same_ranks(mine, "hbi")
    (run_folder(mine.runs, record.run_id) / RANKS).write_bytes(b"PK\x03\x04 half a file")
    assert refusal(compare_rows(mine, "no-hbi", "hbi")) == f"the ranks of {record.run_id} cannot be read"


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    mine = ran(tmp_path, TWO + "seeds: 2\n")
    for label in ("no-hbi", "hbi"):
        for seed in (0, 1):
            same_ranks(mine, label, seed)
    broken = run_folder(mine.runs, run_of(mine, "hbi", 1).run_id) / "record.json"
    broken.write_text('{"version": 1, "run_id": "\x1b[31m')
    compared = compare_rows(mine, "no-hbi", "hbi")
    assert compared.pairs[0].seeds == (0,)
    text = shown(compared)
    assert "B: " in text
    assert broken.name in text
    assert "\x1b" not in text


def test_a_run_under_two_labels_is_not_compared_with_itself(tmp_path: Path) -> None:
    mine = ran(tmp_path, RETRIEVAL + "variants: [no-hbi, {name: no-hbi, label: again}]\n")
    same_ranks(mine, "no-hbi")
    assert refusal(compare_rows(mine, "no-hbi", "again")) == "A and B are the same runs"


# ---- what the user types --------------------------------------------------------------------------------------------


def test_rows_are_given_by_their_beginning(tmp_path: Path) -> None:
    mine = ran(tmp_path, RETRIEVAL + "variants: [no-hbi, hbi, hbi-shapley, hbi-sampled]\n")
    same_ranks(mine, "no-hbi")
    pair = compare_rows(mine, "no", "hbi-sh").pairs[0]
    assert (pair.a, pair.b) == ("no-hbi", "hbi-shapley")
    assert compare_rows(mine, "no", "hbi").pairs[0].b == "hbi"
    for a, b, message in (
        ("no", "hbi-s", "beginning of several rows: 'hbi-shapley', 'hbi-sampled'"),
        ("no", "hbl", "no row is called 'hbl'; did you mean 'hbi'"),
        ("no", "", "no row is called ''"),
        ("no", "no-hbi", "are the same row, 'no-hbi'"),
    ):
        with pytest.raises(InputError, match=message):
            compare_rows(mine, a, b)


def test_two_suites_by_their_common_labels(tmp_path: Path) -> None:
    mine = ran(tmp_path, TWO)
    other = ran(tmp_path, RETRIEVAL + "training: {epochs: 3}\nvariants: [hbi, no-hbi, hbi-shapley]\n", "longer")
    for suite in (mine, other):
        for label in ("no-hbi", "hbi"):
            same_ranks(suite, label)
    leave(other, "hbi", 0, {"t2v": np.ones(20), "v2t": np.ones(20)})
    compared = compare_suites(mine, other)
    assert [(pair.a, pair.b) for pair in compared.pairs] == [
        ("no-hbi (mine)", "no-hbi (longer)"),
        ("hbi (mine)", "hbi (longer)"),
    ]
    assert compared.remarks == ("only in longer: hbi-shapley",)
    assert compared.tests == 8
    recalls = [by_metric(pair)["t2v/R@1"] for pair in compared.pairs]
    assert [one.comparison.p_value for one in recalls] == [1, pytest.approx(2 / 2**19)]
    assert recalls[1].p_holm == pytest.approx(7 * 2 / 2**19)  # of eight, only that of MnR is smaller
    overview = terminal(layouts(compared)[0])
    assert "only in longer: hbi-shapley" in overview
    assert "+95.0⁺" in overview
    assert "corrected for 8 tests" in overview


def test_one_suite_in_two_folders_of_runs(tmp_path: Path) -> None:
    """As before and after a change of the code, which leaves the ids."""
    before, after = (ran(tmp_path, TWO, runs=runs) for runs in ("before", "after"))
    for suite in (before, after):
        same_ranks(suite, "no-hbi")
    pair = compare_suites(before, after).pairs[0]
    assert pair.a.startswith("no-hbi (mine in ")
    assert "before" in pair.a
    assert "after" in pair.b
    assert pair.tested[0].comparison
    assert pair.tested[0].comparison.p_value == 1
    assert {one.refused for one in compare_suites(before, before).pairs[0].tested} == {"A and B are the same runs"}


def test_suites_without_a_common_label(tmp_path: Path) -> None:
    first = ran(tmp_path, RETRIEVAL + "variants: [no-hbi]\n", "first")
    second = ran(tmp_path, RETRIEVAL + "variants: [hbi]\n", "second")
    with pytest.raises(InputError, match="no label is in both suites; first: no-hbi; second: hbi"):
        compare_suites(first, second)


def test_suites_without_a_common_metric(tmp_path: Path) -> None:
    first = ran(tmp_path, "data: shapes\nvariants: [{name: hbi, label: ours}]\n", "first")
    second = ran(tmp_path, "data: shapes-qa\nvariants: [{name: hbi-qa, label: ours}]\n", "second")
    with pytest.raises(InputError, match="first and second have no metric in common"):
        compare_suites(first, second)


# ---- the queries that changed most ----------------------------------------------------------------------------------


def rows(*seeds: Sequence[float]) -> NDArray[np.float64]:
    return np.array(seeds, float)


def test_the_nearer_to_the_top_the_more_a_change_counts() -> None:
    a = rows([1, 200, 40, 3, 7, 300, 2])
    b = rows([5, 260, 200, 3, 1, 2, 1])
    found = most_changed("t2v", a, b, None, 10)
    assert [change.number for change in found.losses] == [0, 2, 1]  # of two fivefold, the one at the top
    assert [change.number for change in found.gains] == [5, 4, 6]
    assert (found.better, found.worse) == (3, 3)
    assert [change.number for change in most_changed("t2v", a, b, None, 1).gains] == [5]


def test_a_rank_over_seeds_is_a_geometric_mean() -> None:
    found = most_changed("t2v", rows([2, 5], [8, 5]), rows([1, 5], [1, 5]), None, 10)
    assert [change.number for change in found.gains] == [0]
    assert found.gains[0].a == (2, 8)
    line = next(line for line in terminal(lay_out_changed(found, 80)).splitlines() if line.startswith("–"))
    assert line.split()[1:4] == ["4", "1", "0"]


ranks = st.integers(1, 5).flatmap(
    lambda seeds: st.lists(st.lists(st.integers(1, 1000), min_size=14, max_size=14), min_size=seeds, max_size=seeds)
)


@settings(deadline=None)
@given(ranks)
def test_what_one_gains_the_other_loses(found: list[list[int]]) -> None:
    a, b = rows(*found)[:, :7], rows(*found)[:, 7:]
    there, back = most_changed("t2v", a, b, None, 7), most_changed("t2v", b, a, None, 7)
    assert (there.better, there.worse) == (back.worse, back.better)
    assert [change.number for change in there.gains] == [change.number for change in back.losses]
    assert (len(there.gains), len(there.losses)) == (there.better, there.worse)
    if len(found) == 1:
        assert (there.better, there.worse) == ((b < a).sum(), (b > a).sum())


def test_texts_of_strangers_are_cut_and_cannot_write_on_the_screen() -> None:
    captions = ("evil \x1b[2J\x07\n\u202egnp", "long " * 100, "short")
    queries = Queries(captions=captions, videos=("a\x1b]0;b\x07", "v" * 200, "ok"), video_of=(0, 1, 2))
    a, b = rows([1, 9, 3]), rows([50, 1, 4])
    for way in ("t2v", "v2t"):
        for width in (60, 80, 120):
            text = terminal(lay_out_changed(most_changed(way, a, b, queries, 10), width), width=width)
            assert all(letter.isprintable() or letter == "\n" for letter in text)
            assert max(map(len, text.splitlines())) <= width
            assert "short" in text
            assert "long long" in text
            assert "…" in text


def test_a_video_is_told_by_its_first_caption() -> None:
    queries = Queries(captions=("b one", "a one", "b two"), videos=("va", "vb"), video_of=(1, 0, 1))
    found = most_changed("v2t", rows([1, 2]), rows([3, 1]), queries, 10)
    assert [(change.text, change.video) for change in (*found.gains, *found.losses)] == [
        ("b one", "vb"),
        ("a one", "va"),
    ]


def test_without_texts_there_are_numbers_and_the_reason(tmp_path: Path) -> None:
    mine = ran(tmp_path, TWO)
    leave(mine, "no-hbi", 0, {"t2v": ONE_TO_TWENTY, "v2t": ONE_TO_TWENTY}, queries="0" * 16)
    leave(mine, "hbi", 0, {"t2v": ONE_TO_TWENTY[::-1], "v2t": ONE_TO_TWENTY}, queries="0" * 16)
    compared = compare_rows(mine, "no-hbi", "hbi")
    text = one_line(shown(compared))
    assert "texts are not known" in text
    assert "no such file" in text
    (changed,) = compared.pairs[0].changed  # of v2t nothing has changed
    assert changed.gains[0].number == 19
    assert changed.gains[0].text is None


def test_as_data_with_texts_and_every_seed(tmp_path: Path) -> None:
    mine = ran(tmp_path, TWO)
    digest = texts(mine, [f"caption {number}" for number in range(20)])
    same_ranks(mine, "no-hbi", queries=digest)
    leave(mine, "hbi", 0, {"t2v": ONE_TO_TWENTY[::-1], "v2t": ONE_TO_TWENTY}, queries=digest)
    found = json.loads(json.dumps(plain(compare_rows(mine, "no-hbi", "hbi", 2))))
    (pair,) = found["pairs"]
    assert found["corrected_for"] == 4
    assert pair["seeds"] == [0]
    assert pair["metrics"]["t2v/R@1"]["a"]["values"] == [5.0]
    assert pair["metrics"]["t2v/MnR"]["comparison"]["difference"] == 0
    gains = pair["changed"][0]["gains"]
    assert [(one["number"], one["text"], one["a"], one["b"]) for one in gains] == [
        (19, "caption 19", [20.0], [1.0]),
        (18, "caption 18", [19.0], [2.0]),
    ]
