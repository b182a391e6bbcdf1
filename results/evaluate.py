"""The metrics of a saved similarity matrix, for results that come from elsewhere."""

from math import isfinite
from pathlib import Path
from typing import cast, get_args

import numpy as np

from ablations.registry import did_you_mean
from hbi.errors import InputError, RunFailure
from hbi.metrics.post_processing import PostProcessing, Scores, processed
from hbi.metrics.registry import plugin_values
from hbi.metrics.retrieval import Direction, Ties, blocks, ranks, summarise
from hbi.metrics.saved import Saved, read_similarity
from results.collect import Cell, Row, Table
from results.layout import Layout, lay_out

_MARKS = {
    "dsl": "dual softmax over all queries of the file, so not comparable with rows without it",
    "qb-norm": "dynamic inverted softmax with the file's bank, so not comparable with rows without it",
}


def evaluate(
    file: Path,
    groups: Path | None = None,
    ties: str = "expected",
    post_processing: str = "none",
    scale: float | None = None,
) -> dict[str, float]:
    """The metrics of the matrix in ``file`` (see hbi.metrics.saved), as a record would keep them.

    ``scale`` is that of the post-processing; none: its own default. A direction for which ``qb-norm`` finds no bank
    is left out, and so are the metrics of plug-ins where there is no one matrix for both directions, as after any
    post-processing. Raises InputError.
    """
    for option, value, known in (
        ("ties", ties, get_args(Ties)),
        ("post-processing", post_processing, get_args(PostProcessing)),
    ):
        if value not in known:
            raise InputError(f"--{option}: unknown {value!r}; {did_you_mean(value, known)}")
    if scale is not None and (post_processing == "none" or not (isfinite(scale) and scale > 0)):
        raise InputError("--scale is a number above 0, and that of --post-processing dsl or qb-norm")
    saved = read_similarity(file, groups)
    try:
        metrics: dict[str, float] = {}
        for way in _directions(saved, post_processing):
            method = cast(PostProcessing, post_processing)
            scores = processed(saved.scores(way), way, method, scale, saved.bank(way))
            rank = ranks(scores, way, _list(saved), cast(Ties, ties))
            metrics |= {f"{way}/{name}": value for name, value in summarise(rank).items()}
        if post_processing == "none" and saved.video_to_text is None:
            column = np.arange(len(saved.similarity)) if saved.groups is None else saved.groups
            metrics |= plugin_values(saved.similarity, column)
    except (ValueError, RunFailure) as error:
        raise InputError(f"{file}: {error}") from error
    return metrics


def as_table(file: Path, metrics: dict[str, float], post_processing: str) -> Layout:
    """One row, marked where it is not comparable with those of other protocols."""
    marks = (_MARKS[post_processing],) if post_processing in _MARKS else ()
    cells = tuple(Cell((value,), 1) for value in metrics.values())
    return lay_out(Table(file.name, tuple(metrics), (Row(file.stem, cells, marks),)))


def _directions(saved: Saved, post_processing: str) -> tuple[Direction, ...]:
    """Those that there are scores for after the post-processing. Raises ValueError where it cannot be done."""
    if post_processing == "none":
        return "t2v", "v2t"
    if not all(map(_finite, (saved.similarity, saved.video_to_text, saved.bank_texts, saved.bank_videos))):
        raise ValueError(f"{post_processing} needs finite scores")
    if post_processing == "dsl":
        return "t2v", "v2t"
    ways: tuple[Direction, ...] = ("t2v", "v2t")
    found = tuple(way for way in ways if saved.bank(way) is not None)
    if not found:
        raise ValueError("qb-norm needs a bank of queries: an array bank_texts [B,M] or bank_videos [N,B] in an npz")
    return found


def _finite(scores: Scores | None) -> bool:
    return scores is None or all(np.isfinite(scores[rows]).all() for rows in blocks(scores))


def _list(saved: Saved) -> list[int] | None:
    return None if saved.groups is None else saved.groups.tolist()
