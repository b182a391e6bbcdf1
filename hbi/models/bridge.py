"""BridgeFormer: what a video has to say to a question about it (MCQ, arXiv 2201.04850, section 3.3)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hbi.errors import InputError
from hbi.models.towers import TowerSizes
from hbi.models.towers.attention import VideoAttention, in_heads
from hbi.models.towers.video import EPSILON, MLP


class Bridge(nn.Module):
    """A question's hidden states and a video's, layer by layer → [B,D], which is compared with answers.

    Beside each block of the video tower stands one of these, which lets the question, as the text tower has it at the
    same depth, look into the video. The first token at the end is projected.
    """

    def __init__(self, sizes: TowerSizes) -> None:
        """Raises InputError for towers of two widths, between which there is no bridge."""
        super().__init__()
        width, heads, layers = sizes.video.width, sizes.video.heads, sizes.video.layers
        if width != sizes.text.width:
            raise InputError(
                f"model.questions: towers {sizes.text.width} and {width} wide; BridgeFormer needs one width"
            )
        self.depth = [layer * sizes.text.layers // layers for layer in range(layers)]
        self.blocks = nn.ModuleList(BridgeBlock(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.projection = nn.Linear(width, sizes.projection)

    def forward(self, question: tuple[Tensor, ...], words: Tensor, video: list[Tensor], seen: Tensor) -> Tensor:
        """question [B,T,·], video [B,1+F·P,·]: before the first layer and after each; words [B,T], seen [B,F]: bool."""
        found: Tensor | None = None
        for block, depth, state in zip(self.blocks, self.depth, video, strict=False):  # the last is after all blocks
            found = block(found, question[depth], words, state, seen)
        assert found is not None
        return self.projection(self.norm(found[:, 0]))  # type: ignore[no-any-return]


class BridgeBlock(nn.Module):
    """z ← z + Cross(norm q, norm v), from z = 0;  z ← z + Attention(norm z) over space;  z ← z + MLP(norm z).

    z holds the first token of the question, then its words once for each frame.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_video, self.norm_question = nn.LayerNorm(width, EPSILON), nn.LayerNorm(width, EPSILON)
        self.cross = CrossAttention(width, heads)
        self.norm_own, self.own = nn.LayerNorm(width, EPSILON), VideoAttention(width, heads, "space")
        self.norm_mlp, self.mlp = nn.LayerNorm(width, EPSILON), MLP(width)

    def forward(self, found: Tensor | None, question: Tensor, words: Tensor, video: Tensor, seen: Tensor) -> Tensor:
        """found [B,1+F·(T−1),·], none at first; question [B,T,·], words [B,T], video [B,1+F·P,·], seen [B,F]."""
        crossed = self.cross(self.norm_question(question), self.norm_video(video[:, 1:]), seen)
        found = crossed if found is None else found + crossed
        found = found + self.own(self.norm_own(found), seen, words[:, 1:])
        return found + self.mlp(self.norm_mlp(found))  # type: ignore[no-any-return]


class CrossAttention(nn.Module):
    """question [B,T,·] and patches [B,F·P,·] → [B,1+F·(T−1),·]: the first token looks into all frames that are seen,
    the others into each frame alone."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.question = nn.Linear(width, width)
        self.video = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, question: Tensor, patches: Tensor, seen: Tensor) -> Tensor:
        frames = seen.shape[1]
        query = in_heads(self.question(question), self.heads)
        key, value = (in_heads(part, self.heads) for part in self.video(patches).chunk(2, 2))
        everywhere = seen.repeat_interleave(key.shape[2] // frames, dim=1)[:, None, None]
        first = F.scaled_dot_product_attention(query[:, :, :1], key, value, everywhere)

        def by_frame(tokens: Tensor) -> Tensor:
            """[B,H,F·P,D] → [B·F,H,P,D]."""
            return tokens.unflatten(2, (frames, -1)).transpose(1, 2).flatten(0, 1)  # type: ignore[no-any-return]

        words = query[:, :, 1:].repeat_interleave(frames, dim=0)
        others: Tensor = F.scaled_dot_product_attention(words, by_frame(key), by_frame(value))  # [B·F,H,T−1,D]
        others = others.unflatten(0, (-1, frames)).transpose(1, 2).flatten(2, 3)
        return self.proj(torch.cat([first, others], 2).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
