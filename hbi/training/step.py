"""One backward pass: the gradient of the whole batch's loss, whatever the parts it is encoded in."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from hbi.data.batches import Batch
from hbi.models import Encoded, System, targets_of

PRECISION = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """The encoder's arithmetic: fp32 as it is, or bf16 / fp16 by autocast."""
    return torch.autocast(device.type, dtype=PRECISION.get(precision), enabled=precision in PRECISION)


def encode(model: System, batch: Batch, precision: str) -> tuple[Encoded, Encoded]:
    """Captions and videos of ``batch``, encoded at ``precision``, results in fp32."""
    with autocast(batch.frames.device, precision):
        return model.encode_text(batch.token_ids, batch.text_mask), model.encode_video(batch.frames, batch.video_mask)


def backward(
    model: System, batch: Batch, parts: int, precision: str, scaler: torch.amp.GradScaler
) -> dict[str, Tensor]:
    """Adds the gradient of ``model``'s loss on ``batch`` to its parameters; returns the loss's terms, detached.

    With several ``parts`` the batch is encoded twice, part by part: once without gradient, to know every pair's
    contrast, then once more to carry the gradient of the encoded batch into the encoder (the scheme of GradCache,
    arXiv 2101.06983). Unlike the usual accumulation it leaves the loss, and so the negatives, unchanged.
    """
    if parts == 1:
        losses = model.losses_of(*encode(model, batch, precision), targets_of(batch))
        scaler.scale(losses["total"]).backward()
        return {name: loss.detach() for name, loss in losses.items()}

    with torch.no_grad():
        encoded = [encode(model, part, precision) for part in _parts(batch, parts)]
    text, video = (Encoded.cat(side).map(_leaf) for side in zip(*encoded, strict=True))
    losses = model.losses_of(text, video, targets_of(batch))
    scaler.scale(losses["total"]).backward()
    start = 0
    for part in _parts(batch, parts):
        rows = slice(start, start := start + len(part.video_index))
        for whole, again in zip((text, video), encode(model, part, precision), strict=True):
            gradients = {name: tensor.grad[rows] for name, tensor in whole.tensors.items() if tensor.grad is not None}
            torch.autograd.backward([again[name] for name in gradients], list(gradients.values()))
    return {name: loss.detach() for name, loss in losses.items()}


def _parts(batch: Batch, parts: int) -> Iterator[Batch]:
    columns = [torch.chunk(getattr(batch, name), parts) for name in Batch.__dataclass_fields__]
    return (Batch(*part) for part in zip(*columns, strict=True))


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.requires_grad_() if tensor.is_floating_point() else tensor
