"""AdamW with two learning rates, and the schedule: linear warm-up, then a cosine to zero at the run's own end."""

import math

import torch
from torch import nn

from hbi.config import TrainingConfig
from hbi.models import System


def optimiser(model: System, config: TrainingConfig) -> torch.optim.AdamW:
    """Four groups: encoder or not, decayed or not. No decay on what is no matrix: norms, biases, the logit scale."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith(model.encoder_prefix), parameter.ndim >= 2), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "peak": config.lr * (config.coef_lr if encoder else 1.0),
                "weight_decay": config.weight_decay if decayed else 0.0,
            }
            for (encoder, decayed), parameters in groups.items()
        ],
        lr=config.lr,
        betas=config.betas,
        fused=True,
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, step: int, steps: int, warmup: float) -> float:
    """Sets every group's rate for ``step`` (counted from 0) of ``steps``; returns the share of the peak in use."""
    share = schedule((step + 0.5) / steps, warmup)  # the middle of the step: neither the first nor the last is wasted
    for group in optimiser.param_groups:
        group["lr"] = share * group["peak"]
    return share


def schedule(progress: float, warmup: float) -> float:
    """Share of the peak rate at ``progress`` in [0,1]: rises to 1 at ``warmup``, then half a cosine to 0 at 1."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
