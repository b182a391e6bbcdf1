"""Attention of one class token and the patches of a video: over all of them, over a frame, or over time."""

from typing import Literal

from torch import Tensor, cat, nn
from torch.nn import functional as F

Over = Literal["space", "time"]


def grouped_attention(
    query: Tensor, key: Tensor, value: Tensor, seen: Tensor, over: Over, there: Tensor | None = None
) -> Tensor:
    """query, key, value [M,H,1+F·P,D] of M videos, H heads → what each token attends to, same shape.

    seen    [M,F] bool: frames that are there
    there   [M,P] bool: which of a frame's tokens are there; none: all

    Token 0 is the class, then P tokens of each frame in turn. The class attends to itself and to all tokens that are
    there in frames that are seen; another token to the class and, over "space", to those of its frame, or, over "time",
    to those at its place in all frames (Frozen in Time, arXiv 2104.00650; MCQ, arXiv 2201.04850, has space alone).
    Queries are scaled by D^−½.
    """
    (M, H, tokens, D), frames = query.shape, seen.shape[1]
    places = (tokens - 1) // frames
    cells = seen[:, :, None].expand(M, frames, places)
    if there is not None:
        cells = cells & there[:, None]
    itself = seen.new_ones(M, 1)
    everywhere = cat([itself, cells.flatten(1)], 1)
    of_class = F.scaled_dot_product_attention(query[:, :, :1], key, value, everywhere[:, None, None])

    def grouped(tokens: Tensor) -> Tensor:
        """[M,H,F·P,D] → [M·G,H,L,D]: G groups of L that see each other."""
        apart = tokens.reshape(M, H, frames, places, D)
        order = (0, 2, 1, 3, 4) if over == "space" else (0, 3, 1, 2, 4)
        return apart.permute(order).flatten(0, 1)

    groups = frames if over == "space" else places

    def with_class(tokens: Tensor) -> Tensor:
        """[M,H,1+F·P,D] → [M·G,H,1+L,D]."""
        return cat([tokens[:, :, :1].repeat_interleave(groups, dim=0), grouped(tokens[:, :, 1:])], 2)

    members = seen if over == "time" else there
    visible = None
    if members is not None:
        visible = cat([itself, members], 1).repeat_interleave(groups, dim=0)[:, None, None]
    found = F.scaled_dot_product_attention(grouped(query[:, :, 1:]), with_class(key), with_class(value), visible)
    found = found.reshape(M, groups, H, -1, D).permute((0, 2, 1, 3, 4) if over == "space" else (0, 2, 3, 1, 4))
    return cat([of_class, found.reshape(M, H, frames * places, D)], 2)


class VideoAttention(nn.Module):
    """tokens [M,1+F·P,D], seen and there as of ``grouped_attention``, which lies between two maps → [M,1+F·P,D]."""

    def __init__(self, width: int, heads: int, over: Over) -> None:
        super().__init__()
        self.heads, self.over = heads, over
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, seen: Tensor, there: Tensor | None = None) -> Tensor:
        mapped = self.qkv(tokens).chunk(3, 2)
        query, key, value = (in_heads(part, self.heads) for part in mapped)
        found = grouped_attention(query, key, value, seen, self.over, there)
        return self.proj(found.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def in_heads(tokens: Tensor, heads: int) -> Tensor:
    """[M,L,H·D] → [M,H,L,D]."""
    return tokens.unflatten(2, (heads, -1)).transpose(1, 2)  # type: ignore[no-any-return]
