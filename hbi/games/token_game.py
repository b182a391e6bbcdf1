"""The word–frame game of a text–video pair: its players, and what a coalition of them is worth."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Padding = Literal["neutral", "released"]


class Side(NamedTuple):
    """The players of one modality, in B games: T words or V frames."""

    scores: Tensor  # [B, T] before the softmax; a padded place repeats the largest real score of its game
    mask: Tensor  # [B, T] true where there is a player
    spread: float  # the largest difference of two scores of one game


class TokenGame:
    """B games between the words and the frames of a text–video pair (arXiv 2303.14369, section 3).

    similarity    [B, T, V]   a[t,v], cosine similarity of word t and frame v
    text_scores   [B, T]      s[t], a word's score before the softmax (log p where weights are given as p); None: equal
    video_scores  [B, V]      r[v], the same for frames
    text_mask     [B, T]      true or 1 where there is a word; None: everywhere
    video_mask    [B, V]      the same for frames
    padding       "neutral": padded tokens do not exist. "released": as in the published code they count as absent
                  tokens, so that a maximum over a padded side is never negative.

    What padded places hold is never used. Half precision is taken to float32.
    """

    def __init__(
        self,
        similarity: Tensor,
        text_scores: Tensor | None = None,
        video_scores: Tensor | None = None,
        text_mask: Tensor | None = None,
        video_mask: Tensor | None = None,
        padding: Padding = "neutral",
    ) -> None:
        if similarity.ndim != 3:
            raise ValueError(f"similarity must have shape [B, T, V], not {list(similarity.shape)}")
        B, T, V = similarity.shape
        self.neutral = is_neutral(padding)
        s, words = scores_and_mask("text", text_scores, text_mask, (B, T), similarity)
        r, frames = scores_and_mask("video", video_scores, video_mask, (B, V), similarity)
        self.cells = words[:, :, None] & frames[:, None, :]
        self.similarity = similarity.to(s.dtype).masked_fill(~self.cells, 0)
        spreads = finite_spreads(text_scores=s, video_scores=r, similarity=self.similarity)
        self.text, self.video = Side(s, words, spreads[0]), Side(r, frames, spreads[1])


def worth(game: TokenGame, text_members: Tensor, video_members: Tensor) -> Tensor:
    """[B, C]: worth(S) = ½ · ( Σ_t W_t(S_t) · M_t(S_v) + Σ_v U_v(S_v) · N_v(S_t) ), the token-wise interaction.

    text_members  [B, C, T] or [C, T]   true or 1 for the words of coalition c; padded places are never members
    video_members [B, C, V] or [C, V]   the same for frames

    W are the softmaxed scores of the words that are in, M_t is the largest similarity of word t to a frame, those that
    are out counting as 0; U and N likewise. A coalition with no word or no frame is worth 0.
    """
    B, T, V = game.similarity.shape
    C = text_members.shape[-2] if text_members.ndim > 1 else 0
    for members, fitting in ((text_members, (B, C, T)), (video_members, (B, C, V))):
        if members.shape not in (fitting, fitting[1:]):
            shapes = f"{list(text_members.shape)} and {list(video_members.shape)}"
            raise ValueError(f"members {shapes} do not fit similarity {list(game.similarity.shape)}")
    if game.similarity.numel() == 0:
        return game.similarity.new_zeros(B, C)
    words = text_members.bool() & game.text.mask[:, None, :]
    frames = video_members.bool() & game.video.mask[:, None, :]
    W, U = member_weights(game.text.scores[:, None], words), member_weights(game.video.scores[:, None], frames)
    M = held(game.similarity, game.video.mask, frames, game.neutral).amax(-1)
    N = held(game.similarity.mT, game.text.mask, words, game.neutral).amax(-1)
    empty = ~words.any(-1) | ~frames.any(-1)
    return (((W * M).sum(-1) + (U * N).sum(-1)) / 2).masked_fill(empty, 0)


def member_weights(s: Tensor, members: Tensor) -> Tensor:
    """Softmax of the scores s [..., T] over the members [..., T]; 0 for the others, and where there is no member."""
    inside = torch.where(members, s, torch.finfo(s.dtype).min).softmax(-1)
    return torch.where(members, inside, 0)


def held(a: Tensor, mask: Tensor, members: Tensor, neutral: bool) -> Tensor:
    """[B, C, T, V]: what each frame offers to each word: a[t,v] if in, 0 if out, nothing if it is padding."""
    outside = torch.zeros_like(mask, dtype=a.dtype)
    if neutral:
        outside = outside.masked_fill(~mask, -torch.inf)
    return torch.where(members[:, :, None, :], a[:, None], outside[:, None, None, :])


# ---- reading the input ----------------------------------------------------------------------------------------------


def is_neutral(padding: Padding) -> bool:
    if padding not in ("neutral", "released"):
        raise ValueError(f'padding is "neutral" or "released", not {padding!r}')
    return padding == "neutral"


def scores_and_mask(
    side: str, scores: Tensor | None, mask: Tensor | None, shape: tuple[int, int], like: Tensor
) -> tuple[Tensor, Tensor]:
    """Scores and mask of one side, of the given shape: defaults filled in, padding filled with a real score."""
    for name, given in (("scores", scores), ("mask", mask)):
        if given is not None and given.shape != shape:
            raise ValueError(
                f"{side}_{name} {list(given.shape)} does not fit {list(like.shape)}: {list(shape)} expected"
            )
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    mask = torch.ones(shape, dtype=torch.bool, device=like.device) if mask is None else mask.bool()
    if scores is None or scores.numel() == 0:
        return torch.zeros(shape, dtype=dtype, device=like.device), mask
    scores = scores.to(dtype)
    largest = scores.detach().masked_fill(~mask, -torch.inf).amax(-1, keepdim=True)
    largest = largest.masked_fill(~mask.any(-1, keepdim=True), 0)
    return torch.where(mask, scores, largest), mask


def finite_spreads(**tensors: Tensor) -> list[float]:
    """The largest range along the last axis of each tensor; ValueError where one holds NaN or an infinite value.

    A range is not finite exactly where a value is not, so both questions take one pass, and one wait for the device.
    """
    ranges = [spread(x) for x in tensors.values()]
    found: list[float] = torch.stack(ranges).tolist()
    for (name, x), value in zip(tensors.items(), found, strict=True):
        if not value < float("inf"):
            raise ValueError(f"{name} {list(x.shape)} holds NaN or an infinite value")
    return found


def spread(x: Tensor) -> Tensor:
    """[..., T] → []: the largest range along the last axis."""
    if x.numel() == 0:
        return x.new_zeros(())
    smallest, largest = x.detach().aminmax(dim=-1)
    return (largest - smallest).amax()
