"""Accuracy of answers chosen from a vocabulary: over all questions, over those it can answer, and by kind."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hbi.metrics.registry import KINDS

OTHER_KIND = 255
"""Of a question whose first word is none of KINDS."""


def qa_metrics(predicted: ArrayLike, answer: ArrayLike, questions: Sequence[str]) -> dict[str, float]:
    """ "accuracy", "accuracy/in_vocabulary", "accuracy/what" …, percent of the questions.

    predicted, answer [N]: labels; an answer of −1 is outside the vocabulary, so no prediction is right. "accuracy" is
    over all N questions; "accuracy/in_vocabulary" over those with another answer than −1, the figure of the published
    code, which drops the rest; "accuracy/KIND" over all whose first word, in any case, is that of KINDS. A figure over
    no question at all is left out. Raises ValueError as ``answered_right`` does, and where ``questions`` are not N.
    """
    right = answered_right(predicted, answer)
    if len(questions) != len(right):
        raise ValueError(f"{len(questions)} questions, but {len(right)} answers")
    kind = kinds(questions)
    parts = {"accuracy": np.full(len(right), True), "accuracy/in_vocabulary": np.asarray(answer) >= 0}
    parts |= {f"accuracy/{name}": kind == number for number, name in enumerate(KINDS)}
    return {name: float(100 * np.mean(right[part])) for name, part in parts.items() if part.any()}


def answered_right(predicted: ArrayLike, answer: ArrayLike) -> NDArray[np.bool_]:
    """[N]: whether each prediction is the answer's label; never where the answer is −1, outside the vocabulary.

    Raises ValueError where the two are not N ≥ 1 whole numbers each, or an answer is below −1.
    """
    found, wanted = np.asarray(predicted), np.asarray(answer)
    if found.ndim != 1 or found.shape != wanted.shape or not found.size:
        raise ValueError(f"predicted and answer must be [N] both, not {list(found.shape)} and {list(wanted.shape)}")
    if found.dtype.kind not in "iu" or wanted.dtype.kind not in "iu":
        raise ValueError(f"labels must be whole numbers, not {found.dtype} and {wanted.dtype}")
    if wanted.min() < -1:
        raise ValueError(f"{wanted.min()} is no label: they count from 0, and −1 is outside the vocabulary")
    right: NDArray[np.bool_] = (found == wanted) & (wanted >= 0)
    return right


def kinds(questions: Sequence[str]) -> NDArray[np.uint8]:
    """[N]: the place of each question's first word, in any case, in KINDS; OTHER_KIND where it is none of them."""
    place = {name: number for number, name in enumerate(KINDS)}
    words = (re.search(r"\w+", question) for question in questions)
    return np.array([place.get(word[0].lower(), OTHER_KIND) if word else OTHER_KIND for word in words], np.uint8)
