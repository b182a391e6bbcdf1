"""Hierarchical Banzhaf Interaction for questions: the answer is classified at every level (arXiv 2303.14369)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hbi.config import HBIQAConfig, Level
from hbi.models.base import Encoded, initialised
from hbi.models.clip_system import weighted_total
from hbi.models.contrastive import divergence, released_divergence
from hbi.models.hbi import HBI, Side
from hbi.models.similarity import masked_softmax


class AnswerHead(nn.Module):
    """Words and frames of a level, pooled by learned weights, then classified together."""

    def __init__(self, width: int, head_width: int, answers: int, dropout: float) -> None:
        super().__init__()
        self.weights = nn.ModuleDict({side: _token_weights(width) for side in ("text", "video")})
        self.projections = nn.ModuleDict({side: nn.Linear(width, head_width) for side in ("text", "video")})
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(2 * head_width, 4 * head_width)
        self.answers = nn.Linear(4 * head_width, answers)

    def pool(self, side: Side, tokens: Tensor, mask: Tensor, padding: bool) -> Tensor:
        """tokens [N,L,D], mask [N,L] → projected mean [N,H]; ``padding``: it takes its share of the weight."""
        scores = self.weights[side](tokens).squeeze(-1).float()
        weights = scores.softmax(-1) * mask if padding else masked_softmax(scores, mask)
        pooled: Tensor = self.projections[side](torch.einsum("nl,nld->nd", weights.to(tokens.dtype), tokens))
        return pooled.float()

    def forward(self, video: Tensor, text: Tensor) -> Tensor:
        """What ``pool`` has made of both sides [N,H] → logits [N,answers]."""
        joined = self.dropout(torch.cat([video, text], dim=-1))
        logits: Tensor = self.answers(self.hidden(joined).relu())
        return logits


def _token_weights(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))


class HBIQA(HBI):
    """Questions take the place of captions; every level that is trained also answers."""

    config: HBIQAConfig
    zeroes_padded_interactions = False  # the published code does so for retrieval alone

    def __init__(self, config: HBIQAConfig, seed: int = 0, sizes: Mapping[str, Any] | None = None) -> None:
        super().__init__(config, seed, sizes)
        self.heads = nn.ModuleDict()
        for level in config.levels:
            with initialised(seed, f"answers/{level}"):
                self.heads[level] = AnswerHead(self.encoder.width, config.head_width, config.answers, config.dropout)

    def _at_level(self, side: Side, level: Level, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Those of HBI, and "pooled" [N,H] for the answer."""
        padding = self.config.head_padding == "released"
        pooled = self._head(level).pool(side, tokens, mask, padding)
        return {**super()._at_level(side, level, tokens, mask), "pooled": pooled}

    def _levels(self) -> tuple[Level, ...]:
        needed = {*super()._levels(), *self._answering()}
        return tuple(level for level in self.config.levels if level in needed)

    def _answering(self) -> list[Level]:
        return [level for level in self.config.levels if self.config.answer_rates.get(level, 0) > 0]

    def answers(self, text: Encoded, video: Encoded) -> Tensor:
        """Logits [N,answers] of N questions, each about the video of the same row."""
        rates = self.config.answer_rates
        logits = [rates[level] * self._answers(level, text, video) for level in self._answering()]
        return torch.stack(logits).sum(0)

    def _answers(self, level: Level, text: Encoded, video: Encoded) -> Tensor:
        logits: Tensor = self._head(level)(video[f"{level}/pooled"], text[f"{level}/pooled"])
        return logits

    def _head(self, level: Level) -> AnswerHead:
        head = self.heads[level]
        assert isinstance(head, AnswerHead)
        return head

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """Those of HBI between questions and videos, "answer/LEVEL", and "distillation/LEVEL" between answers.

        A question whose answer is outside the vocabulary (−1 in targets["answer"]) has no part in "answer".
        """
        config = self.config
        logits = {level: self._answers(level, text, video) for level in config.levels}
        losses = {f"answer/{level}": _answer_loss(found, targets["answer"]) for level, found in logits.items()}
        weights = {"answer": 1.0}
        if config.alignment_weight:
            similarities = {level: self._similarity(level, text, video) for level in config.levels}
            losses |= self._alignment(similarities, text, video, targets)
            weights["contrastive"] = config.alignment_weight
            weights["banzhaf"] = config.alignment_weight * (config.teacher.weight if config.teacher else 0)
        if config.distillation_weight:
            loss = released_divergence if config.departures.self_distillation == "released" else divergence
            learners = [level for level in logits if level != "entity"]
            losses |= {f"distillation/{level}": loss(logits[level], logits["entity"]) for level in learners}
            weights["distillation"] = config.distillation_weight
        return {"total": weighted_total(losses, weights), **losses}


def _answer_loss(logits: Tensor, answer: Tensor) -> Tensor:
    """Cross entropy, mean over the questions [B] that have a label; 0 where none has."""
    return F.cross_entropy(logits, answer, ignore_index=-1, reduction="sum") / (answer >= 0).sum().clamp(min=1)
