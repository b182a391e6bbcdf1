"""The games of all N × M pairs of texts and videos, block by block.

What words add to weights depends on the text alone, what frames add on the video alone: N + M times for N · M games.
Only the maxima belong to a pair; they cost a sort, and two small matrix products join them with the weights.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hbi.games.exact import inclusion, maximum_gains, weight_gains
from hbi.games.indices import Index, check
from hbi.games.token_game import Padding, Side, finite_spreads, is_neutral, scores_and_mask

CELLS = 2**20  # similarities of one block, times the probabilities q: bounds the memory


def pairwise_interaction(
    text: Tensor,
    video: Tensor,
    text_scores: Tensor | None = None,
    video_scores: Tensor | None = None,
    text_mask: Tensor | None = None,
    video_mask: Tensor | None = None,
    padding: Padding = "neutral",
    index: Index = "banzhaf",
    p: float = 0.5,
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yields (rows, columns, [n, m, T, V]): the exact interactions of texts ``rows`` with videos ``columns``.

    text   [N, T, D], video [M, V, D]: features; a[t,v] is their cosine. The rest as in ``TokenGame``, for N texts and M
    videos. Blocks come row by row and cover all pairs.
    """
    check(index, p)
    if text.ndim != 3 or video.ndim != 3 or text.shape[2] != video.shape[2]:
        raise ValueError(f"text {list(text.shape)} and video {list(video.shape)} must be [N, T, D] and [M, V, D]")
    (N, T, _), (M, V, _) = text.shape, video.shape
    neutral = is_neutral(padding)
    s, words = scores_and_mask("text", text_scores, text_mask, (N, T), text)
    r, frames = scores_and_mask("video", video_scores, video_mask, (M, V), video)
    text = normalize(text.to(s.dtype), dim=-1).masked_fill(~words[..., None], 0)
    video = normalize(video.to(r.dtype), dim=-1).masked_fill(~frames[..., None], 0)
    spreads = finite_spreads(text_scores=s, video_scores=r, text=text, video=video)
    if T == 0 or V == 0:
        yield slice(0, N), slice(0, M), text.new_zeros(N, M, T, V)
        return
    q, omega = inclusion(index, p, T + V - 2, text)
    half = omega[:, None, None, None] / 2
    full_precision = torch.autocast(text.device.type, enabled=False)
    with full_precision:
        DW = half * weight_gains(Side(s, words, spreads[0]), q)
        DU = half * weight_gains(Side(r, frames, spreads[1]), q)

    def block(rows: slice, columns: slice) -> Tensor:
        a = torch.einsum("ntd,mvd->nmtv", text[rows], video[columns])
        DM = maximum_gains(a, frames[None, columns], neutral, q)
        DN = maximum_gains(a.mT, words[rows, None], neutral, q)
        of_words = torch.einsum("qnit,qnmtj->nmij", DW[:, rows], DM)
        return of_words + torch.einsum("qmjv,qnmvi->nmij", DU[:, columns], DN)

    side = max(1, math.isqrt(CELLS // (len(q) * T * V)))
    for n in range(0, N, side):
        for m in range(0, M, side):
            rows, columns = slice(n, min(n + side, N)), slice(m, min(m + side, M))
            with full_precision:
                games = block(rows, columns)
            yield rows, columns, games
