"""`cost`: one run more, which measures all rows of the suite, and changes none of the others."""

import json

import pytest

from hbi.config import CostConfig

ROWS = "data: shapes\ntraining: {batch_size: 20}\nvariants: [no-hbi, hbi]\n"


def cost_of(runs, text, *overrides):
    *others, run = runs(text, *overrides)
    assert run.alone
    assert not run.in_tables
    assert not any(other.alone for other in others)
    assert isinstance(run.spec.model, CostConfig)
    return run


def test_it_is_one_run_behind_the_others_and_in_none_of_their_ids(runs):
    plain = [run.run_id for run in runs(ROWS)]
    *others, run = runs(ROWS + "cost: {}")
    assert [other.run_id for other in others] == plain
    assert run.label == "cost"
    assert [case.label for case in run.spec.model.cases] == ["no-hbi", "hbi"]
    assert [other.run_id for other in runs(ROWS + "cost:")] == plain  # a key with nothing behind it is none


def test_sizes_are_those_of_each_row_unless_the_suite_says_them(runs):
    own = "hbi: {label: b, data: {max_frames: 4}, training: {batch_size: 6}}"
    text = f"data: {{name: shapes, max_words: 20}}\nvariants: [hbi, {own}]\n"
    first, second = cost_of(runs, text + "cost: {}").spec.model.cases
    assert (first.words, first.frames, first.batch) == (20, 12, 128)
    assert (second.words, second.frames, second.batch) == (20, 4, 6)
    for case in cost_of(runs, text + "cost: {words: 7, frames: 3, batch: 9}").spec.model.cases:
        assert (case.words, case.frames, case.batch) == (7, 3, 9)


def test_the_rows_of_a_sweep_are_measured_each_once_whatever_their_seeds(runs):
    run = cost_of(runs, ROWS + "seeds: 3\ngrid: {data.max_frames: [4, 8]}\ncost: {}")
    assert [(case.label, case.frames) for case in run.spec.model.cases] == [
        *(("no-hbi max_frames=4", 4), ("no-hbi max_frames=8", 8)),
        *(("hbi max_frames=4", 4), ("hbi max_frames=8", 8)),
    ]


def test_what_a_run_needs_is_no_row(runs):
    run = cost_of(runs, "data: shapes\nvariants: [hbi-estimated, estimator]\ncost: {}")
    assert [case.label for case in run.spec.model.cases] == ["hbi-estimated"]


def test_alone_trains_nothing(runs):
    (run,) = runs(ROWS + "cost: {alone: true}")
    assert run.alone


def test_only_cost(runs):
    (run,) = runs(ROWS + "cost: {}", only="cost")
    assert run.alone


@pytest.mark.parametrize(
    "change", ["cost.gallery=10", "cost.words=8", "runtime.threads=1", "cost.scaling={words: [4, 8]}"]
)
def test_its_id_holds_what_changes_what_it_finds(runs, change):
    assert cost_of(runs, ROWS + "cost: {}", change).run_id != cost_of(runs, ROWS + "cost: {}").run_id


@pytest.mark.parametrize("change", ["data.train=50", "training.epochs=3", "training.lr=1", "evaluation.ties=released"])
def test_its_id_holds_nothing_else(runs, change):
    assert cost_of(runs, ROWS + "cost: {}", change).run_id == cost_of(runs, ROWS + "cost: {}").run_id


def test_a_file_of_sizes_is_in_its_id_by_content(runs, tmp_path):
    sizes = {"embed_dim": 8}
    file = tmp_path / "small.json"

    def run_id(content, name=file):
        name.write_text(json.dumps(content))
        return cost_of(runs, ROWS + f"model: {{encoder: {name}}}\ncost: {{}}").run_id

    before = run_id(sizes)
    assert run_id({**sizes, "embed_dim": 16}) != before
    assert run_id(sizes) == before
    assert run_id(sizes, tmp_path / "other.v1.json") == before


def test_weights_are_neither_in_its_id_nor_read(runs):
    text = ROWS + "cost: {alone: true}"
    assert cost_of(runs, text).run_id == cost_of(runs, text, "model.pretrained=openai", "model.encoder=tiny").run_id


WRONG = {
    "unknown key": ("cost: {galery: 5}", "suite.yaml:4:8: unknown key 'galery'"),
    "not a size": ("cost: {gallery: 0}", "suite.yaml:4:17:"),
    "unknown precision": ("cost: {precision: fp8}", "suite.yaml:4:19:"),
    "sizes that shrink": ("cost: {scaling: {words: [8, 4]}}", "sizes grow"),
    "one size": ("cost: {scaling: {words: [8]}}", "suite.yaml:4:"),
    "an unknown size": ("cost: {scaling: {layers: [1, 2]}}", "suite.yaml:4:"),
    "swept": ("cost: {}\ngrid: {cost.gallery: [1, 2]}", "'cost.gallery' is no option of a run"),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_mistakes_are_told_with_their_place(mistakes, text, expected):
    (line, *_) = mistakes(ROWS + text)
    assert expected in line


def test_a_suite_without_a_system_has_nothing_to_measure(mistakes):
    (line,) = mistakes("data: shapes\nvariants: [estimator]\ncost: {}")
    assert line.startswith("suite.yaml:3:7: no variant of this suite is a system")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "cost: {}\ngrid: {runtime.threads: [1, 2]}",
            "runtime.threads differs, so times are not comparable: 1 (no-hbi",
        ),
        ("cost: {}\ngrid: {training.precision: [fp32, bf16]}", "training.precision differs"),
        ("cost: {}\ntraining: {batch_size: 20, precision: released}", "say cost.precision"),
    ],
)
def test_rows_that_compute_otherwise_are_not_compared(mistakes, text, expected):
    start = "data: shapes\nvariants: [no-hbi, hbi]\n"
    (line,) = mistakes(start + text)
    assert expected in line


def test_the_precision_of_the_rows_is_that_of_the_measurement_unless_it_says_another(runs):
    text = "data: shapes\nvariants: [hbi]\ntraining: {precision: bf16}\n"
    assert cost_of(runs, text + "cost: {}").spec.model.precision == "bf16"
    assert cost_of(runs, text + "cost: {precision: fp32}").spec.model.precision == "fp32"


def test_no_row_has_its_name(mistakes):
    (line,) = mistakes("data: shapes\nvariants: [hbi: {label: cost}]\ncost: {}")
    assert "a row is called cost" in line
