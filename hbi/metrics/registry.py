"""The metrics of retrieval by name: ours, and those that installed packages offer as entry points "hbi.metrics".

Free of numpy, for a suite's columns are checked against these names before anything runs.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hbi.config import plugins
from hbi.errors import InputError, RunFailure

RECALL_AT = (1, 5, 10, 50)
OURS = {
    f"{way}/{name}": higher
    for way in ("t2v", "v2t")
    for name, higher in [*((f"R@{k}", True) for k in RECALL_AT), ("MdR", False), ("MnR", False)]
}
"""Name: whether higher is better."""
COLUMNS = tuple(name for name in OURS if not name.endswith("@50"))
"""The columns of a table that asks for none."""


@dataclass(frozen=True)
class PluginMetric:
    """A metric of another package; its entry point's name is the prefix of its values in records: "PREFIX/NAME"."""

    function: Callable[[Any, Any], Mapping[str, float]]
    """(similarity [N,M], groups [N]) → the values named in ``higher_is_better``; groups[n] is caption n's column."""
    higher_is_better: Mapping[str, bool]


@cache
def plugin_metrics() -> dict[str, PluginMetric]:
    """What is installed, by prefix. Raises InputError for one that is no PluginMetric or takes a name of ours."""
    found = plugins("hbi.metrics")
    for prefix, metric in found.items():
        if not isinstance(metric, PluginMetric):
            raise InputError(f"plug-in {prefix!r} (hbi.metrics) is no hbi.metrics.registry.PluginMetric")
        if any(name.startswith(f"{prefix}/") for name in OURS):
            raise InputError(f"plug-in {prefix!r} (hbi.metrics) has the name of metrics of ours; give it another")
    return found


def known_metrics() -> dict[str, bool]:
    """Every metric that a table can show, and whether higher is better."""
    theirs = {
        f"{prefix}/{name}": higher
        for prefix, metric in plugin_metrics().items()
        for name, higher in metric.higher_is_better.items()
    }
    return OURS | theirs


def plugin_values(similarity: Any, groups: Any) -> dict[str, float]:
    """What every installed metric finds; raises RunFailure that names the one that fails or breaks its promise."""
    found: dict[str, float] = {}
    for prefix, metric in plugin_metrics().items():
        try:
            values = {name: float(value) for name, value in metric.function(similarity, groups).items()}
        except Exception as error:
            raise RunFailure("bug", f"plug-in metric {prefix!r}: {type(error).__name__}: {error}") from error
        if values.keys() != metric.higher_is_better.keys():
            promised, given = ", ".join(metric.higher_is_better), ", ".join(values)
            raise RunFailure("bug", f"plug-in metric {prefix!r} gives {given or 'nothing'}, not {promised}")
        if broken := [name for name, value in values.items() if not math.isfinite(value)]:
            raise RunFailure("bug", f"plug-in metric {prefix!r}: {broken[0]} is not finite")
        found |= {f"{prefix}/{name}": value for name, value in values.items()}
    return found
