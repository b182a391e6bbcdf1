"""The metrics by name: ours of retrieval and of questions, and what installed packages offer as "hbi.metrics".

Free of numpy, for a suite's columns are checked against these names before anything runs.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hbi.config import plugins
from hbi.errors import InputError, RunFailure

RECALL_AT = (1, 5, 10, 50)
RETRIEVAL = {
    f"{way}/{name}": higher
    for way in ("t2v", "v2t")
    for name, higher in [*((f"R@{k}", True) for k in RECALL_AT), ("MdR", False), ("MnR", False)]
}
"""Name: whether higher is better."""
KINDS = ("what", "who", "how", "when", "where")
"""Of questions, by their first word."""
QA = dict.fromkeys(("accuracy", "accuracy/in_vocabulary", *(f"accuracy/{kind}" for kind in KINDS)), True)
OURS = RETRIEVAL | QA

COLUMNS = tuple(name for name in RETRIEVAL if not name.endswith("@50"))
"""The columns of a table of retrieval that asks for none."""
QA_COLUMNS = tuple(QA)
"""Those of a table of question answering."""
HEADLINES = {"retrieval": ("t2v/R@1", "t2v/R@10", "v2t/R@1"), "qa": ("accuracy", "accuracy/in_vocabulary")}
"""By task, what is told of a run in a line; the first is what the selection of an epoch maximises."""


def headline(metrics: Mapping[str, float]) -> tuple[str, float] | None:
    """Name and value of what is watched, t2v R@1 or the accuracy; none where neither was measured."""
    return next(((name, metrics[name]) for name, *_ in HEADLINES.values() if name in metrics), None)


def columns_of(tasks: Collection[str]) -> tuple[str, ...]:
    """The columns of a table that asks for none, when its runs are on data of these tasks ("retrieval", "qa")."""
    return (COLUMNS if "retrieval" in tasks else ()) + (QA_COLUMNS if "qa" in tasks else ())


@dataclass(frozen=True)
class PluginMetric:
    """A metric of another package, for retrieval; its entry point's name is the prefix of its values: "PREFIX/NAME"."""

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
        if any(f"{name}/".startswith(f"{prefix}/") for name in OURS):
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
        except MemoryError:
            raise
        except Exception as error:
            raise RunFailure("bug", f"plug-in metric {prefix!r}: {type(error).__name__}: {error}") from error
        if values.keys() != metric.higher_is_better.keys():
            promised, given = ", ".join(metric.higher_is_better), ", ".join(values)
            raise RunFailure("bug", f"plug-in metric {prefix!r} gives {given or 'nothing'}, not {promised}")
        if broken := [name for name, value in values.items() if not math.isfinite(value)]:
            raise RunFailure("bug", f"plug-in metric {prefix!r}: {broken[0]} is not finite")
        found |= {f"{prefix}/{name}": value for name, value in values.items()}
    return found
