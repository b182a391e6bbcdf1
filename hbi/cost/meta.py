"""On torch's meta device, where tensors have shapes and no values: a gallery, and the step of AdamW."""

from functools import partial

import torch

from hbi.cost.flops import FlopReport, count_flops
from hbi.models import Encoded, System


def many(encoded: Encoded, number: int) -> Encoded:
    """``number`` items of the same shapes."""
    return encoded.map(lambda tensor: torch.empty(number, *tensor.shape[1:], dtype=tensor.dtype, device="meta"))


def adamw(system: System) -> FlopReport:
    """Its step on the weights that have a gradient, as one kernel makes it (hbi.training.optimiser)."""
    weights = [torch.empty_like(one, device="meta") for one in system.parameters() if one.grad is not None]
    if not weights:
        return FlopReport(0, 0, {})
    steps = [torch.empty((), device="meta") for _ in weights]
    rates = {"lr": 1.0, "beta1": 0.9, "beta2": 0.9, "weight_decay": 0.2, "eps": 1.0}
    step = partial(torch._fused_adamw_, amsgrad=False, maximize=False, **rates)
    return count_flops(step, weights, weights, weights, weights, [], steps)
