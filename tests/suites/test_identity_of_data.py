"""What of a run's data is in its id, where one data set is trained on and another tested on."""

import json
from pathlib import Path
from typing import Any

import pytest

from ablations import registry
from suites.expand import expand
from suites.identity import computation, resolved
from suites.load import load_suite
from suites.spec import RunSpec

PAIRS = {"name": "pairs", "root": "/here", "tables": ["a.tsv", "b.tsv"], "test": {"name": "shapes", "train": 9}}


def specification(data: Any, **more: Any) -> RunSpec:
    return RunSpec(variant="hbi", data=data, **{**registry.get("hbi").config, **more})


def changed(**test: Any) -> dict[str, Any]:
    return {**PAIRS, "test": {**PAIRS["test"], **test}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "data", [{**PAIRS, "root": "/there"}, changed(root="/there"), changed(max_words=9, resize="twice")]
)
def test_where_both_lie_and_how_the_tested_one_would_be_read_alone_is_not(data: dict[str, Any]) -> None:
    assert computation(specification(data)) == computation(specification(PAIRS))


@pytest.mark.parametrize(
    "data", [{**PAIRS, "resize": "twice"}, {**PAIRS, "max_words": 9}, changed(train=8), changed(test=8)]
)
def test_what_is_read_and_what_is_tested_is(data: dict[str, Any]) -> None:
    assert computation(specification(data)) != computation(specification(PAIRS))


@pytest.mark.parametrize("option", [{"resize": "twice"}, {"sampler": "ranges", "training_frames": "drawn"}])
def test_an_option_that_came_later_is_in_it_where_it_is_not_as_before(option: dict[str, str]) -> None:
    plain = resolved(specification({"name": "msrvtt"}))["data"]
    assert not {"resize", "training_frames"} & plain.keys()
    assert option.items() <= resolved(specification({"name": "msrvtt", **option}))["data"].items()


def test_a_table_stands_there_by_its_content(tmp_path: Path) -> None:
    def data_of(folder: str, content: str) -> dict[str, Any]:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "a.tsv").write_text(content)
        data = {**PAIRS, "tables": [str(tmp_path / folder / "a.tsv")]}
        (tmp_path / "suite.yaml").write_text(json.dumps({"data": data, "variants": ["hbi"]}))
        (run,) = expand(load_suite(tmp_path / "suite.yaml"))
        found: dict[str, Any] = resolved(run.spec)["data"]
        return found

    one = data_of("here", "path\tcaption\na\tb\n")
    assert one == data_of("there", "path\tcaption\na\tb\n") != data_of("here", "path\tcaption\na\tc\n")
    assert one["tables"][0].startswith("sha256:")
