"""AdamW or the published BertAdam, with two learning rates, and the schedule of these."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from hbi.config import TrainingConfig
from hbi.models import System

PUBLISHED_EPOCHS = 5
"""Length of the published cosine, whatever the training's (golden/hbi/README.md, G5)."""


def optimiser(model: System, config: TrainingConfig) -> torch.optim.Optimizer:
    """Four groups: encoder or not, decayed or not; a group's "peak" is its rate where the schedule is at 1.

    AdamW decays what is a matrix: no norms, biases and logit scale. BertAdam decays, as published, all but biases.
    """
    bert = config.optimiser == "bertadam"
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decayed = "bias" not in name if bert else parameter.ndim >= 2
            groups.setdefault((name.startswith(model.encoder_prefix), decayed), []).append(parameter)
    described = [
        {
            "params": parameters,
            "peak": config.lr * (config.coef_lr if encoder else 1.0),
            "weight_decay": config.weight_decay if decayed else 0.0,
        }
        for (encoder, decayed), parameters in groups.items()
    ]
    if bert:
        return BertAdam(described, config.lr, config.betas)
    return torch.optim.AdamW(described, lr=config.lr, betas=config.betas, fused=True)


class BertAdam(torch.optim.Optimizer):
    """Adam as HBI's published code has it (from BERT's): no bias correction, decay beside the moments.

        m ← β₁ m + (1−β₁) g      v ← β₂ v + (1−β₂) g²      p ← p − lr · ( m / (√v + ε) + decay · p )

    A parameter without gradient is left alone, decay included. Moments have the parameter's dtype.
    """

    def __init__(
        self, params: Iterable[dict[str, Any]], lr: float, betas: tuple[float, float], eps: float = 1e-6
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = closure() if closure else None
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            if moved:
                self._move(moved, group)
        return loss

    def _move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {name: torch.zeros_like(parameter) for name in ("mean", "square")}
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        mean, square = ([self.state[parameter][name] for parameter in parameters] for name in ("mean", "square"))
        of_mean, of_square = group["betas"]
        torch._foreach_mul_(mean, of_mean)
        torch._foreach_add_(mean, gradients, alpha=1 - of_mean)
        torch._foreach_mul_(square, of_square)
        torch._foreach_addcmul_(square, gradients, gradients, value=1 - of_square)
        scale = torch._foreach_sqrt(square)
        torch._foreach_add_(scale, group["eps"])
        update = torch._foreach_div(mean, scale)
        if group["weight_decay"]:
            torch._foreach_add_(update, parameters, alpha=group["weight_decay"])
        torch._foreach_add_(parameters, update, alpha=-group["lr"])


def set_learning_rate(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Every group's rate: ``share`` of its peak."""
    for group in optimiser.param_groups:
        group["lr"] = share * group["peak"]


def share_of_peak(config: TrainingConfig, step: int, steps: int, published_steps: int) -> float:
    """Of the learning rate, at ``step`` (from 0) of ``steps``; the published cosine is ``published_steps`` long."""
    if config.schedule == "released":
        return released_schedule(step / published_steps, config.warmup)
    return schedule((step + 0.5) / steps, config.warmup)  # middle of the step: neither the first nor the last is wasted


def schedule(progress: float, warmup: float) -> float:
    """Share of the peak rate at ``progress`` in [0,1]: rises to 1 at ``warmup``, then half a cosine to 0 at 1."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def released_schedule(progress: float, warmup: float) -> float:
    """As published: the cosine is not rescaled, so it jumps at the end of the warm-up, and beyond 1 it rises again."""
    return progress / warmup if progress < warmup else 0.5 * (1 + math.cos(math.pi * progress))
