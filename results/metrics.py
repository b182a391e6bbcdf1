"""What a table must know of a metric: its group, its heading, which direction is better, its decimals."""

from dataclasses import dataclass
from typing import NamedTuple

from hbi.metrics.registry import known_metrics


class Group(NamedTuple):
    """Metrics with a common beginning: their title, and what stands for it where there is no room."""

    title: str
    short: str


GROUPS = {
    "t2v": Group("text → video", "T→V"),
    "v2t": Group("video → text", "V→T"),
    "accuracy": Group("accuracy, % of questions", "acc."),
}
_HEADINGS = {"accuracy": "all", "accuracy/in_vocabulary": "in vocabulary"}


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
    heading = _HEADINGS.get(name, rest if group in GROUPS else name)
    return Metric(name, group if group in GROUPS else "", heading, known_metrics().get(name))
