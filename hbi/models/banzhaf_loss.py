"""The Banzhaf loss: a small student network must see in the cosine map what the game's interaction index says of it.

Section 3.3 of arXiv 2303.14369; corrected: the teacher is exact by default, carries no gradient, and
padding takes no part in any softmax.
"""

import torch
from torch import Generator, Tensor

from hbi.config import Choice, TeacherConfig
from hbi.games import TokenGame, interaction
from hbi.games.estimator import BanzhafEstimator
from hbi.games.indices import Method

METHODS: dict[str, Method] = {"exact": "exact", "sampled": "sample", "released": "released", "estimated": "exact"}
"""The method of hbi.games by that of a teacher; where an estimated one has no network (merged levels), the game."""


def teacher_logits(
    config: TeacherConfig,
    game: TokenGame,
    estimator: BanzhafEstimator | None,
    seen: Tensor | None,
    generator: Generator,
) -> Tensor:
    """scale · I of each pair's game [B,T,V]; the game holds no gradient.

    estimator  the network that computes it instead of config.method; seen [B,T,V] bool: the cells that it sees, none:
               all of them, padded ones as 0
    generator  for the methods that draw
    """
    if estimator is not None:
        with torch.no_grad():
            logits: Tensor = estimator(game.similarity, seen)
        return config.scale / estimator.scale * logits
    return config.scale * interaction(
        game, index=config.index, method=METHODS[config.method], samples=config.samples, generator=generator
    )


def interaction_divergence(
    student: Tensor, teacher: Tensor, cells: Tensor, padding: Choice = "correct", second_kl: Choice = "correct"
) -> Tensor:
    """KL(teacher ‖ student) of the softmax over frames, mean over words, plus the same with the sides exchanged.

    Of logits [B,T,V] among ``cells`` [B,T,V] bool. The choices are those of ``row_divergence`` and second_kl of
    hbi.config.DeparturesConfig.
    """
    axes = (2, 1, 0) if second_kl == "released" else (0, 2, 1)
    exchanged = row_divergence(student.permute(axes), teacher.permute(axes), cells.permute(axes), padding)
    return row_divergence(student, teacher, cells, padding) + exchanged


def row_divergence(student: Tensor, teacher: Tensor, cells: Tensor, padding: Choice = "correct") -> Tensor:
    """KL(softmax(teacher) ‖ softmax(student)) along the last axis: its mean over the rows that exist, or ("released")
    over all cells."""
    lowest = torch.finfo(student.dtype).min  # not −∞: rows of padding would give NaN, also in the gradient
    target = teacher.masked_fill(~cells, lowest).log_softmax(-1)
    own = student.masked_fill(~cells, lowest).log_softmax(-1)
    divergence = (target.exp() * (target - own)).masked_fill(~cells, 0).sum(-1)
    if padding == "released":
        return divergence.sum() / cells.numel()
    return divergence.sum() / cells.any(-1).sum().clamp(min=1)
