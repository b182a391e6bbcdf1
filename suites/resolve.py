"""The settings of one run. Where an option is set several times, the later in this list holds:

    default  <  the recipe of the run's data set  <  what that recipe has for the run's system, where the suite
    asks for `recipe: own`  <  the suite's section  <  grid or zip  <  what defines the variant (its registry
    entry)  <  the variant's own entry in the suite

The data set is the one that the run is on in the end, whether the suite, the grid or the variant's entry names it.
Settings that all variants share never change what defines one of them: a suite that sweeps the distillation weight
runs ``no-hbi`` once, as the baseline it is. Only an entry that names the variant can say otherwise. Where a swept
option is settled by the variant or its entry, or unknown to the variant's system, it is no part of the label, and
the points that differ in it alone are one.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ablations import registry
from hbi.config import Config
from suites.grid import Point
from suites.messages import findings
from suites.schema import Options, Recipe, Suite, VariantEntry
from suites.sections import SECTIONS, members, merge, nested

Settings = dict[str, dict[str, Any]]  # section: options


def fixed_settings(entry: VariantEntry) -> Settings:
    """What defines the variant, under what its entry says."""
    config = registry.get(entry.name).config
    return {section: merge(config.get(section, {}), getattr(entry, section), (section,)) for section in SECTIONS}


def open_options(suite: Suite, fixed: Settings) -> list[str]:
    """The swept options that what is ``fixed`` for a variant leaves open, and that its system knows."""
    known = _config("model", fixed["model"]).model_fields
    return [
        option
        for option in (*suite.grid, *suite.zip)
        if not _settled(fixed, option) and (not option.startswith("model.") or option.split(".")[1] in known)
    ]


def _settled(fixed: Any, option: str) -> bool:
    """Whether ``fixed`` holds a value at ``option``, or one (such as no teacher at all) that leaves no room for it."""
    for part in option.split("."):
        if not isinstance(fixed, Mapping):
            return True
        if part not in fixed:
            return False
        fixed = fixed[part]
    return True


def sections_at(suite: Suite, fixed: Settings, point: Point, built: dict[str, Config]) -> dict[str, Config]:
    """The sections of a run, validated; ``built`` keeps those of the variant's other points, for most are the same."""
    sections, wrong = {}, []
    data = fixed["data"].get("name", point.get("data.name", suite.data.get("name")))
    for section in SECTIONS:
        swept = {option: value for option, value in point.items() if option.startswith(f"{section}.")}
        key = f"{section} {swept} {data}"
        if key not in built:
            shared = _shared(suite, section, data, fixed["model"]["system"])
            options = _options(section, shared, swept, fixed[section])
            config = _config(section, options)
            try:
                built[key] = config.model_validate(options)
            except ValidationError as error:
                wrong += [message for _, _, message in findings(error, config)]
                continue
        sections[section] = built[key]
    if wrong:
        raise ValueError("; ".join(wrong))
    return sections


def _shared(suite: Suite, section: str, data: Any, system: str) -> dict[str, Any]:
    """What is under a variant's own settings on the data set ``data``: the suite's section over the recipe."""
    path, found = (section,), suite.recipes.get(str(data), Recipe())
    recipe, own = getattr(found, section), getattr(suite, section)
    if suite.recipe == "own":
        recipe = merge(recipe, getattr(found.systems.get(system, Options()), section), path)
    if section == "data" and data is not None:
        own = merge(own, {"name": data}, path)  # another data set starts afresh
        recipe = {**recipe, "name": data}
    shared: dict[str, Any] = merge(recipe, own, path)
    return shared


def _options(section: str, shared: dict[str, Any], point: Point, fixed: dict[str, Any]) -> dict[str, Any]:
    """What a section holds: what variants share, under the grid's point, under what is fixed for this variant."""
    path = (section,)
    swept: dict[str, Any] = {}
    for option, value in point.items():
        swept = merge(swept, nested(option, value)[section], path)
    if section == "model":  # systems differ in their options: each takes those it knows
        known = _config(section, fixed).model_fields
        shared = {option: value for option, value in shared.items() if option in known}
    options: dict[str, Any] = merge(merge(shared, swept, path), fixed, path)
    return options


def _config(section: str, options: Mapping[str, Any]) -> type[Config]:
    name = options.get({"data": "name", "model": "system"}.get(section, ""), section)
    if name not in members(section):
        raise ValueError("no data set is named for it")
    return members(section)[name]


def reminder(entry: VariantEntry) -> str:
    """The options that define a variant: one of them is usually what the suite's settings do not fit."""
    config = registry.get(entry.name).config
    fixed = [option for section in SECTIONS for option in config.get(section, {}) if option != "system"]
    return f" ({entry.name} fixes {', '.join(fixed)})" if fixed else ""
