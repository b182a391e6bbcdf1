"""The two rules for the number of nodes keep their promise, and ask for little more than they need."""

import itertools
import math

import numpy as np
import pytest
import torch

from hbi.games import interaction
from hbi.games.exact import expected_weights, inclusion, weight_gains
from hbi.games.quadrature import trapezoid_rule, unit_interval_rule
from hbi.games.token_game import Side
from tests.hbi.games.drawn_games import game, inputs


def alone_with(u: np.ndarray, q: float, eps: float, coarser: float = 1.0) -> float:
    """E[W_i(S∪i)] for the last of the scores u, by the rule; its nodes thinned out by the factor ``coarser``."""
    start, step, count = trapezoid_rule(float(np.ptp(u)), eps)
    x = np.arange(start, start + step * count, step * coarser)[:, None]
    y = np.exp(np.minimum(x + u - u.max(), 6.5))
    return float(
        step * coarser * np.sum(y[:, -1] * np.exp(-y[:, -1]) * np.prod(1 - q + q * np.exp(-y[:, :-1]), axis=1))
    )


def by_subsets(u: np.ndarray, q: float) -> float:
    e = np.exp(u - u.max())
    total = 0.0
    for others in itertools.product([0, 1], repeat=len(u) - 1):
        size = sum(others)
        total += q**size * (1 - q) ** (len(u) - 1 - size) * e[-1] / (e[-1] + e[:-1] @ np.array(others, dtype=float))
    return total


@pytest.mark.parametrize("eps", [1e-3, 1e-5, 2**-23, 1e-10, 2**-52])
@pytest.mark.parametrize("spread", [0.0, 1.0, 8.0, 30.0])
def test_trapezoid_rule_reaches_the_precision(eps: float, spread: float) -> None:
    for seed, n in enumerate((1, 2, 3, 8)):
        u = np.random.default_rng(seed).uniform(-spread, 0, n)
        for q in (0.05, 0.5, 0.95):
            assert abs(alone_with(u, q, eps) - by_subsets(u, q)) < 2 * eps + 5e-15


@pytest.mark.parametrize("eps", [1e-5, 2**-23, 1e-10])
def test_trapezoid_rule_is_not_wasteful(eps: float) -> None:
    """A third fewer nodes and the precision is missed."""
    assert abs(alone_with(np.zeros(1), 0.5, eps, coarser=1.5) - 1) > 2 * eps


def test_nodes_grow_with_precision_and_spread() -> None:
    assert trapezoid_rule(0, 2**-23)[2] < trapezoid_rule(0, 2**-52)[2] < trapezoid_rule(50, 2**-52)[2]
    assert trapezoid_rule(0, 2**-23)[2] <= 50
    start, step, count = trapezoid_rule(20, 2**-23)
    nodes = start + step * np.arange(count)
    assert (nodes.astype(np.float32) == nodes).all()


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 5, 10, 34, 126, 254])
def test_gauss_rule_is_exact_or_as_good(degree: int) -> None:
    for eps in (1e-4, 2**-23, 2**-52):
        q, omega = map(np.array, unit_interval_rule(degree, eps))
        assert len(q) <= degree // 2 + 1
        for k in {0, degree // 3, degree}:  # a product of k factors q and the others 1 − q, and its integral
            wanted = 1 / ((degree + 1) * math.comb(degree, k))
            assert abs(omega @ (q**k * (1 - q) ** (degree - k)) - wanted) < eps + 5e-15
    assert len(unit_interval_rule(254, 2**-23)[0]) < 40


@pytest.mark.parametrize(("T", "V"), [(24, 12), (64, 64)])
@pytest.mark.parametrize("kind", ["mixed", "negative", "equal"])
def test_shapley_with_fewer_nodes_is_as_good(T: int, V: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    g = game(inputs(0, 2, T, V, width=10, kind=kind))
    few = interaction(g, "shapley")
    nodes = T + V - 1
    monkeypatch.setattr("hbi.games.exact.unit_interval_rule", lambda degree, eps: unit_interval_rule(2 * nodes, 0.0))
    assert (few - interaction(g, "shapley")).abs().max() < 1e-13
    monkeypatch.setattr("hbi.games.exact.unit_interval_rule", lambda degree, eps: unit_interval_rule(degree, 2**-23))
    assert (few - interaction(g, "shapley")).abs().max() < 2**-23


def test_gains_of_weights_sum_to_the_chance_of_being_first() -> None:
    """Weights always sum to 1: only a word that joins an empty coalition changes that sum."""
    scores = torch.randn(3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    side = Side(scores, torch.ones(3, 7, dtype=torch.bool), float((scores.amax(-1) - scores.amin(-1)).max()))
    q, _ = inclusion("shapley", 0.5, 20, scores)
    empty = (1 - q) ** 6
    torch.testing.assert_close(weight_gains(side, q).sum(-1), empty[:, None, None].expand(-1, 3, 7), atol=1e-14, rtol=0)
    torch.testing.assert_close(
        expected_weights(side, q).sum(-1), (1 - (1 - q) ** 7)[:, None].expand(-1, 3), atol=1e-14, rtol=0
    )
