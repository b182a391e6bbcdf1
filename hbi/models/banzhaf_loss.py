"""The Banzhaf loss: a small student network must see in the cosine map what the game's interaction index says of it.

Section 3.3 of arXiv 2303.14369; corrected: the teacher is exact by default, carries no gradient, and
padding takes no part in any softmax.
"""

import torch
from torch import Generator, Tensor

from hbi.config import TeacherConfig
from hbi.errors import RunFailure
from hbi.games import TokenGame, interaction
from hbi.games.estimator import BanzhafEstimator, estimated_interaction
from hbi.games.indices import Method


def teacher_logits(
    config: TeacherConfig, game: TokenGame, estimator: BanzhafEstimator | None, generator: Generator
) -> Tensor:
    """scale · I of each pair's game [B,T,V]; the game holds no gradient. RunFailure where an estimator is wanted and
    none is there."""
    if config.method == "estimated":
        if estimator is None:
            raise RunFailure("input", f"model.teacher.estimator: {config.estimator} has not been read; no loss without")
        return config.scale * estimated_interaction(estimator, game)
    method: Method = "sample" if config.method == "sampled" else "exact"
    return config.scale * interaction(
        game, index=config.index, method=method, samples=config.samples, generator=generator
    )


def interaction_divergence(student: Tensor, teacher: Tensor, word_mask: Tensor, frame_mask: Tensor) -> Tensor:
    """KL(teacher ‖ student) of the softmax over frames, mean over words, plus the same with the sides exchanged."""
    cells = word_mask[:, :, None] & frame_mask[:, None, :]
    return row_divergence(student, teacher, cells) + row_divergence(student.mT, teacher.mT, cells.mT)


def row_divergence(student: Tensor, teacher: Tensor, cells: Tensor) -> Tensor:
    """Mean over the rows that exist of KL(softmax(teacher) ‖ softmax(student)) along the last axis."""
    lowest = torch.finfo(student.dtype).min  # not −∞: rows of padding would give NaN, also in the gradient
    target = teacher.masked_fill(~cells, lowest).log_softmax(-1)
    own = student.masked_fill(~cells, lowest).log_softmax(-1)
    divergence = (target.exp() * (target - own)).masked_fill(~cells, 0).sum(-1)
    return divergence.sum() / cells.any(-1).sum().clamp(min=1)
