"""DiCoSA: concepts of a caption meet those of a video that is pooled for it (IJCAI 2023)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hbi.config import DiCoSAConfig
from hbi.errors import InputError
from hbi.models.base import Encoded, initialised
from hbi.models.clip4clip import end_token
from hbi.models.clip_system import ClipSystem, summed
from hbi.models.decorrelation import decorrelation
from hbi.models.pooling import frame_attention
from hbi.models.similarity import token_scores


class DiCoSA(ClipSystem):
    """Σ_k w[n,m,k] cos(t[n,k], v[n,m,k]): t the K concepts (chunks of channels) of caption n, v those of video m as n
    pools it, and w a network's weight of the two, of any sign.

    That network's first layer is linear, and so is the pooling: it is applied to captions and frames, once each, and
    what comes of it is pooled (exact, and of 512 channels in 8 concepts and 12 frames 7 times fewer FLOPs a pair).
    """

    config: DiCoSAConfig

    def __init__(self, config: DiCoSAConfig, seed: int = 0, sizes: Mapping[str, Any] | None = None) -> None:
        """``sizes``: as of ClipSystem. Raises InputError where the channels cannot be split evenly."""
        super().__init__(config, seed, sizes)
        if self.encoder.width % config.center:
            raise InputError(f"model.center: {self.encoder.width} channels cannot be split into {config.center}")
        with initialised(seed, "weights"):
            self.concept_scores = token_scores(2 * self.encoder.width // config.center)

    @property
    def zeroes_padded_frames(self) -> bool:
        return self.config.departures.pooling_padding == "released"

    def _of_words(self, words: Tensor, mask: Tensor) -> Encoded:
        """ "vector" [N,D], the end token; what it gives to the "hidden" layer [N,H]; and how many "positions" [N] the
        caption had, padding included."""
        vector = end_token(words, mask).float()
        positions = torch.full((len(mask),), mask.shape[1], device=mask.device)
        return Encoded({"vector": vector, "hidden": self._hidden(vector, 0), "positions": positions})

    def _of_frames(self, frames: Tensor, mask: Tensor) -> Encoded:
        """ "frames" [M,F,D] and their "mask" [M,F]; what each gives to the "hidden" layer [M,F,H]."""
        frames = frames.float()
        return Encoded({"frames": frames, "hidden": self._hidden(frames, 1), "mask": mask})

    def _hidden(self, features: Tensor, side: int) -> Tensor:
        """[..,D] → [..,H], H = K · h: what captions (side 0, with the bias) or frames (1) give to the h hidden units
        that score each of the K concepts."""
        first: nn.Linear = self.concept_scores[0]  # type: ignore[assignment]
        with torch.autocast(features.device.type, enabled=False):  # the sum of both sides may be small
            weight = first.weight.chunk(2, dim=1)[side]
            return F.linear(self._concepts(features), weight, None if side else first.bias).flatten(-2)

    def _concepts(self, features: Tensor) -> Tensor:
        """[..,D] → [..,K,D/K]"""
        return features.unflatten(-1, (self.config.center, -1))  # type: ignore[no-any-return]

    def similarity(self, text: Encoded, video: Encoded) -> Tensor:
        return self._compared(text, video, self._attention(text, video))

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """ "contrastive" and, if it has a weight, "decorrelation" with its weights."""
        attention = self._attention(text, video)
        similarity = self._compared(text, video, attention)
        losses = {"contrastive": self._contrastive(self.logit_scale.exp() * similarity, targets)}
        if self.config.alpha or self.config.beta:
            pooled = torch.einsum("fb,bfd->bd", attention.diagonal(), video["frames"])
            found = self._correlation(text["vector"], pooled, text["positions"][0])
            losses["decorrelation"] = decorrelation(found, self.config.alpha, self.config.beta)
        return {"total": summed(losses), **losses}

    def _attention(self, text: Encoded, video: Encoded) -> Tensor:
        """The share [M,N,F] that each frame has in its video as a caption pools it."""
        scores = torch.einsum("nd,mfd->mnf", text["vector"], video["frames"]) / self.config.temp
        return frame_attention(scores, video["mask"], self.config.departures.pooling_padding)

    def _compared(self, text: Encoded, video: Encoded, attention: Tensor) -> Tensor:
        """The similarities [N,M] of captions with videos that are pooled by ``attention`` [M,N,F]."""
        concepts = self._concepts(attention @ video["frames"])  # [M,N,K,D/K]
        wanted = F.normalize(self._concepts(text["vector"]), dim=-1)  # [N,K,D/K]
        cosines = (concepts * wanted).sum(-1) / concepts.norm(dim=-1).clamp(
            min=torch.finfo(concepts.dtype).tiny
        )  # [M,N,K]
        hidden = (attention @ video["hidden"]).add_(text["hidden"]).relu_()  # [M,N,H]
        weights = self.concept_scores[2](self._concepts(hidden)).squeeze(-1)  # [M,N,K]
        return (weights * cosines).sum(-1).mT  # type: ignore[no-any-return]

    def _correlation(self, captions: Tensor, videos: Tensor, positions: Tensor) -> Tensor:
        """The correlation [K,K] of concepts of captions and videos [B,D] along their channels, mean over the pairs.

        As published the products of standardised channels (unbiased deviation) are summed, and the sum is divided by
        the number of word positions: of n channels, (n − 1) / positions of the correlation.
        """
        left, right = (_standardised(self._concepts(side)) for side in (captions, videos))
        found = torch.einsum("bkc,blc->kl", left, right) / len(left)
        if self.config.departures.correlation_scale == "released":
            found = found * (left.shape[-1] - 1) / positions
        return found


def _standardised(concepts: Tensor) -> Tensor:
    """[B,K,c], centred and of unit length along its channels."""
    return F.normalize(concepts - concepts.mean(-1, keepdim=True), dim=-1)
