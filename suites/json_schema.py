"""The JSON schema of suite files, for editors that complete and check YAML as it is written."""

from typing import Any

from pydantic.json_schema import models_json_schema

from ablations import registry
from hbi.config import Config
from hbi.metrics.registry import known_metrics
from suites.schema import Suite
from suites.sections import SECTIONS, addresses, members, partial

Schema = dict[str, Any]


def json_schema() -> Schema:
    """The suite's schema with the options of every data set and system spelled out, and the short spellings."""
    configs = {section: [partial(config) for config in members(section).values()] for section in SECTIONS}
    models: list[type[Config]] = [Suite, *(config for section in SECTIONS for config in configs[section])]
    references, whole = models_json_schema([(model, "validation") for model in models])
    definitions: Schema = whole["$defs"]
    suite, entry, recipe = definitions.pop("Suite"), definitions["VariantEntry"], definitions["Recipe"]
    of_system = definitions["Options"]

    for section in SECTIONS:
        choices: list[Schema] = [references[config, "validation"] for config in configs[section]]
        names: list[Schema] = [{"enum": list(members("data"))}] if section == "data" else []
        for holder, short in ((suite, names), (entry, names), (recipe, []), (of_system, [])):
            described = holder["properties"][section]["description"]
            holder["properties"][section] = {"description": described, "anyOf": [*choices, *short, {"type": "null"}]}
    suite["properties"]["recipes"]["propertyNames"] = {"enum": list(members("data"))}
    recipe["properties"]["systems"]["propertyNames"] = {"enum": list(members("model"))}

    variants = registry.names()
    entry["properties"]["name"] |= {"enum": variants}
    unnamed = {"$ref": "#/$defs/VariantOptions"}
    definitions["VariantOptions"] = {
        **entry,
        "title": "VariantOptions",
        "properties": {key: value for key, value in entry["properties"].items() if key != "name"},
        "required": [],
    }
    options = {name: {"anyOf": [unnamed, {"type": "null"}]} for name in variants}
    suite["properties"]["variants"]["items"] = {
        "anyOf": [
            {"enum": variants},
            {"$ref": "#/$defs/VariantEntry"},
            {
                "type": "object",
                "properties": options,
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }
    for sweep in ("grid", "zip"):
        suite["properties"][sweep]["propertyNames"] = {"enum": list(addresses())}
    suite["properties"]["exclude"]["items"]["propertyNames"] = {"enum": ["variant", "seed", *addresses()]}
    suite["properties"]["metrics"]["items"] = {"enum": list(known_metrics())}
    suite["required"] = ["variants"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **suite, "$defs": definitions}
