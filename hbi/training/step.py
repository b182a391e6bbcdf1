"""One backward pass: the gradient of the whole batch's loss, whatever the parts it is encoded in."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from hbi.data.batches import Batch
from hbi.models import Encoded, System, targets_of
from hbi.training.distributed import alone, gathered, scale_as_published, unwrapped

PRECISION = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """The encoder's arithmetic: fp32 as it is, or bf16 / fp16 by autocast."""
    return torch.autocast(device.type, dtype=PRECISION.get(precision), enabled=precision in PRECISION)


def encode(model: System, batch: Batch, precision: str) -> tuple[Encoded, Encoded]:
    """Captions and videos of ``batch``, encoded at ``precision``, results in fp32."""
    with autocast(batch.frames.device, precision):
        return model.encode_pairs(batch)


class Step(nn.Module):
    """The forward pass of a training step, on the pairs that this process encodes (all, where it is alone)."""

    def __init__(self, model: System, precision: str) -> None:
        super().__init__()
        self.model, self.precision = model, precision

    def forward(self, batch: Batch, gradients: Sequence[Encoded] | None = None) -> dict[str, Tensor]:
        """Terms of the loss of all processes' pairs; gradient flows from "total" alone.

        Given the gradients of that loss by the captions and videos of ``batch``, encoded: "total" is their product
        with these, whose gradient is the loss's.
        """
        encoded = encode(self.model, batch, self.precision)
        if gradients is None:
            text, video = map(gathered, encoded)
            losses = self.model.losses_of(text, video, gathered(targets_of(batch)))
            return {name: loss if name == "total" else loss.detach() for name, loss in losses.items()}
        products = [
            (side[name] * gradient).sum()
            for side, by_side in zip(encoded, gradients, strict=True)
            for name, gradient in by_side.tensors.items()
        ]
        return {"total": torch.stack(products).sum()}


def backward(step: nn.Module, batch: Batch, parts: int, scaler: torch.amp.GradScaler) -> dict[str, Tensor]:
    """Gives the parameters, which have none yet, the gradient of the loss; returns the loss's terms, detached.

    step     a Step, as ``hbi.training.distributed.parallel`` has it
    batch    the pairs that this process encodes, of those that the loss is of
    parts    the batch is encoded in; with several it is encoded twice, part by part: once without gradient, to know
             every pair's contrast, then once more to carry the gradient of the encoded batch into the encoder (the
             scheme of GradCache, arXiv 2101.06983). Unlike the usual accumulation it leaves the loss, and so the
             negatives, unchanged
    """
    own = unwrapped(step)
    assert isinstance(own, Step)
    model = own.model
    if parts == 1:
        losses = step(batch)
        scaler.scale(losses["total"]).backward()
    else:
        cut = list(_parts(batch, parts))
        seed = torch.initial_seed()
        encoded = []
        for number, part in enumerate(cut):
            with torch.no_grad(), _drawing(batch.frames.device, seed + number):
                encoded.append(encode(model, part, own.precision))
        text, video = (Encoded.cat(side).map(_leaf) for side in zip(*encoded, strict=True))
        with alone(step):
            losses = model.losses_of(gathered(text), gathered(video), gathered(targets_of(batch)))
            scaler.scale(losses["total"]).backward()
        start = 0
        for number, part in enumerate(cut):
            rows = slice(start, start := start + len(part.video_index))
            quiet = nullcontext() if part is cut[-1] else alone(step)
            with quiet, _drawing(batch.frames.device, seed + number):  # the same dropout as in the first pass
                step(part, [_gradients(side, rows) for side in (text, video)])["total"].backward()
    scale_as_published(model)
    return {name: loss.detach() for name, loss in losses.items()}


@contextmanager
def _drawing(device: torch.device, seed: int) -> Iterator[None]:
    """Inside, torch draws by ``seed``; afterwards it goes on as if nothing had been drawn."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _parts(batch: Batch, parts: int) -> Iterator[Batch]:
    columns = [torch.chunk(getattr(batch, name), parts) for name in Batch.__dataclass_fields__]
    return (Batch(*part) for part in zip(*columns, strict=True))


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.requires_grad_() if tensor.is_floating_point() else tensor


def _gradients(encoded: Encoded, rows: slice) -> Encoded:
    """By the tensors that the loss depends on."""
    return Encoded({name: tensor.grad[rows] for name, tensor in encoded.tensors.items() if tensor.grad is not None})
