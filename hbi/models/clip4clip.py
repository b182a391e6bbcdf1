"""CLIP4Clip: one vector for a caption and one for a video (arXiv 2104.08860)."""

from torch import Tensor, nn
from torch.nn import functional as F

from hbi.config import Choice, Clip4ClipConfig
from hbi.models.base import Encoded
from hbi.models.clip_system import ClipSystem
from hbi.models.temporal import temporal_part


class OneVector(ClipSystem):
    """A cosine of two vectors, of which a caption's is that of its end token."""

    def _of_words(self, words: Tensor, mask: Tensor) -> Encoded:
        """ "vector" [N,D] of unit length."""
        return Encoded({"vector": caption_vector(words, mask)})

    def similarity(self, text: Encoded, video: Encoded) -> Tensor:
        return text["vector"] @ video["vector"].mT

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """ "contrastive", which is all there is."""
        loss = self._contrastive(self.logit_scale.exp() * self.similarity(text, video), targets)
        return {"total": loss, "contrastive": loss}


class Clip4Clip(OneVector):
    """The cosine of a caption's end token and the mean of a video's frames."""

    config: Clip4ClipConfig

    def _temporal(self) -> nn.Module:
        return temporal_part(self.config.sim_header, self.encoder, self.config.temporal_layers)

    def _of_frames(self, frames: Tensor, mask: Tensor) -> Encoded:
        """ "vector" [M,D] of unit length."""
        return Encoded({"vector": video_vector(frames, mask, self.config.departures.frame_norm)})


def caption_vector(words: Tensor, mask: Tensor) -> Tensor:
    """words [N,T,D], mask [N,T] → [N,D] of unit length: the end token."""
    return F.normalize(end_token(words, mask).float(), dim=-1)


def end_token(words: Tensor, mask: Tensor) -> Tensor:
    """words [N,T,D], mask [N,T] → [N,D]: the last word that is none of padding."""
    last = (mask.sum(1) - 1).clamp(min=0)
    return words.gather(1, last[:, None, None].expand(-1, 1, words.shape[2])).squeeze(1)


def video_vector(frames: Tensor, mask: Tensor, frame_norm: Choice) -> Tensor:
    """frames [M,F,D], mask [M,F] → [M,D] of unit length: their mean, as they are or (released) each of unit length."""
    frames = frames.float()
    if frame_norm == "released":
        frames = F.normalize(frames, dim=-1)
    return F.normalize((frames * mask[:, :, None]).sum(1), dim=-1)  # the length of the sum counts for nothing
