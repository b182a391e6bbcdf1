"""GLSCL: frames weighed by the caption, without parameters, and concepts that shared queries find on both sides
(arXiv 2405.12710)."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hbi.config import GLSCLConfig
from hbi.models.base import Encoded, initialised
from hbi.models.clip4clip import end_token
from hbi.models.clip_system import ClipSystem, weighted_total
from hbi.models.similarity import masked_softmax
from hbi.seeds import spread

Side = Literal["text", "video"]

HEADS = 8
"""Of the decoder's attention, whatever its width."""
MARGIN = 0.1
"""Between a concept's cosine with itself and with another: the intra-diversity asks for no more."""
AGREEMENT = 0.75
"""Cosine of a pair's equal concepts that the inter-consistency asks for."""


class GLSCL(ClipSystem):
    """The cosine of a caption with the frames as it weighs them, and the mean cosine of equal concepts."""

    config: GLSCLConfig

    def __init__(self, config: GLSCLConfig, seed: int = 0, sizes: Mapping[str, Any] | None = None) -> None:
        """``sizes``: as of ClipSystem."""
        super().__init__(config, seed, sizes)
        if not config.query_number:
            return
        with initialised(seed, "queries"):
            self.queries = nn.Parameter(torch.rand(config.query_number, self.encoder.width))
            if not config.query_share:
                self.text_queries = nn.Parameter(torch.rand_like(self.queries))
        with initialised(seed, "decoder"):
            self.decoder = concept_decoder(self.encoder.width, config.cross_att_layer, config.dropout)
            if not config.cross_att_share:
                self.video_decoder = concept_decoder(self.encoder.width, config.cross_att_layer, config.dropout)

    def encode_text(self, token_ids: Tensor, mask: Tensor) -> Encoded:
        if self.config.departures.concept_padding == "released":
            token_ids = token_ids * mask
        return super().encode_text(token_ids, mask)

    @property
    def zeroes_padded_frames(self) -> bool:
        return self.config.departures.concept_padding == "released"

    def _of_words(self, words: Tensor, mask: Tensor) -> Encoded:
        """ "vector" [N,D], the end token; "concepts" [N,Q,D] of unit length, in training "tokens" and "mask" instead.

        There the whole batch is decoded at once, so that dropout draws alike for any number of processes or parts.
        """
        vector = end_token(words, mask).float()
        if self.training and self.config.query_number:
            return Encoded({"vector": vector, "tokens": words.float(), "mask": mask})
        return Encoded({"vector": vector, **self._concepts("text", words, mask)})

    def _of_frames(self, frames: Tensor, mask: Tensor) -> Encoded:
        """ "tokens" [M,F,D], "products" [M,F,F] of each with each, "mask" [M,F]; "concepts" as of words."""
        concepts = {} if self.training else self._concepts("video", frames, mask)
        with torch.autocast(frames.device.type, enabled=False):  # lengths come from them
            frames = frames.float()
            products = frames @ frames.mT
        return Encoded({"tokens": frames, "products": products, "mask": mask, **concepts})

    def _concepts(self, side: Side, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """ "concepts" [N,Q,D] of tokens [N,L,D], mask [N,L]; nothing without queries."""
        if not self.config.query_number:
            return {}
        queries = self.queries if side == "video" or self.config.query_share else self.text_queries
        decoder = self.decoder if side == "text" or self.config.cross_att_share else self.video_decoder
        unseen = None if self.config.departures.concept_padding == "released" else ~mask
        device = tokens.device
        with (
            torch.autocast(device.type, enabled=False),  # the encoder's alone
            torch.random.fork_rng([device] if device.type == "cuda" else [], self.training),
        ):
            if self.training:  # dropout draws from no generator but the global one
                torch.manual_seed(spread(self.seed, "dropout", side, self.step))
            found = decoder(queries.expand(len(tokens), -1, -1), tokens.float(), memory_key_padding_mask=unseen)
        return {"concepts": F.normalize(found, dim=-1)}

    def _decoded(self, side: Side, encoded: Encoded) -> Encoded:
        """With its concepts, also in training."""
        if "concepts" in encoded.tensors or not self.config.query_number:
            return encoded
        return Encoded({**encoded.tensors, **self._concepts(side, encoded["tokens"], encoded["mask"])})

    def similarity(self, text: Encoded, video: Encoded) -> Tensor:
        text, video = self._decoded("text", text), self._decoded("video", video)
        frames, products, mask = (video[name] for name in ("tokens", "products", "mask"))
        found = global_similarity(text["vector"], frames, products, mask, self.config.temp)
        if not self.config.query_number:
            return found
        return found + self.config.loss2_weight * local_similarity(text["concepts"], video["concepts"])

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """ "contrastive" and, with queries, before their weights, "diversity" of concepts, "consistency" of their
        means and "agreement" of each pair's."""
        text, video = self._decoded("text", text), self._decoded("video", video)
        losses = {"contrastive": self._contrastive(self.logit_scale.exp() * self.similarity(text, video), targets)}
        if self.config.query_number:
            losses |= self._of_concepts(text["concepts"], video["concepts"])
        weights = {
            "contrastive": 1.0,
            "diversity": self.config.alpha,
            "consistency": 1.0,
            "agreement": self.config.beta,
        }
        return {"total": weighted_total(losses, weights), **losses}

    def _of_concepts(self, text: Tensor, video: Tensor) -> dict[str, Tensor]:
        """text and video [B,Q,D] of unit length, matching pairs."""
        departures = self.config.departures
        sides = [video] if departures.text_diversity == "released" else [video, text]
        cosines = torch.einsum("bqd,bqd->q", video, text)
        pairs = self.config.query_number if departures.consistency_batch == "released" else len(video)
        return {
            "diversity": torch.stack([diversity(side) for side in sides]).mean(),
            "consistency": F.mse_loss(video.mean(0), text.mean(0)),
            "agreement": (cosines / pairs - AGREEMENT).square().sum(),
        }


def concept_decoder(width: int, layers: int, dropout: float) -> nn.TransformerDecoder:
    """Queries [N,Q,D] and tokens [N,L,D] → concepts [N,Q,D]; its layers start alike, as published."""
    return nn.TransformerDecoder(nn.TransformerDecoderLayer(width, HEADS, dropout=dropout, batch_first=True), layers)


def global_similarity(vectors: Tensor, frames: Tensor, products: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """cos( c_n , Σ_f w[n,m,f] v_mf ) with w = softmax_f( c_n · v_mf / temperature ) → [N,M].

    vectors c [N,D], frames v [M,F,D], products v·vᵀ [M,F,F], mask [M,F]. The length of the sum is √( w v·vᵀ w ), so
    that no vector of a pair is ever made. The published weights of padding are 0 as well, without that the others sum
    to 1, which the cosine does not notice.
    """
    a = torch.einsum("nd,mfd->mnf", vectors, frames)
    w = masked_softmax(a / temperature, mask[:, None, :])
    squared = ((w @ products) * w).sum(-1)  # [M,N]
    onto = (w * a).sum(-1) / squared.clamp(min=1e-12).sqrt()
    lengths: Tensor = vectors.norm(dim=-1, keepdim=True)
    return onto.mT / lengths.clamp(min=1e-6)


def local_similarity(text: Tensor, video: Tensor) -> Tensor:
    """Mean over q of the cosine of concept q of both sides: [N,Q,D] and [M,Q,D] of unit length → [N,M]."""
    return text.flatten(1) @ video.flatten(1).mT / text.shape[1]


def diversity(concepts: Tensor) -> Tensor:
    """Mean over p ≠ q of relu( margin + G_pq − G_pp ) + relu( margin + G_pq − G_qq ), where G is the mean over the
    batch of products of concepts [B,Q,D]; G is symmetric, so both halves are equal."""
    queries = concepts.shape[1]
    g = torch.einsum("bpd,bqd->pq", concepts, concepts) / len(concepts)
    itself = torch.eye(queries, dtype=torch.bool, device=g.device)
    over = F.relu(MARGIN + g - g.diagonal()[:, None]).masked_fill(itself, 0)
    return 2 * over.sum() / max(1, queries * (queries - 1))
