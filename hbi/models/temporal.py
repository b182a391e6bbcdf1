"""What sees the frames of a video in their order: the three headers of CLIP4Clip (arXiv 2104.08860)."""

from functools import partial

import torch
from open_clip.transformer import LayerNorm, QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from hbi.models.encoder import ClipEncoder, attention_bias


class FramesAlone(nn.Module):
    """Frame features [M,F,D] as they are ("meanP")."""

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        return frames


class TemporalLSTM(nn.Module):
    """Frame features [M,F,D] → the same, aware of those before: x + LSTM(x) ("seqLSTM").

    It runs forwards in time, so that padding, which comes last, changes no real frame; padding itself stays as it is.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, batch_first=True)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        return frames + self.lstm(frames)[0] * mask[:, :, None]  # type: ignore[no-any-return]


class TemporalTransformer(nn.Module):
    """Frame features [M,F,D] → the same, aware of their order and of each other: x + blocks(x + position)
    ("seqTransf", with masked padding)."""

    def __init__(self, width: int, layers: int, heads: int, length: int) -> None:
        super().__init__()
        self.heads = heads
        self.positions = nn.Parameter(0.01 * torch.randn(length, width))
        self.blocks = nn.ModuleList(
            # the published blocks keep the epsilon of the BERT code they came from
            ResidualAttentionBlock(width, heads, act_layer=QuickGELU, norm_layer=partial(LayerNorm, eps=1e-12))
            for _ in range(layers)
        )

    def start_from(self, encoder: ClipEncoder) -> None:
        """Starts as the first layers of the text tower do, where the widths agree (published initialisation)."""
        own, text = self.state_dict(), encoder.clip.transformer.resblocks.state_dict()
        if encoder.clip.positional_embedding.shape != self.positions.shape:
            return
        self.load_state_dict(
            {"positions": encoder.clip.positional_embedding.detach()}
            | {key: text.get(key.removeprefix("blocks."), value) for key, value in own.items() if key != "positions"}
        )

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """frames [M,F,D], mask [M,F] bool → [M,F,D]; padded frames are seen by none."""
        length = frames.shape[1]
        x = frames + self.positions[:length]
        bias = attention_bias(mask[:, None, :].expand(-1, length, -1), self.heads, x.dtype)
        for block in self.blocks:
            x = block(x, attn_mask=bias)
        return frames + x


def temporal_part(kind: str, encoder: ClipEncoder, layers: int) -> nn.Module:
    """The part of that ``kind``, "seqTransf" (of so many ``layers``) or "seqLSTM"; any other leaves frames alone."""
    if kind == "seqTransf":
        return TemporalTransformer(encoder.width, layers, encoder.heads, encoder.context_length)
    return TemporalLSTM(encoder.width) if kind == "seqLSTM" else FramesAlone()
