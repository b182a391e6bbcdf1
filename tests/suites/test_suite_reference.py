"""docs/suites.md: its tables are those of the schema, and its examples load."""

import re

import pytest

from hbi.config import Config
from hbi.metrics.registry import PluginMetric
from suites.expand import expand
from suites.json_schema import json_schema
from suites.load import load_suite
from suites.reference import DOCUMENT, MARK, reference
from suites.schema import Suite, VariantEntry
from suites.sections import SECTIONS, addresses, group, members, partial

TEXT = DOCUMENT.read_text()


def test_the_tables_are_current():
    assert TEXT.partition(MARK)[2].strip() == reference().strip(), "renew them: python -m suites.reference"


def test_every_key_is_there_with_a_meaning():
    def meanings(config: type[Config]):
        for name, field in config.model_fields.items():
            yield name, field.description
            if inner := group(config, name):
                yield from meanings(inner)

    configs = [Suite, VariantEntry, *(partial(c) for section in SECTIONS for c in members(section).values())]
    assert [name for config in configs for name, meaning in meanings(config) if not meaning] == []
    assert [key for key in [*addresses(), *Suite.model_fields] if f"`{key}`" not in TEXT] == []
    assert json_schema()["properties"]["metrics"]["items"]["enum"][:2] == ["t2v/R@1", "t2v/R@5"]


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_its_suites_expand(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    (tmp_path / "example.yaml").write_text(example)
    assert len(expand(load_suite("example.yaml"))) > 1


def test_its_metric_is_one():
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict = {}
    exec(example, names)  # our own page
    assert isinstance(names["metric"], PluginMetric)
