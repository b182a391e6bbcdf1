import re
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.collect import Cell, collect
from results.metrics import metric
from results.record import Record
from results.summary import summary_of
from results.tables import FORMATS, render
from tests.results.conftest import summaries_of

MakeRecord = Callable[..., Record]

numbers = st.floats(min_value=0, max_value=100, allow_nan=False)


@given(st.lists(numbers, min_size=2, max_size=8))
def test_mean_and_deviation_are_numpys(values: list[float]) -> None:
    cell = Cell(tuple(values), len(values))
    assert cell.mean == pytest.approx(np.mean(values), rel=1e-12, abs=1e-12)
    assert cell.standard_deviation == pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-9)
    reordered = Cell(tuple(reversed(values)), len(values))
    assert (reordered.mean, reordered.standard_deviation) == (cell.mean, cell.standard_deviation)


def test_too_few_values() -> None:
    assert (Cell((), 1).mean, Cell((), 1).standard_deviation, Cell((), 1).complete) == (None, None, False)
    assert (Cell((4.0,), 1).mean, Cell((4.0,), 1).standard_deviation, Cell((4.0,), 1).complete) == (4.0, None, True)


states = st.lists(
    st.tuples(st.sampled_from(["hbi", "no-hbi", "event-only"]), st.sampled_from(["complete", "failed", "absent"])),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=40)
@given(states, st.randoms())
def test_every_wanted_run_is_counted_or_marked(
    make_record: MakeRecord, make_failure: MakeRecord, states: list[tuple[str, str]], random: Random
) -> None:
    wanted, records = [], {}
    for seed, (variant, state) in enumerate(states):
        record = make_failure(variant, seed) if state == "failed" else make_record(variant, seed, 40.0 + seed)
        wanted.append((variant, record.run_id))
        if state != "absent":
            records[record.run_id] = summary_of(record)
    table = collect("any", wanted, records)
    shuffled = list(records.items())
    random.shuffle(shuffled)
    assert collect("any", wanted, dict(shuffled)) == table

    assert [row.label for row in table.rows] == list(dict.fromkeys(variant for variant, _ in states))
    for row in table.rows:
        mine = [state for variant, state in states if variant == row.label]
        complete, failed = mine.count("complete"), mine.count("failed")
        assert all((len(cell.values), cell.expected) == (complete, len(mine)) for cell in row.cells)
        assert any("failed (nan)" in mark for mark in row.marks) == (failed > 0)
        for format in FORMATS:
            text = render(table, format)
            text = re.sub(r"<[^>]*>", "", text) if format == "html" else text
            assert row.label in text
            if format != "csv" and complete < len(mine):
                assert f"{complete}/{len(mine)}" in text
                assert f"{complete} of {len(mine)} seeds" in text if complete else "no result" in text


def test_marks(make_record: MakeRecord, make_failure: MakeRecord) -> None:
    records = [
        make_record("hbi", 0, selection_split="test"),
        make_failure("hbi", 1),
        make_failure("hbi", 2, "evil\x1b[31m\nkind"),
        make_record("no-hbi", 0, selection_split="validation"),
        make_record("event-only", 0, outcome="failed"),
    ]
    table = collect("t", [(r.spec.variant, r.run_id) for r in records], summaries_of(records))
    assert table.rows[0].marks == (
        "1 of 3 runs failed (evil [31m kind)",
        "1 of 3 runs failed (nan)",
        "epoch chosen on the test split",
    )
    assert table.rows[1].marks == ()
    assert table.rows[2].marks == ("the run failed (unknown)",)
    assert table.rows[2].cells[0].values == ()


def test_rows_from_different_devices_say_so(make_record: MakeRecord) -> None:
    """The id of a run on device "auto" does not tell."""
    on_cpu, again, other = make_record(), make_record(seed=1), make_record("no-hbi")
    provenance = other.provenance.model_copy(update={"gpu": "a GPU"})
    on_gpu = other.model_copy(update={"provenance": provenance})
    mixed = again.model_copy(update={"provenance": provenance})
    wanted = [(record.spec.variant, record.run_id) for record in (on_cpu, again, other)]

    def marks(*records: Record) -> list[tuple[str, ...]]:
        return [row.marks for row in collect("t", wanted, summaries_of(records)).rows]

    assert marks(on_cpu, again, other) == [(), ()]
    assert marks(on_cpu, again, on_gpu) == [("on CPU",), ("on a GPU",)]
    assert marks(on_cpu, mixed, on_gpu) == [("on CPU, a GPU",), ("on a GPU",)]


def with_spec(record: Record, section: str, **options: object) -> Record:
    changed = getattr(record.spec, section).model_copy(update=options)
    return record.model_copy(update={"spec": record.spec.model_copy(update={section: changed})})


def test_rows_that_were_computed_otherwise_say_so(make_record: MakeRecord) -> None:
    """Each of them where the table's runs differ in it, and nowhere else."""
    plain, other = make_record("hbi"), make_record("no-hbi")
    reader = other.provenance.model_copy(update={"decoder": "pyav 14.0\x1b[31m"})
    dirty = other.provenance.model_copy(update={"dirty_diff": "+x"})
    cases = {
        ("trained by 1 process", "trained by 2 processes"): with_spec(other, "runtime", processes=2),
        ("precision fp32", "precision bf16"): with_spec(other, "training", precision="bf16"),
        ("frames decoded by decord 0.6.0", "frames decoded by pyav 14.0 [31m"): other.model_copy(
            update={"provenance": reader}
        ),
        (None, "computed by code with changes that its commit lacks"): other.model_copy(update={"provenance": dirty}),
        (None, "batch encoded in 4 parts for want of memory"): other.model_copy(update={"accumulation": 4}),
        (None, "a query counts once for each candidate tied with its match"): with_spec(
            other, "evaluation", ties="released"
        ),
    }
    for (ours, theirs), changed in cases.items():
        records = [plain, changed]
        table = collect("t", [(r.spec.variant, r.run_id) for r in records], summaries_of(records))
        assert [row.marks for row in table.rows] == [(ours,) if ours else (), (theirs,)]
    alike = [with_spec(record, "training", precision="bf16") for record in (plain, other)]
    table = collect("t", [(r.spec.variant, r.run_id) for r in alike], summaries_of(alike))
    assert [row.marks for row in table.rows] == [(), ()]


def test_a_part_of_the_runs_is_counted(make_record: MakeRecord) -> None:
    records = [make_record("hbi", seed) for seed in range(3)]
    dirty = records[1].provenance.model_copy(update={"dirty_diff": "+x"})
    records[1] = records[1].model_copy(update={"provenance": dirty})
    table = collect("t", [("hbi", record.run_id) for record in records], summaries_of(records))
    assert table.rows[0].marks == ("1 of 3 runs computed by code with changes that its commit lacks",)


def test_a_failed_run_makes_no_other_row_look_different(make_record: MakeRecord, make_failure: MakeRecord) -> None:
    failed = with_spec(make_failure("no-hbi"), "training", precision="bf16")
    records = [make_record("hbi"), failed]
    table = collect("t", [(r.spec.variant, r.run_id) for r in records], summaries_of(records))
    assert [row.marks for row in table.rows] == [(), ("the run failed (nan)",)]


def test_a_run_wanted_twice_counts_once(make_record: MakeRecord) -> None:
    record = make_record()
    wanted = [("hbi", record.run_id), ("hbi", record.run_id), ("same run, other row", record.run_id)]
    table = collect("t", wanted, summaries_of([record]))
    assert [row.cells[0] for row in table.rows] == [Cell((41.5,), 1)] * 2


def test_a_record_without_a_metric_leaves_that_cell_incomplete(make_record: MakeRecord) -> None:
    record = make_record()
    table = collect("t", [("hbi", record.run_id)], summaries_of([record]), ("t2v/R@1", "accuracy"))
    assert table.rows[0].cells == (Cell((41.5,), 1), Cell((), 1))


@pytest.mark.parametrize(
    ("name", "group", "heading", "higher_is_better"),
    [
        ("t2v/R@1", "t2v", "R@1", True),
        ("v2t/MnR", "v2t", "MnR", False),
        ("accuracy", "accuracy", "all", True),
        ("accuracy/in_vocabulary", "accuracy", "in vocabulary", True),
        ("accuracy/what", "accuracy", "what", True),
        ("novel", "", "novel", None),
    ],
)
def test_metrics(name: str, group: str, heading: str, higher_is_better: bool | None) -> None:
    found = metric(name)
    assert (found.group, found.heading, found.higher_is_better) == (group, heading, higher_is_better)
