"""EMCL-Net: captions, and videos pooled for them, with combinations of few bases (arXiv 2211.11427).

Its paper finds bases of the latent space by expectation-maximisation. Its code hands the same procedure the transposed
matrix: the D channels are clustered by their values over the rows of a block, and the bases are of these rows.
"""

from collections.abc import Iterator, Mapping
from math import sqrt
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hbi.config import EMCLConfig
from hbi.models.base import Encoded, initialised
from hbi.models.clip4clip import end_token
from hbi.models.clip_system import ClipSystem
from hbi.models.pooling import frame_attention

LEAST = 1e-6
"""Added to what is divided by in the expectation-maximisation."""


class EMCL(ClipSystem):
    """The cosine of a caption and a video as the caption pools it, to each of which beta times its combination of bases
    is added."""

    config: EMCLConfig
    bases: Tensor
    """No weight, but kept from one step to the next, and in our checkpoints: K of the latent space [D,K]; or, released,
    what those of any block start from in each of its rows [1,K]."""

    def __init__(self, config: EMCLConfig, seed: int = 0, sizes: Mapping[str, Any] | None = None) -> None:
        """``sizes``: as of ClipSystem."""
        super().__init__(config, seed, sizes)
        channels = 1 if self._of_blocks else self.encoder.width  # of a single one, what is of unit length is 1 or −1
        with initialised(seed, "bases"):
            self.register_buffer("bases", _unit(torch.randn(channels, config.centerK) * sqrt(2 / config.centerK)))

    @property
    def _of_blocks(self) -> bool:
        return self.config.departures.bases == "released"

    @property
    def block(self) -> int:
        return self.config.block if self._of_blocks else 1

    @property
    def zeroes_padded_frames(self) -> bool:
        return self.config.departures.pooling_padding == "released"

    def _of_words(self, words: Tensor, mask: Tensor) -> Encoded:
        """ "vector" c [N,D], the end token. With bases b of the latent space also its products "onto" c·b [N,K] with
        them, its "shares" z [N,K] in them, and the "length" [N] of c + beta · Σ z b."""
        vector = end_token(words, mask).float()
        if self._of_blocks:
            return Encoded({"vector": vector})
        with torch.autocast(words.device.type, enabled=False):  # lengths come from them
            onto = vector @ self.bases
            shares = self._shares(onto)
            length = (vector + self.config.beta * shares @ self.bases.mT).norm(dim=-1)
        return Encoded({"vector": vector, "onto": onto, "shares": shares, "length": length})

    def _of_frames(self, frames: Tensor, mask: Tensor) -> Encoded:
        """ "frames" v [M,F,D], "mask" [M,F]. With bases b of the latent space also the products "onto" v·b [M,F,K] and
        "products" v·v' [M,F,F]."""
        frames = frames.float()
        found = {"frames": frames, "mask": mask}
        if not self._of_blocks:
            with torch.autocast(frames.device.type, enabled=False):
                found |= {"onto": frames @ self.bases, "products": frames @ frames.mT}
        return Encoded(found)

    def similarity(self, text: Encoded, video: Encoded) -> Tensor:
        """With released bases in blocks, as published: of the first so many captions and videos, and so on."""
        if not self._of_blocks:
            return self._each_pair(text, video)
        rows = [torch.cat([self._together(t, v)[0] for v in self._blocks(video)], 1) for t in self._blocks(text)]
        return torch.cat(rows)

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """ "contrastive", which is all there is. In training the batch is one block, and the bases move."""
        if self.training:
            similarity, found = self._together(text, video)
            self.bases.copy_(self._moved(found))
        else:
            similarity = self.similarity(text, video)
        loss = self._contrastive(self.logit_scale.exp() * similarity, targets)
        return {"total": loss, "contrastive": loss}

    def _attention(self, scores: Tensor, video: Encoded) -> Tensor:
        """scores [M,N,F] of frames by captions → their shares in the pooled video."""
        return frame_attention(scores / self.config.temp, video["mask"], self.config.departures.pooling_padding)

    @torch.no_grad()
    def _shares(self, onto: Tensor) -> Tensor:
        """Products of features with bases [..,K] → what each base has in the feature's combination."""
        return (onto / self.config.lamd).softmax(-1)

    def _each_pair(self, text: Encoded, video: Encoded) -> Tensor:
        """cos( c + beta · Σ_k z_k b_k , g + beta · Σ_k y_k b_k ) → [N,M], g = Σ_f w_f v_f the pooled video and y its
        shares.

        All of it follows from the products of captions, frames and bases with each other, so that no vector of a pair
        is ever made.
        """
        beta = self.config.beta
        a = torch.einsum("nd,mfd->mnf", text["vector"], video["frames"])
        w = self._attention(a, video)
        onto = w @ video["onto"]  # g·b [M,N,K]
        y = self._shares(onto)
        other = y @ (self.bases.mT @ self.bases)  # (Σ_k y_k b_k)·b
        z = text["shares"]
        product = (w * a).sum(-1) + beta * (z * (onto + beta * other) + y * text["onto"]).sum(-1)
        squared = ((w @ video["products"]) * w).sum(-1) + beta * (y * (2 * onto + beta * other)).sum(-1)
        return (product / (text["length"] * squared.clamp(min=LEAST**2).sqrt())).mT

    def _together(self, text: Encoded, video: Encoded) -> tuple[Tensor, Tensor]:
        """Similarities [N,M] by the bases of all these captions and pooled videos together, and these bases."""
        captions, frames = text["vector"], video["frames"]
        attention = self._attention(torch.einsum("nd,mfd->mnf", captions, frames), video)
        pooled = (attention @ frames).transpose(0, 1)  # [N,M,D]
        rows = torch.cat([pooled.flatten(0, 1), captions])
        with torch.no_grad():
            if self._of_blocks:
                start = self.bases.expand(len(rows), -1)
                shares, bases = em(rows.mT, start, self.config.stage_num, self.config.lamd)
                combination = bases @ shares.mT
            else:
                _, bases = em(rows, self.bases, self.config.stage_num, self.config.lamd)
                combination = self._shares(rows @ bases) @ bases.mT
        rows = F.normalize(rows + self.config.beta * combination, dim=-1)
        of_pairs, of_captions = rows.split([len(rows) - len(captions), len(captions)])
        return (of_pairs.view_as(pooled) @ of_captions[:, :, None]).squeeze(-1), bases

    @torch.no_grad()
    def _moved(self, found: Tensor) -> Tensor:
        """The bases that are kept, after a step whose batch had those ``found``."""
        if self._of_blocks:
            return torch.lerp(found.mean(0, keepdim=True), self.bases, self.config.momentum)
        return _unit(torch.lerp(found, self.bases, self.config.momentum))

    def _blocks(self, items: Encoded) -> Iterator[Encoded]:
        return (items.select(slice(first, first + self.block)) for first in range(0, len(items), self.block))


def em(points: Tensor, bases: Tensor, stages: int, temperature: float) -> tuple[Tensor, Tensor]:
    """points [P,C] and bases to start from [C,K] → shares [P,K], which sum to 1 over the points, and bases [C,K].

    Expectation: softmax_k( point · base / temperature ), each base's column then divided by its sum. Maximisation: a
    base is the direction of the mean of the points by these shares.
    """
    for _ in range(stages):
        shares = (points @ bases / temperature).softmax(-1)
        shares = shares / (LEAST + shares.sum(0))
        bases = _unit(points.mT @ shares)
    return shares, bases


def _unit(bases: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(bases, dim=0)
    return bases / (LEAST + lengths)
