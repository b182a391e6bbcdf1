"""What a suite can resolve, told before it is launched."""

from collections.abc import Sequence
from pathlib import Path

from hbi.metrics.registry import HEADLINES
from results.comparisons import LEVEL
from results.resolution import resolvable
from results.suite_tables import suite_table
from results.summary import read_summaries
from suites.expand import Run
from suites.schema import Suite

POWER = 0.8


def resolvable_lines(suite: Suite, wanted: Sequence[Run], runs: Path) -> list[str]:
    """The difference to the baseline that would be found, for each number of seeds that rows share with it.

    Of the task's headline metric. [] where no two rows are compared, or nobody knows the size of the test split
    before the data are read. What earlier records of the suite tell of the spread is used, else what is typical.
    """
    table = suite_table(suite, wanted, read_summaries(runs)[0], runs)
    data = [run.spec.data for run in wanted if run.in_tables]
    videos, tasks = {one.test_videos for one in data}, {one.task for one in data}
    if table is None or len(table.rows) < 2 or len(videos) > 1 or None in videos or len(tasks) > 1:
        return []
    metric = HEADLINES[tasks.pop()][0]
    seeds: dict[str, set[int]] = {}
    for run in wanted:
        if run.in_tables:
            seeds.setdefault(run.label, set()).add(run.spec.seed)
    if table.baseline not in seeds:  # --only has left it out
        return []
    common = {len(own & seeds[table.baseline]) for label, own in seeds.items() if label != table.baseline}
    place = table.columns.index(metric) if metric in table.columns else None
    compared = [row.cells[place].comparison for row in table.rows] if place is not None else []
    spread = [one.variation for one in compared if one and one.variation]
    queries, rows = videos.pop() or 0, len(table.rows) - 1
    lines = [
        f"resolves: a difference to {table.baseline} in {metric}, found with {100 * POWER:g} % power at a level of "
        f"{100 * LEVEL:g} %{f' / {rows} (Holm)' if rows > 1 else ''}; {queries} test videos, "
        f"{'spread of the records so far' if spread else 'spread assumed'}:"
    ]
    for number in sorted(common - {0}):
        points = resolvable(queries, number, spread, LEVEL / rows, POWER)
        of = "1 seed: {} points, between these trained models alone" if number == 1 else f"{number} seeds: {{}} points"
        lines.append("  " + of.format(f"{points:.1f}" if points < 100 else "more than 100"))
    return lines if len(lines) > 1 else []
