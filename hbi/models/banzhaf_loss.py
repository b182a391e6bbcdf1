"""The Banzhaf loss: a small student network must see in the cosine map what the game's interaction index says of it.

Section 3.3 of arXiv 2303.14369; corrected: the teacher is exact, carries no gradient, and padding
takes no part in any softmax.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hbi.config import TeacherConfig
from hbi.games import TokenGame, interaction


class InteractionStudent(nn.Module):
    """Cosine map [B,T,V] → interaction logits [B,T,V]: convolution, self-attention over all cells, convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution_in = nn.Conv2d(1, width, kernel_size=3, padding=1)
        self.query, self.key, self.value = (nn.Parameter(width**-0.5 * torch.randn(width, width)) for _ in range(3))
        self.convolution_out = nn.Conv2d(width, 1, kernel_size=3, padding=1)

    def forward(self, cosines: Tensor, cells: Tensor) -> Tensor:
        """cosines [B,T,V]; cells [B,T,V] bool, True where a word meets a frame: the others are not seen, nor valid."""
        x = (
            (self.convolution_in((cosines * cells)[:, None]).relu() * cells[:, None]).flatten(2).transpose(1, 2)
        )  # [B,TV,C]
        context = F.scaled_dot_product_attention(
            (x @ self.query)[:, None],
            (x @ self.key)[:, None],
            (x @ self.value)[:, None],
            attn_mask=cells.flatten(1)[:, None, None, :],
            scale=1.0,  # the published network does not scale its logits
        )[:, 0]
        x = (x + context) * cells.flatten(1)[:, :, None]
        logits: Tensor = self.convolution_out(x.transpose(1, 2).unflatten(2, cosines.shape[1:]))[:, 0]
        return logits


def teacher_logits(
    config: TeacherConfig,
    cosines: Tensor,
    word_scores: Tensor,
    frame_scores: Tensor,
    word_mask: Tensor,
    frame_mask: Tensor,
) -> Tensor:
    """scale · I of each matching pair's game [B,T,V], without gradient."""
    game = TokenGame(
        cosines.detach().float(),
        word_scores.detach().float(),
        frame_scores.detach().float(),
        word_mask,
        frame_mask,
    )
    return config.scale * interaction(game, index=config.index, method=config.method)


def interaction_divergence(student: Tensor, teacher: Tensor, word_mask: Tensor, frame_mask: Tensor) -> Tensor:
    """KL(teacher ‖ student) of the softmax over frames, mean over words, plus the same with the sides exchanged."""
    cells = word_mask[:, :, None] & frame_mask[:, None, :]
    return _row_divergence(student, teacher, cells) + _row_divergence(student.mT, teacher.mT, cells.mT)


def _row_divergence(student: Tensor, teacher: Tensor, cells: Tensor) -> Tensor:
    """Mean over the rows that exist of KL(softmax(teacher) ‖ softmax(student)) along the last axis."""
    lowest = torch.finfo(student.dtype).min  # not −∞: rows of padding would give NaN, also in the gradient
    target = teacher.masked_fill(~cells, lowest).log_softmax(-1)
    own = student.masked_fill(~cells, lowest).log_softmax(-1)
    divergence = (target.exp() * (target - own)).masked_fill(~cells, 0).sum(-1)
    return divergence.sum() / cells.any(-1).sum().clamp(min=1)
