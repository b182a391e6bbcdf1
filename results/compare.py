"""Two rows of a suite, or the rows of two suites, against each other: by metric, with the test, and by query.

All metrics are tested that are known query by query, the median too. What is tested together is corrected together
(Holm): all metrics of two rows; of two suites, all metrics of all rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hbi.errors import InputError
from hbi.metrics.registry import columns_of
from results.changed import Changed, most_changed
from results.collect import Cell, Row, collect, printable
from results.comparisons import LEVEL, Arrays, NotPaired, by_query, compare_runs, ranks_of, together
from results.planning import POWER
from results.queries import Queries, read_queries
from results.resolution import resolvable
from results.significance import Comparison, holm
from results.store import RecordError, read_own_record, run_folder
from results.summary import Summary, summary_of
from results.why import row_called
from suites.expand import Run
from suites.schema import Suite


@dataclass(frozen=True)
class Ran:
    """A suite with the runs it wants, and the folder that holds them."""

    suite: Suite
    wanted: Sequence[Run]
    runs: Path


@dataclass(frozen=True)
class Tested:
    """One metric of two rows.

    comparison  of b with a, of the seeds that both have; None where ``refused`` says why there is none
    p_holm      the p-value, corrected for all that are tested together
    resolvable  the difference that so many queries and seeds show with a power of 80 %, where this alone is tested
    """

    metric: str
    a: Cell
    b: Cell
    comparison: Comparison | None = None
    refused: str = ""
    p_holm: float | None = None
    resolvable: float | None = None

    @property
    def significant(self) -> bool:
        return self.p_holm is not None and self.p_holm <= LEVEL


@dataclass(frozen=True)
class Pair:
    """Two rows, called a and b; ``seeds`` are those that both have; ``remarks``: what to know of either, or of both."""

    a: str
    b: str
    seeds: tuple[int, ...]
    tested: tuple[Tested, ...]
    changed: tuple[Changed, ...]
    remarks: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Compared:
    """What was tested together; ``remarks`` are of rows that have no counterpart."""

    pairs: tuple[Pair, ...]
    remarks: tuple[str, ...] = ()

    @property
    def tests(self) -> int:
        return sum(one.comparison is not None for pair in self.pairs for one in pair.tested)


def compare_rows(ran: Ran, a: str, b: str, most: int = 10) -> Compared:
    """Row b against row a of one suite, given by label or its beginning, with ``most`` queries of each kind.

    Raises InputError for a row that there is not, and for one with itself.
    """
    labels = _labels(ran)
    first, second = (row_called(given, labels, ran.suite.name) for given in (a, b))
    if first == second:
        raise InputError(f"compare: {a!r} and {b!r} are the same row, {first!r}")
    columns = _columns(ran)
    return _corrected([_pair(_side(ran, first, first), _side(ran, second, second), columns, most)])


def compare_suites(first: Ran, second: Ran, most: int = 3) -> Compared:
    """Each row of the second suite against the one of the first that has its label. Raises InputError without any.

    The second may be the same suite, with other settings or in another folder of runs.
    """
    common = [label for label in _labels(first) if label in _labels(second)]
    names = _names(first, second)
    if not common:
        theirs = (f"{name}: {', '.join(_labels(ran))}" for name, ran in zip(names, (first, second), strict=True))
        raise InputError(f"compare: no label is in both suites; {'; '.join(theirs)}")
    columns = [column for column in _columns(first) if column in _columns(second)]
    if not columns:
        raise InputError(f"compare: {names[0]} and {names[1]} have no metric in common")
    pairs = [
        _pair(
            _side(first, label, f"{label} ({names[0]})"), _side(second, label, f"{label} ({names[1]})"), columns, most
        )
        for label in common
    ]
    alone = [
        f"only in {name}: {', '.join(rest)}"
        for name, ran in zip(names, (first, second), strict=True)
        if (rest := [label for label in _labels(ran) if label not in common])
    ]
    return replace(_corrected(pairs), remarks=tuple(alone))


def _names(first: Ran, second: Ran) -> list[str]:
    names = [ran.suite.name for ran in (first, second)]
    if names[0] != names[1]:
        return names
    if first.runs != second.runs:
        return [f"{ran.suite.name} in {ran.runs}" for ran in (first, second)]
    return [f"{names[0]}, {which}" for which in ("A", "B")]


# ---- two rows -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Side:
    """A row with its complete runs by seed; ``problems``: records that cannot be read, a line each."""

    name: str
    wanted: Sequence[Run]
    summaries: dict[str, Summary]
    by_seed: dict[int, Summary]
    runs: Path
    problems: tuple[str, ...]


_Pairs = Sequence[tuple[tuple[Summary, Arrays], tuple[Summary, Arrays]]]


def _labels(ran: Ran) -> list[str]:
    return list(dict.fromkeys(run.label for run in ran.wanted if run.in_tables))


def _columns(ran: Ran) -> tuple[str, ...]:
    return ran.suite.metrics or columns_of({run.spec.data.task for run in ran.wanted if run.in_tables})


def _side(ran: Ran, label: str, name: str) -> _Side:
    wanted = [run for run in ran.wanted if run.in_tables and run.label == label]
    summaries, problems = {}, []
    for run in wanted:
        try:
            record = read_own_record(run_folder(ran.runs, run.run_id))
        except RecordError as error:
            problems.append(str(error))
            continue
        if record:
            summaries[run.run_id] = summary_of(record)
    by_seed = {one.seed: one for one in summaries.values() if one.complete}
    return _Side(printable(name, 100), wanted, summaries, by_seed, ran.runs, tuple(problems))


def _pair(a: _Side, b: _Side, columns: Sequence[str], most: int) -> Pair:
    rows = _rows(a, b, columns)
    seeds = tuple(seed for seed in a.by_seed if seed in b.by_seed)
    try:
        pairs: _Pairs = _paired(a, b, seeds)
        refused = ""
    except NotPaired as error:
        pairs, refused = [], str(error)
    tested = []
    for column, cell_a, cell_b in zip(columns, rows[0].cells, rows[1].cells, strict=True):
        one = Tested(column, cell_a, cell_b, refused=refused)
        tested.append(one if refused else _tested(one, pairs))
    queries, unknown = _queries(a, b, seeds) if pairs else (None, "")
    changed = _changed(tested, pairs, queries, most)
    remarks = [*_remarks("A", rows[0], a, seeds), *_remarks("B", rows[1], b, seeds)]
    if changed and unknown:
        remarks.append(("", unknown))
    return Pair(a.name, b.name, seeds, tuple(tested), tuple(changed), tuple(remarks))


def _rows(a: _Side, b: _Side, columns: Sequence[str]) -> tuple[Row, ...]:
    """As tables have them, with the marks of rows that differ; a run of two folders is two runs."""
    wanted = [(which, f"{which} {run.run_id}") for which, side in (("A", a), ("B", b)) for run in side.wanted]
    summaries = {
        f"{which} {run_id}": summary
        for which, side in (("A", a), ("B", b))
        for run_id, summary in side.summaries.items()
    }
    return collect("", wanted, summaries, columns).rows


def _paired(a: _Side, b: _Side, seeds: Sequence[int]) -> _Pairs:
    for which, side in (("A", a), ("B", b)):
        if not side.by_seed:
            raise NotPaired(f"{which} has no result")
    if not seeds:
        raise NotPaired("no seed in common")
    if a.runs.resolve() == b.runs.resolve() and a.by_seed[seeds[0]].run_id == b.by_seed[seeds[0]].run_id:
        raise NotPaired("A and B are the same runs")
    return [
        ((a.by_seed[seed], ranks_of(a.by_seed[seed], a.runs)), (b.by_seed[seed], ranks_of(b.by_seed[seed], b.runs)))
        for seed in seeds
    ]


def _tested(one: Tested, pairs: _Pairs) -> Tested:
    try:
        found = compare_runs(one.metric, pairs)
        videos = together(one.metric, pairs[0][0][1])
    except NotPaired as error:
        return replace(one, refused=str(error))
    groups = found.queries if videos is None else len(np.unique(videos))  # those of one video count as one
    spread = [found.variation] if found.variation else []
    known = spread or found.discordant  # a share's spread can be assumed
    return replace(
        one, comparison=found, resolvable=resolvable(groups, found.seeds, spread, LEVEL, POWER) if known else None
    )


def _corrected(pairs: Sequence[Pair]) -> Compared:
    """For all tests in ``pairs``."""
    corrected = iter(
        holm([one.comparison.p_value if one.comparison else None for pair in pairs for one in pair.tested])
    )
    return Compared(
        tuple(
            replace(pair, tested=tuple(replace(one, p_holm=next(corrected)) for one in pair.tested)) for pair in pairs
        )
    )


def _remarks(which: str, row: Row, side: _Side, seeds: Sequence[int]) -> list[tuple[str, str]]:
    found = [
        f"not compared: seed {seed}, which the other lacks" for seed in side.by_seed if seeds and seed not in seeds
    ]
    return [(f"{which}:", text) for text in [*row.marks, *found, *(printable(line, 400) for line in side.problems)]]


def _queries(a: _Side, b: _Side, seeds: Sequence[int]) -> tuple[Queries | None, str]:
    """The texts, or why there are none."""
    reason = "texts are not known: the records do not say which queries they have"
    for side in (a, b):
        digest = side.by_seed[seeds[0]].queries
        if digest:
            try:
                return read_queries(side.runs, digest), ""
            except InputError as error:
                reason = f"texts are not known: {printable(str(error), 400)}"
    return None, reason


def _changed(tested: Sequence[Tested], pairs: _Pairs, queries: Queries | None, most: int) -> list[Changed]:
    """Once for each way that was tested."""
    ways = dict.fromkeys(
        "accuracy" if one.metric.startswith("accuracy") else one.metric.partition("/")[0]
        for one in tested
        if one.comparison
    )
    found = []
    for way in ways:
        name = way if way == "accuracy" else f"{way}/MdR"  # any metric of this way
        a, b = ([by_query(name, pair[which][1]) for pair in pairs] for which in (0, 1))
        if len(set(map(len, a + b))) == 1:  # it need not be where only questions of one kind were paired
            found.append(most_changed(way, np.array(a, float), np.array(b, float), queries, most))
    return [one for one in found if one.gains or one.losses]
