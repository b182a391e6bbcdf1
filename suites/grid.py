"""The points of a suite's grid and zip, and what is left out of them."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from suites.schema import Suite

Point = dict[str, Any]  # dotted option: value


def count(suite: Suite) -> int:
    """How many points there are."""
    return math.prod(map(len, suite.grid.values())) * len(next(iter(suite.zip.values()), [None]))


def points(suite: Suite) -> Iterator[Point]:
    """Every combination of the grid, with every step of the zipped lists."""
    steps = [dict(zip(suite.zip, step, strict=True)) for step in zip(*suite.zip.values(), strict=True)] or [{}]
    for values in itertools.product(*suite.grid.values()):
        for step in steps:
            yield {**dict(zip(suite.grid, values, strict=True)), **step}


def short_names(suite: Suite) -> dict[str, str]:
    """The options that differ between points, by the name they have in labels: without section where that is unique."""
    swept = {**suite.grid, **suite.zip}
    short = [option.partition(".")[2] for option in swept]
    return {
        option: name if short.count(name) == 1 else option
        for (option, values), name in zip(swept.items(), short, strict=True)
        if any(value != values[0] for value in values)
    }


def suffix(point: Point, names: Mapping[str, str]) -> str:
    """The part of a label that tells ``point`` from the others: " distillation_weight=0.1"."""
    return "".join(f" {name}={_written(point[option])}" for option, name in names.items() if option in point)


def _written(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)


def excluded(suite: Suite, resolved: Mapping[str, Any]) -> bool:
    """Whether an item of ``exclude`` matches a run whose specification is ``resolved``, as plain data."""
    return any(all(_at(resolved, key) == value for key, value in item.items()) for item in suite.exclude)


def _at(data: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(data, Mapping):
            return None
        data = data.get(part)
    return data
