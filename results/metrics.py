"""What a table must know of a metric: its group, its heading, which direction is better, its decimals."""

from dataclasses import dataclass

GROUPS = {"t2v": "text → video", "v2t": "video → text"}

# By the part of the name that says what is measured: "R" of "t2v/R@1", "accuracy" of "accuracy/what".
_HIGHER_IS_BETTER = {"R": True, "MdR": False, "MnR": False, "accuracy": True}

RETRIEVAL = tuple(f"{group}/{measure}" for group in GROUPS for measure in ("R@1", "R@5", "R@10", "MdR", "MnR"))


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
    measure = heading.partition("/")[0].partition("@")[0]
    return Metric(name, group if group in GROUPS else "", heading, _HIGHER_IS_BETTER.get(measure))
