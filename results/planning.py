"""What a suite can resolve, told before it is launched."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hbi.metrics.registry import HEADLINES
from results.comparisons import LEVEL
from results.resolution import resolvable
from results.suite_tables import suite_table
from results.summary import read_summaries
from suites.expand import chosen, expand
from suites.schema import Suite

POWER = 0.8


@dataclass(frozen=True)
class Resolvable:
    """``points``: by the number of seeds that a row shares with the baseline, the difference in ``metric`` that is
    found with a power of 80 %, at a level of 5 % corrected for ``comparisons`` (Holm, at worst)."""

    metric: str
    baseline: str
    comparisons: int
    test_videos: int
    spread: Literal["of the records so far", "assumed"]
    points: dict[int, float]

    def lines(self) -> Iterator[str]:
        """For a person."""
        corrected = f" / {self.comparisons} (Holm)" if self.comparisons > 1 else ""
        yield (
            f"resolves: a difference to {self.baseline} in {self.metric}, found with {100 * POWER:g} % power "
            f"at a level of {100 * LEVEL:g} %{corrected}; {self.test_videos} test videos, spread {self.spread}:"
        )
        for seeds, points in self.points.items():
            told = f"{points:.1f}" if points < 100 else "more than 100"
            alone = ", between these trained models alone" if seeds == 1 else ""
            yield f"  {seeds} seed{'s' * (seeds > 1)}: {told} points{alone}"


def suite_resolves(suite: Suite, runs: Path, only: str | None = None) -> Resolvable | None:
    """What can be resolved of the task's headline metric.

    None where no two rows are compared, or nobody knows the size of the test split before the data are read. What
    earlier records of the suite tell of the spread is used, else what is typical.
    """
    every = expand(suite)
    table, wanted = suite_table(suite, every, read_summaries(runs)[0], runs, only), chosen(every, only)
    data = [run.spec.data for run in wanted if run.in_tables]
    videos, tasks = {one.test_videos for one in data}, {one.task for one in data}
    if table is None or len(table.rows) < 2 or len(videos) > 1 or None in videos or len(tasks) > 1:
        return None
    metric = HEADLINES[tasks.pop()][0]
    seeds: dict[str, set[int]] = {}
    for run in wanted:
        if run.in_tables:
            seeds.setdefault(run.label, set()).add(run.spec.seed)
    if table.baseline not in seeds:  # --only has left it out
        return None
    common = {len(own & seeds[table.baseline]) for label, own in seeds.items() if label != table.baseline}
    place = table.columns.index(metric) if metric in table.columns else None
    compared = [row.cells[place].comparison for row in table.rows] if place is not None else []
    spread = [one.variation for one in compared if one and one.variation]
    queries, rows = videos.pop() or 0, len(table.rows) - 1
    points = {seeds: resolvable(queries, seeds, spread, LEVEL / rows, POWER) for seeds in sorted(common - {0})}
    told: Literal["of the records so far", "assumed"] = "of the records so far" if spread else "assumed"
    return Resolvable(metric, table.baseline, rows, queries, told, points) if points else None
