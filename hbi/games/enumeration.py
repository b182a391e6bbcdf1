"""The definitions, summed over all 2^n coalitions: slow, short, and the judge of everything else."""

import math

import torch
from torch import Tensor

from hbi.games.token_game import TokenGame, worth

MOST_PLAYERS = 22
CELLS = 2**22  # similarities looked at in one go: bounds the memory


def enumerated_interactions(game: TokenGame, index: str, p: float, players: str = "cross") -> Tensor:
    """[B, T, V], [B, T, T] or [B, V, V]: with S ⊆ N∖{i,k},

    Σ_S pr(|S|) · ( worth(S∪ik) − worth(S∪i) − worth(S∪k) + worth(S) )
    """
    B, T, V = game.similarity.shape
    w = all_worths(game)
    pr = size_probability(index, p, T + V - 2, w)
    words, frames = range(T), range(T, T + V)
    rows, columns = {"cross": (words, frames), "words": (words, words), "frames": (frames, frames)}[players]
    result = w.new_zeros(B, len(rows), len(columns))
    for row, i in enumerate(rows):
        for column, k in enumerate(columns):
            if i != k:
                S = coalitions_without(1 << i | 1 << k, w)
                gain = w[:, S | 1 << i | 1 << k] - w[:, S | 1 << i] - w[:, S | 1 << k] + w[:, S]
                result[:, row, column] = gain @ pr[sizes(S)]
    return result


def enumerated_values(game: TokenGame, index: str, p: float) -> tuple[Tensor, Tensor]:
    """[B, T] and [B, V]: Σ_S pr(|S|) · (worth(S∪i) − worth(S)), S ⊆ N∖{i}."""
    T, V = game.similarity.shape[1:]
    w = all_worths(game)
    pr = size_probability(index, p, T + V - 1, w)
    values = []
    for i in range(T + V):
        S = coalitions_without(1 << i, w)
        values.append((w[:, S | 1 << i] - w[:, S]) @ pr[sizes(S)])
    return torch.stack(values[:T], dim=-1), torch.stack(values[T:], dim=-1)


def all_worths(game: TokenGame) -> Tensor:
    """[B, 2^n]: the worth of every coalition; bit i of its number stands for player i, words first.

    Padded tokens take part as players that change nothing, which neither index minds.
    """
    B, T, V = game.similarity.shape
    n = T + V
    if n > MOST_PLAYERS:
        raise ValueError(
            f"{T} words and {V} frames have 2^{n} = {2.0**n:.1e} coalitions; the most is {MOST_PLAYERS} players"
        )
    numbers = torch.arange(2**n, device=game.similarity.device)
    parts = []
    for part in numbers.split(max(1, CELLS // (B * T * V))):
        members = part[:, None] >> torch.arange(n, device=part.device) & 1
        parts.append(worth(game, members[:, :T], members[:, T:]))
    return torch.cat(parts, dim=-1)


def size_probability(index: str, p: float, others: int, like: Tensor) -> Tensor:
    """[others+1]: probability of one particular coalition of each size, drawn from that many players."""
    if index == "banzhaf":
        return like.new_tensor([p**k * (1 - p) ** (others - k) for k in range(others + 1)])
    return like.new_tensor([1 / ((others + 1) * math.comb(others, k)) for k in range(others + 1)])


def coalitions_without(excluded: int, w: Tensor) -> Tensor:
    numbers = torch.arange(w.shape[-1], device=w.device)
    return numbers[numbers & excluded == 0]


def sizes(coalitions: Tensor) -> Tensor:
    """The number of members of each coalition."""
    bits = torch.arange(MOST_PLAYERS, device=coalitions.device)
    return (coalitions[:, None] >> bits & 1).sum(-1)
