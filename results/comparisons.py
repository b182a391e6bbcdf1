"""A table's cells with their intervals, and each row against the baseline, from the ranks that lie beside the records.

Compared are the runs that two rows have with the same seed, query by query (results.significance). A row that cannot
be paired is marked with the reason. What was found is kept in runs/cache/statistics by row, and found anew where a
record is another; the files can be removed at any time.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from hbi.files import write_atomically
from hbi.metrics.registry import KINDS, OURS, QA
from hbi.metrics.retrieval import summarise
from results.collect import Row, Table
from results.estimates import Interval
from results.significance import Comparison, compare, holm, interval
from results.store import STORE, RecordError, is_plain_name, read_ranks, run_folder
from results.summary import CACHE, Stamp, Summary, stamp_of

STATISTICS = "statistics"
"""Folder of what is found here, in that of what is kept."""
LEVEL = 0.05
"""Of the tests in a table, and 1 − the confidence of its intervals."""
MOST_ROWS = 500
"""In a longer table nothing is compared: no difference would be left after a correction for so many."""

_FORMAT = 3
"""Raise it when the same ranks give something else."""

OTHER_QUERIES = "other queries"
"""Why two rows are not compared, nor one of them called the best."""

Arrays = Mapping[str, NDArray[Any]]


class NotPaired(ValueError):
    """Two runs have no queries that could be paired by a metric; the message is the reason, in a few words."""


@dataclass(frozen=True)
class _Kept:
    """Of one row, by column: its interval and its comparison; ``refused``: the reasons, with the columns, for none."""

    intervals: tuple[Interval | None, ...]
    comparisons: tuple[Comparison | None, ...]
    refused: Mapping[str, tuple[str, ...]]


_FILE = TypeAdapter(dict[str, _Kept])


def with_statistics(table: Table, summaries: Mapping[str, Summary], runs: Path, baseline: str) -> Table:
    """``table`` with intervals, and comparisons with the row ``baseline``, corrected by Holm over the other rows."""
    if len(table.rows) > MOST_ROWS:
        return replace(table, baseline=baseline, uncompared=f"there are more than {MOST_ROWS} rows")
    path = runs / CACHE / STATISTICS / f"{table.name}.json" if is_plain_name(f"{table.name}.json") else None
    before = _read(path) if path else {}
    now: dict[str, _Kept] = {}
    base = next((row for row in table.rows if row.label == baseline), None)
    of_base = _Ranked(base, summaries, runs) if base else None
    rows = []
    for row in table.rows:
        ranked = of_base if of_base and row is base else _Ranked(row, summaries, runs)
        key = _key(table.columns, ranked, of_base)
        now[key] = before.get(key) or _found(table.columns, ranked, of_base)
        rows.append(_with(row, now[key], baseline))
    if path and now != before:
        _write(path, now)
    uncompared = _uncompared(table, baseline)
    return replace(table, rows=_corrected(rows), baseline=baseline, level=LEVEL, uncompared=uncompared)


def _uncompared(table: Table, baseline: str) -> str:
    measured = {row.label for row in table.rows if any(cell.values for cell in row.cells)}
    if not measured - {baseline} or baseline in measured:
        return ""
    known = any(row.label == baseline for row in table.rows)
    return f"{baseline} has no result" if known else f"{baseline} is not among these rows"


def _with(row: Row, kept: _Kept, baseline: str) -> Row:
    cells = tuple(
        replace(cell, interval=of_cell, comparison=against)
        for cell, of_cell, against in zip(row.cells, kept.intervals, kept.comparisons, strict=True)
    )
    some = any(kept.comparisons)
    marks = tuple(
        f"not compared with {baseline}{' by ' + ', '.join(columns) if some else ''}: {reason}"
        for reason, columns in kept.refused.items()
    )
    return replace(row, cells=cells, marks=row.marks + marks, competes=OTHER_QUERIES not in kept.refused)


def _corrected(rows: Sequence[Row]) -> tuple[Row, ...]:
    """By column, for all comparisons in it."""
    columns = [
        holm([cell.comparison and cell.comparison.p_value for cell in cells])
        for cells in zip(*(row.cells for row in rows), strict=True)
    ]
    return tuple(
        replace(
            row, cells=tuple(replace(cell, p_holm=column[n]) for cell, column in zip(row.cells, columns, strict=True))
        )
        for n, row in enumerate(rows)
    )


# ---- one row --------------------------------------------------------------------------------------------------------


class _Ranked:
    """A row's complete runs by seed, and what lies beside their records, read when it is asked for."""

    def __init__(self, row: Row, summaries: Mapping[str, Summary], runs: Path) -> None:
        found = [summaries[run_id] for run_id in row.run_ids if run_id in summaries]
        self.by_seed = {one.seed: one for one in found if one.complete}
        self._runs = runs
        self._arrays: dict[int, Arrays] = {}

    @cached_property
    def stamps(self) -> list[tuple[str, Stamp, Stamp | None]]:
        """What tells whether anything has changed."""
        store = self._runs / STORE
        return [(one.run_id, one.stamp, stamp_of(f"{store}/{one.run_id}/{one.ranks}")) for one in self.by_seed.values()]

    def run(self, seed: int) -> tuple[Summary, Arrays]:
        """Raises NotPaired where there are no ranks, or several a query."""
        if seed not in self._arrays:
            self._arrays[seed] = ranks_of(self.by_seed[seed], self._runs)
        return self.by_seed[seed], self._arrays[seed]


def ranks_of(summary: Summary, runs: Path) -> Arrays:
    """What stands beside a record. Raises NotPaired where that is nothing, damaged, or several ranks for a query."""
    if summary.ties == "released":
        raise NotPaired("a query has several ranks")
    try:
        arrays = read_ranks(run_folder(runs, summary.run_id), summary)
    except RecordError:
        raise NotPaired(f"the ranks of {summary.run_id} cannot be read") from None
    if not arrays:
        raise NotPaired("no ranks are kept")
    if not _is_whole(arrays, summary.metrics):
        raise NotPaired(f"the ranks of {summary.run_id} do not give its metrics")
    return arrays


def _is_whole(arrays: Arrays, metrics: Mapping[str, float]) -> bool:
    """Whether ``metrics`` follow from what a file holds, and its arrays are of the same queries. They do not where a
    run was killed between its two files, or somebody has changed one of them."""
    if "correct" in arrays:
        right = arrays["correct"]
        fits = len(set(map(len, arrays.values()))) == 1 and bool(np.isin(right, (0, 1)).all())
        found = {"accuracy": 100 * float(np.mean(right))} if len(right) else {}
        for name in metrics.keys() & QA.keys() if fits else ():
            with suppress(NotPaired):
                found[name] = 100 * float(np.mean(by_query(name, arrays)))
    else:
        ranked = {way: np.asarray(arrays[way], dtype=np.float64) for way in ("t2v", "v2t") if len(arrays.get(way, ()))}
        fits = all((ranks >= 1).all() for ranks in ranked.values())
        fits = fits and ("video" not in arrays or len(arrays["video"]) == len(ranked.get("t2v", ())))
        ways = ranked.items() if fits else ()
        found = {f"{way}/{name}": value for way, ranks in ways for name, value in summarise(ranks).items()}
    return fits and all(abs(value - metrics.get(name, value)) < 1e-6 for name, value in found.items())


def _found(columns: Sequence[str], row: _Ranked, base: _Ranked | None) -> _Kept:
    intervals: list[Interval | None] = []
    comparisons: list[Comparison | None] = []
    refused: dict[str, list[str]] = {}
    other = base if base is not row and base and base.by_seed and row.by_seed else None
    for column in columns:
        intervals.append(None)
        comparisons.append(None)
        if not (is_tested(column) and any(column in run.metrics for run in row.by_seed.values())):
            continue
        try:
            intervals[-1] = _interval(column, [row.run(seed) for seed in row.by_seed])
            if other:
                comparisons[-1] = _comparison(column, other, row)
        except NotPaired as error:
            refused.setdefault(str(error), []).append(column)
    told = {reason: tuple(found) for reason, found in refused.items()} if other else {}
    return _Kept(tuple(intervals), tuple(comparisons), told)


def is_tested(metric: str) -> bool:
    """Whether tables test it: R@K, MnR and accuracies. A median is for `compare`: its bootstrap takes long."""
    return metric in OURS and not metric.endswith("/MdR")


def _interval(metric: str, runs: Sequence[tuple[Summary, Arrays]]) -> Interval:
    values = [by_query(metric, arrays) for _, arrays in runs]
    if len({run.queries for run, _ in runs if run.queries}) > 1 or len(set(map(len, values))) > 1:
        raise NotPaired("its seeds have other queries")
    return interval(metric, values, LEVEL, together(metric, runs[0][1]))


def _comparison(metric: str, base: _Ranked, row: _Ranked) -> Comparison:
    seeds = [seed for seed in base.by_seed if seed in row.by_seed]
    if {run.run_id for run in base.by_seed.values()} == {run.run_id for run in row.by_seed.values()}:
        raise NotPaired("the same runs")
    if not seeds:
        raise NotPaired("no seed in common")
    return compare_runs(metric, [(base.run(seed), row.run(seed)) for seed in seeds])


# ---- pairs of runs --------------------------------------------------------------------------------------------------


def compare_runs(metric: str, pairs: Sequence[tuple[tuple[Summary, Arrays], tuple[Summary, Arrays]]]) -> Comparison:
    """The second run of each pair against the first, a pair a seed. Raises NotPaired where they have other queries."""
    if len({run.queries for pair in pairs for run, _ in pair if run.queries}) > 1:
        raise NotPaired(OTHER_QUERIES)
    first, second = ([by_query(metric, pair[which][1]) for pair in pairs] for which in (0, 1))
    if len(set(map(len, first + second))) > 1:
        raise NotPaired(OTHER_QUERIES)
    return compare(metric, first, second, LEVEL, together(metric, pairs[0][0][1]))


def by_query(metric: str, arrays: Arrays) -> NDArray[Any]:
    """What stands behind ``metric`` query by query [N]: a rank, or 1 for a right answer. Raises NotPaired."""
    direction = metric.partition("/")[0]
    if metric in QA:
        values = _of(arrays, "correct")[_that_count(metric, arrays)]
    elif direction in ("t2v", "v2t"):
        values = _of(arrays, direction)
    else:
        raise NotPaired(f"{metric} is not known query by query")
    if len(values) < 2:
        raise NotPaired("fewer than two queries")
    return values


def together(metric: str, arrays: Arrays) -> NDArray[Any] | None:
    """[N]: equal where queries belong together, being of one video; None where each is alone. Raises NotPaired."""
    if metric.startswith("v2t"):
        return None
    if metric in QA:
        videos = _of(arrays, "video")[_that_count(metric, arrays)]
    elif "video" in arrays:
        videos = arrays["video"]
    elif len(_of(arrays, "t2v")) == len(_of(arrays, "v2t")):
        return None
    else:
        raise NotPaired("the record does not say which captions are of one video")
    different = len(np.unique(videos))
    if different < 2:
        raise NotPaired("all queries are of one video")
    return None if different == len(videos) else videos


def _that_count(metric: str, arrays: Arrays) -> NDArray[np.bool_]:
    """[N]: the questions whose share right is the metric."""
    name = metric.partition("/")[2]
    if name in KINDS:
        return np.asarray(_of(arrays, "kind") == KINDS.index(name))
    if name == "in_vocabulary":
        return np.asarray(_of(arrays, "in_vocabulary") == 1)
    return np.ones(len(_of(arrays, "correct")), dtype=bool)


def _of(arrays: Arrays, name: str) -> NDArray[Any]:
    if name not in arrays:
        raise NotPaired(f"the record does not hold {name} query by query")
    return arrays[name]


# ---- what is kept ---------------------------------------------------------------------------------------------------


def _key(columns: Sequence[str], row: _Ranked, base: _Ranked | None) -> str:
    told = repr((_FORMAT, LEVEL, columns, row.stamps, base.stamps if base else None, row is base))
    return hashlib.sha256(told.encode()).hexdigest()[:24]


def _read(path: Path) -> dict[str, _Kept]:
    try:
        return _FILE.validate_json(path.read_bytes())
    except (OSError, ValidationError):  # none yet, or damaged: everything is found anew
        return {}


def _write(path: Path, kept: dict[str, _Kept]) -> None:
    try:
        write_atomically(path, _FILE.dump_json(kept))
    except OSError:  # another's folder, a full disk: the next call is as slow as this one
        return
