"""Weighted token-wise interaction (DRL, arXiv 2203.07111): the similarity of a level, and the worth of its games."""

import torch
from torch import Tensor, nn

from hbi.config import Choice


def token_scores(width: int) -> nn.Sequential:
    """Scores each token [.., D] → [.., 1]; their softmax over a caption's or a video's tokens gives its weights."""
    return nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, 1))


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis among the cells of ``mask``; rows without any are all 0."""
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    return torch.where(mask.any(-1, keepdim=True), weights, 0.0)


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
