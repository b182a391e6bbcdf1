"""Runs that need another: what is added, in which order, and what their ids depend on."""

import pytest

from suites.expand import in_order
from suites.identity import computation


def labels(runs):
    return [run.label for run in in_order(runs)]


def test_what_is_needed_comes_first_and_is_no_row(runs):
    found = runs("data: shapes\nvariants: [hbi-estimated, no-hbi]")
    assert [run.label for run in found] == ["hbi-estimated", "no-hbi"]
    ordered = in_order(found)
    assert [run.label for run in ordered] == ["hbi-no-banzhaf", "estimator", "hbi-estimated", "no-hbi"]
    source, estimator, user, _ = ordered
    assert (source.spec.after, estimator.spec.after, user.spec.after) == (None, source.run_id, estimator.run_id)


def test_a_run_that_is_wanted_anyway_is_not_added_but_moved(runs):
    text = "data: shapes\nseeds: 2\nvariants: [hbi, hbi-estimated, hbi-no-banzhaf, hbi-estimated]"
    found = in_order(runs(text))
    assert [f"{run.label} {run.spec.seed}" for run in found] == [
        "hbi 0", "hbi 1",
        "hbi-no-banzhaf 0", "estimator 0", "hbi-estimated 0",
        "hbi-no-banzhaf 1", "estimator 1", "hbi-estimated 1",
    ]  # fmt: skip
    assert len({run.run_id for run in found}) == len(found)


def test_only_brings_what_is_needed_along(runs):
    text = "data: shapes\nvariants: [hbi, hbi-estimated]"
    assert labels(runs(text, only="hbi-estimated")) == ["hbi-no-banzhaf", "estimator", "hbi-estimated"]


def test_the_suite_settles_the_estimator_too_and_the_id_of_its_user_follows(runs):
    text = "data: shapes\nvariants:\n- hbi-estimated\n- hbi\n"
    plain, hbi = runs(text)
    longer, same, estimator = runs(text + "- estimator: {training: {epochs: 20}}")
    assert estimator.spec.training.epochs == 20
    assert estimator.spec.training.lr == 1e-2  # what defines the variant
    assert not estimator.in_tables
    assert longer.spec.after == estimator.run_id != plain.spec.after
    assert computation(longer.spec) != computation(plain.spec)
    assert same == hbi


def test_an_estimator_can_be_another_entry_by_its_label(runs):
    text = """
data: shapes
variants:
- {name: hbi-estimated, model: {teacher: {estimator: from samples}}}
- {name: estimator, label: from samples, model: {labels: sample, samples: 10}}
"""
    user, estimator = runs(text)
    assert user.spec.after == estimator.run_id
    assert estimator.spec.model.samples == 10


def test_the_file_of_an_estimator_needs_no_run(runs, tmp_path):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"weights")
    (run,) = runs(f"data: shapes\nvariants: [hbi-estimated]\nmodel: {{teacher: {{estimator: {file}}}}}")
    assert run.needed is None
    assert run.spec.after is None


def test_needed_runs_share_data_seed_and_sweep(runs):
    text = "data: shapes\nseeds: [7]\nvariants: [{name: hbi-estimated, data: {max_words: 9}}]\n"
    text += "grid: {model.neighbours: [2, 3]}"
    chains = [in_order([run]) for run in runs(text)]
    for chain, neighbours in zip(chains, (2, 3), strict=True):
        assert {run.spec.seed for run in chain} == {7}
        assert {run.spec.data.max_words for run in chain} == {9}
        assert chain[0].spec.model.neighbours == chain[-1].spec.model.neighbours == neighbours


def test_a_swept_method_needs_it_where_it_is_estimated(runs):
    text = "data: shapes\nvariants: [hbi]\ngrid: {model.teacher.method: [exact, estimated]}"
    assert labels(runs(text)) == [
        "hbi teacher.method=exact", "hbi-no-banzhaf", "estimator", "hbi teacher.method=estimated",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hbi-estimated", "estimator needs hbi-estimated needs estimator: one of them has to come first"),
        ("hbi-estimatd", "did you mean 'hbi-estimated'"),
    ],
)
def test_what_cannot_come_first_is_a_mistake_with_its_place(mistakes, source, message):
    text = f"data: shapes\nvariants:\n- hbi-estimated\n- estimator: {{model: {{source: {source}}}}}"
    found = mistakes(text)
    assert found[0].startswith("suite.yaml:3:3: hbi-estimated: ")
    assert any(message in line for line in found), found
