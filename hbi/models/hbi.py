"""Hierarchical Banzhaf Interaction: retrieval by words and frames, trained at up to three levels (arXiv 2303.14369)."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hbi.config import LEVELS, HBIConfig, Level
from hbi.data.preprocess import normalise
from hbi.errors import RunFailure
from hbi.games import TokenGame
from hbi.games.estimator import BanzhafEstimator, load_estimator
from hbi.models.banzhaf_loss import interaction_divergence, teacher_logits
from hbi.models.base import Encoded, System, initialised
from hbi.models.contrastive import contrastive, distillation
from hbi.models.encoder import ClipEncoder, encoder_sizes
from hbi.models.similarity import masked_softmax, token_scores, token_similarity
from hbi.models.temporal import TemporalTransformer
from hbi.models.token_merge import TokenMerge
from hbi.seeds import spread


class HBI(System):
    """Words and frames (entity level) merge into phrases and clips (action), and these once more (event)."""

    def __init__(self, config: HBIConfig, seed: int = 0) -> None:
        super().__init__()
        self.config, self.seed = config, seed
        with initialised(seed, "encoder"):
            self.encoder = ClipEncoder(encoder_sizes(config.encoder))
        self.image_size, self.context_length = self.encoder.image_size, self.encoder.context_length
        width, heads = self.encoder.width, self.encoder.heads
        with initialised(seed, "temporal"):
            self.temporal = TemporalTransformer(width, config.temporal_layers, heads, self.context_length)
        if config.pretrained:
            self.encoder.load(config.pretrained, config.encoder)
            self.temporal.start_from(self.encoder)

        self.text_merge, self.video_merge = nn.ModuleDict(), nn.ModuleDict()
        rates = zip(LEVELS[1:], config.text_merge_rates, config.video_merge_rates, strict=True)
        for level, text_rate, video_rate in rates:
            if level in _with_lower(config.levels):
                with initialised(seed, f"merge/{level}"):
                    self.text_merge[level] = TokenMerge(width, heads, text_rate, config.neighbours)
                    self.video_merge[level] = TokenMerge(width, heads, video_rate, config.neighbours)
        self.word_scores, self.frame_scores, self.student = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for level in config.levels:
            with initialised(seed, f"scores/{level}"):
                self.word_scores[level], self.frame_scores[level] = token_scores(width), token_scores(width)
            if config.teacher:
                with initialised(seed, f"student/{level}"):
                    self.student[level] = BanzhafEstimator(config.student_width)
        teacher = config.teacher
        self._estimator: list[BanzhafEstimator] = []  # in a list it is no part of this model, nor of its weights
        if teacher and teacher.method == "estimated" and not teacher.needs:
            self._estimator.append(load_estimator(Path(teacher.estimator), teacher.index))

    @property
    def logit_scale(self) -> nn.Parameter:
        return self.encoder.clip.logit_scale  # type: ignore[no-any-return]

    def encode_text(self, token_ids: Tensor, mask: Tensor) -> Encoded:
        words = self.encoder.words(token_ids, mask)
        return self._encoded(words, mask, self.text_merge, self.word_scores)

    def encode_video(self, frames: Tensor, mask: Tensor) -> Encoded:
        features = self.encoder.frames(normalise(frames.flatten(0, 1))).unflatten(0, frames.shape[:2])
        return self._encoded(self.temporal(features, mask), mask, self.video_merge, self.frame_scores)

    def _encoded(self, tokens: Tensor, mask: Tensor, merge: nn.ModuleDict, scores: nn.ModuleDict) -> Encoded:
        """Per level: "tokens" [N,L,D] of unit length, "scores" [N,L] before their softmax, "mask" [N,L]."""
        wanted = self._levels()
        encoded: dict[str, Tensor] = {}
        for level in _with_lower(wanted):
            if level != "entity":
                tokens, mask = merge[level](tokens, mask)
            if level in wanted:
                encoded[f"{level}/tokens"] = F.normalize(tokens.float(), dim=-1)
                encoded[f"{level}/scores"] = scores[level](tokens).squeeze(-1).float()
                encoded[f"{level}/mask"] = mask
        return Encoded(encoded)

    def _levels(self) -> tuple[Level, ...]:
        """All levels in training; in evaluation those with a rate above 0, for the others change nothing there."""
        rates = self.config.similarity_rates
        return tuple(level for level in self.config.levels if self.training or rates.get(level, 0) > 0)

    def similarity(self, text: Encoded, video: Encoded) -> Tensor:
        rates = self.config.similarity_rates
        levels = [level for level in self.config.levels if rates.get(level, 0) > 0]
        return _sum({level: rates[level] * self._similarity(level, text, video) for level in levels})

    def _similarity(self, level: Level, text: Encoded, video: Encoded) -> Tensor:
        word_mask, frame_mask = text[f"{level}/mask"], video[f"{level}/mask"]
        return token_similarity(
            text[f"{level}/tokens"],
            masked_softmax(text[f"{level}/scores"], word_mask),
            word_mask,
            video[f"{level}/tokens"],
            masked_softmax(video[f"{level}/scores"], frame_mask),
            frame_mask,
        )

    def recompute_activations(self) -> None:
        self.encoder.recompute_activations()

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """Terms, each averaged over the levels' own units and summed over levels: "contrastive" for every level,
        "banzhaf" with a teacher, "distillation" from the entity level; "total" is their weighted sum."""
        scale = self.logit_scale.exp()
        logits = {level: scale * self._similarity(level, text, video) for level in self.config.levels}
        losses = {f"contrastive/{level}": contrastive(logits[level], targets["video_index"]) for level in logits}
        total = _sum(losses)
        if self.config.teacher:
            banzhaf = {f"banzhaf/{level}": self._banzhaf_loss(level, text, video) for level in logits}
            total = total + self.config.teacher.weight * _sum(banzhaf)
            losses |= banzhaf
        if self.config.distillation_weight:
            learners = [level for level in logits if level != "entity"]
            distilled = {f"distillation/{level}": distillation(logits[level], logits["entity"]) for level in learners}
            total = total + self.config.distillation_weight * _sum(distilled)
            losses |= distilled
        return {"total": total, **losses}

    def game(self, level: Level, text: Encoded, video: Encoded) -> TokenGame:
        """The games of B matching pairs, encoded; without gradient. Raises RunFailure("nan") where they have none."""
        cosines = self._cosines(level, text, video).detach().float()
        of_words, of_frames = (side[f"{level}/scores"].detach().float() for side in (text, video))
        try:
            return TokenGame(cosines, of_words, of_frames, text[f"{level}/mask"], video[f"{level}/mask"])
        except ValueError as error:
            if all(tensor.isfinite().all() for tensor in (cosines, of_words, of_frames)):
                raise
            raise RunFailure("nan", f"similarities of the {level} level are not finite") from error

    def _cosines(self, level: Level, text: Encoded, video: Encoded) -> Tensor:
        """[B,T,V], of the matching pairs."""
        return text[f"{level}/tokens"] @ video[f"{level}/tokens"].mT

    def _banzhaf_loss(self, level: Level, text: Encoded, video: Encoded) -> Tensor:
        assert self.config.teacher is not None
        game, cosines = self.game(level, text, video), self._cosines(level, text, video)
        student = self.student[level](cosines, game.cells)
        estimator = self._estimator[0].to(cosines.device) if self._estimator else None
        seed = spread(self.seed, "coalitions", level, self.step)
        generator = torch.Generator(cosines.device).manual_seed(seed)
        teacher = teacher_logits(self.config.teacher, game, estimator, generator)
        return interaction_divergence(student, teacher, text[f"{level}/mask"], video[f"{level}/mask"])


def _sum(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum(0)


def _with_lower(levels: Iterable[Level]) -> tuple[Level, ...]:
    """``levels`` and those they are merged from, lowest first."""
    highest = max((LEVELS.index(level) for level in levels), default=-1)
    return LEVELS[: highest + 1]
