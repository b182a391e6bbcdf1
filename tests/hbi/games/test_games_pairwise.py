"""All pairs at once give what each pair gives alone."""

import pytest
import torch
from torch.nn.functional import normalize

from hbi.games import TokenGame, interaction, pairwise_interaction
from tests.hbi.games.drawn_games import inputs

N, M, T, V, D = 5, 7, 6, 4, 16


def features(dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    text, video = inputs(1, N, T, V), inputs(2, M, T, V)
    return {
        "text": torch.randn(N, T, D, generator=g, dtype=dtype),
        "video": torch.randn(M, V, D, generator=g, dtype=dtype),
        "text_scores": text["text_scores"].to(dtype),
        "video_scores": video["video_scores"].to(dtype),
        "text_mask": text["text_mask"],
        "video_mask": video["video_mask"],
    }


@pytest.mark.parametrize("index", ["banzhaf", "shapley"])
@pytest.mark.parametrize("padding", ["neutral", "released"])
def test_pairs_equal_their_games(index: str, padding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hbi.games.pairwise.CELLS", 9 * T * V * (4 if index == "shapley" else 1))
    x = features()
    a = torch.einsum("ntd,mvd->nmtv", normalize(x["text"], dim=-1), normalize(x["video"], dim=-1))
    of_text, of_video = (x["text_scores"], x["text_mask"]), (x["video_scores"], x["video_mask"])
    s, words = (v.repeat_interleave(M, 0) for v in of_text)
    r, frames = (v.repeat(N, 1) for v in of_video)
    wanted = interaction(TokenGame(a.flatten(0, 1), s, r, words, frames, padding), index).view(N, M, T, V)

    found, blocks = torch.full_like(wanted, torch.nan), 0
    for rows, columns, block in pairwise_interaction(**x, index=index, padding=padding):
        found[rows, columns] = block
        blocks += 1
    assert blocks > 1
    torch.testing.assert_close(found, wanted, atol=1e-14, rtol=0)


def test_gradients_reach_features_and_scores() -> None:
    x = features()
    names = ("text", "video", "text_scores", "video_scores")
    for name in names:
        x[name].requires_grad_()
    sum(block.square().sum() for _, _, block in pairwise_interaction(**x)).backward()
    assert all(x[name].grad.isfinite().all() and x[name].grad.any() for name in names)


def test_bad_and_empty_input() -> None:
    x = features()
    with pytest.raises(ValueError, match=r"\[5, 6, 16\] and video \[7, 4, 15\]"):
        next(pairwise_interaction(x["text"], x["video"][..., 1:]))
    with pytest.raises(ValueError, match=r"text_scores \[7, 4\]"):
        next(pairwise_interaction(x["text"], x["video"], text_scores=x["video_scores"]))
    with pytest.raises(ValueError, match=r"text \[5, 6, 16\] holds NaN"):
        next(pairwise_interaction(x["text"] * torch.nan, x["video"]))
    ((_, _, nothing),) = pairwise_interaction(x["text"][:, :0], x["video"])
    assert nothing.shape == (N, M, 0, V)
    assert not list(pairwise_interaction(x["text"][:0], x["video"]))
