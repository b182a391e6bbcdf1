"""Frames as a caption weighs them, padded as in the published codes or not: what GLSCL, EMCL-Net and DiCoSA share."""

from torch import Tensor

from hbi.config import Choice
from hbi.data.preprocess import normalise
from hbi.models.similarity import masked_softmax


def frame_attention(scores: Tensor, mask: Tensor, padding: Choice = "correct") -> Tensor:
    """scores [M,N,F] of frames by captions, mask [M,F] → the share of each frame in its video as a caption sees it.

    Padding has no share; with the released one it has, which is then dropped, so that the others sum to less than 1.
    """
    if padding == "released":
        return scores.softmax(-1) * mask[:, None]
    return masked_softmax(scores, mask[:, None])


def zero_padded(frames: Tensor, mask: Tensor) -> Tensor:
    """frames [M,F,3,H,W] with padding of 0 behind the normalisation, as the published loaders have it; features of
    frames [M,F,D] as they are."""
    if frames.ndim == 3:
        return frames
    frames = frames if frames.is_floating_point() else normalise(frames)
    return frames * mask[:, :, None, None, None]
