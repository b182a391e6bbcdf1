"""The label sampler of the published code, its departures from the definition included (design: section 5, first row).

It applies a softmax to weights that are probabilities already. And at S∪{i,j} it keeps the similarities of S and shows
only the one cell a[i,j] beside them; for weights it takes the softmax of those within S and the newcomer's probability.
"""

import torch
from torch import Generator, Tensor

from hbi.games.sampling import coalitions, joined_maxima, joined_weights
from hbi.games.token_game import Side, TokenGame, member_weights


@torch.no_grad()
def released_interaction(game: TokenGame, samples: int, generator: Generator | None) -> Tensor:
    """[B, T, V]: the mean over ``samples`` coalitions of what the published code computes for one, in the scale of a.

    (The published code multiplies a by 1000 beforehand; all of it is linear in that factor.)
    """
    total = torch.zeros_like(game.similarity)
    for words, frames in coalitions(game, "banzhaf", 0.5, samples, generator):
        total = total + released_draws(game, words, frames).sum(1)
    return total / samples


def released_draws(game: TokenGame, words: Tensor, frames: Tensor) -> Tensor:
    """[B, C, T, V]: value1 − value2 − value3 + value4 of every cell; words [B, C, T], frames [B, C, V]."""
    a = game.similarity
    text, video = probabilities(game.text), probabilities(game.video)
    W1, W0 = joined_weights(text, words)
    U1, U0 = joined_weights(video, frames)
    M1, M0 = joined_maxima(a, game.video.mask, frames, neutral=False)
    N1, N0 = joined_maxima(a.mT, game.text.mask, words, neutral=False)
    with_word = W1 @ M0 + (U0 @ N1).mT
    with_frame = W0 @ M1 + (U1 @ N0).mT
    with_neither = W0 @ M0 + (U0 @ N0).mT

    W, w = newcomer_weights(text, W0, words)
    U, u = newcomer_weights(video, U0, frames)
    row, column = (a if size == 1 else a.clamp(min=0) for size in (a.shape[2], a.shape[1]))
    with_both = W @ M0 + w[..., None] * row[:, None] + (U @ N0).mT + u[:, :, None, :] * column[:, None]
    return ((with_both - with_word - with_frame + with_neither) / 2).masked_fill(~game.cells[:, None], 0)


def probabilities(side: Side) -> Tensor:
    """[B, T]: the softmax of the scores, which is what the published sampler is given."""
    return member_weights(side.scores, side.mask)


def newcomer_weights(p: Tensor, W0: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """[B, C, T, T] and [B, C, T]: softmax over S∪i of the weights W0 within S and the probability p[i] of the newcomer;
    the weights of S (0 elsewhere), and that of i."""
    themselves = torch.eye(p.shape[-1], dtype=torch.bool, device=p.device)
    scores = torch.where(themselves, p[:, None, None, :], W0)
    all_weights = member_weights(scores, words[:, :, None, :] | themselves)
    return all_weights.masked_fill(themselves, 0), all_weights.diagonal(dim1=-2, dim2=-1)
