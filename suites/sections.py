"""The sections of a suite (data, model, training ...) and the options that each of them has.

Options are those of hbi.config. A *group* is a mapping of options (model, model.teacher): groups merge key by key.
Any other option is one value, replaced as a whole, also where that value is a mapping (model.similarity_rates).
"""

from collections.abc import Mapping
from copy import copy
from functools import cache
from typing import Any, get_args

from pydantic import create_model

from hbi.config import SYSTEMS, Config, DataConfig, EvaluationConfig, RuntimeConfig, TrainingConfig, datasets
from suites.places import Path

SECTIONS = ("data", "model", "training", "evaluation", "runtime")
UNSWEPT = ("recipes", "resources", "retries", "cost")
"""Groups of a suite that are no options of its runs, so nothing is swept over them."""
_FIXED: dict[str, type[Config]] = {
    "training": TrainingConfig,
    "evaluation": EvaluationConfig,
    "runtime": RuntimeConfig,
}


def members(section: str) -> Mapping[str, type[Config]]:
    """The configurations a section can have, by name of data set or system; one for the closed sections."""
    if section == "data":
        return datasets()
    return SYSTEMS if section == "model" else {section: _FIXED[section]}


@cache
def partial(config: type[Config]) -> type[Config]:
    """``config`` as it may stand in a suite: any of its options, checked one by one.

    What options must hold together is checked when a run is complete. The system is left out: the variant decides it.
    """
    fields: dict[str, Any] = {}
    for name, field in config.model_fields.items():
        if name != "system":
            field = copy(field)
            field.default = None if field.is_required() else field.default
            fields[name] = (field.annotation, field)
    return create_model(config.__name__, __base__=Config, __doc__=config.__doc__, **fields)


def group(config: type[Config], option: str) -> type[Config] | None:
    """The configuration behind an option that is a group, or a list of such; None for a plain value."""
    field = config.model_fields.get(option)
    return _config_in(field.annotation) if field else None


def _config_in(annotation: Any) -> type[Config] | None:
    if annotation is DataConfig:  # any data set (data.test): which options it has, its name says
        return None
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return annotation
    return next(filter(None, map(_config_in, get_args(annotation))), None)


@cache
def addresses() -> dict[str, bool]:
    """Every option as a dotted key (model.teacher.weight), and whether it is a group."""
    found: dict[str, bool] = {}

    def visit(config: type[Config], prefix: str) -> None:
        for name in config.model_fields:
            inner = group(config, name)
            found[f"{prefix}.{name}"] = inner is not None
            if inner:
                visit(inner, f"{prefix}.{name}")

    for section in SECTIONS:
        for config in members(section).values():
            visit(partial(config), section)
    return found


def merge(base: Any, over: Any, path: Path) -> Any:
    """``over`` laid on ``base``, both found at ``path``: groups key by key, values replaced.

    A data section that names another data set starts afresh: a size that suits one set means nothing to another.
    """
    if not (isinstance(base, Mapping) and isinstance(over, Mapping) and _is_group(path)):
        return over
    if path == ("data",) and "name" in over and over["name"] != base.get("name"):
        return over
    merged = dict(base)
    for key, value in over.items():
        merged[key] = merge(base[key], value, (*path, key)) if key in base else value
    return merged


def _is_group(path: Path) -> bool:
    if path[0] == "recipes" and len(path) > 1:  # its members are data sets, whose groups are those of a suite
        inner = path[2:]
        if inner[:1] == ("systems",):  # and so are those of its systems
            inner = inner[2:]
        return not inner or _is_group(inner)
    if len(path) == 1:
        return path[0] in (*SECTIONS, *UNSWEPT, "grid", "zip")
    return addresses().get(".".join(map(str, path)), False)


def nested(key: str, value: Any) -> dict[str, Any]:
    """The mapping that a dotted key stands for: {"model": {"teacher": {"weight": value}}}."""
    for part in reversed(key.split(".")):
        value = {part: value}
    result: dict[str, Any] = value
    return result
