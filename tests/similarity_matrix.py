"""All similarities of a split, as an evaluation computes them before any re-ranking."""

import numpy as np
import torch
from numpy.typing import NDArray

from hbi.models import System
from hbi.training.evaluate import Frames, Tokens, encode, evaluating, scores


def similarity_matrix(
    model: System, texts: Tokens, videos: Frames, device: torch.device, precision: str
) -> NDArray[np.float32]:
    """texts yields (token_ids, mask), videos yields (frames, mask), in order → [N,M]."""
    with evaluating(model):
        return scores(model, *encode(model, texts, videos, device, precision)).numpy()
