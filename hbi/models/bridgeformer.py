"""MCQ: multiple choice questions about a video, answered by BridgeFormer (arXiv 2201.04850)."""

import torch
from torch import Tensor

from hbi.config import BridgeFormerConfig
from hbi.config.models.two_towers import Asked
from hbi.data.batches import Batch
from hbi.models.base import Encoded, initialised
from hbi.models.bridge import Bridge
from hbi.models.towers import VideoTower
from hbi.models.two_towers import TwoTowers, unit


class BridgeFormer(TwoTowers):
    """Two towers; in pre-training each caption with a phrase erased is a question, and the phrase its answer."""

    config: BridgeFormerConfig

    def _add_pretraining(self) -> None:
        if self.config.questions:
            with initialised(self.seed, "bridge"):
                self.bridge = Bridge(self.sizes)

    def _video_tower(self) -> VideoTower:
        return VideoTower(self.sizes.video, in_time=False)

    def encode_pairs(self, batch: Batch) -> tuple[Encoded, Encoded]:
        """As ``encode_text`` and ``encode_video``, and of every kind of question that training asks:

        "answer/KIND" [B,D]   the erased phrase, as the text tower reads it, of unit length
        "phrase/KIND" [B,T]   its tokens, from 1; all 0 where the caption has no such phrase
        "bridge/KIND" [B,D]   what BridgeFormer makes of the question and the video, of unit length
        """
        frames, mask = self._drawn_frames(batch)
        text = self.encode_text(batch.token_ids, batch.text_mask)
        frames, seen = self.as_seen(frames, mask)
        states = self.video_tower(frames, seen)
        video = Encoded({"vector": unit(self.video_vector(states[-1]))})
        if not self.config.questions:
            return text, video
        answers: dict[str, Tensor] = {}
        bridged: dict[str, Tensor] = {}
        for number, kind in enumerate(self.config.questions):
            ids, words = batch.questions[:, number], batch.question_mask[:, number]
            asked = words[:, 1].any(1)
            # a caption without such a phrase has no words; a first one keeps attention from dividing by nothing
            words = words | (torch.arange(words.shape[2], device=words.device) == 0)
            question = self.text_tower(ids[:, 0], words[:, 0])
            answers[f"answer/{kind}"] = unit(self.caption_vector(self.text_tower(ids[:, 1], words[:, 1])[-1]))
            answers[f"phrase/{kind}"] = (ids[:, 1] + 1) * words[:, 1] * asked[:, None]
            bridged[f"bridge/{kind}"] = unit(self.bridge(question, words[:, 0], states, seen))
        return Encoded(text.tensors | answers), Encoded(video.tensors | bridged)

    def _drawn_frames(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """``seen_frames`` of each video, of those that are there, in their order; all, where there are not more."""
        asked, frames, mask = self.config.seen_frames, batch.frames, batch.video_mask
        if asked is None or asked >= mask.shape[1]:
            return frames, mask
        order = self.drawn("seen frames", batch.video_index, mask.shape[1]).masked_fill(~mask, 2.0)
        chosen = order.argsort(1)[:, :asked].sort(1).values
        rows = torch.arange(len(mask), device=mask.device)[:, None]
        return frames[rows, chosen], mask[rows, chosen]

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """ "contrastive", and "contrastive/KIND" of the answers to each kind of question."""
        losses = {"contrastive": self.matched(text, video, targets)}
        for kind in self.config.questions:
            losses[f"contrastive/{kind}"] = self._answered(kind, text, video)
        return {"total": torch.stack(list(losses.values())).sum(), **losses}

    def _answered(self, kind: Asked, text: Encoded, video: Encoded) -> Tensor:
        """InfoNCE of the questions of one kind and their answers; an equal answer to another question is as right."""
        phrases = text[f"phrase/{kind}"]
        asked = phrases.any(1)
        answers, bridged = text[f"answer/{kind}"][asked], video[f"bridge/{kind}"][asked]
        if not len(answers):
            return video[f"bridge/{kind}"].sum() * 0
        _, same = phrases[asked].unique(dim=0, return_inverse=True)
        return self.contrast(bridged, answers, same, self.config.departures.same_answer)
