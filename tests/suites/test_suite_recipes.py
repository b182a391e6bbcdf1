"""`recipes`: options by data set, under everything else that a suite says. `baseline` and `published` beside them."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hbi.errors import InputError
from suites.expand import baseline_of, expand
from suites.json_schema import json_schema
from suites.load import load_suite

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LAYERS = ("recipe", "section", "grid", "entry")  # the later holds
OPTIONS = {
    "data.max_words": ("data", "max_words", 24),
    "training.epochs": ("training", "epochs", 5),
    "model.neighbours": ("model", "neighbours", 3),
    "runtime.threads": ("runtime", "threads", 2),
}


@quick
@given(st.sampled_from(list(OPTIONS)), st.dictionaries(st.sampled_from(LAYERS), st.integers(6, 99), max_size=4))
def test_the_later_layer_holds(runs, option, said):
    section, key, default = OPTIONS[option]
    suite = {"data": {"name": "shapes"}, "variants": [{"name": "hbi"}]}
    if "recipe" in said:
        suite["recipes"] = {"shapes": {section: {key: said["recipe"]}}, "msrvtt": {section: {key: 5}}}
    if "section" in said:
        suite.setdefault(section, {})[key] = said["section"]
    if "grid" in said and "entry" not in said:  # else it would be open in no variant
        suite["grid"] = {option: [said["grid"]]}
    if "entry" in said:
        suite["variants"][0][section] = {key: said["entry"]}
    (run,) = runs(json.dumps(suite))
    held = [said[layer] for layer in LAYERS if layer in said]
    assert getattr(getattr(run.spec, section), key) == (held[-1] if held else default)


def test_what_defines_a_variant_holds_over_a_recipe(runs):
    text = "data: shapes\nrecipes: {shapes: {model: {distillation_weight: 3}, training: {lr: 7}}}\n"
    text += "variants: [no-hbi, hbi, hbi-estimated]"
    no_hbi, hbi, estimated = runs(text)
    assert (no_hbi.spec.model.distillation_weight, hbi.spec.model.distillation_weight) == (0, 3)
    assert (estimated.spec.training.lr, estimated.needed.spec.training.lr) == (7, 0.01)  # the estimator has its own


def test_a_recipe_says_what_could_stand_in_the_section(runs):
    options = "training: {epochs: 2}\nmodel: {teacher: {weight: 2}}\nruntime: {threads: 1}"
    (plain,) = runs(f"data: {{name: shapes, train: 9}}\n{options}\nvariants: [hbi]")
    indented = options.replace("\n", "\n    ")
    (same,) = runs(f"data: shapes\nrecipes:\n  shapes:\n    data: {{train: 9}}\n    {indented}\nvariants: [hbi]")
    assert same.run_id == plain.run_id


OWN = """
data: shapes
recipes:
  shapes:
    training: {epochs: 2, lr: 1}
    systems: {hbi: {training: {epochs: 3}, model: {teacher: {weight: 7}}}}
variants: [hbi, no-hbi, drl]
"""


def test_own_recipes_hold_where_they_are_asked_for(runs):
    same, own = runs(OWN), runs(f"recipe: own\n{OWN}")
    assert [run.spec.training.epochs for run in same] == [2, 2, 2]
    assert [run.spec.training.epochs for run in own] == [3, 3, 2]
    assert {run.spec.training.lr for run in (*same, *own)} == {1}
    assert (own[0].spec.model.teacher.weight, own[1].spec.model.teacher) == (7, None)
    over = runs(f"recipe: own\ntraining: {{epochs: 9}}\n{OWN}")
    assert {run.spec.training.epochs for run in over} == {9}
    assert own[2].run_id == same[2].run_id


RECIPES = """
recipes:
  shapes: {data: {train: 30}, training: {epochs: 1}, model: {teacher: {weight: 7}}}
  msrvtt: {data: {max_words: 32}, training: {epochs: 2}}
  shapes-qa: {model: {answers: 40}, training: {epochs: 3}}
"""


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        ("data: shapes\nvariants: [hbi]", [], [("shapes", 24, 1)]),
        ("data: shapes\nvariants: [hbi]", ["data=msrvtt"], [("msrvtt", 32, 2)]),
        ("data: {name: shapes, max_words: 20}\nvariants: [hbi]", [], [("shapes", 20, 1)]),
        ("data: {name: shapes, max_words: 20}\nvariants: [hbi]", ["data=msrvtt"], [("msrvtt", 32, 2)]),
        ("data: shapes\nvariants: [hbi]", ["data=msrvtt", "training.epochs=9"], [("msrvtt", 32, 9)]),
        ("data: shapes\nvariants: [hbi]", ["data=lsmdc"], [("lsmdc", 32, 5)]),
        ("data: shapes\nvariants: [no-hbi, hbi: {data: msrvtt}]", [], [("shapes", 24, 1), ("msrvtt", 32, 2)]),
        ("variants: [hbi: {data: msrvtt}]", [], [("msrvtt", 32, 2)]),
        (
            "data: shapes\nvariants: [hbi]\ngrid: {data.name: [shapes, msrvtt]}",
            [],
            [("shapes", 24, 1), ("msrvtt", 32, 2)],
        ),
        (
            "data: shapes\nvariants: [hbi]\nzip: {data.name: [shapes, msrvtt], data.max_words: [9, 8]}",
            [],
            [("shapes", 9, 1), ("msrvtt", 8, 2)],
        ),
        ("data: shapes\nvariants: [hbi]", ["recipes.shapes.training.epochs=4"], [("shapes", 24, 4)]),
    ],
)
def test_a_run_takes_the_recipe_of_the_data_set_it_is_on(runs, text, overrides, expected):
    found = [(run.spec.data, run.spec.training.epochs) for run in runs(text + RECIPES, *overrides)]
    assert [(data.name, data.max_words, epochs) for data, epochs in found] == expected


def test_so_does_the_run_that_it_needs(runs):
    (run,) = runs("data: shapes\nvariants: [hbi-estimated: {data: {name: msrvtt, max_frames: 6}}]" + RECIPES)
    source = run.needed.needed
    assert source.spec.variant == "hbi-no-banzhaf"
    assert (source.spec.data, source.spec.training.epochs) == (run.spec.data, 2)
    assert (source.spec.data.max_words, source.spec.data.max_frames) == (32, 6)


def test_a_system_takes_the_options_that_it_knows(runs):
    text = "data: shapes-qa\nvariants: [estimator-released-qa, hbi-qa]" + RECIPES
    estimator, qa = runs(text)
    assert not hasattr(estimator.spec.model, "answers")
    assert (qa.spec.model.answers, qa.spec.training.epochs, qa.spec.training.lr) == (40, 3, 1e-4)


def test_recipes_of_included_files_merge_key_by_key(tmp_path, runs):
    (tmp_path / "base.yaml").write_text(
        "recipes: {shapes: {training: {epochs: 2, lr: 2}, model: {teacher: {weight: 2}}}}"
    )
    text = "include: [base.yaml]\ndata: shapes\nvariants: [hbi]\n"
    text += "recipes: {shapes: {training: {lr: 3}, model: {teacher: {scale: 4}}}, msrvtt: {training: {lr: 9}}}"
    (run,) = runs(text)
    assert (run.spec.training.epochs, run.spec.training.lr) == (2, 3)
    assert (run.spec.model.teacher.weight, run.spec.model.teacher.scale) == (2, 4)


HBI = "data: shapes\nvariants: [no-hbi, hbi]\n"
MISTAKES = {
    "data set": (
        "recipes:\n  shape: {training: {epochs: 1}}",
        "suite.yaml:4:3: unknown data set 'shape'; did you mean 'shapes' or 'shapes-qa'?",
    ),
    "section": (
        "recipes: {shapes: {trainin: {epochs: 1}}}",
        "suite.yaml:3:20: unknown key 'trainin'; did you mean 'training'?",
    ),
    "option": (
        "recipes: {shapes: {training: {epoch: 1}}}",
        "suite.yaml:3:31: unknown key 'epoch'; did you mean 'epochs'?",
    ),
    "inner option": (
        "recipes: {shapes: {model: {teacher: {wieght: 1}}}}",
        "suite.yaml:3:38: unknown key 'wieght'; did you mean 'weight'?",
    ),
    "option of another data set": (
        "recipes: {msrvtt: {data: {generator_seed: 1}}}",
        "suite.yaml:3:27: unknown key 'generator_seed'; did you mean 'data.generator_seed'?",
    ),
    "another name": ("recipes: {msrvtt: {data: {name: msvd}}}", "suite.yaml:3:33: name should be 'msrvtt', not 'msvd'"),
    "system": ("recipes: {shapes: {model: {system: hbi}}}", "suite.yaml:3:28: unknown key 'system'"),
    "value": (
        "recipes: {shapes: {training: {epochs: many}}}",
        "suite.yaml:3:39: epochs should be a whole number, not 'many'",
    ),
    "value in a list": (
        "recipes: {shapes: {model: {levels: [entity, actoin]}}}",
        "suite.yaml:3:45: levels should be 'entity', 'action' or 'event'",
    ),
    "another system": (
        "recipes: {shapes: {systems: {hbbi: {}}}}",
        "suite.yaml:3:30: unknown system 'hbbi'; did you mean 'hbi'",
    ),
    "option of another system": (
        "recipes: {shapes: {systems: {drl: {model: {teacher: null}}}}}",
        "suite.yaml:3:44: unknown key 'teacher'",
    ),
    "no mapping": ("recipes: {shapes: 3}", "suite.yaml:3:19: shapes should be a mapping (key: value), not '3'"),
    "a name alone": ("recipes: {shapes: {data: shapes}}", "suite.yaml:3:26: data should be a mapping (key: value)"),
    "no options of runs": ("recipes: {shapes: {seeds: 3}}", "suite.yaml:3:20: unknown key 'seeds'"),
    "swept": (
        "grid: {recipes.shapes: [1, 2]}",
        "suite.yaml:3:8: 'recipes.shapes' is no option of a run, so it is not swept",
    ),
    "swept baseline": (
        "zip: {baseline: [hbi]}",
        "suite.yaml:3:7: 'baseline' is no option of a run, so it is not swept",
    ),
    "swept published": ("grid: {published: [hbi]}", "suite.yaml:3:8: 'published' is no option of a run"),
    "swept metrics": ("grid: {metrics: [hbi]}", "suite.yaml:3:8: 'metrics' is no option of a run"),
    "baseline": ("baseline: no-hib", "suite.yaml:3:11: baseline: no row is called 'no-hib'; did you mean 'no-hbi'"),
    "baseline far from all": ("baseline: x", "suite.yaml:3:11: baseline: no row is called 'x'; known: no-hbi, hbi"),
    "no baseline": ("baseline: [hbi]", "suite.yaml:3:11: baseline should be a string"),
    "published": ("published: HBI", "suite.yaml:3:12: published should be a list, not 'HBI'"),
    "published label": ("published: [HBI, 3]", "suite.yaml:3:18: published should be a string, not '3'"),
}


@pytest.mark.parametrize(("text", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_at_its_place(mistakes, text, line):
    (found,) = mistakes(HBI + text)
    assert found.startswith(line)


def test_a_mistake_in_an_included_recipe_is_told_with_its_file(tmp_path, mistakes):
    (tmp_path / "base.yaml").write_text("recipes:\n  msrvtt: {training: {epoch: 2}}")
    (found,) = mistakes(HBI + "include: [base.yaml]")
    assert found == "base.yaml:2:23: unknown key 'epoch'; did you mean 'epochs'?"


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("recipes.shape={training: {epochs: 1}}", "unknown data set 'shape'"),
        ("recipes.shapes.training.epoch=1", "unknown key 'epoch'; did you mean 'epochs'?"),
        ("recipes.shapes=1", "shapes should be a mapping"),
        ("recipes=1", "recipes should be a mapping"),
        ("baseline=no-hib", "baseline: no row is called 'no-hib'"),
    ],
)
def test_overrides_name_themselves(mistakes, override, line):
    (found,) = mistakes(HBI, override)
    assert found.startswith(f"--set {override}: {line}")


def test_no_id_holds_baseline_or_published(runs):
    plain = [run.run_id for run in runs(HBI)]
    assert [run.run_id for run in runs(HBI + 'baseline: hbi\npublished: [HBI, "CLIP4Clip, meanP"]')] == plain


def test_the_baseline_is_the_first_row_unless_the_suite_names_one(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(HBI)
    suite = load_suite(path)
    assert (suite.published, baseline_of(suite, ["no-hbi", "hbi"])) == ((), "no-hbi")
    suite = load_suite(path, ["baseline=hbi", "published=[HBI]"])
    assert (suite.published, baseline_of(suite, ["no-hbi", "hbi"])) == (("HBI",), "hbi")
    assert len(expand(suite, only="no-hbi")) == 1  # it may be left out
    with pytest.raises(InputError, match="no row is called 'hbi'"):
        baseline_of(suite, ["no-hbi"])


def test_a_baseline_is_a_row_of_the_tables(mistakes, runs):
    text = "data: shapes\nvariants: [hbi-estimated]\ngrid: {training.lr: [1, 2]}\n"
    assert len(runs(text + "baseline: hbi-estimated lr=2")) == 2
    for label in ("estimator", "cost", "hbi-estimated"):
        assert "no row is called" in mistakes(text + f"cost: {{}}\nbaseline: {label}")[0]


def test_the_schema_for_editors_knows_them():
    schema = json_schema()
    assert "msrvtt" in schema["properties"]["recipes"]["propertyNames"]["enum"]
    recipe = schema["$defs"]["Recipe"]["properties"]
    assert {"enum": ["msrvtt"]} not in recipe["data"]["anyOf"]
    assert {"$ref": "#/$defs/TrainingConfig"} in recipe["training"]["anyOf"]
    assert {"baseline", "published"} <= set(schema["properties"])
