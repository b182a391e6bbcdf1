"""DRL: words meet frames token by token, weighted, and channels are decorrelated (arXiv 2203.07111)."""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from hbi.config import DRLConfig
from hbi.models.base import Encoded, initialised
from hbi.models.clip4clip import caption_vector, video_vector
from hbi.models.clip_system import ClipSystem, weighted_total
from hbi.models.decorrelation import correlation, decorrelation
from hbi.models.similarity import between_tokens, block_similarity, masked_softmax, token_similarity, weighted_tokens
from hbi.models.temporal import temporal_part


class DRL(ClipSystem):
    """The best partner of every word and of every frame; or, for dp, one vector a side."""

    config: DRLConfig

    def __init__(self, config: DRLConfig, seed: int = 0, sizes: Mapping[str, Any] | None = None) -> None:
        """``sizes``: as of ClipSystem."""
        super().__init__(config, seed, sizes)
        if config.interaction == "wti":
            with initialised(seed, "weights"):
                self.word_scores = _scores(self.encoder.width, config.wti_arch)
                self.frame_scores = _scores(self.encoder.width, config.wti_arch)

    def _temporal(self) -> nn.Module:
        return temporal_part(self.config.agg_module, self.encoder, self.config.temporal_layers)

    @property
    def padding_sees(self) -> bool:
        return self.config.departures.similarity_padding == "released"  # then padding can be a best partner

    def _of_words(self, words: Tensor, mask: Tensor) -> Encoded:
        if self.config.interaction == "dp":
            return Encoded({"vector": caption_vector(words, mask)})
        return self._tokens(words, mask, "word_scores")

    def _of_frames(self, frames: Tensor, mask: Tensor) -> Encoded:
        if self.config.interaction == "dp":
            return Encoded({"vector": video_vector(frames, mask, self.config.departures.frame_norm)})
        return self._tokens(frames, mask, "frame_scores")

    def _tokens(self, tokens: Tensor, mask: Tensor, scores: str) -> Encoded:
        """The weights sum to 1 where there are tokens."""
        if self.config.interaction == "wti":
            weights = masked_softmax(getattr(self, scores)(tokens).squeeze(-1).float(), mask)
        else:
            weights = mask / mask.sum(1, keepdim=True).clamp(min=1)
        return Encoded(weighted_tokens(tokens, weights, mask))

    def similarity(self, text: Encoded, video: Encoded) -> Tensor:
        if self.config.interaction == "dp":
            return text["vector"] @ video["vector"].mT
        return self._token_similarity(text, video, block_similarity)

    def _token_similarity(self, text: Encoded, video: Encoded, similarity: Callable[..., Tensor]) -> Tensor:
        return between_tokens(text, video, similarity, self.config.departures.similarity_padding)

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """ "contrastive" and, where there is one, "decorrelation" before its weight."""
        if self.config.interaction == "dp":
            similarity = self.similarity(text, video)
        else:
            similarity = self._token_similarity(text, video, token_similarity)
        losses = {"contrastive": self._contrastive(self.logit_scale.exp() * similarity, targets)}
        if self.config.cdcr:
            found = self._correlation(text, video)
            losses["decorrelation"] = decorrelation(found, self.config.cdcr_alpha1, self.config.cdcr_alpha2)
        weights = {"contrastive": 1.0, "decorrelation": self.config.cdcr_lambda}
        return {"total": weighted_total(losses, weights), **losses}

    def _correlation(self, text: Encoded, video: Encoded) -> Tensor:
        """Of the channels [D,D] of matching pairs, as ``cdcr`` chooses them."""
        standardisation = self.config.departures.standardisation
        if self.config.interaction == "dp":
            pairs = text["vector"], video["vector"]
        elif self.config.cdcr == 1:
            pairs = self._any("word", text), self._any("frame", video)
        else:
            words, frames = self._partners(text, video)
            of_words = correlation(*_rows(text, frames, self.config.cdcr == 3), standardisation)
            of_frames = correlation(*_rows(video, words, self.config.cdcr == 3), standardisation)
            return (of_words + of_frames) / 2
        every = torch.ones(len(pairs[0]), device=pairs[0].device)
        return correlation(*pairs, every, every, standardisation)

    def _partners(self, text: Encoded, video: Encoded) -> tuple[Tensor, Tensor]:
        """The best word of every frame [B,V,D] and the best frame of every word [B,T,D], within the pair."""
        words, frames = text["tokens"], video["tokens"]
        real = text["mask"][:, :, None] & video["mask"][:, None, :]
        outside = 0.0 if self.config.departures.similarity_padding == "released" else -torch.inf
        cosines = (words @ frames.mT).detach().masked_fill(~real, outside)  # [B,T,V]
        best_word, best_frame = cosines.argmax(1), cosines.argmax(2)
        pair = torch.arange(len(words), device=words.device)[:, None]
        return words[pair, best_word], frames[pair, best_frame]

    def _any(self, side: str, encoded: Encoded) -> Tensor:
        """A random real token of each item [B,D]."""
        mask = encoded["mask"]
        drawn = torch.rand(len(mask), generator=self._generator(mask.device, "decorrelation", side), device=mask.device)
        place = (drawn * mask.sum(1)).long()
        return encoded["tokens"][torch.arange(len(mask), device=mask.device), place]


def _scores(width: int, layers: int) -> nn.Module:
    """Scores each token [.., D] → [.., 1] by so many linear layers, with ReLU between them."""
    if layers == 1:
        return nn.Linear(width, 1)
    hidden = chain.from_iterable((nn.Linear(width, width), nn.ReLU()) for _ in range(layers - 1))
    return nn.Sequential(*hidden, nn.Linear(width, 1))


def _rows(side: Encoded, partners: Tensor, weighted: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every token of the side, its partner, its weight and whether it is real, as ``correlation`` takes them."""
    real = side["mask"].to(side["weights"].dtype)
    weights = side["weights"] if weighted else real
    return side["tokens"].flatten(0, 1), partners.flatten(0, 1), weights.flatten(), real.flatten()
