"""Files that a suite gives (weights that are evaluated without training, pretrained ones), and what it keeps."""

import pytest

from ablations import registry
from suites.expand import in_order
from suites.identity import resolved

SUITE = "data: shapes\nvariants:\n- hbi: {checkpoint: a.pt, label: theirs}\n- no-hbi\n"


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in (("a.pt", "one"), ("b.pt", "one"), ("c.pt", "two")):
        (tmp_path / name).write_text(content)


def test_given_weights_stand_in_the_id_by_content_whatever_their_path(runs):
    def theirs(file: str):
        return runs(SUITE.replace("a.pt", file))[0]

    assert theirs("a.pt").run_id == theirs("b.pt").run_id == theirs("./a.pt").run_id
    assert theirs("a.pt").run_id != theirs("c.pt").run_id
    assert theirs("a.pt").run_id != runs(SUITE.replace("{checkpoint: a.pt, label: theirs}", ""))[0].run_id


def test_a_changed_file_is_another_run(runs, tmp_path):
    before = runs(SUITE)[0].run_id
    (tmp_path / "a.pt").write_text("new")
    assert runs(SUITE)[0].run_id != before


def test_the_recipe_does_not_count_where_weights_are_given_but_the_precision_does(runs):
    theirs, ours = runs(SUITE)
    again, other = runs(SUITE, "training.epochs=3")
    assert (theirs.run_id == again.run_id, ours.run_id == other.run_id) == (True, False)
    assert runs(SUITE, "training.precision=bf16")[0].run_id != theirs.run_id
    assert runs(SUITE, "model.pretrained=openai")[0].run_id == theirs.run_id
    assert runs(SUITE, "model.pretrained=openai")[1].run_id != ours.run_id


def test_given_weights_are_evaluated_once(runs):
    found = runs(SUITE, "seeds=[3, 4]", "grid.training.lr=[1e-3, 1e-4]", "grid.evaluation.ties=[expected, optimistic]")
    labels = [(run.label, run.spec.seed) for run in found if run.spec.checkpoint]
    assert labels == [("theirs ties=expected", 3), ("theirs ties=optimistic", 3)]
    assert len(found) == 2 + 2 * 2 * 2


def test_they_can_be_given_for_the_whole_suite_and_need_no_other_run(runs):
    (run,) = runs("data: shapes\nvariants: [hbi-estimated]", "checkpoint=a.pt")
    assert (run.spec.checkpoint, run.needed, run.spec.after) == ("a.pt", None, None)
    assert len(in_order(runs("data: shapes\nvariants: [hbi-estimated]"))) > 1


def test_pretrained_weights_and_sizes_stand_in_the_id_by_content(runs, tmp_path):
    def ours(**model):
        return runs("data: shapes\nvariants: [hbi]", *(f"model.{key}={value}" for key, value in model.items()))[0]

    assert ours(pretrained="a.pt").run_id == ours(pretrained="./b.pt").run_id != ours(pretrained="c.pt").run_id
    assert resolved(ours(pretrained="a.pt").spec)["model"]["pretrained"].startswith("sha256:")
    assert resolved(ours(pretrained="openai").spec)["model"]["pretrained"] == "openai"
    for name, content in (("x.json", "1"), ("y.json", "1"), ("z.json", "2")):
        (tmp_path / name).write_text(content)
    assert ours(encoder="x.json").run_id == ours(encoder="y.json").run_id != ours(encoder="z.json").run_id


def test_a_label_file_stands_in_the_id_by_content(runs):
    def ours(file: str):
        return runs(f"data: {{name: msrvtt-qa, labels: {file}}}\nvariants: [hbi-qa]")[0]

    assert ours("a.pt").run_id == ours("./b.pt").run_id != ours("c.pt").run_id
    assert resolved(ours("a.pt").spec)["data"]["labels"].startswith("sha256:")


@pytest.mark.parametrize(
    ("suite", "expected"),
    [
        (
            "data: {name: msrvtt-qa, labels: d.json}\nvariants: [hbi-qa]",
            "suite.yaml:1:33: data.labels: no such file: d.json",
        ),
        (SUITE.replace("a.pt", "d.pt"), "suite.yaml:3:21: checkpoint: no such file: d.pt"),
        (SUITE + "model: {pretrained: d.pt}", "suite.yaml:5:21: model.pretrained: no such file: d.pt"),
        ("data: shapes\nvariants: [hbi]\ncheckpoint: .", "suite.yaml:3:13: checkpoint: no such file: ."),
        ("data: shapes\nvariants: [hbi]\ncheckpoint: [a.pt]", "suite.yaml:3:13: checkpoint should be a string"),
        (SUITE + "- hbi: {checkpoint: c.pt, label: theirs}", "suite.yaml:5:3: theirs: other settings have this label"),
        (
            "data: shapes\nvariants:\n- estimator: {checkpoint: a.pt}",
            "suite.yaml:3:3: estimator: checkpoint: estimator is no retrieval system; there is nothing to evaluate",
        ),
        (
            "data: shapes\nvariants: [hbi]\nmetrics: [t2v/R@1, t2v/R@11]",
            "suite.yaml:3:20: unknown metric 't2v/R@11'; did you mean 't2v/R@1' or 't2v/R@10'?",
        ),
        ("data: shapes\nvariants: [hbi]\nmetrics: []", "suite.yaml:3:10: metrics is empty"),
        (
            "data: shapes\nvariants: [hbi]\nkeep: [weihgts]",
            "suite.yaml:3:8: keep should be 'weights' or 'similarity', not 'weihgts'; did you mean 'weights'?",
        ),
        (
            "data: shapes\nvariants: [hbi]\ngrid: {training.lr: [1, 2]}\ncheckpoint: a.pt",
            "suite.yaml:3:8: training.lr is open in no variant of this suite",
        ),
    ],
)
def test_a_mistake_is_one_line_at_its_place(mistakes, suite, expected):
    (line,) = mistakes(suite)
    assert line.startswith(expected)


def test_what_is_kept_is_no_part_of_the_id(runs):
    (kept,), (dropped,) = (runs("data: shapes\nvariants: [hbi]\n" + more) for more in ("", "keep: []"))
    assert kept.run_id == dropped.run_id
    assert (kept.spec.keep, dropped.spec.keep) == (("weights",), ())


def test_a_run_that_another_needs_keeps_its_weights(runs):
    needs = registry.get("hbi-estimated").name
    found = in_order(runs(f"data: shapes\nvariants: [hbi-no-banzhaf, no-hbi, {needs}]\nkeep: [similarity]"))
    kept = {run.label: run.spec.keep for run in found}
    assert kept == {
        "hbi-no-banzhaf": ("similarity", "weights"),
        "no-hbi": ("similarity",),
        "estimator": ("similarity", "weights"),
        "hbi-estimated": ("similarity",),
    }
