"""MILES: features of hidden patches, guessed as a slower copy of the model sees them (arXiv 2204.12408)."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hbi.config import MILESConfig
from hbi.data.batches import Batch
from hbi.models.base import Encoded
from hbi.models.towers import VideoTower
from hbi.models.two_towers import TwoTowers


class MILES(TwoTowers):
    """Two towers, the video's with attention over time and over space; pre-trained by masked visual modelling.

    The copy ("snapshot") is the moving average of video tower and projection: what it makes of patches lies near what
    their captions say, so that to guess it is to guess what is there, not how it looks.
    """

    config: MILESConfig

    def _add_pretraining(self) -> None:
        if self.config.masking:
            self.hidden_patch = nn.Parameter(torch.zeros(self.sizes.video.width))
            copies = {name: deepcopy(getattr(self, name)) for name in ("video_tower", "video_projection")}
            self.snapshot = nn.ModuleDict(copies).requires_grad_(False)

    def start_from(self, state: Mapping[str, Tensor], origin: Path | str) -> None:
        super().start_from(state, origin)
        if not any(name.startswith("snapshot.") for name in state):
            self._add_pretraining()  # the copy is one of what was loaded

    def _video_tower(self) -> VideoTower:
        return VideoTower(self.sizes.video, in_time=True)

    def encode_pairs(self, batch: Batch) -> tuple[Encoded, Encoded]:
        """As ``encode_text`` and ``encode_video``, and of videos "masking" [B]: 1 − the cosine of what is guessed of a
        hidden patch and of what the copy sees there, mean over the hidden patches of frames that are seen."""
        text, video = super().encode_pairs(batch)
        if not self.config.masking:
            return text, video
        frames, seen = self.as_seen(batch.frames, batch.video_mask)
        places = self._hidden(batch.video_index, self.config.masking.share)
        guess = self._patches(self, self.video_tower(frames, seen, (places, self.hidden_patch))[-1])
        with torch.no_grad():
            target = self._patches(self.snapshot, self.snapshot["video_tower"](frames, seen)[-1])
        error = (1 - (guess * target).sum(-1)).unflatten(1, (seen.shape[1], -1))  # [B,F,P]
        counted = seen[:, :, None] & places[:, None, :]
        masking = (error * counted).sum((1, 2)) / counted.sum((1, 2))
        return text, Encoded(video.tensors | {"masking": masking})

    def _hidden(self, videos: Tensor, share: float) -> Tensor:
        """videos [M] → [M,P] bool: as many places of each, at least one."""
        patches = self.sizes.video.patches
        order = self.drawn("hidden patches", videos, patches).argsort(1)
        return order < max(1, round(share * patches))

    @staticmethod
    def _patches(parts: nn.Module, state: Tensor) -> Tensor:
        """Last state [M,1+F·P,·] → every patch [M,F·P,D] as the projection of the class sees it, of unit length."""
        tower, projection = (parts.get_submodule(name) for name in ("video_tower", "video_projection"))
        return F.normalize(projection(tower.get_submodule("norm")(state[:, 1:])).float(), dim=-1)

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """ "contrastive", and in pre-training "masking"."""
        losses = {"contrastive": self.matched(text, video, targets)}
        if not self.config.masking:
            return {"total": losses["contrastive"], **losses}
        losses["masking"] = video["masking"].mean()
        return {"total": losses["contrastive"] + self.config.masking.weight * losses["masking"], **losses}

    @torch.no_grad()
    def after_step(self) -> None:
        """The copy follows."""
        if self.config.masking:
            for name, copy in self.snapshot.items():
                for slow, fast in zip(copy.parameters(), self.get_submodule(name).parameters(), strict=True):
                    slow.lerp_(fast, 1 - self.config.masking.momentum)
