"""What a table must know of a metric: its group, its heading, which direction is better, its decimals."""

from dataclasses import dataclass

from hbi.metrics.registry import known_metrics

GROUPS = {"t2v": "text → video", "v2t": "video → text"}

# Where no registered metric is called so: by what is measured, "accuracy" of "accuracy/what".
_HIGHER_IS_BETTER = {"accuracy": True}


@dataclass(frozen=True)
class Metric:
    """One column. R@K and accuracy are in percent, MdR and MnR are ranks from 1."""

    name: str
    group: str
    heading: str
    higher_is_better: bool | None  # None: not known, so nothing is called the best
    decimals: int = 1

    @property
    def arrow(self) -> str:
        return {True: "↑", False: "↓", None: ""}[self.higher_is_better]


def metric(name: str) -> Metric:
    """The metric that records keep under ``name``, such as "t2v/R@1"."""
    group, _, rest = name.partition("/")
    heading = rest if group in GROUPS else name
    higher = known_metrics().get(name, _HIGHER_IS_BETTER.get(name.partition("/")[0]))
    return Metric(name, group if group in GROUPS else "", heading, higher)
