"""What all systems on a CLIP share: its words and frames, what sees the frames in time, and the contrastive loss."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hbi.config import ClipSystemConfig
from hbi.data.preprocess import normalise
from hbi.models.base import Encoded, System, initialised
from hbi.models.contrastive import contrastive
from hbi.models.encoder import ClipEncoder, encoder_sizes
from hbi.models.pooling import zero_padded
from hbi.models.temporal import TemporalTransformer, temporal_part
from hbi.seeds import spread

FROZEN: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "patches": ("visual.conv1",),
    "embeddings": (
        *("visual.conv1", "visual.class_embedding", "visual.positional_embedding", "visual.ln_pre"),
        *("positional_embedding", "token_embedding"),
    ),
    "encoder": (*("visual", "transformer", "positional_embedding", "token_embedding", "ln_final", "text_projection"),),
}
"""How the names of the encoder's weights begin that a ClipSystemConfig.freeze leaves alone."""


class ClipSystem(System):
    """A system of which ``_of_words`` and ``_of_frames`` say what becomes of an item's tokens, each side alone.

    A subclass adds its own parts after ``super().__init__``, each inside ``initialised(seed, NAME)``, and has
    ``similarity`` and ``losses_of`` as every System.
    """

    def __init__(self, config: ClipSystemConfig, seed: int = 0, sizes: Mapping[str, Any] | None = None) -> None:
        """``sizes``: those of the encoder, in open_clip's format; none: ``config.encoder`` names them."""
        super().__init__()
        self.config, self.seed = config, seed
        with initialised(seed, "encoder"):
            self.encoder = ClipEncoder(dict(sizes or encoder_sizes(config.encoder)))
        for name, weight in self.encoder.clip.named_parameters():
            weight.requires_grad_(not name.startswith(FROZEN[config.freeze]))
        self.image_size, self.context_length = self.encoder.image_size, self.encoder.context_length
        with initialised(seed, "temporal"):
            self.temporal = self._temporal()
        if config.pretrained:
            self.encoder.load(config.pretrained, config.encoder)
            if isinstance(self.temporal, TemporalTransformer):
                self.temporal.start_from(self.encoder)

    def _temporal(self) -> nn.Module:
        """What follows the encoder of frames: features [M,F,D], mask [M,F] → [M,F,D]."""
        return temporal_part("seqTransf", self.encoder, self.config.temporal_layers)

    @property
    def logit_scale(self) -> nn.Parameter:
        return self.encoder.clip.logit_scale  # type: ignore[no-any-return]

    @property
    def gathers_whole_gradient(self) -> bool:
        return self.config.departures.gathered_gradients == "correct"

    @property
    def padding_sees(self) -> bool:
        """Whether padded words see padded words, as in most published codes. No real word sees one, so that this
        changes padding alone."""
        return False

    @property
    def zeroes_padded_frames(self) -> bool:
        """Whether padded frames are 0 once normalised, as in most published codes, instead of black."""
        return self.padding_sees

    def encode_text(self, token_ids: Tensor, mask: Tensor) -> Encoded:
        seen = torch.ones_like(mask) if self.padding_sees else mask
        return self._of_words(self.encoder.words(token_ids, seen), mask)

    def encode_video(self, frames: Tensor, mask: Tensor) -> Encoded:
        if self.zeroes_padded_frames:
            frames = zero_padded(frames, mask)
        features = frames if frames.ndim == 3 else self.frame_features(frames)
        return self._of_frames(self.temporal(features, mask), mask)

    def frame_features(self, frames: Tensor) -> Tensor:
        flat = frames.flatten(0, 1)
        features: Tensor = self.encoder.frames(flat if flat.is_floating_point() else normalise(flat))
        return features.view(*frames.shape[:2], -1)

    def _of_words(self, words: Tensor, mask: Tensor) -> Encoded:
        """words [N,T,D] in CLIP's joint space, mask [N,T] → what similarity and losses need of N captions."""
        raise NotImplementedError

    def _of_frames(self, frames: Tensor, mask: Tensor) -> Encoded:
        """frames [M,F,D] after the temporal part, mask [M,F] → what similarity and losses need of M videos."""
        raise NotImplementedError

    def recompute_activations(self) -> None:
        self.encoder.recompute_activations()

    def _contrastive(self, logits: Tensor, targets: Encoded) -> Tensor:
        """InfoNCE both ways of logits [B,B]; other captions of a video are positives, or negatives as published."""
        return contrastive(logits, targets["video_index"], self.config.departures.same_video)

    def _generator(self, device: torch.device, *purpose: str) -> torch.Generator:
        """The same draws at the same step of the same seed, also after a resumption."""
        return torch.Generator(device).manual_seed(spread(self.seed, *purpose, self.step))


def weighted_total(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Σ weight · loss; a loss "contrastive/entity" has the weight of "contrastive"."""
    return summed({name: weights[name.split("/")[0]] * loss for name, loss in losses.items()})


def summed(terms: Mapping[str, Tensor]) -> Tensor:
    """Σ of terms of one shape."""
    return torch.stack(list(terms.values())).sum(0)
