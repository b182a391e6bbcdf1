"""Every mistake ends in one clear line that says where it is and what was meant."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hbi.errors import InputError
from suites.load import load_suite

HBI = "data: shapes\nvariants: [hbi]\n"

ONE_LINE = {
    "variant": (
        "data: shapes\nvariants: [no-hib]",
        "suite.yaml:2:12: unknown variant 'no-hib'; did you mean 'no-hbi' or 'no-hbi-qa'?",
    ),
    "data set": (
        "variants: [hbi]\ndata: shape",
        "suite.yaml:2:7: unknown data set 'shape'; did you mean 'shapes' or 'shapes-qa'?",
    ),
    "data set in a grid": (
        HBI + "grid: {data.name: [shapes, msrvt]}",
        "suite.yaml:3:28: unknown data set 'msrvt'; did you mean 'msrvtt' or 'msrvtt-qa'?",
    ),
    "no data set": ("variants: [hbi]", "suite.yaml:1:1: no data set is named; known: shapes, msrvtt"),
    "no questions": (
        "data: shapes\nvariants: [hbi, no-hbi-qa, {name: hbi-qa, seeds: 2}]",
        "suite.yaml:1:7: data set shapes has no questions for no-hbi-qa, hbi-qa to answer; take shapes-qa",
    ),
    "no captions": (
        "data: shapes\nvariants:\n- hbi: {data: msrvtt-qa}",
        "suite.yaml:3:15: data set msrvtt-qa has no captions for hbi to rank; take msrvtt",
    ),
    "no variants": ("data: shapes", "suite.yaml:1:1: variants is missing"),
    "key": (HBI + "trainin: {epochs: 1}", "suite.yaml:3:1: unknown key 'trainin'; did you mean 'training'?"),
    "option outside its section": (
        HBI + "epochs: 1",
        "suite.yaml:3:1: unknown key 'epochs'; did you mean 'training.epochs'?",
    ),
    "option": (HBI + "training:\n  epoch: 1", "suite.yaml:4:3: unknown key 'epoch'; did you mean 'epochs'?"),
    "inner option": (
        HBI + "model: {teacher: {wieght: 1}}",
        "suite.yaml:3:19: unknown key 'wieght'; did you mean 'weight'?",
    ),
    "option of another data set": (
        "variants: [hbi]\ndata: {name: msrvtt, generator_seed: 1}",
        "suite.yaml:2:22: unknown key 'generator_seed'; did you mean 'data.generator_seed'?",
    ),
    "system": (HBI + "model: {system: hbi}", "suite.yaml:3:9: unknown key 'system'; known: encoder, pretrained, "),
    "option of a variant": (
        "data: shapes\nvariants:\n- hbi:\n    training: {lrr: 1}",
        "suite.yaml:4:16: unknown key 'lrr'; did you mean 'lr'?",
    ),
    "option of a variant, indented less": (
        "data: shapes\nvariants:\n- hbi:\n  sedes: 1",
        "suite.yaml:4:3: unknown key 'sedes'; did you mean 'seeds'?",
    ),
    "type": (HBI + "training: {epochs: many}", "suite.yaml:3:20: epochs should be a whole number, not 'many'"),
    "range": (HBI + "training: {epochs: -1}", "suite.yaml:3:20: epochs should be greater than or equal to 0, not '-1'"),
    "not a number": (HBI + "training: {lr: .nan}", "suite.yaml:3:16: lr should be a finite number, not 'NaN'"),
    "choice": (
        HBI + "training: {precision: bf61}",
        "suite.yaml:3:23: precision should be 'fp32', 'bf16', 'fp16' or 'released', not 'bf61'; did you mean 'bf16'?",
    ),
    "level": (
        HBI + "model: {levels: [entity, actoin]}",
        "suite.yaml:3:26: levels should be 'entity', 'action' or 'event'",
    ),
    "negative seed": (HBI + "seeds: [0, -1]", "suite.yaml:3:12: seeds should be greater than or equal to 0, not '-1'"),
    "no seeds": (HBI + "seeds: 0", "suite.yaml:3:8: a number of seeds is between 1 and 10000"),
    "empty seeds": (HBI + "seeds: []", "suite.yaml:3:8: seeds is empty"),
    "name": (HBI + "name: ../x", "suite.yaml:3:7: name should match pattern"),
    "label": (
        'data: shapes\nvariants: [{name: hbi, label: "a\\nb"}]',
        "suite.yaml:2:31: a label is one line of printable text",
    ),
    "swept option": (
        HBI + "grid:\n  model.distilation_weight: [1]",
        "suite.yaml:4:3: unknown option 'model.distilation_weight'; did you mean 'model.distillation_weight'",
    ),
    "swept value": (HBI + "grid: {training.lr: [1, x]}", "suite.yaml:3:25: lr should be a number, not 'x'"),
    "swept scalar": (HBI + "grid: {training.lr: 1}", "suite.yaml:3:21: training.lr should be a list, not '1'"),
    "swept seed": (HBI + "grid: {seed: [1]}", "suite.yaml:3:8: 'seed' is not swept here; list it under seeds"),
    "swept twice": (
        HBI + "grid: {training.lr: [1]}\nzip: {training.lr: [1]}",
        "suite.yaml:4:7: 'training.lr' is also set by grid.training.lr",
    ),
    "swept with its group": (
        HBI + "grid: {model.teacher: [null], model.teacher.weight: [1]}",
        "suite.yaml:3:31: 'model.teacher.weight' is also set by grid.model.teacher",
    ),
    "swept without effect": (
        "data: shapes\nvariants: [no-hbi]\ngrid: {model.teacher.weight: [1, 2]}",
        "suite.yaml:3:8: model.teacher.weight is open in no variant of this suite",
    ),
    "zip of unequal lists": (
        HBI + "zip: {training.lr: [1, 2], training.epochs: [1]}",
        "suite.yaml:3:1: the lists of zip are of one length; here: training.lr 2, training.epochs 1",
    ),
    "excluded option": (
        HBI + "exclude: [{training.epoch: 1}]",
        "suite.yaml:3:12: unknown option 'training.epoch'; did you",
    ),
    "everything excluded": (HBI + "exclude: [{variant: hbi}]", "suite.yaml:3:10: every run is excluded"),
    "too many runs": (
        HBI + f"grid: {{training.lr: {list(range(1, 2001))}, data.max_words: {list(range(3, 103))}}}",
        "suite.yaml:1:1: 200000 runs are asked for; the most is 100000",
    ),
    "options that do not fit together": (
        HBI + "model: {distillation_weight: 1, levels: [entity]}",
        "suite.yaml:2:12: hbi: distillation_weight: self-distillation needs the entity level and one more",
    ),
    "options that do not fit the variant": (
        "data: shapes\nvariants:\n- entity-only:\n    model: {similarity_rates: {action: 1}}",
        "suite.yaml:3:3: entity-only: similarity_rates: action is not among the levels that are trained "
        "(entity-only fixes levels, similarity_rates, distillation_weight)",
    ),
    "one label for two settings": (
        "data: shapes\nvariants: [hbi, {name: hbi, training: {epochs: 1}}]",
        "suite.yaml:2:17: hbi: other settings have this label already; give this one a label",
    ),
}

HOSTILE = {
    "empty": ("", "suite.yaml:1:1: the suite is empty; it needs data and variants"),
    "only a comment": ("# nothing", "suite.yaml:1:1: the suite is empty"),
    "list": ("- a", "suite.yaml:1:1: a suite is a mapping (key: value), not a list"),
    "text": ("hello", "suite.yaml:1:1: a suite is a mapping (key: value), not a single value"),
    "two documents": ("a: 1\n---\nb: 1", "suite.yaml:2:1: "),
    "tab": ("data: shapes\nvariants:\n\t- hbi", "suite.yaml:3:1: a tab character; YAML is indented with spaces"),
    "open quote": ('data: "shapes', "suite.yaml:1:14: found unexpected end of stream"),
    "deep": ("data: " + "[" * 5000, "suite.yaml:1:38: nested more than 32 levels deep"),
    "deep mappings": ("data: " + "{a: " * 5000, "suite.yaml:1:128: nested more than 32 levels deep"),
    "billion laughs": (
        "a0: &a0 [x, x, x, x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]\n" for i in range(1, 20)),
        "suite.yaml:1:",
    ),
    "endless alias": ("data: &a [*a]", "suite.yaml:1:7: aliases that stand for too many values"),
    "unknown alias": ("data: *a", "suite.yaml:1:7: found undefined alias 'a'"),
    "repeated key": (HBI + "data: msrvtt", "suite.yaml:3:1: the key 'data' stands here twice"),
    "repeated inner key": (HBI + "training: {lr: 1, lr: 2}", "suite.yaml:3:19: the key 'lr' stands here twice"),
    "key that is a list": (HBI + "? [a, b]\n: 1", "suite.yaml:3:3: a key is a word, not a list or a mapping"),
    "object": ("data: !!python/object/apply:os.system [ls]", "suite.yaml:1:7: the tag !!python/object/apply:os.system"),
    "tag": (HBI + "name: !mine x", "suite.yaml:3:7: the tag !mine is not used here"),
    "text tagged as a number": (HBI + "seeds: !!int x", "suite.yaml:3:8: 'x' is no int"),
    "control character": (HBI + "name: a\x07b", "suite.yaml:3:1: a character that no text file holds"),
    "huge": ("#" * 200_001, "suite.yaml:1:1: more than 200000 characters"),
    "include outside": (HBI + "include: [../x.yaml]", "suite.yaml:3:11: '../x.yaml' is not inside the suite's folder"),
    "include elsewhere": (HBI + "include: [/etc/passwd]", "suite.yaml:3:11: '/etc/passwd' is not inside"),
    "include itself": (HBI + "include: [suite.yaml]", "suite.yaml:3:11: 'suite.yaml' includes itself"),
    "include nothing": (HBI + "include: [siute.yaml]", "suite.yaml:3:11: there is no file 'siute.yaml'; did you mean"),
    "include a number": (HBI + "include: 3", "suite.yaml:3:10: include should be a list, not '3'"),
}


@pytest.mark.parametrize(("text", "line"), [*ONE_LINE.values(), *HOSTILE.values()], ids=[*ONE_LINE, *HOSTILE])
def test_one_clear_line(mistakes, text, line):
    found = mistakes(text)
    assert len(found) == 1
    assert found[0].startswith(line)


def test_all_mistakes_at_once_in_the_order_of_the_text(mistakes):
    text = """\
data: {name: shapes, trian: 4}
model: {encodr: tiny}
variants:
  - hib
  - hbi: {training: {epoch: 2}, seeds: x}
grid: {model.foo: [1]}
zip: {training.lr: [1], training.epochs: [1, 2]}
exclude: [{runtime.thraeds: 1}]
evaluation: 3
"""
    assert [line.split(": ")[0].removeprefix("suite.yaml:") for line in mistakes(text)] == [
        "1:22", "2:9", "4:5", "5:22", "5:40", "6:8", "7:1", "8:12", "9:13",
    ]  # fmt: skip


def test_all_variants_that_do_not_fit_at_once(mistakes):
    text = "data: shapes\nmodel: {levels: [entity]}\nvariants: [hbi, hbi-shapley, no-hbi, hbi-no-banzhaf]"
    assert [line.split(": ")[1] for line in mistakes(text)] == ["hbi", "hbi-shapley"]


def test_a_long_report_is_cut(mistakes):
    found = mistakes(HBI + "training:\n" + "".join(f"  x{i}: 1\n" for i in range(100)))
    assert len(found) == 31
    assert found[-1] == "and more"


def test_a_huge_suite_full_of_mistakes(mistakes):
    assert len(mistakes(HBI + "".join(f"x{i}: 1\n" for i in range(15_000)))) == 31
    assert len(mistakes(HBI + "grid: {" + ", ".join(f"x{i}: 1" for i in range(15_000)) + "}")) == 31


def test_binary_file(tmp_path, mistakes):
    (tmp_path / "other.yaml").write_bytes(bytes(range(256)))
    assert mistakes(HBI + "include: [other.yaml]") == ["other.yaml:2:1: not a text file in UTF-8"]


def test_circle_of_includes(tmp_path, mistakes):
    (tmp_path / "other.yaml").write_text("include: [suite.yaml]")
    assert mistakes(HBI + "include: [other.yaml]") == ["other.yaml:1:11: 'suite.yaml' includes itself"]


def test_too_many_includes(tmp_path, mistakes):
    for depth in range(10):
        (tmp_path / f"{depth}.yaml").write_text(f"include: [{depth + 1}.yaml, {depth + 1}.yaml]")
    (tmp_path / "10.yaml").write_text("seeds: 1")
    assert {line.split(": ")[1] for line in mistakes(HBI + "include: [0.yaml]")} == {"more than 50 files are included"}


def test_link_that_leaves_the_folder(tmp_path, mistakes):
    (tmp_path / "link.yaml").symlink_to("/etc/hostname")
    assert mistakes(HBI + "include: [link.yaml]") == ["suite.yaml:3:11: 'link.yaml' is not inside the suite's folder"]


def test_missing_suite(tmp_path):
    (tmp_path / "quickstart.yaml").write_text(HBI)
    with pytest.raises(InputError, match=r"quikstart.yaml: there is no such suite; did you mean 'quickstart.yaml'\?"):
        load_suite(tmp_path / "quikstart.yaml")
    with pytest.raises(InputError, match="there is no such suite"):
        load_suite(tmp_path)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("training.epoch=1", "--set training.epoch=1: unknown option 'training.epoch'; did you mean 'training.epochs'"),
        ("epochs=1", "--set epochs=1: unknown option 'epochs'; did you mean 'training.epochs'?"),
        ("sedes=1", "--set sedes=1: unknown option 'sedes'; did you mean 'seeds'?"),
        ("training.epochs=x", "--set training.epochs=x: epochs should be a whole number, not 'x'"),
        ("training={epoch: 1}", "--set training={epoch: 1}: unknown key 'epoch'; did you mean 'epochs'?"),
        ("data=shape", "--set data=shape: unknown data set 'shape'; did you mean 'shapes' or 'shapes-qa'?"),
        ("variants=[hib]", "--set variants=[hib]: unknown variant 'hib'; did you mean 'hbi'?"),
        ("grid.training.lr=[x]", "--set grid.training.lr=[x]: lr should be a number, not 'x'"),
        ("model.similarity_rates.action=1", "--set model.similarity_rates.action=1: unknown option"),
        ("include=[x]", "--set include=[x]: include is read before --set; edit the suite"),
        ("training.epochs", "--set training.epochs: write KEY=VALUE"),
        ("seeds=[1", "--set seeds=[1: expected ',' or ']'"),
        ("seeds=!!python/name:os.system", "--set seeds=!!python/name:os.system: the tag"),
    ],
)
def test_overrides_name_themselves(mistakes, override, line):
    found = mistakes(HBI, override)
    assert len(found) == 1
    assert found[0].startswith(line)


QUICKSTART = (Path(__file__).parents[2] / "suites" / "quickstart.yaml").read_text()
PIECES = [
    "\t",
    "\n",
    " ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!x ",
    "? ",
    "|",
    "'",
    '"',
    "null",
    "1e999",
    "<<",
    "%",
]
KEYS = [
    "data",
    "model",
    "seeds",
    "variants",
    "grid",
    "zip",
    "exclude",
    "include",
    "name",
    "label",
    "model.teacher",
    "hbi",
    "recipes",
    "shapes",
    "baseline",
    "published",
]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(KEYS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=12,
)
fuzzed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def ends_well(runs, text):
    lines = ["read"]
    try:
        runs(text)
    except InputError as error:
        lines = str(error).split("\n")
    assert all(line.strip() for line in lines)


@fuzzed
@given(
    st.lists(
        st.tuples(st.integers(0, len(QUICKSTART)), st.integers(0, 20), st.sampled_from(PIECES)), min_size=1, max_size=4
    )
)
def test_a_damaged_suite_is_read_or_refused(runs, damages):
    text = QUICKSTART
    for start, length, piece in damages:
        text = text[:start] + piece + text[start + length :]
    ends_well(runs, text)


@fuzzed
@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=5))
@example({"data": {"name": ["shapes"]}, "variants": [{"name": {"a": 1}}]})
def test_any_data_is_read_or_refused(runs, data):
    ends_well(runs, yaml.safe_dump({"data": "shapes", "variants": ["hbi"], **data}))
