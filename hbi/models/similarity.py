"""Weighted token-wise interaction (DRL, arXiv 2203.07111): the similarity of a level, and the worth of its games."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hbi.config import Choice
from hbi.models.base import Encoded


def token_scores(width: int) -> nn.Sequential:
    """Scores each token [.., D] → [.., 1]; their softmax over a caption's or a video's tokens gives its weights."""
    return nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, 1))


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis among the cells of ``mask``; rows without any are all 0."""
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    return torch.where(mask.any(-1, keepdim=True), weights, 0.0)


def weighted_tokens(tokens: Tensor, weights: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """tokens [N,L,D], weights and mask [N,L] → what ``between_tokens`` needs of a side: "tokens" of unit length,
    "weights" and "mask"."""
    return {"tokens": F.normalize(tokens.float(), dim=-1), "weights": weights, "mask": mask}


def between_tokens(text: Encoded, video: Encoded, similarity: Callable[..., Tensor], padding: Choice) -> Tensor:
    """``token_similarity`` or ``block_similarity`` [N,M] of ``weighted_tokens``."""
    return similarity(*(side[name] for side in (text, video) for name in ("tokens", "weights", "mask")), padding)


def token_similarity(
    words: Tensor,
    word_weights: Tensor,
    word_mask: Tensor,
    frames: Tensor,
    frame_weights: Tensor,
    frame_mask: Tensor,
    padding: Choice = "correct",
) -> Tensor:
    """½ ( Σ_t w[n,t] max_v a[n,m,t,v] + Σ_v u[m,v] max_t a[n,m,t,v] ) → [N,M], a the cosines.

    words [N,T,D] and frames [M,V,D] of unit length, weights [N,T] and [M,V] (0 on padding), masks bool.
    Padded tokens never are the maximum, so negative maxima count as they are; with the released padding their cosine
    is 0, which lifts negative maxima to 0 where there is padding.
    """
    outside = 0.0 if padding == "released" else -torch.inf
    a = torch.einsum("ntd,mvd->nmtv", words, frames)
    best_frame = a.masked_fill(~frame_mask[None, :, None, :], outside).amax(3)  # [N,M,T]
    best_word = a.masked_fill(~word_mask[:, None, :, None], outside).amax(2)  # [N,M,V]
    text_side = torch.einsum("nt,nmt->nm", word_weights, best_frame)
    video_side = torch.einsum("mv,nmv->nm", frame_weights, best_word)
    return (text_side + video_side) / 2


def block_similarity(
    words: Tensor,
    word_weights: Tensor,
    word_mask: Tensor,
    frames: Tensor,
    frame_weights: Tensor,
    frame_mask: Tensor,
    padding: Choice = "correct",
) -> Tensor:
    """``token_similarity``, to rounding, in little more than the time of its matrix product: for evaluation.

    Padding gives way to what no maximum notices before the product, so that masking takes no pass over all cosines;
    and videos come last in these, so that both maxima run along contiguous memory. Training keeps the other, whose
    rounding is in every published number.
    """
    rows = _unnoticed(words, word_mask, padding)  # [NT,D]
    columns = _unnoticed(frames, frame_mask, padding, by_item=False)  # [VM,D]
    a = (rows @ columns.T).view(*words.shape[:2], *frames.shape[1::-1])  # [N,T,V,M]
    text_side = torch.einsum("nt,ntm->nm", word_weights, a.amax(2))
    video_side = torch.einsum("mv,nvm->nm", frame_weights, a.amax(1))
    if padding == "correct":  # the best token of an item that has none is −∞
        text_side = torch.where(frame_mask.any(1), text_side, (word_weights * -torch.inf).sum(1)[:, None])
        video_side = torch.where(word_mask.any(1)[:, None], video_side, (frame_weights * -torch.inf).sum(1))
    return (text_side + video_side) / 2


def _unnoticed(tokens: Tensor, mask: Tensor, padding: Choice, by_item: bool = True) -> Tensor:
    """tokens [N,L,D] → [NL,D], or [LN,D] if not ``by_item``, where in place of padding there is another token of the
    item; or 0, so that the cosine is 0 too, with the released padding."""
    places = torch.arange(mask.numel(), device=mask.device).view(mask.shape)
    if padding == "released":
        tokens = tokens * mask[:, :, None]
    else:
        places = torch.where(mask, places, places.gather(1, mask.int().argmax(1, keepdim=True)))
    order = places if by_item else places.T
    return tokens.flatten(0, 1).index_select(0, order.flatten())
