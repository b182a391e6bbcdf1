"""The queries that changed most between two rows, each with what either row ranks first: one HTML file.

The five best of a query are shown where the order is known that the recorded ranks stand for: by the scores that a run
has kept (similarity.npz), or that its weights give once more. Of several seeds it is that of the first common one.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

import hbi.data
from hbi.data import Progress
from hbi.errors import InputError
from hbi.metrics.ranking import Candidate
from hbi.metrics.registry import QA
from hbi.metrics.retrieval import Direction
from results.changed import Change, Changed
from results.collect import printable
from results.compare import Pair, Ran
from results.html import page
from results.metrics import GROUPS
from results.orders import Again, order_of
from results.queries import Queries, read_queries
from results.store import read_own_record, read_ranks, run_folder
from results.thumbnails import HEIGHT, WIDTH, thumbnails
from suites.expand import Run

SHOWN = 5
"""Candidates of a query that are shown, beside the right one."""
MOST_LETTERS = 1000
"""Of a text."""

_Shown = Mapping[tuple[Direction, int], Mapping[str, Sequence[Candidate] | None]]
"""By direction and query, and by row (A or B): what is ranked first; none where that is not known."""


def changed_page(
    ran: Ran, pair: Pair, again: Again, progress: Progress, made: str, command: str
) -> tuple[str, list[str]]:
    """The page as HTML, and what is missing on it, a line each.

    It asks the network for nothing, and all that comes from files is escaped. ``pair``: two rows of ``ran``, compared.
    ``progress`` is called while videos are read. Raises InputError where the rows answer questions, or could not be
    compared.
    """
    _refuse(pair)
    runs = [_run(ran, label, pair.seeds[0]) for label in (pair.a, pair.b)]
    ways = [cast(Direction, changed.way) for changed in pair.changed]  # _refuse: no other is left
    orders = {mark: order_of(run, ran.runs, ways, again) for mark, run in zip("AB", runs, strict=True) if ways}
    queries = _queries(ran, runs)
    shown = {
        (way, change.number): {
            mark: order.first(way, change.number, SHOWN) for mark, order in orders.items() if order.scores
        }
        for way, changed in zip(ways, pair.changed, strict=True)
        for change in (*changed.gains, *changed.losses)
    }
    frames, unseen = _frames(ran, runs[0], _wanted(shown), queries, progress)
    text = page(
        "changed.html",
        title=f"{ran.suite.name}: {pair.b} against {pair.a}, queries that changed most",
        pair=pair,
        orders=orders,
        sections=[section for changed in pair.changed for section in _sections(changed)],
        shown=shown,
        frames=frames,
        unseen=unseen,
        size=(WIDTH, HEIGHT),
        most=SHOWN,
        names=_Names(queries),
        rank=_rank,
        ranks=_ranks,
        score=lambda score: f"{score:#.4g}".replace("-", "−"),
        made=made,
        command=command,
    )
    missing = [f"{order.run.label}: order {order.told}" for order in orders.values() if not order.scores]
    return text, [*missing, *filter(None, [unseen])]


def _refuse(pair: Pair) -> None:
    if any(one.metric in QA and one.comparison for one in pair.tested):
        raise InputError(
            "compare: a page shows what is ranked first, so it is of retrieval; of questions the records say which "
            "are answered right, and `compare` without a page lists those"
        )
    reasons = dict.fromkeys(one.refused for one in pair.tested if one.refused)
    if not any(one.comparison for one in pair.tested):
        raise InputError(f"compare: no page, for {pair.a} and {pair.b} are not compared: {'; '.join(reasons)}")


def _run(ran: Ran, label: str, seed: int) -> Run:
    wanted = [run for run in ran.wanted if run.in_tables and run.spec.seed == seed]
    return next(run for run in wanted if printable(run.label, 100) == label)


def _queries(ran: Ran, runs: Sequence[Run]) -> Queries | None:
    """Texts and ids of the ranked queries; none where no one knows them, which the remarks of the pair tell."""
    for run in runs:
        folder = run_folder(ran.runs, run.run_id)
        record = read_own_record(folder)
        if record and record.queries:
            ranked = read_ranks(folder, record)
            try:
                found = read_queries(ran.runs, record.queries)
            except InputError:
                continue
            if [len(found.captions), len(found.videos)] == [len(ranked.get(way, ())) for way in ("t2v", "v2t")]:
                return found
    return None


# ---- what is seen ---------------------------------------------------------------------------------------------------


def _wanted(shown: _Shown) -> list[int]:
    """The columns of the videos that are seen: candidates of captions, and videos that are queries."""
    queries = {number for way, number in shown if way == "v2t"}
    found = (one for (way, _), rows in shown.items() if way == "t2v" for row in rows.values() for one in row or ())
    return sorted(queries | {one.column for one in found})


def _frames(
    ran: Ran, run: Run, columns: Sequence[int], queries: Queries | None, progress: Progress
) -> tuple[dict[int, str], str]:
    """Pictures by column; and why some, or all, are missing."""
    if not columns:
        return {}, ""
    if queries is None:
        return {}, "no picture is shown: which videos these are is not known"
    try:
        split = hbi.data.load(run.spec.data, ran.runs / "data", progress).splits["test"]
    except InputError as error:
        return {}, f"no picture is shown: {printable(str(error), 400)}"
    by_id = {video.id: video for video in split.videos}
    there = [column for column in columns if queries.videos[column] in by_id]
    made = thumbnails([by_id[queries.videos[column]] for column in there], run.spec.data, progress)
    frames = {column: picture for column, picture in zip(there, made, strict=True) if picture}
    missing = len(columns) - len(frames)
    return frames, f"{missing} of {len(columns)} videos cannot be read: a grey box with the id" if missing else ""


class _Names:
    """What queries and candidates are called; by their numbers where ``queries`` are not known."""

    def __init__(self, queries: Queries | None) -> None:
        self._queries = queries
        self._captions: dict[int, list[int]] = {}
        for caption, column in enumerate(queries.video_of if queries else ()):
            self._captions.setdefault(column, []).append(caption)

    def video(self, column: int) -> str:
        return printable(self._queries.videos[column], 60) if self._queries else f"video {column}"

    def caption(self, number: int) -> str:
        return printable(self._queries.captions[number], MOST_LETTERS) if self._queries else f"caption {number}"

    def first_caption(self, column: int) -> str:
        """Of a video."""
        captions = self._captions.get(column, ())
        more = f" (and {len(captions) - 1} more)" if len(captions) > 1 else ""
        return self.caption(captions[0]) + more if captions else "its captions are not known"


def _sections(changed: Changed) -> list[tuple[str, str, str, int, Sequence[Change]]]:
    """Direction, id, title, how many there are, those shown."""
    title = GROUPS[changed.way].title
    return [
        (changed.way, f"{changed.way}-better", f"{title}: better in B", changed.better, changed.gains),
        (changed.way, f"{changed.way}-worse", f"{title}: worse in B", changed.worse, changed.losses),
    ]


def _ranks(by_seed: Sequence[float]) -> str:
    """3, or with its seeds: 2.9 (3, 4, 2)."""
    if len(by_seed) == 1:
        return _rank(by_seed[0])
    mean = float(np.exp(np.log(by_seed).mean()))
    return f"{_rank(mean)} ({', '.join(map(_rank, by_seed))})"


def _rank(rank: float) -> str:
    return f"{rank:.1f}".removesuffix(".0")
