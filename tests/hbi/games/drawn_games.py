"""Games to test on: small ones drawn by hypothesis, larger ones from a seed."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from hbi.games import TokenGame

Inputs = dict[str, Tensor]


def inputs(seed: int, B: int, T: int, V: int, width: float = 3.0, kind: str = "mixed", masks: bool = True) -> Inputs:
    """Arguments of a TokenGame in float64; ``width`` is that of the scores, ``kind`` the sort of similarities."""
    g = torch.Generator().manual_seed(seed)
    a = torch.rand(B, T, V, generator=g, dtype=torch.float64) * 2 - 1
    a = {"mixed": a, "negative": -a.abs(), "positive": a.abs(), "equal": torch.full_like(a, 0.3), "tied": a.round()}[
        kind
    ]
    arguments = {
        "similarity": a,
        "text_scores": width * (torch.rand(B, T, generator=g, dtype=torch.float64) - 0.5),
        "video_scores": width * (torch.rand(B, V, generator=g, dtype=torch.float64) - 0.5),
    }
    if masks:
        arguments["text_mask"] = torch.rand(B, T, generator=g) < 0.75
        arguments["video_mask"] = torch.rand(B, V, generator=g) < 0.75
    return arguments


def game(given: Inputs, dtype: torch.dtype = torch.float64, padding: str = "neutral") -> TokenGame:
    """The game of these inputs, computed in ``dtype``."""
    return TokenGame(**{k: v if v.dtype == torch.bool else v.to(dtype) for k, v in given.items()}, padding=padding)


def rounded(given: Inputs) -> Inputs:
    """The same inputs with float32 values, held in float64: what a float32 result is to be compared with."""
    return {k: v if v.dtype == torch.bool else v.float().double() for k, v in given.items()}


@st.composite
def small_inputs(draw: st.DrawFn, players: int = 12) -> Inputs:
    """Games of up to ``players`` words and frames, padding included."""
    T = draw(st.integers(1, players - 1))
    V = draw(st.integers(1, players - T))
    return inputs(
        seed=draw(st.integers(0, 2**32)),
        B=draw(st.integers(1, 3)),
        T=T,
        V=V,
        width=draw(st.sampled_from([0.0, 1.0, 10.0, 100.0])),
        kind=draw(st.sampled_from(["mixed", "negative", "positive", "equal", "tied"])),
        masks=draw(st.booleans()),
    )
