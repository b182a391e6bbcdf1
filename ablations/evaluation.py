"""What the test split says of a model: metrics, and the arrays that stand behind them query by query."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ablations.game_methods import learned
from ablations.work import Work
from hbi.files import write_atomically
from hbi.metrics.qa import answered_right, kinds, qa_metrics
from hbi.metrics.registry import plugin_values
from hbi.metrics.retrieval import summarise
from hbi.metrics.saved import SIMILARITY, Saved
from hbi.models.estimator_training import EstimatorTraining

Arrays = dict[str, NDArray[Any]]
"""What stands in a file beside a record (``results.record.Record.ranks`` and ``samples``)."""


def evaluate(work: Work, folder: Path) -> tuple[dict[str, float], Arrays | None]:
    """The metrics on the test split, and what they follow from; none of a model that is no system."""
    if isinstance(work.model, EstimatorTraining):
        return learned(work.model, work.pairs("test")), None
    if work.spec.data.task == "qa":
        return _answered(work, "test")
    found = work.similarities("test")
    if "similarity" in work.spec.keep:
        arrays = {name: values for name, values in vars(found).items() if values is not None}
        write_atomically(folder / SIMILARITY, lambda file: np.savez(file, **arrays))
    metrics, ranked = _ranked(work, found)
    one_matrix = work.spec.evaluation.post_processing == "none" and found.video_to_text is None
    if one_matrix:  # for both directions
        metrics |= plugin_values(found.similarity, found.groups)
    return metrics, {way: _exact(rank) for way, rank in ranked.items()}


def metrics_of(work: Work, split: str) -> dict[str, float]:
    """What is seen of a split while training."""
    metrics, _ = _answered(work, split) if work.spec.data.task == "qa" else _ranked(work, work.similarities(split))
    return metrics


def _exact(rank: NDArray[np.float64]) -> NDArray[Any]:
    """In half the bytes where that keeps every digit, as it does for halves of any size that occurs."""
    small = rank.astype(np.float32)
    return small if np.array_equal(small, rank) else rank


def _ranked(work: Work, found: Saved) -> tuple[dict[str, float], dict[str, NDArray[np.float64]]]:
    ranked = work.ranks(found)
    return {f"{way}/{name}": value for way, rank in ranked.items() for name, value in summarise(rank).items()}, ranked


def _answered(work: Work, split: str) -> tuple[dict[str, float], Arrays]:
    predicted, answer = work.predictions(split), work.labels[split].numpy()
    questions = work.splits[split].captions
    asked = {
        "correct": answered_right(predicted, answer).astype(np.uint8),
        "kind": kinds(questions),
        "in_vocabulary": (answer >= 0).astype(np.uint8),
    }
    return qa_metrics(predicted, answer, questions), asked
