"""Similarity of all captions with all videos of a split, or the answers to all its questions."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import isqrt, prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hbi.cost.memory import available
from hbi.errors import RunFailure
from hbi.metrics.retrieval import Direction
from hbi.models import Encoded, System
from hbi.models.hbi_qa import HBIQA
from hbi.training.step import autocast

BLOCK = 128
"""Captions, videos or questions that are encoded at once: bounds memory, changes no value."""

FASTEST = {"cpu": 32 * 2**20, "cuda": 2**30}
"""Bytes of a block of similarities by device: what a CPU's caches still hold, and what keeps a GPU busy."""

Tokens = Iterable[tuple[Tensor, Tensor]]
Frames = Iterable[tuple[Tensor, Tensor]]


@torch.no_grad()
def encode(
    model: System, texts: Tokens, videos: Frames, device: torch.device, precision: str
) -> tuple[Encoded, Encoded]:
    """texts yields (token_ids, mask), videos yields (frames, mask), in order → N captions, M videos."""
    with evaluating(model), autocast(device, precision):
        text = Encoded.cat([model.encode_text(ids.to(device), mask.to(device)) for ids, mask in texts])
        video = Encoded.cat([model.encode_video(frames.to(device), mask.to(device)) for frames, mask in videos])
    return text, video


@torch.no_grad()
def scores(model: System, text: Encoded, video: Encoded, side: int | None = None) -> Tensor:
    """Similarities [N,M] of encoded captions and videos, in blocks of ``side`` (none: ``block_side``); fp32, on the
    CPU."""
    if side is None:
        side = block_side(text, video, free_memory(_device(text)))
    side = max(1, side // model.block) * model.block  # so that it cuts between those that are scored together
    found = torch.empty(len(text), len(video))
    for row in range(0, len(text), side):
        part = text.select(slice(row, row + side))
        for column in range(0, len(video), side):
            block = model.similarity(part, video.select(slice(column, column + side)))
            found[row : row + side, column : column + side] = block
    return found


@torch.no_grad()
def rankings(
    model: System, text: Encoded, video: Encoded, ways: Sequence[Direction] = ("t2v", "v2t"), side: int | None = None
) -> dict[Direction, Tensor]:
    """``scores`` [N,M] by which the queries of each way rank; of most systems one matrix for both."""
    similarity = scores(model, text, video, side)
    return {way: model.reranked(way, text, video, similarity) for way in ways}


@torch.no_grad()
def predicted_answers(
    model: HBIQA, texts: Tokens, videos: Frames, video_of: Sequence[int], device: torch.device, precision: str
) -> NDArray[np.int64]:
    """As above, where question n is about video ``video_of[n]`` → labels [N]; every video is encoded once.

    Raises RunFailure("nan") where a logit is not finite.
    """
    column = torch.tensor(video_of, device=device)
    predicted: list[Tensor] = []
    with evaluating(model):
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


def block_side(text: Encoded, video: Encoded, free: int | None) -> int:
    """Captions, and videos, of a block of FASTEST bytes; of fewer only where a quarter of the ``free`` bytes is less,
    so that a machine always computes the same blocks.

    A pair is taken to hold a number for every word with every frame, or for every feature, whichever are more.
    """
    shapes = [[x.shape[1:] for x in side.tensors.values()] for side in (text, video)]
    tokens = [max((shape[0] for shape in of_side if len(shape) > 1), default=1) for of_side in shapes]
    features = max((shape[-1] for of_side in shapes for shape in of_side if shape), default=1)
    largest = FASTEST.get(_device(text).type, FASTEST["cpu"])
    if free is not None:
        largest = min(largest, free // 4)
    return max(1, isqrt(largest // (4 * max(prod(tokens), features))))


def _device(encoded: Encoded) -> torch.device:
    return next(iter(encoded.tensors.values())).device


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on ``device``; None where it does not tell."""
    if device.type != "cuda":
        return available()
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by torch, to use again
    return torch.cuda.mem_get_info(device)[0] + kept


@contextmanager
def evaluating(model: System) -> Iterator[None]:
    """``model`` in evaluation mode, afterwards as it was."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
