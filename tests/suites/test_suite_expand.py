"""What a suite expands to: properties that hold for every suite, and the order in which settings hold."""

import math
from itertools import product
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ablations import registry
from hbi.config import TeacherConfig
from suites.identity import resolved

SWEPT: dict[str, list[Any]] = {
    "training.lr": [0.0001, 0.001, 0.01],
    "training.epochs": [1, 2, 3],
    "data.max_words": [12, 24, 32],
    "model.neighbours": [1, 2, 3],
    "model.video_merge_rates": [[0.25, 0.5], [0.5, 0.5]],
}
sweeps = st.dictionaries(st.sampled_from(list(SWEPT)), st.just(None), max_size=3).flatmap(
    lambda keys: st.fixed_dictionaries(
        {key: st.lists(st.sampled_from(SWEPT[key]), min_size=1, unique_by=str) for key in keys}
    )
)
COMPARED = [name for name in registry.names() if registry.get(name).config["model"]["system"] == "hbi"]
variants = st.lists(st.sampled_from(COMPARED), min_size=1, max_size=3, unique=True)
seeds = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True)
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(grid, names, numbers, **more):
    return yaml.safe_dump(
        {"data": "shapes", "variants": names, "seeds": numbers, "grid": grid, **more}, sort_keys=False
    )


@quick
@given(grid=sweeps, names=variants, numbers=seeds, data=st.data())
def test_count_is_the_product_without_what_is_excluded(runs, grid, names, numbers, data):
    points = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    item = {**data.draw(st.sampled_from(points)), "variant": data.draw(st.sampled_from(names))}
    item = {key: item[key] for key in data.draw(st.sets(st.sampled_from(list(item)), min_size=1))}
    cells = [{**point, "variant": name} for point in points for name in names]
    left = [cell for cell in cells if any(cell[key] != value for key, value in item.items())]
    assume(left)
    found = runs(written(grid, names, numbers, exclude=[item]))
    assert len(found) == len(left) * len(numbers)
    assert len({run.run_id for run in found}) == len(found)
    assert len(runs(written(grid, names, numbers))) == math.prod(map(len, grid.values())) * len(names) * len(numbers)


@quick
@given(grid=sweeps, names=variants, numbers=seeds, shuffled=st.randoms())
def test_order_of_keys_is_irrelevant(runs, grid, names, numbers, shuffled):
    other = list(grid.items())
    shuffled.shuffle(other)
    ids = [{run.run_id for run in runs(written(order, names, numbers))} for order in (grid, dict(other))]
    assert ids[0] == ids[1]


@quick
@given(grid=sweeps, names=variants, numbers=seeds)
def test_seeds_change_nothing_but_the_seed(runs, grid, names, numbers):
    rows: dict[str, list[Any]] = {}
    for run in runs(written(grid, names, numbers)):
        rows.setdefault(run.label, []).append(run.spec)
    for specs in rows.values():
        assert [spec.seed for spec in specs] == numbers
        assert len({str(spec.model_copy(update={"seed": 0, "after": None})) for spec in specs}) == 1


@quick
@given(grid=sweeps, names=variants)
def test_the_long_spelling_is_the_short_one(runs, grid, names):
    long = [{"name": name} for name in names]
    nested = [{name: {"seeds": 1}} for name in names]
    assert runs(written(grid, names, [0])) == runs(written(grid, long, [0])) == runs(written(grid, nested, 1))


def model(runs, text, **more):
    (run,) = runs(text, **more)
    return run.spec.model


def test_a_variant_keeps_what_defines_it(runs):
    spec = model(runs, "data: shapes\nmodel: {teacher: {weight: 2}, distillation_weight: 3}\nvariants: [no-hbi]")
    assert spec.teacher is None
    assert spec.distillation_weight == 0
    spec = model(runs, "data: shapes\nmodel: {similarity_rates: {event: 1}}\nvariants: [entity-only]")
    assert spec.similarity_rates == {"entity": 1}


def test_groups_merge(runs):
    spec = model(runs, "data: shapes\nmodel: {teacher: {weight: 2, index: banzhaf}}\nvariants: [hbi-shapley]")
    assert spec.teacher == TeacherConfig(index="shapley", weight=2)


def test_the_entry_of_a_variant_has_the_last_word(runs):
    text = "data: shapes\nmodel: {teacher: null}\nvariants:\n- no-hbi: {model: {teacher: {weight: 2}}}"
    assert model(runs, text).teacher == TeacherConfig(weight=2)
    text = (
        "data: shapes\nvariants: [{name: hbi, model: {distillation_weight: 0}}]\ngrid: {model.distillation_weight: [1]}"
    )
    with pytest.raises(Exception, match="open in no variant"):
        runs(text)


def test_a_group_over_none_is_built_anew(runs):
    text = "data: shapes\nmodel: {teacher: null}\nvariants: [hbi]\ngrid: {model.teacher.weight: [2]}"
    assert model(runs, text).teacher == TeacherConfig(weight=2)


def test_a_swept_option_that_a_variant_fixes_leaves_it_one_row(runs):
    text = "data: shapes\nvariants: [no-hbi, hbi]\n"
    text += "grid: {model.teacher.weight: [1, 2], model.distillation_weight: [0.5, 1]}"
    assert [run.label for run in runs(text)] == [
        "no-hbi",
        "hbi teacher.weight=1 distillation_weight=0.5",
        "hbi teacher.weight=1 distillation_weight=1",
        "hbi teacher.weight=2 distillation_weight=0.5",
        "hbi teacher.weight=2 distillation_weight=1",
    ]


def test_labels_hold_what_differs(runs):
    text = (
        "data: shapes\nvariants: [hbi]\ngrid: {training.lr: [1e-3], model.levels: [[entity, event], [entity, action]]}"
    )
    assert [run.label for run in runs(text)] == ['hbi levels=["entity", "event"]', 'hbi levels=["entity", "action"]']


def test_zip_advances_together(runs):
    text = "data: shapes\nvariants: [hbi]\n"
    text += "zip: {training.lr: [1, 2], training.epochs: [3, 4]}\ngrid: {data.max_words: [9, 8]}"
    found = [(run.spec.data.max_words, run.spec.training.lr, run.spec.training.epochs) for run in runs(text)]
    assert found == [(9, 1, 3), (9, 2, 4), (8, 1, 3), (8, 2, 4)]


def test_the_same_run_under_two_labels_is_shared_and_under_one_is_one(runs):
    found = runs("data: shapes\nvariants: [hbi, hbi, {name: hbi, label: ours}]")
    assert [run.label for run in found] == ["hbi", "ours"]
    assert found[0].run_id == found[1].run_id


def test_another_data_set_starts_afresh(runs):
    text = "data: {name: shapes, train: 9, max_words: 20}\nvariants: [hbi]\n"
    (run,) = runs(text, "data.root=/x", "data=msrvtt")
    assert resolved(run.spec)["data"] == {
        "name": "msrvtt", "max_words": 24, "max_frames": 12, "frame_rate": 1.0, "reader": "auto", "train_split": "9k",
        "hold_out_validation": False, "sampler": "stride", "augmentation": "none", "augment_order": "correct",
    }  # fmt: skip
    assert run.spec.data.root == "/x"
    (run,) = runs(text, "data=shapes", "data.val=7")
    assert (run.spec.data.train, run.spec.data.val, run.spec.data.max_words) == (9, 7, 20)
    found = runs(text + "zip: {data.name: [shapes, msrvtt], data.max_words: [20, 32]}")
    assert [(run.spec.data.name, run.spec.data.max_words) for run in found] == [("shapes", 20), ("msrvtt", 32)]
    found = runs("data: shapes\nvariants: [{name: hbi, data: msrvtt}]\ngrid: {data.max_words: [20, 32]}")
    assert [(run.spec.data.name, run.spec.data.max_words) for run in found] == [("msrvtt", 20), ("msrvtt", 32)]


def test_overrides_are_as_if_they_stood_in_the_file(runs):
    text = "data: shapes\nvariants: [hbi]\ntraining: {epochs: 4, lr: 2}\n"
    (run,) = runs(text, "training.epochs=1", "training.lr=1e-3", "seeds=[5]", "model.teacher=null")
    assert (run.spec.training.epochs, run.spec.training.lr, run.spec.seed) == (1, 0.001, 5)
    assert run.spec.model.teacher is None
    assert [run.label for run in runs(text, "grid.training.lr=[1, 2]")] == ["hbi lr=1", "hbi lr=2"]
    assert [run.label for run in runs(text, "variants=[no-hbi, {hbi: {label: ours}}]")] == ["no-hbi", "ours"]


def test_included_files_hold_defaults(tmp_path, runs):
    (tmp_path / "base.yaml").write_text("data: {name: shapes, train: 9}\ntraining: {lr: 2, epochs: 3}\nseeds: 4")
    (run,) = runs("include: [base.yaml]\nvariants: [hbi]\ntraining: {epochs: 1}\ndata: {val: 7}\nseeds: [2]")
    assert (run.spec.training.lr, run.spec.training.epochs, run.spec.seed) == (2, 1, 2)
    assert (run.spec.data.train, run.spec.data.val) == (9, 7)


def test_words_and_numbers_are_those_of_yaml_1_2(runs):
    text = "data: shapes\nvariants: [{name: hbi, label: no}]\ntraining: {lr: 1e-3, activation_checkpointing: true}"
    (run,) = runs(text)
    assert (run.label, run.spec.training.lr, run.spec.training.activation_checkpointing) == ("no", 0.001, True)


def test_only(runs, mistakes):
    text = "data: shapes\nvariants: [no-hbi, hbi, hbi-shapley]\nseeds: 2"
    assert [run.label for run in runs(text, only="hbi*")] == ["hbi", "hbi", "hbi-shapley", "hbi-shapley"]
    one = runs(text)[0]
    assert runs(text, only=one.run_id) == [one]
    assert mistakes(text, only="hib") == ["--only hib: no run is called so; there are: no-hbi, hbi, hbi-shapley"]
