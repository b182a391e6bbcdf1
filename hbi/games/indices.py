"""The entrance: which index, of which players, by which method."""

from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from hbi.games.enumeration import enumerated_interactions, enumerated_values
from hbi.games.exact import exact_interaction, exact_values, exact_within
from hbi.games.released import released_interaction
from hbi.games.sampling import sampled_interaction, sampled_values
from hbi.games.token_game import TokenGame

Index = Literal["banzhaf", "shapley"]
Method = Literal["exact", "enumerate", "sample", "released"]
Players = Literal["cross", "words", "frames"]


def interaction(
    game: TokenGame,
    index: Index = "banzhaf",
    p: float = 0.5,
    method: Method = "exact",
    samples: int = 1000,
    generator: Generator | None = None,
    players: Players = "cross",
) -> Tensor:
    """[B, T, V]: how much more word i and frame j add together than apart; 0 in padded cells, in the scale of a[t,v].

    index    "banzhaf": the other players join with probability p each (p = ½ is the paper's). "shapley": p is not used.
    method   "exact" (differentiable); "enumerate", all 2^n coalitions; "sample", unbiased Monte Carlo; "released", the
             published label sampler with its departures from the definition. ``samples`` and ``generator`` are for the
             last two.
    players  "cross": a word and a frame; "words" [B, T, T] or "frames" [B, V, V]: two of a kind (exact and enumerate).
    """
    check(index, p, method, samples)
    if players not in get_args(Players):
        raise ValueError(f"players is one of {', '.join(get_args(Players))}, not {players!r}")
    if players != "cross" and method not in ("exact", "enumerate"):
        raise ValueError(f"players={players!r} is for the methods exact and enumerate, not {method}")
    if method == "released" and (index != "banzhaf" or p != 0.5):
        raise ValueError(f"the released sampler is that of banzhaf at p = 0.5, not {index} at p = {p}")
    a = game.similarity
    if a.numel() == 0:
        B, T, V = a.shape
        return a.new_zeros({"cross": (B, T, V), "words": (B, T, T), "frames": (B, V, V)}[players])
    with torch.autocast(a.device.type, enabled=False):
        if method == "enumerate":
            return enumerated_interactions(game, index, p, players)
        if method == "sample":
            return sampled_interaction(game, index, p, samples, generator)[0]
        if method == "released":
            return released_interaction(game, samples, generator)
        return exact_interaction(game, index, p) if players == "cross" else exact_within(game, index, p, players)


def value(
    game: TokenGame,
    index: Index = "banzhaf",
    p: float = 0.5,
    method: Method = "exact",
    samples: int = 1000,
    generator: Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """[B, T] and [B, V]: what each word and each frame adds to a coalition of the others; 0 for padding."""
    check(index, p, method, samples)
    if method == "released":
        raise ValueError("the released code has no values; method is exact, enumerate or sample")
    a = game.similarity
    if a.numel() == 0:
        return a.new_zeros(a.shape[:2]), a.new_zeros(a.shape[0], a.shape[2])
    with torch.autocast(a.device.type, enabled=False):
        if method == "enumerate":
            return enumerated_values(game, index, p)
        if method == "sample":
            return sampled_values(game, index, p, samples, generator)
        return exact_values(game, index, p)


def check(index: str, p: float, method: str = "exact", samples: int = 2) -> None:
    if index not in get_args(Index):
        raise ValueError(f"index is one of {', '.join(get_args(Index))}, not {index!r}")
    if method not in get_args(Method):
        raise ValueError(f"method is one of {', '.join(get_args(Method))}, not {method!r}")
    if not 0 < p < 1:
        raise ValueError(f"p must lie in (0, 1), not {p}")
    if samples < 2:
        raise ValueError(f"samples must be at least 2, not {samples}")
