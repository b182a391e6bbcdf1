"""Post-processing in a suite: rows of their own that come after the run without it, and what their ids depend on."""

import pytest

from suites.expand import in_order
from suites.identity import computation
from suites.rehearsal import rehearsal

SUITE = "data: shapes\nvariants: [no-hbi]\n"
SWEEP = SUITE + "grid: {evaluation.post_processing: [none, dsl, qb-norm]}\n"


def test_rows_come_after_the_one_without_which_is_launched_once(runs):
    ordered = in_order(runs(SWEEP, "seeds=[4]"))
    assert [run.label for run in ordered] == [f"no-hbi post_processing={row}" for row in ("none", "dsl", "qb-norm")]
    base, dsl, qb_norm = ordered
    assert [run.spec.after for run in ordered] == [None, base.run_id, base.run_id]
    assert base.run_id == runs(SUITE, "seeds=[4]")[0].run_id
    assert {run.spec.seed for run in ordered} == {4}
    assert [run.spec.trains for run in ordered] == [True, False, False]
    assert len({run.run_id for run in (base, dsl, qb_norm)}) == 3


def test_a_row_alone_brings_the_run_that_trains_along_which_keeps_its_weights(runs):
    found = runs(SWEEP, "keep=[]", only="*dsl")
    assert [run.label for run in found] == ["no-hbi post_processing=dsl"]
    base, row = in_order(found)
    assert (base.label, base.spec.keep, row.spec.keep) == ("no-hbi post_processing=none", ("weights",), ())


@pytest.mark.parametrize(
    ("row", "option", "counts"),
    [
        ("none", "bank=7", False),
        ("none", "dsl_scale=7", False),
        ("none", "qb_norm_scale=7", False),
        ("dsl", "bank=7", False),
        ("dsl", "qb_norm_scale=7", False),
        ("dsl", "dsl_scale=7", True),
        ("qb-norm", "dsl_scale=7", False),
        ("qb-norm", "qb_norm_scale=7", True),
        ("qb-norm", "bank=7", True),
        ("qb-norm", "qb_norm_hub=[3, 5]", True),
        ("qb-norm", "qb_norm_hub=[1, 1]", False),
        ("dsl", "qb_norm_nearest=2", False),
        ("dsl", "ties=optimistic", True),
    ],
)
def test_an_option_is_in_the_id_where_it_acts(runs, row, option, counts):
    asked = f"evaluation.post_processing={row}"
    (plain,), (other,) = runs(SUITE, asked), runs(SUITE, asked, f"evaluation.{option}")
    assert (plain.run_id != other.run_id) == counts


@pytest.mark.parametrize("change", ["training.lr=1e-3", "model.temporal_layers=1", "data.train=90", "seeds=[1]"])
def test_weights_that_are_trained_otherwise_are_another_run(runs, change):
    (plain,), (other,) = (runs(SUITE, "evaluation.post_processing=dsl", *more) for more in ([], [change]))
    assert plain.spec.after != other.spec.after
    assert computation(plain.spec) != computation(other.spec)


def test_what_a_variant_needs_is_not_processed(runs):
    text = "data: shapes\nvariants: [hbi-estimated, estimator]\nevaluation: {post_processing: dsl}"
    ordered = in_order(runs(text))
    assert [run.label for run in ordered] == [
        "hbi-no-banzhaf", "estimator", "hbi-estimated post_processing=none", "hbi-estimated",
    ]  # fmt: skip
    assert [run.spec.evaluation.post_processing for run in ordered] == ["none", "none", "none", "dsl"]
    assert [run.spec.after for run in ordered] == [None, *(run.run_id for run in ordered[:3])]
    plain = in_order(runs(text.replace("dsl", "none")))
    assert [run.run_id for run in plain] == [run.run_id for run in ordered[:3]]


def test_given_weights_need_no_other_run(runs, tmp_path):
    (tmp_path / "a.pt").write_text("weights")
    found = runs(SWEEP, f"checkpoint={tmp_path / 'a.pt'}")
    assert [(run.needed, run.spec.after) for run in found] == [(None, None)] * 3
    assert len({run.run_id for run in found}) == 3


def test_questions_have_no_scores_to_process(mistakes):
    text = "data: shapes-qa\nvariants:\n- hbi-qa: {evaluation: {post_processing: dsl}}\n"
    (line,) = mistakes(text)
    assert line.startswith("suite.yaml:3:3: hbi-qa: evaluation.post_processing: hbi-qa answers questions, so it has no")


def test_an_unknown_method_is_named_with_its_place(mistakes):
    (line,) = mistakes(SUITE + "evaluation: {post_processing: qb_norm}\n")
    assert line.startswith("suite.yaml:3:31: ")
    assert "qb-norm" in line


def test_a_rehearsal_trains_what_it_evaluates(runs):
    (small,) = rehearsal(runs(SUITE, "evaluation.post_processing=qb-norm"))
    assert small.needed.spec.training.epochs == small.spec.training.epochs == 1
    assert small.spec.after == small.needed.run_id
