"""Similarity of all captions with all videos of a split, and the ranks that follow."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hbi.models import Encoded, System
from hbi.training.step import autocast

BLOCK = 128
"""Captions and videos a block of the similarity matrix: bounds its memory, does not change its values."""


@torch.no_grad()
def similarity_matrix(
    model: System,
    texts: Iterable[tuple[Tensor, Tensor]],
    videos: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    precision: str,
) -> NDArray[np.float32]:
    """texts yields (token_ids, mask), videos yields (frames, mask), in order → [N,M]."""
    training = model.training
    model.eval()
    try:
        with autocast(device, precision):
            text = Encoded.cat([model.encode_text(ids.to(device), mask.to(device)) for ids, mask in texts])
            video = Encoded.cat([model.encode_video(frames.to(device), mask.to(device)) for frames, mask in videos])
        rows = []
        for row in range(0, len(text), BLOCK):
            part = text.select(slice(row, row + BLOCK))
            blocks = [
                model.similarity(part, video.select(slice(column, column + BLOCK)))
                for column in range(0, len(video), BLOCK)
            ]
            rows.append(torch.cat(blocks, dim=1).float().cpu())
        return torch.cat(rows).numpy()
    finally:
        model.train(training)
