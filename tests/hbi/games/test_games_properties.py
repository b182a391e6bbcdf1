"""What game theory promises, and what padding and empty sides must not change."""

import pytest
import torch
from hypothesis import given, settings

from hbi.games import TokenGame, interaction, value, worth
from hbi.games.enumeration import all_worths, coalitions_without, size_probability, sizes
from tests.hbi.games.drawn_games import Inputs, game, inputs, small_inputs

few = settings(deadline=None, max_examples=25)


@few
@given(small_inputs(players=30))
def test_shapley_values_share_out_the_worth_of_all(drawn: Inputs) -> None:
    g = game(drawn)
    words, frames = value(g, "shapley")
    torch.testing.assert_close(
        words.sum(-1) + frames.sum(-1), worth(g, g.text.mask[:, None], g.video.mask[:, None])[:, 0]
    )


@few
@given(small_inputs(players=20))
def test_equal_players_are_treated_equally(drawn: Inputs) -> None:
    drawn = {
        k: torch.cat([v, v[:, :1]], 1) if k != "video_scores" and k != "video_mask" else v for k, v in drawn.items()
    }
    for index in ("banzhaf", "shapley"):
        words, _ = value(game(drawn), index)
        pairs = interaction(game(drawn), index)
        torch.testing.assert_close(words[:, 0], words[:, -1], atol=1e-13, rtol=0)
        torch.testing.assert_close(pairs[:, 0], pairs[:, -1], atol=1e-13, rtol=0)


@few
@given(small_inputs(players=9))
def test_an_interaction_is_a_difference_of_values(drawn: Inputs) -> None:
    """I(i,j) = value of i where j is always present − value of i where j is always absent."""
    g = game(drawn)
    _, T, V = g.similarity.shape
    w = all_worths(g)
    i, j = 1 << (T - 1), 1 << T
    S = coalitions_without(i | j, w)
    for index in ("banzhaf", "shapley"):
        pr = size_probability(index, 0.5, T + V - 2, w)[sizes(S)]
        with_j, without_j = (w[:, S | i | j] - w[:, S | j]) @ pr, (w[:, S | i] - w[:, S]) @ pr
        torch.testing.assert_close(interaction(g, index)[:, T - 1, 0], with_j - without_j, atol=1e-13, rtol=0)


@few
@given(small_inputs(players=9))
def test_banzhaf_values_of_two_add_up_to_that_of_their_merger(drawn: Inputs) -> None:
    g = game(drawn)
    _, T, V = g.similarity.shape
    w = all_worths(g)
    i, j = 1 << (T - 1), 1 << T
    S = coalitions_without(i | j, w)
    merged = (w[:, S | i | j] - w[:, S]) @ size_probability("banzhaf", 0.5, T + V - 2, w)[sizes(S)]
    words, frames = value(g)
    torch.testing.assert_close(words[:, -1] + frames[:, 0], merged, atol=1e-13, rtol=0)


def lengthened(x: torch.Tensor, by: int) -> torch.Tensor:
    """Every axis but the first longer by that much: masks filled with False, numbers with NaN."""
    longer = x.new_full(
        (x.shape[0], *(size + by for size in x.shape[1:])), False if x.dtype == torch.bool else torch.nan
    )
    longer[tuple(slice(size) for size in x.shape)] = x
    return longer


@few
@given(small_inputs(players=12))
def test_padding_changes_nothing(drawn: Inputs) -> None:
    B, T, V = drawn["similarity"].shape
    masked = {"text_mask": torch.ones(B, T, dtype=torch.bool), "video_mask": torch.ones(B, V, dtype=torch.bool)} | drawn
    longer = game({k: lengthened(v, 2) for k, v in masked.items()})
    for index in ("banzhaf", "shapley"):
        found = interaction(longer, index)
        torch.testing.assert_close(found[:, :T, :V], interaction(game(drawn), index), atol=1e-13, rtol=0)
        assert not found[:, T:].any()
        assert not found[:, :, V:].any()
        words, frames = value(longer, index)
        torch.testing.assert_close(words[:, :T], value(game(drawn), index)[0], atol=1e-13, rtol=0)
        assert not words[:, T:].any()
        assert not frames[:, V:].any()


def test_released_padding_holds_maxima_at_zero() -> None:
    drawn = inputs(3, 4, 5, 3, kind="negative", masks=False)
    drawn["text_mask"] = torch.ones(4, 5, dtype=torch.bool)
    drawn["video_mask"] = torch.ones(4, 3, dtype=torch.bool)
    longer = {k: lengthened(v, 1) for k, v in drawn.items()}
    assert interaction(game(longer)).any()
    assert not interaction(game(longer, padding="released")).any()
    positive = longer | {"similarity": longer["similarity"].abs()}
    torch.testing.assert_close(interaction(game(positive)), interaction(game(positive, padding="released")))


@pytest.mark.parametrize("method", ["exact", "enumerate", "sample", "released"])
@pytest.mark.parametrize("shape", [(2, 0, 3), (2, 3, 0), (0, 2, 3), (2, 0, 0)])
def test_no_word_or_no_frame(method: str, shape: tuple[int, int, int]) -> None:
    B, T, V = shape
    nothing = TokenGame(torch.zeros(shape))
    assert interaction(nothing, method=method).shape == shape
    assert worth(nothing, torch.ones(1, T), torch.ones(1, V)).shape == (B, 1)
    masked = TokenGame(torch.full((B, T + 1, V + 1), -0.5), text_mask=torch.ones(B, T + 1) * (T > 0))
    if T == 0 and B:
        assert not interaction(masked, method=method).any()
        if method != "released":
            assert not any(v.any() for v in value(masked, method=method))
    if method in ("exact", "enumerate"):
        assert interaction(nothing, method=method, players="words").shape == (B, T, T)


def test_worth_by_hand() -> None:
    """Two words, two frames; weights of the words 3/4 and 1/4."""
    a = torch.tensor([[[0.8, -0.2], [0.4, -0.6]]], dtype=torch.float64)
    g = TokenGame(a, torch.tensor([[0.75, 0.25]], dtype=torch.float64).log())
    words = torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1], [0, 0], [1, 1]])
    frames = torch.tensor([[1, 1], [1, 0], [0, 1], [0, 1], [1, 1], [0, 0]])
    both = (0.75 * 0.8 + 0.25 * 0.4 + 0.5 * 0.8 + 0.5 * -0.2) / 2
    torch.testing.assert_close(worth(g, words, frames)[0], a.new_tensor([both, 0.8, 0.0, (0 + -0.2) / 2, 0, 0]))


# ---- bad input ------------------------------------------------------------------------------------------------------

a = torch.rand(2, 4, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"similarity": a[0]}, r"\[4, 3\]"),
        ({"similarity": a, "text_scores": torch.rand(2, 3)}, r"text_scores \[2, 3\].*\[2, 4, 3\].*\[2, 4\]"),
        ({"similarity": a, "video_scores": torch.rand(3)}, r"video_scores \[3\].*\[2, 4, 3\]"),
        ({"similarity": a, "text_mask": torch.ones(2, 5)}, r"text_mask \[2, 5\].*\[2, 4, 3\]"),
        ({"similarity": a * torch.nan}, r"similarity \[2, 4, 3\] holds NaN"),
        ({"similarity": a, "video_scores": torch.full((2, 3), -torch.inf)}, r"video_scores \[2, 3\] holds NaN"),
        ({"similarity": a, "padding": "zero"}, "neutral"),
    ],
)
def test_a_game_that_is_none(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokenGame(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p": 0.0}, "p must lie"),
        ({"p": 1.0}, "p must lie"),
        ({"p": float("nan")}, "p must lie"),
        ({"index": "owen"}, "banzhaf, shapley"),
        ({"method": "guess"}, "exact, enumerate"),
        ({"players": "all"}, "cross, words"),
        ({"method": "sample", "players": "words"}, "exact and enumerate"),
        ({"method": "sample", "samples": 1}, "at least 2"),
        ({"method": "released", "index": "shapley"}, "banzhaf"),
    ],
)
def test_a_question_that_is_none(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interaction(TokenGame(a), **arguments)


def test_enumeration_names_its_cost() -> None:
    with pytest.raises(ValueError, match=r"2\^23 = 8.4e\+06 coalitions"):
        interaction(TokenGame(torch.rand(1, 12, 11)), method="enumerate")
    with pytest.raises(ValueError, match="enumerate or sample"):
        value(TokenGame(a), method="released")


def test_members_that_do_not_fit() -> None:
    for words, frames in (
        (torch.ones(5, 3), torch.ones(5, 3)),
        (torch.ones(5, 4), torch.ones(6, 3)),
        (torch.ones(4), torch.ones(3)),
    ):
        with pytest.raises(ValueError, match=r"\[2, 4, 3\]"):
            worth(TokenGame(a), words, frames)
