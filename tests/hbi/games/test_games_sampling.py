"""Monte Carlo is unbiased, and the released sampler is the published one: against golden numbers of that code."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hbi.games import TokenGame, interaction, sampled_interaction, value
from hbi.games.released import released_draws
from hbi.games.sampling import interaction_draws, value_draws
from tests.hbi.games.drawn_games import game, inputs

ROOT = Path(__file__).parents[3]
COMPACT = ROOT / "tests/golden/hbi_banzhaf_interaction.npz"
FULL = ROOT.parent / "shared/golden/hbi/dev/banzhaf_interaction.npz"


def all_coalitions(of: TokenGame) -> tuple[torch.Tensor, torch.Tensor]:
    """Every coalition once: words [B, 2^n, T] and frames [B, 2^n, V]."""
    B, T, V = of.similarity.shape
    members = (torch.arange(2 ** (T + V))[:, None] >> torch.arange(T + V) & 1).bool().expand(B, -1, -1)
    return members[..., :T] & of.text.mask[:, None], members[..., T:] & of.video.mask[:, None]


@pytest.mark.parametrize("kind", ["mixed", "negative", "tied"])
@pytest.mark.parametrize("padding", ["neutral", "released"])
@pytest.mark.parametrize("width", [3, 200])
def test_draws_average_to_the_exact_result(kind: str, padding: str, width: float) -> None:
    g = game(inputs(4, 3, 5, 4, kind=kind, width=width), padding=padding)
    words, frames = all_coalitions(g)
    mean = interaction_draws(g, words, frames).mean(1).masked_fill(~g.cells, 0)
    torch.testing.assert_close(mean, interaction(g), atol=1e-13, rtol=0)
    of_words = value_draws(g, words, frames, transpose=False).mean(1) * g.cells.any(-1)
    of_frames = value_draws(g, frames, words, transpose=True).mean(1) * g.cells.any(-2)
    torch.testing.assert_close((of_words, of_frames), value(g), atol=1e-13, rtol=0)


@pytest.mark.parametrize(("index", "p"), [("banzhaf", 0.5), ("banzhaf", 0.25), ("shapley", 0.5)])
def test_the_mean_lies_within_its_standard_error(index: str, p: float) -> None:
    g = game(inputs(2, 4, 7, 5))
    mean, standard_error = sampled_interaction(g, index, p, 2000, torch.Generator().manual_seed(0))
    exact = interaction(g, index, p)
    z = ((mean - exact) / standard_error)[g.cells & (standard_error > 1e-9)]
    assert z.abs().max() < 5
    assert 0.7 < z.square().mean().sqrt() < 1.3  # and the standard error is no larger than it should be
    again = interaction(g, index, p, "sample", 2000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(mean, again, atol=0, rtol=0)
    for drawn, wanted in zip(value(g, index, p, "sample", 2000), value(g, index, p), strict=True):
        assert (drawn - wanted).abs().max() < 0.05


@pytest.mark.parametrize("method", ["sample", "released"])
def test_a_game_of_two_needs_no_luck(method: str) -> None:
    drawn = {"similarity": torch.tensor([[[-0.4]], [[0.7]]])}
    torch.testing.assert_close(interaction(game(drawn, torch.float32), method=method), drawn["similarity"])


# ---- golden numbers -------------------------------------------------------------------------------------------------


@pytest.fixture(params=[COMPACT, FULL], ids=["compact", "full"])
def golden(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    if not request.param.exists():
        pytest.skip(f"{request.param.name} of the shared golden data is not here")
    with np.load(request.param) as arrays:
        return dict(arrays)


def golden_game(golden: dict[str, np.ndarray], scores: str, dtype: torch.dtype = torch.float64) -> TokenGame:
    """The published code's game: similarities times 1000, and weights p as s = log p or as s = p."""
    x = {k: torch.as_tensor(v) for k, v in golden.items()}
    p, r = x["text_weight"].to(dtype), x["video_weight"].to(dtype)
    s, r = (p.log(), r.log()) if scores == "log p" else (p, r)
    return TokenGame(1000 * x["logits"].to(dtype), s, r, x["text_mask"], x["video_mask"], padding="released")


@pytest.mark.parametrize(("scores", "name"), [("log p", "renormalised_weights"), ("p", "double_softmax")])
def test_exact_agrees_with_enumerated_golden_numbers(golden: dict, scores: str, name: str) -> None:
    wanted = torch.as_tensor(golden[f"exact_textbook_{name}"])
    found = interaction(golden_game(golden, scores))
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)
    single = interaction(golden_game(golden, scores, torch.float32))
    torch.testing.assert_close(single.double(), wanted, atol=2e-6 * 1000 * np.abs(golden["logits"]).max(), rtol=0)


def test_released_agrees_with_the_published_code(golden: dict) -> None:
    g = golden_game(golden, "log p")
    expectation = released_draws(g, *all_coalitions(g)).mean(1)
    for name in ("exact_quirk_float64", "exact_official_code_enumerated", "mc_official_mean"):
        if name in golden:  # enumerated in float64, in float32, and 100 000 draws
            atol = (
                1e-6 if "float64" in name else 1e-3 if "enum" in name else 5 * torch.as_tensor(golden["mc_official_se"])
            )
            assert ((expectation - torch.as_tensor(golden[name])).abs() <= atol).all()
    drawn = interaction(g, method="released", samples=2000, generator=torch.Generator().manual_seed(0))
    sd = released_draws(g, *all_coalitions(g)).std(1)
    assert ((drawn - expectation).abs() <= 5 * sd / 2000**0.5).all()
