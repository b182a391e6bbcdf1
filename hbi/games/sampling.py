"""Unbiased Monte Carlo: coalitions are drawn for a whole game at once, and every cell reads what it needs from each.

A coalition S of all players, without i and j, is a draw for the cell (i, j). With W1[i,t] = W_t(S∪i), W0[i,t] =
W_t(S∖i), M1[t,j] = M_t(S∪j), M0[t,j] = M_t(S∖j), and U, N likewise for frames, the draw of the interaction is

    ½ · ( Σ_t (W1 − W0)[i,t] · (M1 − M0)[t,j]  +  Σ_v (U1 − U0)[j,v] · (N1 − N0)[v,i] )
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from hbi.games.token_game import TokenGame, held, member_weights

CELLS = 2**22  # numbers held in one array: bounds the memory


@torch.no_grad()
def sampled_interaction(
    game: TokenGame, index: str, p: float, samples: int, generator: Generator | None
) -> tuple[Tensor, Tensor]:
    """[B, T, V] twice: the mean over ``samples`` coalitions, and its standard error."""
    total = squares = torch.zeros_like(game.similarity)
    for words, frames in coalitions(game, index, p, samples, generator):
        draws = interaction_draws(game, words, frames).masked_fill(~game.cells[:, None], 0)
        total, squares = total + draws.sum(1), squares + draws.square().sum(1)
    mean = total / samples
    variance = (squares / samples - mean.square()).clamp(min=0) * samples / (samples - 1)
    return mean, (variance / samples).sqrt()


@torch.no_grad()
def sampled_values(
    game: TokenGame, index: str, p: float, samples: int, generator: Generator | None
) -> tuple[Tensor, Tensor]:
    """[B, T] and [B, V]: the mean gain of each word and each frame."""
    of_words, of_frames = torch.zeros_like(game.text.scores), torch.zeros_like(game.video.scores)
    for words, frames in coalitions(game, index, p, samples, generator):
        of_words = of_words + value_draws(game, words, frames, transpose=False).sum(1)
        of_frames = of_frames + value_draws(game, frames, words, transpose=True).sum(1)
    real = game.cells.any(-1), game.cells.any(-2)
    return (of_words / samples).where(real[0], 0), (of_frames / samples).where(real[1], 0)


def interaction_draws(game: TokenGame, words: Tensor, frames: Tensor) -> Tensor:
    """[B, C, T, V]: the draw of every cell from coalitions words [B, C, T], frames [B, C, V]."""
    W1, W0 = joined_weights(game.text.scores, words)
    U1, U0 = joined_weights(game.video.scores, frames)
    M1, M0 = joined_maxima(game.similarity, game.video.mask, frames, game.neutral)
    N1, N0 = joined_maxima(game.similarity.mT, game.text.mask, words, game.neutral)
    return ((W1 - W0) @ (M1 - M0) + ((U1 - U0) @ (N1 - N0)).mT) / 2


def value_draws(game: TokenGame, words: Tensor, frames: Tensor, transpose: bool) -> Tensor:
    """[B, C, T]: the gain of every word, ½ · ( Σ_t (W1 − W0)[i,t] · M_t(S) + Σ_v U_v(S) · (N1 − N0)[v,i] )."""
    side, other = (game.video, game.text) if transpose else (game.text, game.video)
    a = game.similarity.mT if transpose else game.similarity
    W1, W0 = joined_weights(side.scores, words)
    N1, N0 = joined_maxima(a.mT, side.mask, words, game.neutral)
    M = held(a, other.mask, frames, game.neutral).amax(-1)
    U = member_weights(other.scores[:, None], frames)
    return (torch.einsum("bcit,bct->bci", W1 - W0, M) + torch.einsum("bcv,bcvi->bci", U, N1 - N0)) / 2


def coalitions(
    game: TokenGame, index: str, p: float, samples: int, generator: Generator | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Words [B, C, T] and frames [B, C, V] of C coalitions at a time: each player with probability p, or, for Shapley,
    with a probability that is itself drawn from [0, 1] for every coalition."""
    a = game.similarity
    B, T, V = a.shape
    most = max(1, CELLS // (B * max(T, V) ** 2))
    for done in range(0, samples, most):
        C = min(most, samples - done)
        q = p if index == "banzhaf" else torch.rand(B, C, 1, generator=generator, dtype=a.dtype, device=a.device)
        members = torch.rand(B, C, T + V, generator=generator, dtype=a.dtype, device=a.device) < q
        yield members[..., :T] & game.text.mask[:, None], members[..., T:] & game.video.mask[:, None]


def joined_weights(s: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """W1, W0 [B, C, T, T]: the weight of word t (last axis) in S with and without word i."""
    absent = torch.full_like(s, torch.finfo(s.dtype).min)
    s, absent = s[:, None].expand(words.shape), absent[:, None].expand(words.shape)
    rows = torch.where(words, s, absent)[:, :, None, :].expand(-1, -1, s.shape[-1], -1)
    W1 = rows.diagonal_scatter(s, dim1=-2, dim2=-1).softmax(-1)
    W0 = rows.diagonal_scatter(absent, dim1=-2, dim2=-1).softmax(-1)
    accompanied = words.sum(-1, keepdim=True) > words.int()
    return W1, W0 * accompanied[..., None]


def joined_maxima(a: Tensor, mask: Tensor, frames: Tensor, neutral: bool) -> tuple[Tensor, Tensor]:
    """M1, M0 [B, C, T, V]: the maximum of word t over S with and without frame j, from the best two of all frames."""
    offers = held(a, mask, frames, neutral)
    best, place = offers.max(-1, keepdim=True)
    second = offers.scatter(-1, place, -torch.inf).amax(-1, keepdim=True)
    others = best.expand_as(offers).scatter(-1, place, second)
    return torch.maximum(others, a[:, None]), others.clamp(min=0)
