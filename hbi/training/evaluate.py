"""Similarity of all captions with all videos of a split, or the answers to all its questions."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hbi.errors import RunFailure
from hbi.models import Encoded, System
from hbi.models.hbi_qa import HBIQA
from hbi.training.step import autocast

BLOCK = 128
"""Captions and videos a block of the similarity matrix, and questions at once: bounds memory, changes no value."""

Tokens = Iterable[tuple[Tensor, Tensor]]
Frames = Iterable[tuple[Tensor, Tensor]]


@torch.no_grad()
def similarity_matrix(
    model: System, texts: Tokens, videos: Frames, device: torch.device, precision: str
) -> NDArray[np.float32]:
    """texts yields (token_ids, mask), videos yields (frames, mask), in order → [N,M]."""
    with _evaluating(model):
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


@torch.no_grad()
def predicted_answers(
    model: HBIQA, texts: Tokens, videos: Frames, video_of: Sequence[int], device: torch.device, precision: str
) -> NDArray[np.int64]:
    """As above, where question n is about video ``video_of[n]`` → labels [N]; every video is encoded once.

    Raises RunFailure("nan") where a logit is not finite.
    """
    column = torch.tensor(video_of, device=device)
    predicted: list[Tensor] = []
    with _evaluating(model):
        with autocast(device, precision):
            video = Encoded.cat([model.encode_video(frames.to(device), mask.to(device)) for frames, mask in videos])
        for ids, mask in texts:
            with autocast(device, precision):
                text = model.encode_text(ids.to(device), mask.to(device))
            start = sum(map(len, predicted))
            logits = model.answers(text, video.select(column[start : start + len(ids)]))
            if not logits.isfinite().all():
                raise RunFailure("nan", f"the answers to questions {start + 1} to {start + len(ids)} are not finite")
            predicted.append(logits.argmax(-1).cpu())
    return torch.cat(predicted).numpy()


@contextmanager
def _evaluating(model: System) -> Iterator[None]:
    """``model`` in evaluation mode, afterwards as it was."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
