"""Diffusion over the candidates of a query: from noise to the one of them that is its match (arXiv 2303.09867)."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Pairs(NamedTuple):
    """Queries with their candidates, as a Denoiser compares them whatever the time."""

    query: Tensor
    """Wq q_k [R,K,D], or [R,1,D] where a query is the same for all of its candidates."""
    key: Tensor
    """Wk c_k [R,K,D]"""
    product: Tensor
    """Of the two [R,K]."""
    seen: Tensor
    """What candidates add to the hidden layer where they are attended to [R,K,2D]."""
    hidden: Tensor
    """What each one's own guess has there [R,K,2D]."""


class Denoiser(nn.Module):
    """Guesses which of K candidates c_k is the match of a query, from x [K], which is 1 there and 0 elsewhere, noised:

        a = softmax_k( Wq(q_k + e) · Wk(c_k + e) + x_k )        guess_k = MLP([ Wp Σ_j a_j Wv(c_j + e) ; c_k ]) + a_k

    e is the embedding of the time. All is linear up to the softmax and from there to the hidden layer, and the a_j sum
    to 1: so queries, candidates and times are projected once each, and a step adds what comes of it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.projection = nn.Linear(width, width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.hidden, self.guess = nn.Linear(2 * width, 2 * width), nn.Linear(2 * width, 1)

    def candidates(self, candidates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[..,D] → "key" [..,D], "seen" [..,2D] and "hidden" [..,2D] of Pairs."""
        of_seen, own = self.hidden.weight.chunk(2, dim=1)
        seen = F.linear(self.projection(self.value(candidates)), of_seen)
        return self.key(candidates), seen, F.linear(candidates, own, self.hidden.bias)

    def times(self, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """time [S] → Wq e [S,D], Wk e [S,D] and what Wv e adds to the hidden layer [S,2D]."""
        e = self.time(sinusoid(time, self.projection.in_features))
        of_seen, _ = self.hidden.weight.chunk(2, dim=1)
        return self.query(e), self.key(e), F.linear(F.linear(self.value(e), self.projection.weight), of_seen)

    def forward(self, x: Tensor, time: Sequence[Tensor], pairs: Pairs) -> Tensor:
        """x [R,K] → the guess [R,K], ``time`` being what ``times`` gives of [R] times, or of one for all rows.

        A candidate with x = −∞ is nothing to the others.
        """
        query, key, seen = (of_time[:, None] for of_time in time)
        scores = pairs.product + (pairs.query @ key.mT + pairs.key @ query.mT).squeeze(-1)  # but for what all k share
        weights = (scores + x).softmax(-1)
        hidden = pairs.hidden + (weights[:, None] @ pairs.seen + seen)
        guess: Tensor = self.guess(hidden.relu_()).squeeze(-1) + weights
        return guess


def sinusoid(time: Tensor, width: int) -> Tensor:
    """time [T] → [T,D], the positions of arXiv 1706.03762: sines at even places, cosines at odd ones."""
    rates = torch.exp(torch.arange(0, width, 2, device=time.device) * (-math.log(10000.0) / width))
    angles = time[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def signal_left(steps: int) -> Tensor:
    """ᾱ [steps], float64: what is left of x_0 after each step, in squares (cosine schedule, arXiv 2102.09672, in which
    no step takes more than 0.999 of it)."""
    left = [math.cos((step / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for step in range(steps + 1)]
    kept = [max(after / before, 0.001) for before, after in pairwise(left)]
    return torch.tensor(kept, dtype=torch.float64).cumprod(0)


def noised(x: Tensor, noise: Tensor, left: Tensor) -> Tensor:
    """√ᾱ x_0 + √(1 − ᾱ) noise: x_0 and noise [R,K], ᾱ [R]."""
    signal, rest = left.sqrt().float()[:, None], (1 - left).sqrt().float()[:, None]
    return signal * x + rest * noise


def denoised(denoiser: Denoiser, noise: Tensor, left: Tensor, pairs: Pairs) -> Tensor:
    """noise [R,K] → the last guess [R,K], in [−1,1], of DDIM with η = 0 (arXiv 2010.02502) through all steps, whose ᾱ
    is ``left``."""
    schedule, x, guess = left.tolist(), noise, noise
    times = [of_time.split(1) for of_time in denoiser.times(torch.arange(len(left), device=noise.device))]
    for step, time in reversed(list(enumerate(zip(*times, strict=True)))):
        guess = denoiser(x, time, pairs).clamp(-1, 1)
        now, then = schedule[step], schedule[step - 1] if step else 1.0
        drawn = (x - math.sqrt(now) * guess) / math.sqrt(1 - now)
        x = math.sqrt(then) * guess + math.sqrt(1 - then) * drawn
    return guess
