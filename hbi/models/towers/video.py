"""The tower that sees videos: a vision transformer (ViT) over the patches of all frames, with one class token.

Parts have the names of timm's vision transformer, as in the published checkpoints.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hbi.models.towers.attention import VideoAttention
from hbi.models.towers.sizes import VideoSizes
from hbi.weights import check_names_and_shapes

EPSILON = 1e-6


class Block(nn.Module):
    """x ← x + Attention(norm x) over space; x ← x + MLP(norm x) (MCQ, arXiv 2201.04850). With attention over time:

    t ← x + Attention(norm x) over time; s ← x + Attention(norm t) over space: from x, not from t; x ← s + MLP(norm s)
    (Frozen in Time, arXiv 2104.00650, figure 2; MILES).
    """

    norm3: nn.LayerNorm
    timeattn: VideoAttention | None

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.attn = VideoAttention(width, heads, "space")
        self.norm2 = nn.LayerNorm(width, EPSILON)
        self.mlp = MLP(width)
        self.register_module("timeattn", None)

    def add_time(self, width: int, heads: int) -> None:
        """Attention over time from here on."""
        self.norm3 = nn.LayerNorm(width, EPSILON)
        self.timeattn = VideoAttention(width, heads, "time")

    def forward(self, tokens: Tensor, seen: Tensor) -> Tensor:
        over_time = tokens if self.timeattn is None else tokens + self.timeattn(self.norm3(tokens), seen)
        tokens = tokens + self.attn(self.norm1(over_time), seen)
        return tokens + self.mlp(self.norm2(tokens))  # type: ignore[no-any-return]


class MLP(nn.Module):
    """GELU between two maps, four times as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(tokens)))  # type: ignore[no-any-return]


class VideoTower(nn.Module):
    """Normalised frames [M,F,3,S,S], seen [M,F] bool → tokens [M,1+F·P,D] before the first block and after each.

    in_time: with attention over time, and positions in it, so that there is a longest video.
    """

    temporal_embed: nn.Parameter | None
    norm: nn.LayerNorm

    def __init__(self, sizes: VideoSizes, in_time: bool) -> None:
        super().__init__()
        width, side = sizes.width, sizes.patch_size
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + sizes.patches, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, side, side)})
        self.blocks = nn.ModuleList(Block(width, sizes.heads) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.register_parameter("temporal_embed", None)
        if in_time:  # drawn behind the rest, which so begins as in a tower without
            self.temporal_embed = nn.Parameter(torch.zeros(1, sizes.frames, width))
            for block in self._blocks():
                block.add_time(width, sizes.heads)
        self.recomputes = False

    def forward(self, frames: Tensor, seen: Tensor, hidden: tuple[Tensor, Tensor] | None = None) -> list[Tensor]:
        """``hidden``: places [M,P] bool whose patches are replaced, in all frames, by a vector [D] before positions."""
        frames_of_a_video = frames.shape[1]
        patches = self.patch_embed["proj"](frames.flatten(0, 1)).flatten(2).mT  # [M·F,P,D]
        patches = patches.unflatten(0, frames.shape[:2])
        if hidden is not None:
            places, instead = hidden
            patches = torch.where(places[:, None, :, None], instead.to(patches.dtype), patches)
        patches = patches + self.pos_embed[:, None, 1:]
        if self.temporal_embed is not None:
            patches = patches + self.temporal_embed[:, :frames_of_a_video, None]
        of_class = (self.cls_token + self.pos_embed[:, :1]).expand(len(frames), -1, -1)
        states = [torch.cat([of_class, patches.flatten(1, 2)], 1)]
        for block in self.blocks:
            if self.recomputes and self.training:
                states.append(checkpoint(block, states[-1], seen, use_reentrant=False))
            else:
                states.append(block(states[-1], seen))
        return states

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def start_from(self, state: Mapping[str, Tensor], origin: Path | str) -> None:
        """Takes the weights of an image transformer, by the names of timm; its head is left. Attention over time, which
        it has not, begins as none at all: its values are 0. Raises InputError where they do not fit."""
        own = self.state_dict()
        of_time = {name for name in own if "timeattn." in name or "norm3." in name or name == "temporal_embed"}
        given = {
            name: weight for name, weight in state.items() if not name.startswith(("head", "pre_logits", "fc_norm"))
        }
        check_names_and_shapes({name: own[name] for name in own if name not in of_time}, given, origin)
        self.load_state_dict(given, strict=False)
        for block in self._blocks():
            if block.timeattn:
                for part in (block.timeattn.qkv.weight, block.timeattn.qkv.bias, block.timeattn.proj.bias):
                    nn.init.zeros_(part)
