"""The exact solution against enumeration, another library, and itself at sizes that nobody can enumerate."""

import numpy as np
import pytest
import shapiq
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hbi.games import TokenGame, interaction, value, worth
from tests.hbi.games.drawn_games import Inputs, game, inputs, rounded, small_inputs

CASES = [("banzhaf", 0.5), ("banzhaf", 0.2), ("shapley", 0.5)]
paddings = st.sampled_from(["neutral", "released"])


def error(x: Tensor, y: Tensor, of: TokenGame) -> float:
    """The largest difference, relative to max|a|."""
    return float((x.double() - y).abs().max() / of.similarity.abs().max().clamp(min=1e-9))


@settings(deadline=None, max_examples=50)
@given(small_inputs(), st.sampled_from(CASES), paddings)
def test_interaction_equals_enumeration(drawn: Inputs, case: tuple, padding: str) -> None:
    exact = game(drawn, padding=padding)
    assert error(interaction(exact, *case), interaction(exact, *case, method="enumerate"), exact) < 1e-12
    single, same = game(drawn, torch.float32, padding), game(rounded(drawn), padding=padding)
    assert error(interaction(single, *case), interaction(same, *case, method="enumerate"), same) < 2e-6


@settings(deadline=None, max_examples=25)
@given(small_inputs(players=10), st.sampled_from(CASES), paddings)
def test_values_and_pairs_of_a_kind_equal_enumeration(drawn: Inputs, case: tuple, padding: str) -> None:
    exact, same = game(drawn, padding=padding), game(rounded(drawn), padding=padding)
    single = game(drawn, torch.float32, padding)
    for players in ("words", "frames"):
        of_exact = interaction(exact, *case, method="enumerate", players=players)
        of_same = interaction(same, *case, method="enumerate", players=players)
        assert error(interaction(exact, *case, players=players), of_exact, exact) < 1e-12
        assert error(interaction(single, *case, players=players), of_same, same) < 2e-6
    for x, y in zip(value(exact, *case), value(exact, *case, method="enumerate"), strict=True):
        assert error(x, y, exact) < 1e-12
    for x, y in zip(value(single, *case), value(same, *case, method="enumerate"), strict=True):
        assert error(x, y, same) < 2e-6


@pytest.mark.parametrize(("T", "V"), [(4, 3), (2, 5)])
@pytest.mark.parametrize("kind", ["mixed", "negative"])
def test_shapiq_agrees(T: int, V: int, kind: str) -> None:
    one = game(inputs(T, 1, T, V, kind=kind, masks=False))
    n = T + V

    def worths(coalitions: np.ndarray) -> np.ndarray:
        members = torch.as_tensor(np.atleast_2d(coalitions))
        return worth(one, members[:, :T], members[:, T:])[0].numpy()

    computer = shapiq.ExactComputer(worths, n_players=n)
    for index, theirs in (("banzhaf", "BII"), ("shapley", "SII")):
        of_pairs = computer(theirs, order=2)
        matrix = torch.tensor(
            [[of_pairs[tuple(sorted((i, k)))] if i != k else 0.0 for k in range(n)] for i in range(n)]
        )
        for players, wanted in (
            ("cross", matrix[:T, T:]),
            ("words", matrix[:T, :T]),
            ("frames", matrix[T:, T:]),
        ):
            torch.testing.assert_close(interaction(one, index, players=players)[0], wanted.double(), atol=1e-6, rtol=0)
    for index, theirs in (("banzhaf", "BV"), ("shapley", "SV")):
        of_players = computer(theirs, order=1)
        wanted = torch.tensor([of_players[(i,)] for i in range(n)], dtype=torch.float64)
        torch.testing.assert_close(torch.cat(value(one, index), -1)[0], wanted, atol=1e-12, rtol=0)


@pytest.mark.parametrize("index", ["banzhaf", "shapley"])
@pytest.mark.parametrize(("B", "T", "V"), [(128, 24, 12), (2, 64, 64), (1, 128, 128), (2, 1, 128), (2, 1, 1)])
def test_float32_agrees_with_float64_at_every_size(index: str, B: int, T: int, V: int) -> None:
    drawn = inputs(T * V, B, T, V, width=10)
    single, same = game(drawn, torch.float32), game(rounded(drawn))
    assert error(interaction(single, index), interaction(same, index), same) < 2e-6


def test_a_game_solved_by_hand() -> None:
    """All similarities and scores equal to 1: worth is 1 with at least one word and one frame, else 0."""
    T, V, q = 9, 4, 0.3
    one = TokenGame(torch.ones(1, T, V, dtype=torch.float64))
    no_other_word, no_other_frame = (1 - q) ** (T - 1), (1 - q) ** (V - 1)
    some_frame = 1 - (1 - q) ** V
    pairs, (words, _) = interaction(one, p=q), value(one, p=q)
    torch.testing.assert_close(pairs, torch.full_like(pairs, no_other_word * no_other_frame), atol=1e-14, rtol=0)
    torch.testing.assert_close(words, torch.full_like(words, no_other_word * some_frame), atol=1e-14, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("width", [200.0, 1e4, 1e9])
def test_scores_may_lie_any_distance_apart(width: float, dtype: torch.dtype) -> None:
    drawn = inputs(1, 4, 6, 4, width=width)
    same = game(rounded(drawn) if dtype == torch.float32 else drawn)
    limit = 2e-6 if dtype == torch.float32 else 1e-12
    for case in CASES:
        found = interaction(game(rounded(drawn), dtype) if dtype == torch.float32 else same, *case)
        assert error(found, interaction(same, *case, method="enumerate"), same) < limit


@pytest.mark.parametrize("index", ["banzhaf", "shapley"])
@pytest.mark.parametrize("players", ["cross", "words", "frames"])
@pytest.mark.parametrize("kind", ["mixed", "negative"])
def test_gradients_agree_with_finite_differences(index: str, players: str, kind: str) -> None:
    drawn = inputs(5, 2, 3, 3, kind=kind)
    masks = drawn["text_mask"], drawn["video_mask"]
    masks[0][0], masks[1][0] = True, True
    floats = [drawn[k].requires_grad_() for k in ("similarity", "text_scores", "video_scores")]
    assert torch.autograd.gradcheck(
        lambda a, s, r: interaction(TokenGame(a, s, r, *masks), index, players=players), floats
    )


def test_gradients_of_values_and_of_extreme_games_are_finite() -> None:
    drawn = inputs(6, 2, 4, 3)
    floats = [drawn[k].requires_grad_() for k in ("similarity", "text_scores", "video_scores")]
    assert torch.autograd.gradcheck(lambda *x: value(TokenGame(*x)), floats, fast_mode=True)
    for width in (100.0, 1e6):
        drawn = inputs(7, 3, 5, 4, width=width)
        drawn["text_mask"][0], drawn["video_mask"][1] = False, False
        floats = [drawn[k].float().requires_grad_() for k in ("similarity", "text_scores", "video_scores")]
        interaction(TokenGame(*floats, drawn["text_mask"], drawn["video_mask"])).square().sum().backward()
        assert all(x.grad.isfinite().all() for x in floats)


@pytest.mark.parametrize("players", ["cross", "words", "frames"])
@pytest.mark.parametrize("p", [1e-12, 1 - 1e-12])
def test_almost_certain_players_in_float32(p: float, players: str) -> None:
    drawn = inputs(11, 3, 5, 4)
    wanted = interaction(game(drawn), p=p, method="enumerate", players=players)
    assert error(interaction(game(drawn, torch.float32), p=p, players=players), wanted, game(drawn)) < 2e-6


def test_half_precision_is_computed_in_float32() -> None:
    drawn = inputs(8, 3, 7, 5)
    half = {k: v if v.dtype == torch.bool else v.bfloat16() for k, v in drawn.items()}
    found = interaction(TokenGame(**half))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, interaction(game(half, torch.float32)), atol=0, rtol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(found, interaction(TokenGame(**half)), atol=0, rtol=0)


def test_memory_layout_does_not_matter() -> None:
    drawn = inputs(9, 3, 6, 4, masks=False)
    strided = {k: torch.stack([v, v], -1)[..., 0] for k, v in drawn.items()}
    strided["similarity"] = drawn["similarity"].permute(2, 0, 1).contiguous().permute(1, 2, 0)
    for method in ("exact", "enumerate"):
        torch.testing.assert_close(interaction(game(strided), method=method), interaction(game(drawn), method=method))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("index", ["banzhaf", "shapley"])
def test_cuda_agrees_with_cpu(index: str) -> None:
    drawn = inputs(10, 16, 24, 12)
    there = interaction(game({k: v.cuda() for k, v in drawn.items()}), index)
    torch.testing.assert_close(there.cpu(), interaction(game(drawn), index), atol=1e-13, rtol=0)
