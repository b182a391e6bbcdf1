"""MCQ on a CLIP: the image tower sees all frames of a video at once (arXiv 2201.04850, table 6)."""

import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from hbi.config import BridgeFormerClipConfig
from hbi.data.preprocess import normalise
from hbi.models.base import Encoded
from hbi.models.clip4clip import OneVector
from hbi.models.temporal import FramesAlone
from hbi.models.towers.attention import grouped_attention, in_heads


class BridgeFormerClip(OneVector):
    """The cosine of a caption's end token and one class token of the video; it has no weights but CLIP's."""

    config: BridgeFormerClipConfig

    def _temporal(self) -> nn.Module:
        return FramesAlone()

    def encode_video(self, frames: Tensor, mask: Tensor) -> Encoded:
        """ "vector" [M,D] of unit length."""
        return Encoded({"vector": F.normalize(self.video_vector(frames, mask).float(), dim=-1)})

    def video_vector(self, frames: Tensor, mask: Tensor) -> Tensor:
        """frames [M,F,3,S,S], mask [M,F] → [M,D]: CLIP's image tower, with a class token that sees the patches of all
        frames, and patches that see it and those of their frame. Positions are those of a frame, for each alike."""
        visual = self.encoder.clip.visual
        frames = frames if frames.is_floating_point() else normalise(frames)
        frames = frames.to(visual.conv1.weight.dtype)  # which is half where training.precision is released
        patches = visual.conv1(frames.flatten(0, 1)).flatten(2).mT.unflatten(0, frames.shape[:2])  # [M,F,P,·]
        position = visual.positional_embedding.to(patches.dtype)
        of_class = (visual.class_embedding.to(patches.dtype) + position[0]).expand(len(frames), 1, -1)
        tokens = visual.ln_pre(torch.cat([of_class, (patches + position[1:]).flatten(1, 2)], 1))
        recomputes = visual.transformer.grad_checkpointing and self.training
        for block in visual.transformer.resblocks:
            if recomputes:
                tokens = checkpoint(_seen_by, block, tokens, mask, use_reentrant=False)
            else:
                tokens = _seen_by(block, tokens, mask)
        return visual.ln_post(tokens[:, 0]) @ visual.proj  # type: ignore[no-any-return]


def _seen_by(block: ResidualAttentionBlock, tokens: Tensor, seen: Tensor) -> Tensor:
    """A block of CLIP, with its attention grouped by frames."""
    tokens = tokens + block.ls_1(_attention(block, block.ln_1(tokens), seen))
    return tokens + block.ls_2(block.mlp(block.ln_2(tokens)))  # type: ignore[no-any-return]


def _attention(block: ResidualAttentionBlock, tokens: Tensor, seen: Tensor) -> Tensor:
    """A block's own attention [M,1+F·P,·], grouped by frames."""
    attention = block.attn
    mapped = F.linear(tokens, attention.in_proj_weight, attention.in_proj_bias).chunk(3, 2)
    query, key, value = (in_heads(part, attention.num_heads) for part in mapped)
    found = grouped_attention(query, key, value, seen, "space")
    return attention.out_proj(found.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
