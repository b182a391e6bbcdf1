"""The metrics of a saved similarity matrix, for results that come from elsewhere."""

from math import isfinite
from pathlib import Path
from typing import cast, get_args

import numpy as np

from ablations.registry import did_you_mean
from hbi.errors import InputError, RunFailure
from hbi.metrics.post_processing import (
    DUAL_SOFTMAX_SCALE,
    INVERTED_SOFTMAX_SCALE,
    Scores,
    dual_softmax,
    dynamic_inverted_softmax,
)
from hbi.metrics.registry import plugin_values
from hbi.metrics.retrieval import Direction, Ties, ranks, summarise
from hbi.metrics.saved import Saved, read_similarity
from results.collect import Cell, Row, Table

POST_PROCESSING = ("none", "dsl", "qb-norm")
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
    is left out, and so are the metrics of plug-ins after any post-processing, which has no one matrix for both
    directions. Raises InputError.
    """
    for option, value, known in (
        ("ties", ties, get_args(Ties)),
        ("post-processing", post_processing, POST_PROCESSING),
    ):
        if value not in known:
            raise InputError(f"--{option}: unknown {value!r}; {did_you_mean(value, known)}")
    if scale is not None and (post_processing == "none" or not (isfinite(scale) and scale > 0)):
        raise InputError("--scale is a number above 0, and that of --post-processing dsl or qb-norm")
    saved = read_similarity(file, groups)
    try:
        processed = _processed(saved, post_processing, scale)
        metrics = {
            f"{way}/{name}": value
            for way, scores in processed.items()
            for name, value in summarise(ranks(scores, way, _list(saved), cast(Ties, ties))).items()
        }
        if post_processing == "none":
            column = np.arange(len(saved.similarity)) if saved.groups is None else saved.groups
            metrics |= plugin_values(saved.similarity, column)
    except (ValueError, RunFailure) as error:
        raise InputError(f"{file}: {error}") from error
    return metrics


def as_table(file: Path, metrics: dict[str, float], post_processing: str) -> Table:
    """One row, marked where it is not comparable with those of other protocols."""
    marks = (_MARKS[post_processing],) if post_processing in _MARKS else ()
    cells = tuple(Cell((value,), 1) for value in metrics.values())
    return Table(file.name, tuple(metrics), (Row(file.stem, cells, marks),))


def _processed(saved: Saved, post_processing: str, scale: float | None) -> dict[Direction, Scores]:
    """[N,M] for each direction, for a query's scores depend on what the queries are."""
    scores = saved.similarity
    if post_processing == "none":
        return {"t2v": scores, "v2t": scores}
    if not all(np.isfinite(a).all() for a in (scores, saved.bank_texts, saved.bank_videos) if a is not None):
        raise ValueError(f"{post_processing} needs finite scores")
    if post_processing == "dsl":
        scale = scale or DUAL_SOFTMAX_SCALE
        return {"t2v": dual_softmax(scores, scale), "v2t": dual_softmax(scores.T, scale).T}
    scale = scale or INVERTED_SOFTMAX_SCALE
    found: dict[Direction, Scores] = {}
    if saved.bank_texts is not None:
        found["t2v"] = dynamic_inverted_softmax(scores, saved.bank_texts, scale)
    if saved.bank_videos is not None:
        found["v2t"] = dynamic_inverted_softmax(scores.T, saved.bank_videos.T, scale).T
    if not found:
        raise ValueError("qb-norm needs a bank of queries: an array bank_texts [B,M] or bank_videos [N,B] in an npz")
    return found


def _list(saved: Saved) -> list[int] | None:
    return None if saved.groups is None else saved.groups.tolist()
