"""Tables of records with ranks: what is marked as different, what is not, and what cannot be compared."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from hbi.metrics.registry import KINDS, QA_COLUMNS
from results import comparisons
from results.collect import Cell, Table, collect
from results.comparisons import MOST_ROWS, NotPaired, by_query, compare_runs, ranks_of, with_statistics
from results.layout import BETTER, WORSE, lay_out
from results.record import Record
from results.significance import compare, holm
from results.store import RANKS, read_ranks, run_folder
from results.summary import read_summaries, summary_of
from results.tables import FORMATS, render
from tests.results.conftest import build_record
from tests.results.ranked import Arrays, answers, compared, leave, metrics_of, retrieval

COLUMNS = ("t2v/R@1", "t2v/MnR", "v2t/R@1", "v2t/MdR")
QUERIES = "0123456789abcdef"


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def hard(queries: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.9, 1.2, queries)


def several(runs: Path, generator: np.random.Generator, **better: float) -> list[Record]:
    """A row a name, by how much it is better; six seeds of 200 queries."""
    return [
        leave(runs, name, seed, retrieval(generator, hard(200), shift), queries=QUERIES)
        for name, shift in better.items()
        for seed in range(6)
    ]


def symbols(table: Table, label: str) -> dict[str, str]:
    line = next(line for line in lay_out(table).lines if line.label == label)
    return {column: entry.symbol for column, entry in zip(table.columns, line.entries[1:], strict=True)}


def marks(table: Table, label: str) -> tuple[str, ...]:
    return next(row.marks for row in table.rows if row.label == label)


def p_values(table: Table, column: str) -> dict[str, float | None]:
    place = table.columns.index(column)
    against = {row.label: row.cells[place].comparison for row in table.rows}
    return {label: one.p_value if one else None for label, one in against.items()}


def rewrite(path: Path, arrays: dict[str, Any]) -> None:
    """The file of ranks alone, not its record."""
    np.savez(path, **arrays)


# ---- what is marked


def test_a_planted_difference_is_marked_with_its_sign(tmp_path: Path, generator: np.random.Generator) -> None:
    records = several(tmp_path, generator, base=0.0, same=0.0, better=1.0, worse=-1.0)
    table = compared(tmp_path, records, COLUMNS)
    assert symbols(table, "better") == {"t2v/R@1": BETTER, "t2v/MnR": BETTER, "v2t/R@1": BETTER, "v2t/MdR": ""}
    assert symbols(table, "worse") == {"t2v/R@1": WORSE, "t2v/MnR": WORSE, "v2t/R@1": WORSE, "v2t/MdR": ""}
    assert set(symbols(table, "same").values()) == set(symbols(table, "base").values()) == {""}
    ranks = {label: table.rows[n].cells[1] for n, label in enumerate(("base", "same", "better", "worse"))}
    assert ranks["better"].comparison.difference < 0 < ranks["worse"].comparison.difference  # type: ignore[union-attr]
    for format in ("terminal", "markdown", "html"):
        assert BETTER in render(table, format)
        assert "better, worse than base" in render(table, format)


def test_values_and_intervals_are_those_of_the_ranks(tmp_path: Path, generator: np.random.Generator) -> None:
    records = several(tmp_path, generator, base=0.0, better=0.3)
    table = compared(tmp_path, records, COLUMNS)
    stored = {r.run_id: read_ranks(run_folder(tmp_path, r.run_id), r) for r in records}
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            assert cell.values == tuple(metrics_of(stored[run_id])[column] for run_id in row.run_ids)
            assert (cell.interval is None) == column.endswith("MdR")
            if cell.interval:
                assert cell.interval[0] < (cell.mean or 0) < cell.interval[1]
    first, second = ([stored[run_id]["t2v"] for run_id in row.run_ids] for row in table.rows)
    assert table.rows[1].cells[0].comparison == compare("t2v/R@1", first, second)


def test_rows_are_corrected_column_by_column(tmp_path: Path, generator: np.random.Generator) -> None:
    records = several(tmp_path, generator, base=0.0, a=0.1, b=0.25, c=0.3, d=0.5)
    table = compared(tmp_path, records, COLUMNS)
    for place, column in enumerate(table.columns):
        raw = list(p_values(table, column).values())
        assert [row.cells[place].p_holm for row in table.rows] == holm(raw)
    assert any(row.cells[0].p_holm != row.cells[0].comparison.p_value for row in table.rows if row.cells[0].comparison)


NULL_SUITES, NULL_COLUMNS = 200, ("t2v/R@1", "t2v/MnR", "v2t/R@10")


@pytest.mark.parametrize("seeds", [1, 3])
def test_suites_of_equals_are_marked_as_seldom_as_stated(tmp_path: Path, seeds: int) -> None:
    """Four rows of one method, its queries and trainings drawn anew for each suite: tables with any mark, by column."""
    generator, found = np.random.default_rng(seeds), np.zeros(len(NULL_COLUMNS), dtype=int)
    labels = [f"row {n}" for n in range(4)]
    trained = [(label, build_record(label, seed, ranks=RANKS)) for label in labels for seed in range(seeds)]
    for folder in (run_folder(tmp_path, record.run_id) for _, record in trained):
        folder.mkdir(parents=True)
    for suite in range(NULL_SUITES):
        difficulty = generator.normal(0.9, 1.2, 60)
        summaries, wanted = {}, []
        for label, record in trained:
            arrays = retrieval(generator, difficulty)
            rewrite(run_folder(tmp_path, record.run_id) / RANKS, arrays)
            measured = record.model_copy(update={"metrics": metrics_of(arrays)})
            summaries[record.run_id] = summary_of(measured, (suite, 0, 0))
            wanted.append((label, record.run_id))
        table = collect("/", wanted, summaries, NULL_COLUMNS)  # no name of a file, so nothing is kept
        table = with_statistics(table, summaries, tmp_path, labels[0])
        assert all(row.cells[0].comparison for row in table.rows[1:])
        told = [symbols(table, label) for label in labels]
        found += [any(row[column] for row in told) for column in NULL_COLUMNS]
    assert found.max() <= binom.ppf(0.999, NULL_SUITES, table.level), dict(zip(NULL_COLUMNS, found, strict=True))


# ---- which runs are paired


def test_runs_are_paired_by_seed(tmp_path: Path, generator: np.random.Generator) -> None:
    """Only those that both rows have, whatever their order."""
    base = [leave(tmp_path, "base", seed, retrieval(generator, hard(80))) for seed in (0, 1, 2)]
    other = [leave(tmp_path, "other", seed, retrieval(generator, hard(80), 0.4)) for seed in (1, 2, 3)]
    stored = {r.run_id: read_ranks(run_folder(tmp_path, r.run_id), r)["t2v"] for r in base + other}
    common = [[stored[record.run_id] for record in rows] for rows in (base[1:], other[:2])]
    expected = compare("t2v/R@1", common[0], common[1])
    for order in (base + other, base[::-1] + other, base + other[::-1]):
        table = compared(tmp_path, order, COLUMNS)
        found = table.rows[1].cells[0].comparison
        assert found is not None
        assert found.seeds == 2
        assert found.p_value == pytest.approx(expected.p_value, abs=1e-12)
        assert found.difference == pytest.approx(expected.difference)
    assert "the seeds that both have" in render(table, "terminal")


def test_captions_of_one_video_count_together(tmp_path: Path, generator: np.random.Generator) -> None:
    """As in MSVD: 20 captions of a video are right together, so 1000 captions say little more than 50."""
    video, videos = np.repeat(np.arange(50), 20).astype(np.int32), 50

    def ranked() -> Arrays:
        shared = np.repeat(generator.normal(0.5, 1.0, videos), 20)
        ways = {"t2v": np.clip(np.floor(np.exp(shared)), 1, 50), "v2t": generator.integers(1, 50, videos) * 1.0}
        return {**ways, "video": video}

    records = [leave(tmp_path / "msvd", name, 0, ranked()) for name in ("base", "other")]
    grouped = compared(tmp_path / "msvd", records, COLUMNS)
    alone = []
    for record in records:  # the same ranks, as if each caption had a video of its own
        arrays = read_ranks(run_folder(tmp_path / "msvd", record.run_id), record)
        alone.append({**arrays, "v2t": arrays["t2v"], "video": np.arange(1000, dtype=np.int32)})
    others = [leave(tmp_path / "alone", name, 0, arrays) for name, arrays in zip(("base", "other"), alone, strict=True)]
    apart = compared(tmp_path / "alone", others, COLUMNS)
    assert grouped.rows[1].cells[0].values == apart.rows[1].cells[0].values
    assert p_values(grouped, "t2v/R@1")["other"] > p_values(apart, "t2v/R@1")["other"]  # type: ignore[operator]

    def width(table: Table) -> float:
        lower, upper = table.rows[1].cells[0].interval or (0.0, 0.0)
        return upper - lower

    assert width(grouped) > 2 * width(apart)
    assert p_values(grouped, "v2t/R@1")["other"] is not None  # a video's captions are one query


def test_answers_are_compared_by_the_questions_that_count(tmp_path: Path, generator: np.random.Generator) -> None:
    difficulty = np.random.default_rng(1).normal(0, 1, 400)
    records = [
        leave(tmp_path, name, seed, answers(generator, difficulty, better))
        for name, better in (("base", 0.0), ("better", 1.5))
        for seed in (0, 1, 2)
    ]
    table = compared(tmp_path, records, QA_COLUMNS)
    by_label = {record.run_id: record for record in records}
    for row in table.rows:
        for column, one in zip(table.columns, row.cells, strict=True):
            assert one.values == tuple(
                by_label[run_id].metrics[column] for run_id in row.run_ids if column in by_label[run_id].metrics
            )
            if one.values:
                arrays = [read_ranks(run_folder(tmp_path, run_id), by_label[run_id]) for run_id in row.run_ids]
                assert [100 * by_query(column, each).mean() for each in arrays] == pytest.approx(one.values)
    told = symbols(table, "better")
    assert told["accuracy"] == told["accuracy/in_vocabulary"] == told["accuracy/what"] == BETTER
    assert told[f"accuracy/{KINDS[-1]}"] == ""
    assert marks(table, "better") == ()  # that no question begins with "where" is no reason not to compare


# ---- what cannot be compared


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def test_a_row_that_cannot_be_compared_says_why(tmp_path: Path, generator: np.random.Generator) -> None:
    """And all others are compared."""

    def row(name: str, seed: int = 0, arrays: Arrays | None = None, **changes: object) -> Record:
        return leave(tmp_path, name, seed, arrays or retrieval(generator, hard(60), 0.3), **changes)

    records = [row("base", queries=QUERIES), row("fine", queries=QUERIES), row("older")]
    released = build_record("released").spec
    released = released.model_copy(update={"evaluation": released.evaluation.model_copy(update={"ties": "released"})})
    records += [
        row("ties", spec=released.model_copy(update={"variant": "ties"})),
        row("other queries", queries="f" * 16),
        row("shorter", arrays=retrieval(generator, hard(59))),
        row("without", queries=QUERIES),
        row("damaged", queries=QUERIES),
        row("other seed", 7, queries=QUERIES),
        row("rewritten", queries=QUERIES),
        row("impossible", arrays={**retrieval(generator, hard(60)), "t2v": np.zeros(60)}),
        row("short groups", arrays={**retrieval(generator, hard(60)), "video": np.arange(3)}),
    ]
    of = {record.spec.variant: record for record in records}

    def ranks(name: str) -> Path:
        return run_folder(tmp_path, of[name].run_id) / RANKS

    of["nothing"] = row("nothing", queries=QUERIES)
    path = run_folder(tmp_path, of["nothing"].run_id) / "record.json"
    path.write_text(of["nothing"].model_copy(update={"ranks": None}).model_dump_json())
    ranks("without").unlink()
    damage(ranks("damaged"))
    rewrite(ranks("rewritten"), retrieval(generator, hard(60), 2.0))  # killed before the record could follow
    table = compared(tmp_path, [*records, of["nothing"]], COLUMNS)
    ids = {name: record.run_id for name, record in of.items()}
    assert {label: marks(table, label)[-1:] for label in of} == {
        "base": (),
        "fine": (),
        "older": (),
        "ties": ("not compared with base: a query has several ranks",),
        "other queries": ("not compared with base: other queries",),
        "shorter": ("not compared with base: other queries",),
        "without": (f"not compared with base: the ranks of {ids['without']} cannot be read",),
        "damaged": (f"not compared with base: the ranks of {ids['damaged']} cannot be read",),
        "other seed": ("not compared with base: no seed in common",),
        "rewritten": (f"not compared with base: the ranks of {ids['rewritten']} do not give its metrics",),
        "impossible": (f"not compared with base: the ranks of {ids['impossible']} do not give its metrics",),
        "short groups": (f"not compared with base: the ranks of {ids['short groups']} do not give its metrics",),
        "nothing": ("not compared with base: no ranks are kept",),
    }
    p = p_values(table, "t2v/R@1")
    assert {label for label, value in p.items() if value is not None} == {"fine", "older"}
    assert [row.cells[0].p_holm for row in table.rows] == holm(list(p.values()))
    for format in FORMATS:
        text = render(table, format)
        assert all(label in text for label in of)
        assert "no seed in common" in text


def test_several_captions_a_video_without_their_videos(tmp_path: Path, generator: np.random.Generator) -> None:
    """A record of before they were kept: video to text is safe, and of text to video it is said why not."""
    old = {"t2v": np.ones(40), "v2t": np.ones(10)}
    records = [leave(tmp_path, name, 0, old) for name in ("base", "other")]
    table = compared(tmp_path, records, COLUMNS)
    assert marks(table, "other") == (
        "not compared with base by t2v/R@1, t2v/MnR: the record does not say which captions are of one video",
    )
    assert p_values(table, "v2t/R@1")["other"] == 1.0


def test_one_caption_a_video_needs_no_videos(tmp_path: Path, generator: np.random.Generator) -> None:
    old = {name: values for name, values in retrieval(generator, hard(60)).items() if name != "video"}
    base = [leave(tmp_path, "base", seed, retrieval(generator, hard(60)), queries=QUERIES) for seed in (0, 1)]
    mixed = [leave(tmp_path, "mixed", 0, old)]
    mixed.append(leave(tmp_path, "mixed", 1, retrieval(generator, hard(60)), queries=QUERIES))
    table = compared(tmp_path, base + mixed, COLUMNS)
    assert marks(table, "mixed") == ()
    assert table.rows[1].cells[0].comparison is not None
    assert table.rows[1].cells[0].comparison.seeds == 2


def test_a_column_that_no_record_tells_by_query_is_left_alone(tmp_path: Path, generator: np.random.Generator) -> None:
    records = []
    for record in several(tmp_path, generator, base=0.0, better=0.9):
        arrays = read_ranks(run_folder(tmp_path, record.run_id), record)
        metrics = {**record.metrics, "theirs/MnR": 3.0}
        records.append(leave(tmp_path, record.spec.variant, record.spec.seed, arrays, metrics=metrics))
    table = compared(tmp_path, records, ("t2v/R@1", "theirs/MnR"))
    assert marks(table, "better") == ()
    assert symbols(table, "better") == {"t2v/R@1": BETTER, "theirs/MnR": ""}


def test_a_baseline_that_is_not_there_is_told(tmp_path: Path, generator: np.random.Generator) -> None:
    records = several(tmp_path, generator, a=0.0, b=0.9)
    table = compared(tmp_path, records, COLUMNS, baseline="no-hbi")
    assert all(cell.comparison is None and cell.p_holm is None for row in table.rows for cell in row.cells)
    for format in ("terminal", "markdown", "latex", "html"):
        assert "nothing is compared: no-hbi is not among these rows" in render(table, format)
    wanted = [("no-hbi", "not yet"), *((record.spec.variant, record.run_id) for record in records)]
    summaries, _ = read_summaries(tmp_path)
    table = with_statistics(collect("t", wanted, summaries, COLUMNS), summaries, tmp_path, "no-hbi")
    assert "nothing is compared: no-hbi has no result" in render(table, "terminal")
    assert table.rows[1].cells[0].interval


@pytest.mark.parametrize("wanted", [[("a", "not yet"), ("b", "neither")], [("a", "not yet")]])
def test_before_anything_has_run_nothing_is_said_of_comparisons(tmp_path: Path, wanted: list[tuple[str, str]]) -> None:
    table = with_statistics(collect("t", wanted, {}, COLUMNS), {}, tmp_path, "a")
    assert "compared" not in render(table, "terminal")
    assert table.rows[0].cells[0] == Cell((), 1)


def test_a_long_table_says_that_it_compares_nothing(tmp_path: Path, generator: np.random.Generator) -> None:
    record = leave(tmp_path, "hbi", 0, retrieval(generator, hard(20)))
    summaries, _ = read_summaries(tmp_path)
    wanted = [(f"row {n}", record.run_id) for n in range(MOST_ROWS + 1)]
    table = with_statistics(collect("t", wanted, summaries, COLUMNS), summaries, tmp_path, "row 0")
    assert "nothing is compared: there are more than 500 rows" in render(table, "terminal")
    shorter = with_statistics(collect("t", wanted[1:], summaries, COLUMNS), summaries, tmp_path, "row 1")
    assert not shorter.uncompared
    assert shorter.rows[1].cells[0].interval


def test_no_difference_at_all_says_so(tmp_path: Path, generator: np.random.Generator) -> None:
    table = compared(tmp_path, several(tmp_path, generator, base=0.0, same=0.0), COLUMNS)
    assert "no difference to base is significant" in render(table, "terminal")


def test_two_runs_by_hand(tmp_path: Path, generator: np.random.Generator) -> None:
    """As `compare` does it."""
    records = several(tmp_path, generator, base=0.0, better=0.9)[::6]
    sides = [(summary, ranks_of(summary, tmp_path)) for summary in map(summary_of, records)]
    assert compare_runs("t2v/R@1", [(sides[0], sides[1])]).difference > 0
    with pytest.raises(NotPaired, match="not known query by query"):
        compare_runs("novel", [(sides[0], sides[1])])
    with pytest.raises(NotPaired, match="does not hold correct"):
        compare_runs("accuracy", [(sides[0], sides[1])])


# ---- what is kept


def unread(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, reading any ranks fails."""

    def refused(*_: object) -> None:
        raise AssertionError("ranks are read")

    return lambda: monkeypatch.setattr(comparisons, "read_ranks", refused)


def test_statistics_are_found_once(
    tmp_path: Path, generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = several(tmp_path, generator, base=0.0, better=0.9)
    first = compared(tmp_path, records, COLUMNS)
    unread(monkeypatch)()
    assert compared(tmp_path, records, COLUMNS) == first
    with pytest.raises(AssertionError, match="ranks are read"):
        compared(tmp_path, records, COLUMNS[:2])  # others than those that are kept


def test_other_ranks_give_other_statistics(tmp_path: Path, generator: np.random.Generator) -> None:
    """A file of ranks that has changed is read, although its record has not."""
    records = several(tmp_path, generator, base=0.0, better=0.9)
    assert symbols(compared(tmp_path, records, COLUMNS), "better")["t2v/R@1"] == BETTER
    path = run_folder(tmp_path, records[-1].run_id) / RANKS
    arrays = read_ranks(path.parent, records[-1])
    rewrite(path, {**arrays, "t2v": np.roll(arrays["t2v"], 7)})
    again = compared(tmp_path, records, COLUMNS)
    other = again.rows[1].cells[0]
    assert other.values == compared(tmp_path, records, COLUMNS).rows[1].cells[0].values
    base, better = (
        [read_ranks(run_folder(tmp_path, record.run_id), record)["t2v"] for record in rows]
        for rows in (records[:6], records[6:])
    )
    assert other.comparison == compare("t2v/R@1", base, better)
    leave(tmp_path, "better", 5, {**arrays, "t2v": np.full(200, 200.0)})
    assert symbols(compared(tmp_path, records, COLUMNS), "better")["t2v/R@1"] == ""


DAMAGED = [b"", b"{", b"[]", b'{"a": 1}', b'{"a": {"intervals": [], "comparisons": []}}', b"\xff\x00"]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_of_statistics_is_made_anew(
    tmp_path: Path, generator: np.random.Generator, content: bytes
) -> None:
    records = several(tmp_path, generator, base=0.0, better=0.9)
    first = compared(tmp_path, records, COLUMNS)
    (file,) = (tmp_path / "cache").rglob("t.json")
    whole = file.read_bytes()
    file.write_bytes(content)
    assert compared(tmp_path, records, COLUMNS) == first
    assert file.read_bytes() == whole
    file.unlink()
    file.mkdir()  # cannot be written either
    assert compared(tmp_path, records, COLUMNS) == first


@pytest.mark.parametrize("name", ["summaries", "t"])
def test_suites_do_not_spoil_what_is_kept(
    tmp_path: Path, generator: np.random.Generator, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = several(tmp_path, generator, base=0.0, better=0.9)
    wanted = [(record.spec.variant, record.run_id) for record in records]

    def table() -> Table:
        summaries, _ = read_summaries(tmp_path)
        return with_statistics(collect(name, wanted, summaries, COLUMNS), summaries, tmp_path, "base")

    first = table()
    unread(monkeypatch)()
    monkeypatch.setattr("results.summary.read_own_record", lambda folder: pytest.fail(f"{folder} is read"))
    assert table() == first
    assert table() == first


def test_a_row_of_a_nasty_name_is_compared(tmp_path: Path, generator: np.random.Generator) -> None:
    records = several(tmp_path, generator, base=0.0, better=0.9)
    nasty = "../x \\input{y} <b>| 1e-3"
    wanted = [("base" if r.spec.variant == "base" else nasty, r.run_id) for r in records]
    summaries, _ = read_summaries(tmp_path)
    table = with_statistics(collect("../../t", wanted, summaries, COLUMNS), summaries, tmp_path, nasty)
    assert symbols(table, "base")["t2v/R@1"] == WORSE
    assert not list(tmp_path.parent.glob("t.json"))
