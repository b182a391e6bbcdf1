"""The queries whose rank differs most between two rows, with their texts; for questions, those that one alone answers.

"Most" is by the factor between the ranks, so that 1 → 5 counts as much as 40 → 200 and more than 200 → 260: what
happens near the top is what R@K sees and what a person who searches sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hbi.metrics.registry import QA
from results.collect import printable
from results.layout import MISSING, Column, Entry, Layout, Line
from results.numerals import rounded
from results.queries import Queries
from results.terminal import terminal

_WAYS = {"t2v": "text → video", "v2t": "video → text", "accuracy": "answers"}
_LEAST_ROOM = 20
"""Letters of a caption."""


@dataclass(frozen=True)
class Change:
    """One query; ``number`` counts from 0, in the order of the ranks.

    a, b  by seed: its rank, or 1 where it is answered right
    text  the caption or the question; of a video, its first caption. None, as ``video``, where no one knows them.
    """

    number: int
    text: str | None
    video: str | None
    a: tuple[float, ...]
    b: tuple[float, ...]


@dataclass(frozen=True)
class Changed:
    """``way`` is t2v, v2t or accuracy; ``better`` and ``worse`` count all queries that are so in b.

    gains, losses  the first of them, those that changed most
    """

    way: str
    better: int
    worse: int
    gains: tuple[Change, ...]
    losses: tuple[Change, ...]


def most_changed(
    way: str, a: NDArray[np.float64], b: NDArray[np.float64], queries: Queries | None, most: int
) -> Changed:
    """From the ranks, or right answers, [S,N] of two rows with the same seeds and queries; ``most`` of each kind.

    A rank over several seeds is their geometric mean. A question counts where one row is right in most seeds and the
    other is not.
    """
    if way in QA:
        change = b.mean(0) - a.mean(0)
        change[(a.mean(0) > 0.5) == (b.mean(0) > 0.5)] = 0
        height = np.zeros(len(change))
    else:
        change = np.round(_logarithm(a) - _logarithm(b), 9)  # a sum of logarithms is not exactly 0 where it should be
        height = np.minimum(_logarithm(a), _logarithm(b))
    order = np.lexsort((height, -np.abs(change)))
    texts = _texts(way, len(change), queries)

    def first(sign: int) -> tuple[Change, ...]:
        chosen = [int(number) for number in order if sign * change[number] > 0][:most]
        return tuple(Change(n, *texts[n], tuple(map(float, a[:, n])), tuple(map(float, b[:, n]))) for n in chosen)

    return Changed(way, int((change > 0).sum()), int((change < 0).sum()), first(1), first(-1))


def _logarithm(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """[S,N] → [N]."""
    mean: NDArray[np.float64] = np.log(ranks).mean(0)
    return mean


def _texts(way: str, count: int, queries: Queries | None) -> list[tuple[str | None, str | None]]:
    """Of each query its text and video."""
    if queries and way == "v2t" and len(queries.videos) == count:
        captions: dict[int, str] = {}
        for caption, column in zip(queries.captions, queries.video_of, strict=True):
            captions.setdefault(column, caption)
        return [(captions.get(column), video) for column, video in enumerate(queries.videos)]
    if queries and way != "v2t" and len(queries.captions) == count:
        of = (queries.videos[column] for column in queries.video_of)
        return list(zip(queries.captions, of, strict=True))
    return [(None, None)] * count


# ---- as a table -----------------------------------------------------------------------------------------------------


def lay_out_changed(changed: Changed, width: int) -> Layout:
    """Texts are cut, so that no line is longer than ``width``."""
    title = "right in" if changed.way in QA else "rank"
    columns = [Column("A", title), Column("B", title), Column("number"), Column("video")]
    if all(change.video is None for change in changed.gains + changed.losses):
        columns.pop()
    sections = {
        f"better in B: {_part(changed.gains, changed.better)}": changed.gains,
        f"worse in B: {_part(changed.losses, changed.worse)}": changed.losses,
    }
    shown = [(section, change) for section, changes in sections.items() for change in changes]
    lines = [Line("", "", _entries(change, changed.way)[: len(columns)]) for _, change in shown]
    bare = Layout("", "", tuple(columns), tuple(lines), ())
    room = max(_LEAST_ROOM, width - max(map(len, terminal(bare, width=width).splitlines())))
    told = (
        replace(line, label=printable(change.text or MISSING, room), section=section)
        for line, (section, change) in zip(lines, shown, strict=True)
    )
    heading = "question" if changed.way in QA else "caption"
    name = f"queries that changed most, {_WAYS[changed.way]}"
    return Layout(name, heading, tuple(columns), tuple(told), tuple(_notes(changed)))


def _part(shown: Sequence[Change], count: int) -> str:
    return f"{len(shown)} of {count}" if len(shown) < count else f"{count}"


def _entries(change: Change, way: str) -> tuple[Entry, ...]:
    numbers = Entry(str(change.number)), Entry("", rest=printable(change.video or "", 24))
    if way in QA:
        a, b = (Entry(f"{sum(right):.0f}/{len(right)}") for right in (change.a, change.b))
        return a, b, *numbers
    a, b = (_rank(float(np.exp(np.log(ranks).mean()))) for ranks in (change.a, change.b))
    return a, b, *numbers


def _rank(mean: float) -> Entry:
    whole, _, digit = rounded(mean, 1).partition(".")
    return Entry(whole, rest="" if digit == "0" else f".{digit}")


def _notes(changed: Changed) -> list[tuple[str, str]]:
    seeds = len((changed.gains + changed.losses)[0].a)
    number = ("number:", "place among the test split's, from 0")
    if changed.way in QA:
        told = "seeds in which the answer is right; better is what B alone gets right in most seeds"
        return [("A, B:", told), number]
    whose = "a video's best caption" if changed.way == "v2t" else "the caption's video"
    mean = f", its geometric mean over {seeds} seeds" if seeds > 1 else ""
    order = "the largest factor between A and B first, so that 1 → 5 counts as 40 → 200"
    caption = [("caption:", "the first of the video")] if changed.way == "v2t" else []
    return [("A, B:", f"rank of {whose}{mean}; {order}"), *caption, number]
