"""Ids are stable. A change of tests/golden/run_ids.json means that records of earlier versions are no longer found.

When that is meant: python tests/suites/test_run_identity.py
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ablations import registry
from suites.identity import computation, resolved, run_id
from suites.spec import RunSpec

GOLDEN = Path(__file__).parents[1] / "golden" / "run_ids.json"
NAMES = [
    "no-hbi",
    "entity-only",
    "action-only",
    "event-only",
    "hbi",
    "hbi-no-distillation",
    "hbi-no-banzhaf",
    "hbi-shapley",
    "hbi-sampled",
    "estimator",
]


def specification(variant: str = "hbi", data: Any = "shapes", **more: Any) -> RunSpec:
    return RunSpec(variant=variant, data=data, **{**registry.get(variant).config, **more})


def current() -> dict[str, Any]:
    specs = [specification(variant, data) for variant in NAMES for data in ("shapes", "msrvtt")]
    return {f"{spec.variant} on {spec.data.name}": {"id": run_id(spec), "resolved": resolved(spec)} for spec in specs}


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from differences(old.get(key, "absent"), new.get(key, "absent"), f"{path}.{key}".lstrip("."))
    elif old != new:
        yield f"{path}: {old} -> {new}"


def test_ids_are_those_of_the_golden_file():
    golden, now = json.loads(GOLDEN.read_text()), current()
    changed = [line for name in golden for line in differences(golden[name]["resolved"], now[name]["resolved"], name)]
    assert not changed, (
        "these defaults have changed, so records made before are no longer found by their id:\n  "
        + "\n  ".join(changed)
        + "\nwhen that is meant, rewrite the golden file: python tests/suites/test_run_identity.py"
    )
    assert {name: now[name]["id"] for name in golden} == {name: golden[name]["id"] for name in golden}


def test_a_changed_default_is_reported_by_name():
    old = {"training": {"lr": 1, "epochs": 5}, "version": 1}
    new = {"training": {"lr": 2, "epochs": 5, "clip": 1}, "version": 1}
    assert list(differences(old, new)) == ["training.clip: absent -> 1", "training.lr: 1 -> 2"]


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"name": "shapes", "root": "/elsewhere"}},
        {"runtime": {"workers": 7}},
        {"training": {"lr": 1e-4, "weight_decay": 0.2}},
        {"training": {"weight_decay": 0.2, "lr": 0.0001}},
        {"training": {"clip_norm": 1}},
    ],
)
def test_what_cannot_change_the_result_is_not_in_the_id(change):
    assert run_id(specification(**change)) == run_id(specification())


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"runtime": {"threads": 3}},
        {"runtime": {"device": "cpu"}},
        {"training": {"precision": "bf16"}},
        {"data": {"name": "shapes", "reader": "pyav"}},
        {"data": {"name": "shapes", "max_words": 23}},
        {"model": {"system": "hbi", "teacher": None}},
        {"evaluation": {"ties": "optimistic"}},
    ],
)
def test_what_can_change_the_result_is(change):
    assert computation(specification(**change)) != computation(specification())


def test_one_computation_under_two_variants_has_one_hash_and_two_ids():
    one = specification("hbi-no-distillation")
    two = specification("hbi", model={"system": "hbi", "distillation_weight": 0})
    assert computation(one) == computation(two)
    assert run_id(one) != run_id(two)


def test_a_specification_read_back_from_json_has_the_same_id():
    for variant in NAMES:
        spec = specification(variant)
        assert run_id(RunSpec.model_validate_json(spec.model_dump_json())) == run_id(spec)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(current(), indent=1, sort_keys=True) + "\n")
