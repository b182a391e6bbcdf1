"""DiffusionRet: words meet frames as in DRL, then diffusion re-ranks the best candidates (arXiv 2303.09867)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hbi.config import DiffusionRetConfig, GenerationConfig
from hbi.metrics.retrieval import Direction
from hbi.models.base import Encoded, initialised
from hbi.models.clip4clip import end_token
from hbi.models.clip_system import ClipSystem, summed
from hbi.models.diffusion import Denoiser, Pairs, denoised, noised, signal_left
from hbi.models.pooling import frame_attention
from hbi.models.similarity import (
    between_tokens,
    block_similarity,
    masked_softmax,
    token_scores,
    token_similarity,
    weighted_tokens,
)
from hbi.seeds import spread
from hbi.weights import check_names_and_shapes

DENOISERS = "denoisers."
"""The weights begin so that the second stage trains; it leaves all others as they are."""

BLOCK = 16
"""Queries that are re-ranked at once: bounds memory, changes no value."""


class DiffusionRet(ClipSystem):
    """The similarity is that of the first stage. The second adds to it, for every query, a softmax over its best
    candidates, so that ranks depend on all of these: that is ``reranked``."""

    config: DiffusionRetConfig

    def __init__(self, config: DiffusionRetConfig, seed: int = 0, sizes: Mapping[str, Any] | None = None) -> None:
        """``sizes``: as of ClipSystem."""
        super().__init__(config, seed, sizes)
        width = self.encoder.width
        with initialised(seed, "weights"):
            self.word_scores, self.frame_scores = token_scores(width), token_scores(width)
        if config.generation:
            with initialised(seed, "denoisers"):
                self.denoisers = nn.ModuleDict({way: Denoiser(width) for way in ("t2v", "v2t")})
            for name, weight in self.named_parameters():
                weight.requires_grad_(name.startswith(DENOISERS))

    def start_from(self, state: Mapping[str, Tensor], origin: Path | str) -> None:
        """Loads the weights ``state``, from ``origin``, of a first stage; InputError where they are not."""
        first = {name: weight for name, weight in self.state_dict().items() if not name.startswith(DENOISERS)}
        check_names_and_shapes(first, state, f"{origin}, as the first stage of DiffusionRet")
        self.load_state_dict(state, strict=False)

    # ---- one side alone

    @property
    def zeroes_padded_frames(self) -> bool:
        return self.config.departures.pooling_padding == "released"

    def _of_words(self, words: Tensor, mask: Tensor) -> Encoded:
        """Its tokens; in the second stage also "caption" [N,D], and of Pairs its "query" [N,D], as it asks for videos,
        and "key" [N,D], "seen" [N,2D] and "hidden" [N,2D], as videos ask for it."""
        tokens = _tokens(words, mask, self.word_scores)
        if self.config.generation:
            with torch.autocast(words.device.type, enabled=False):
                caption = end_token(words, mask).float()
                query = self._denoiser("t2v").query(caption)
                key, seen, hidden = self._denoiser("v2t").candidates(caption)
            tokens |= {"caption": caption, "query": query, "key": key, "seen": seen, "hidden": hidden}
        return Encoded(tokens)

    def _of_frames(self, frames: Tensor, mask: Tensor) -> Encoded:
        """Its tokens; in the second stage also "frames" [M,F,D], of any length."""
        tokens = _tokens(frames, mask, self.frame_scores)
        if self.config.generation:
            tokens["frames"] = frames.float()
        return Encoded(tokens)

    # ---- pairs

    def similarity(self, text: Encoded, video: Encoded) -> Tensor:
        return self._token_similarity(text, video, block_similarity)

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """ "contrastive"; in the second stage, where that has no gradient, "generation/t2v" and "generation/v2t"."""
        similarity = self._token_similarity(text, video, token_similarity)
        contrastive = self._contrastive(self.logit_scale.exp() * similarity, targets)
        if self.config.generation is None:
            return {"total": contrastive, "contrastive": contrastive}
        draw, pairs = self._generator(similarity.device, "generation"), len(similarity)
        shape = pairs, 1 + min(self.config.generation.num, pairs - 1)
        time = torch.randint(self.config.generation.diffusion_steps, (pairs,), generator=draw, device=draw.device)
        noise = [torch.randn(shape, generator=draw, device=draw.device) for _ in ("t2v", "v2t")]
        generation = self.generation_losses(text, video, targets, similarity.detach(), time, *noise)
        losses = {"contrastive": contrastive.detach(), **generation}
        return {"total": summed(losses), **losses}

    def _token_similarity(self, text: Encoded, video: Encoded, similarity: Callable[..., Tensor]) -> Tensor:
        return between_tokens(text, video, similarity, self.config.departures.similarity_padding)

    def generation_losses(
        self,
        text: Encoded,
        video: Encoded,
        targets: Encoded,
        similarity: Tensor,
        time: Tensor,
        noise_t2v: Tensor,
        noise_v2t: Tensor,
    ) -> dict[str, Tensor]:
        """The cross entropy of guessing a query's match among it and its hardest negatives, by direction.

        similarity [B,B], without gradient; time [B]; noise [B,1+num], of the match first, then of the negatives from
        the hardest on.
        """
        same = self._same(targets["video_index"])
        with torch.no_grad():
            pooled = self._pooled(text["caption"][None], video["frames"], video["mask"]).transpose(0, 1)  # [B,B,D]
        return {
            "generation/t2v": self._generation_loss("t2v", text, pooled, similarity, same, time, noise_t2v),
            "generation/v2t": self._generation_loss("v2t", text, pooled, similarity.mT, same, time, noise_v2t),
        }

    def _generation_loss(
        self, way: Direction, text: Encoded, pooled: Tensor, scores: Tensor, same: Tensor, time: Tensor, noise: Tensor
    ) -> Tensor:
        """scores [B,B], queries × candidates."""
        rows = torch.arange(len(scores), device=scores.device)[:, None]
        hardest = scores.masked_fill(same, -torch.inf).topk(noise.shape[1] - 1)
        best = torch.cat([rows, hardest.indices], dim=1)  # [B,1+num]
        absent = F.pad(hardest.values.isneginf(), (1, 0))  # fewer negatives than that
        match = F.one_hot(torch.zeros_like(time), best.shape[1])
        left = signal_left(self._generation.diffusion_steps).to(time.device)[time]
        x = noised(match, noise, left).masked_fill(absent, -torch.inf)
        own = pooled[rows, best] if way == "t2v" else pooled[best, rows]
        denoiser = self._denoiser(way)
        guess = denoiser(x, denoiser.times(time), self._pairs(way, text, rows.squeeze(1), best, own))
        logits = self._generation.d_temp * guess.masked_fill(absent, -torch.inf)
        return F.cross_entropy(logits, torch.zeros_like(time))

    def _same(self, video_index: Tensor) -> Tensor:
        """[B,B]: what is no negative: the pair itself, and where ``same_video`` is correct its video's captions."""
        if self.config.departures.same_video == "released":
            video_index = torch.arange(len(video_index), device=video_index.device)
        return video_index[:, None] == video_index

    # ---- re-ranking

    @torch.no_grad()
    def reranked(
        self, way: Direction, text: Encoded, video: Encoded, similarity: Tensor, noise: Tensor | None = None
    ) -> Tensor:
        """similarity [N,M] as the queries of ``way`` rank by it: at each one's K best, from the best on, plus
        α softmax(temp · what becomes of ``noise`` [queries,K]), K of the configuration or all. None: noise by the seed.
        """
        if self.config.generation is None:
            return similarity
        scores = similarity if way == "t2v" else similarity.mT
        alpha, factor = getattr(self._generation, f"{way}_alpha"), getattr(self._generation, f"{way}_temp")
        left, found = signal_left(self._generation.diffusion_steps), scores.clone()
        block = len(scores) if scores.is_meta else BLOCK  # there FLOPs are counted, and nothing takes memory
        for start in range(0, len(scores), block):
            rows = slice(start, start + block)
            best = self.best(way, scores[rows])
            drawn = self._noise(way, start, best, scores.shape[1]) if noise is None else noise[rows]
            pairs = self.pairs(way, text, video, rows, best.to(text["caption"].device))
            guess = denoised(self._denoiser(way), drawn.to(text["caption"].device), left, pairs)
            more = alpha * (factor * guess).softmax(-1)
            found[rows].scatter_add_(1, best, more.to(found.device))
        return found if way == "t2v" else found.mT

    def best(self, way: Direction, scores: Tensor) -> Tensor:
        """The K best candidates [R,K] of queries by their scores [R,C], the first of equal ones first."""
        number = self._generation.t2v_num if way == "t2v" else self._generation.v2t_num
        return scores.argsort(dim=1, descending=True, stable=True)[:, :number]

    def pairs(self, way: Direction, text: Encoded, video: Encoded, rows: slice, best: Tensor) -> Pairs:
        """The queries ``rows`` with their candidates ``best`` [R,K], as the denoiser of ``way`` takes them."""
        if way == "t2v":
            every = best.flatten()
            captions = text["caption"][rows].repeat_interleave(best.shape[1], dim=0)[:, None]
            pooled = self._pooled(captions, video["frames"][every], video["mask"][every]).view(*best.shape, -1)
        else:
            pooled = self._pooled(text["caption"][best], video["frames"][rows], video["mask"][rows])
        return self._pairs(way, text, rows, best, pooled)

    def _pairs(self, way: Direction, text: Encoded, rows: slice | Tensor, best: Tensor, pooled: Tensor) -> Pairs:
        """The same, given the pairs' videos as their captions see them [R,K,D]."""
        if way == "t2v":
            query = text["query"][rows, None]
            key, seen, hidden = self._denoiser(way).candidates(pooled)
        else:
            query = self._denoiser(way).query(pooled)
            key, seen, hidden = (text[name][best] for name in ("key", "seen", "hidden"))
        return Pairs(query, key, (query * key).sum(-1), seen, hidden)

    def _pooled(self, captions: Tensor, frames: Tensor, mask: Tensor) -> Tensor:
        """captions [M,K,D] or [1,K,D], frames [M,F,D], mask [M,F] → each video as its K captions see it [M,K,D]."""
        scores = torch.einsum("mkd,mfd->mkf", captions, frames) / self._generation.temp
        return frame_attention(scores, mask, self.config.departures.pooling_padding) @ frames

    def _noise(self, way: Direction, first: int, best: Tensor, candidates: int) -> Tensor:
        """[R,K] for the queries from number ``first`` on: a query's draws go to all candidates, or to its best."""
        if best.is_meta:  # which has no values
            return best.float()
        of_place = self.config.departures.noise == "released"
        number = best.shape[1] if of_place else candidates
        seeds = (spread(self.seed, "re-ranking", way, first + row) for row in range(len(best)))
        drawn = np.stack([np.random.Generator(np.random.PCG64(seed)).standard_normal(number) for seed in seeds])
        noise = torch.from_numpy(drawn).float().to(best.device)
        return noise if of_place else noise.gather(1, best)

    @property
    def _generation(self) -> GenerationConfig:
        assert self.config.generation
        return self.config.generation

    def _denoiser(self, way: Direction) -> Denoiser:
        denoiser = self.denoisers[way]
        assert isinstance(denoiser, Denoiser)
        return denoiser


def _tokens(tokens: Tensor, mask: Tensor, scores: nn.Module) -> dict[str, Tensor]:
    """Weighted by the softmax of their ``scores``."""
    return weighted_tokens(tokens, masked_softmax(scores(tokens).squeeze(-1).float(), mask), mask)
