"""Hierarchical Banzhaf Interaction: retrieval by words and frames, trained at up to three levels (arXiv 2303.14369)."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hbi.config import LEVELS, HBIConfig, Level
from hbi.errors import RunFailure
from hbi.games import TokenGame
from hbi.games.estimator import BanzhafEstimator, load_estimator
from hbi.games.token_game import Padding
from hbi.models.banzhaf_loss import interaction_divergence, teacher_logits
from hbi.models.base import Encoded, initialised
from hbi.models.clip_system import ClipSystem, summed, weighted_total
from hbi.models.contrastive import distillation, released_distillation
from hbi.models.similarity import block_similarity, masked_softmax, token_scores, token_similarity
from hbi.models.token_merge import TokenMerge

Side = Literal["text", "video"]


class HBI(ClipSystem):
    """Words and frames (entity level) merge into phrases and clips (action), and these once more (event)."""

    config: HBIConfig
    zeroes_padded_interactions: ClassVar[bool] = True
    """With the released kl_padding: what student and teacher network say of padded cells is taken for 0."""

    def __init__(self, config: HBIConfig, seed: int = 0, sizes: Mapping[str, Any] | None = None) -> None:
        """``sizes``: those of the encoder, in open_clip's format; none: ``config.encoder`` names them."""
        super().__init__(config, seed, sizes)
        width, heads = self.encoder.width, self.encoder.heads
        self.text_merge, self.video_merge = nn.ModuleDict(), nn.ModuleDict()
        rates = zip(LEVELS[1:], config.text_merge_rates, config.video_merge_rates, strict=True)
        for level, text_rate, video_rate in rates:
            if level in _with_lower(config.levels):
                with initialised(seed, f"merge/{level}"):
                    choices = config.neighbours, config.departures.clustering, config.departures.merge_padding
                    self.text_merge[level] = TokenMerge(width, heads, text_rate, *choices)
                    self.video_merge[level] = TokenMerge(width, heads, video_rate, *choices)
        self.word_scores, self.frame_scores, self.student = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for level in config.levels:
            with initialised(seed, f"scores/{level}"):
                self.word_scores[level], self.frame_scores[level] = token_scores(width), token_scores(width)
            if config.teacher:
                with initialised(seed, f"student/{level}"):
                    self.student[level] = BanzhafEstimator(config.student_width)
        self._estimator: list[BanzhafEstimator] = []  # in a list it is no part of this model, nor of its weights
        if network := _estimator_of(config, seed):
            self.teach(network)

    def _of_words(self, words: Tensor, mask: Tensor) -> Encoded:
        return self._encoded("text", words, mask)

    def _of_frames(self, frames: Tensor, mask: Tensor) -> Encoded:
        return self._encoded("video", frames, mask)

    def _encoded(self, side: Side, tokens: Tensor, mask: Tensor) -> Encoded:
        """Per level what ``_at_level`` makes of it."""
        merge = self.text_merge if side == "text" else self.video_merge
        wanted, noisy = self._levels(), self.config.departures.clustering == "released"
        encoded: dict[str, Tensor] = {}
        for level in _with_lower(wanted):
            if level != "entity":
                noise = self._generator(mask.device, "clustering", side, level) if noisy else None
                tokens, mask = merge[level](tokens, mask, noise)
            if level in wanted:
                found = self._at_level(side, level, tokens, mask)
                encoded |= {f"{level}/{name}": tensor for name, tensor in found.items()}
        return Encoded(encoded)

    def _at_level(self, side: Side, level: Level, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """ "tokens" [N,L,D] of unit length, "scores" [N,L] before their softmax, "mask" [N,L]."""
        scores = (self.word_scores if side == "text" else self.frame_scores)[level]
        return {
            "tokens": F.normalize(tokens.float(), dim=-1),
            "scores": scores(tokens).squeeze(-1).float(),
            "mask": mask,
        }

    def _levels(self) -> tuple[Level, ...]:
        """All levels in training; in evaluation the scored ones, for the others change nothing there."""
        return self.config.levels if self.training else self._scored_levels()

    def _scored_levels(self) -> tuple[Level, ...]:
        """Levels with a rate above 0; in the published code all of them, which are multiplied by their rate of 0."""
        every, rates = self.config.departures.unused_levels == "released", self.config.similarity_rates
        return tuple(level for level in self.config.levels if every or rates.get(level, 0) > 0)

    def similarity(self, text: Encoded, video: Encoded) -> Tensor:
        rates = self.config.similarity_rates
        scored = self._scored_levels()
        found = {level: self._similarity(level, text, video, block_similarity) for level in scored}
        return summed({level: rates.get(level, 0) * similarity for level, similarity in found.items()})

    def _similarity(
        self, level: Level, text: Encoded, video: Encoded, similarity: Callable[..., Tensor] = token_similarity
    ) -> Tensor:
        word_mask, frame_mask = text[f"{level}/mask"], video[f"{level}/mask"]
        return similarity(
            text[f"{level}/tokens"],
            masked_softmax(text[f"{level}/scores"], word_mask),
            word_mask,
            video[f"{level}/tokens"],
            masked_softmax(video[f"{level}/scores"], frame_mask),
            frame_mask,
            self.config.departures.similarity_padding,
        )

    @property
    def taught_by(self) -> BanzhafEstimator | None:
        """The network of an estimated teacher."""
        return self._estimator[0] if self._estimator else None

    def teach(self, network: BanzhafEstimator) -> None:
        """From now on ``network`` is the estimated teacher; it stays as it is."""
        self._estimator = [network.requires_grad_(False).eval()]

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """Terms, each averaged over the levels' own units and summed over levels: "contrastive" for every level,
        "banzhaf" with a teacher, "distillation" from the entity level; "total" is their weighted sum."""
        similarities = {level: self._similarity(level, text, video) for level in self.config.levels}
        losses = self._alignment(similarities, text, video, targets)
        weights = {"contrastive": 1.0, "banzhaf": self.config.teacher.weight if self.config.teacher else 0.0}
        if self.config.distillation_weight:
            weights["distillation"] = self.config.distillation_weight
            losses |= self._distillation(similarities)
        return {"total": weighted_total(losses, weights), **losses}

    def _alignment(
        self, similarities: Mapping[Level, Tensor], text: Encoded, video: Encoded, targets: Encoded
    ) -> dict[str, Tensor]:
        """ "contrastive/LEVEL" and, with a teacher, "banzhaf/LEVEL" of the levels in ``similarities`` [B,B] each."""
        scale = self.logit_scale.exp()
        losses = {
            f"contrastive/{level}": self._contrastive(scale * found, targets) for level, found in similarities.items()
        }
        if self.config.teacher:
            losses |= {f"banzhaf/{level}": self._banzhaf_loss(level, text, video) for level in similarities}
        return losses

    def _distillation(self, similarities: Mapping[Level, Tensor]) -> dict[str, Tensor]:
        """ "distillation/LEVEL" of the levels above the entity level, which teaches them."""
        released = self.config.departures.self_distillation == "released"
        scale = 1.0 if released else self.logit_scale.exp()
        loss = released_distillation if released else distillation
        teacher = scale * similarities["entity"]
        return {
            f"distillation/{level}": loss(scale * found, teacher)
            for level, found in similarities.items()
            if level != "entity"
        }

    def game(self, level: Level, text: Encoded, video: Encoded) -> TokenGame:
        """The games of B matching pairs, encoded; without gradient. Raises RunFailure("nan") where they have none."""
        cosines = self._cosines(level, text, video).detach().float()
        of_words, of_frames = (side[f"{level}/scores"].detach().float() for side in (text, video))
        masks = text[f"{level}/mask"], video[f"{level}/mask"]
        padding: Padding = "released" if self.config.departures.similarity_padding == "released" else "neutral"
        try:
            return TokenGame(cosines, of_words, of_frames, *masks, padding)
        except ValueError as error:
            if all(tensor.isfinite().all() for tensor in (cosines, of_words, of_frames)):
                raise
            raise RunFailure("nan", f"similarities of the {level} level are not finite") from error

    def _cosines(self, level: Level, text: Encoded, video: Encoded) -> Tensor:
        """[B,T,V], of the matching pairs."""
        return text[f"{level}/tokens"] @ video[f"{level}/tokens"].mT

    def _banzhaf_loss(self, level: Level, text: Encoded, video: Encoded) -> Tensor:
        teacher, departures = self.config.teacher, self.config.departures
        assert teacher is not None
        game, cosines = self.game(level, text, video), self._cosines(level, text, video)
        seen = None if departures.kl_padding == "released" else game.cells
        student = self.student[level](cosines * game.cells, seen)
        network = self._teacher_network(level, cosines.device)
        generator = self._generator(cosines.device, "coalitions", level)
        logits = teacher_logits(teacher, game, network, seen, generator)
        if seen is not None:
            return interaction_divergence(student, logits, game.cells, second_kl=departures.second_kl)
        every = torch.ones_like(game.cells)
        if self.zeroes_padded_interactions:
            student, logits = student * game.cells, logits * game.cells
        return interaction_divergence(student, logits, every, departures.kl_padding, departures.second_kl)

    def _teacher_network(self, level: Level, device: torch.device) -> BanzhafEstimator | None:
        """The network that teaches ``level``; none: its game does. RunFailure where one is wanted and not there."""
        teacher = self.config.teacher
        if teacher is None or teacher.method != "estimated":
            return None
        if level != "entity" and self.config.departures.merged_teacher == "correct":
            return None
        if not self._estimator:
            raise RunFailure(
                "input", f"model.teacher.estimator: {teacher.estimator} has not been read; no loss without"
            )
        return self._estimator[0].to(device)


def _estimator_of(config: HBIConfig, seed: int) -> BanzhafEstimator | None:
    """The network of a teacher that is estimated, from its file; none where a run that is to come makes it.

    Raises InputError where the file is missing, unless the published code is followed in that as well.
    """
    teacher = config.teacher
    if teacher is None or teacher.method != "estimated" or teacher.needs:
        return None
    file = Path(teacher.estimator)
    if config.departures.missing_estimator == "released" and not file.is_file():
        with initialised(seed, "teacher"):
            network = BanzhafEstimator(config.student_width).requires_grad_(False)
        network.scale = teacher.scale
        return network
    return load_estimator(file, teacher.index)


def _with_lower(levels: Iterable[Level]) -> tuple[Level, ...]:
    """``levels`` and those they are merged from, lowest first."""
    highest = max((LEVELS.index(level) for level in levels), default=-1)
    return LEVELS[: highest + 1]
