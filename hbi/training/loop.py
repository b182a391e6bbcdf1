"""The training loop: epochs of steps, a checkpoint after every epoch and on request, the chosen weights at the end.

Several processes (hbi.training.distributed) run it side by side; the first alone logs, evaluates and writes.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from hbi.config import TrainingConfig
from hbi.data.batches import Batch
from hbi.errors import RunFailure
from hbi.files import write_atomically
from hbi.models import System
from hbi.seeds import spread
from hbi.training import checkpoint
from hbi.training.checkpoint import Progress
from hbi.training.distributed import agreed, parallel, rank, share
from hbi.training.optimiser import optimiser, set_learning_rate, share_of_peak
from hbi.training.precision import halve
from hbi.training.step import Step, backward

STATE, BEST = "training.pt", "best.pt"
"""Files in the run's folder while it trains: everything needed to go on, and the best weights so far."""

Event = dict[str, Any]
Request = Literal["save", "stop", "abandon"]
"""A checkpoint; a checkpoint and an end; an end at once that writes nothing."""


class Stopped(Exception):
    """The training was asked to stop; its state is on disk and the same call goes on from there."""


@dataclass(frozen=True)
class Task:
    """What is trained, on what: the callables hide the data set from the loop."""

    model: System
    config: TrainingConfig
    device: torch.device
    folder: Path
    steps_per_epoch: int
    published_steps: int
    """Length of the published schedule."""
    batches: Callable[[int, int], Iterator[Batch]]
    """(epoch, first step) → the epoch's batches from that step on: of each the part that this process encodes."""
    validate: Callable[[], dict[str, float]] | None
    """Metrics on the split that is watched; none where the data set has none."""
    watched: str
    """The metric whose largest value selects the weights."""
    log: Callable[[Event], None]
    requested: Callable[[], Request | None]
    """What the outside wants, asked after every step and every look at a split."""


def train(task: Task) -> Progress:
    """Trains to the end and leaves the chosen weights in the model; resumes where ``task.folder`` has a state.

    Raises RunFailure("nan") when the loss is no longer finite (the last good checkpoint stays), Stopped on request.
    Of several processes, those after the first end with the last weights.
    """
    if rank():
        task = replace(task, validate=None, log=lambda event: None, requested=lambda: None)
    model, config = task.model, task.config
    share(config.batch_size)  # refuses one that cannot be shared, before anything is done
    if config.precision == "released" and task.device.type == "cuda":
        halve(model)
    adam = optimiser(model, config)
    scaler = torch.amp.GradScaler(task.device.type, enabled=config.precision == "fp16")
    progress = _resumed(task, adam, scaler)
    step = parallel(Step(model, config.precision))

    while progress.epoch < config.epochs:
        model.train()
        _epoch(task, progress, step, adam, scaler)
        metrics = task.validate() if task.validate else {}
        _heed(task, progress, adam, scaler)  # what was asked for meanwhile; the state is that before the look
        _close_epoch(task, progress, metrics, adam)
        _save(task, progress, adam, scaler)
    if config.selection != "last" and rank() == 0:
        model.load_state_dict(torch.load(task.folder / BEST, map_location=task.device, weights_only=True))
    return progress


def _resumed(task: Task, adam: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> Progress:
    """Where an earlier call stopped, with everything restored; or the start."""

    def load() -> Progress | None:
        return checkpoint.load(task.folder / STATE, task.model, adam, scaler)

    progress = load() if rank() == 0 else None
    if agreed(progress is not None) and rank():  # after the first one: it sets a damaged file aside
        progress = load()
    if progress:
        task.log({"event": "resumed", "epoch": progress.epoch + 1, "step": progress.step})
    return progress or Progress()


def _save(task: Task, progress: Progress, adam: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> None:
    if rank() == 0:
        checkpoint.save(task.folder / STATE, progress, task.model, adam, scaler)


def _epoch(
    task: Task, progress: Progress, step: nn.Module, adam: torch.optim.Optimizer, scaler: torch.amp.GradScaler
) -> None:
    """The rest of the epoch under way, step by step."""
    model, config = task.model, task.config
    steps = config.epochs * task.steps_per_epoch
    for batch in task.batches(progress.epoch, progress.step):
        done = progress.epoch * task.steps_per_epoch + progress.step
        # here, and not after the last step: a stop that was asked for meanwhile must not wait for the evaluation
        if progress.step and _looks_at(task, done):
            metrics = task.validate() if task.validate else {}
            _heed(task, progress, adam, scaler)
            if metrics:
                _keep_best(task, progress, metrics, progress.epoch + 1)
        started = time.perf_counter()
        set_learning_rate(adam, share_of_peak(config, done, steps, task.published_steps))
        model.step = done
        torch.manual_seed(spread(model.seed, "dropout", done))
        adam.zero_grad(set_to_none=True)
        try:
            losses = backward(step, batch.to(task.device), config.accumulation, scaler)
        except RunFailure as failure:
            raise RunFailure(failure.kind, f"{failure} at step {done + 1} of {steps}") from failure
        terms = {name: float(value) for name, value in losses.items()}
        broken = [name for name, value in terms.items() if not math.isfinite(value)]
        if broken:
            raise RunFailure("nan", f"loss {', '.join(broken)} is not finite at step {done + 1} of {steps}")
        scaler.unscale_(adam)
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        scaler.step(adam)
        scaler.update()
        if model.logit_scale.requires_grad:
            with torch.no_grad():
                model.logit_scale.clamp_(max=math.log(config.max_logit_scale))
        model.after_step()

        progress.step += 1
        progress.seconds += time.perf_counter() - started
        for name, value in terms.items():
            progress.sums[name] = progress.sums.get(name, 0.0) + value
        task.log(
            {
                "event": "step",
                "epoch": progress.epoch + 1,
                "step": done + 1,
                "steps": steps,
                "loss": terms["total"],
            }
        )
        _heed(task, progress, adam, scaler)


def _heed(task: Task, progress: Progress, adam: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> None:
    """Does what the outside asks for; raises Stopped where that is an end."""
    request = agreed(task.requested())
    if request in ("save", "stop"):
        _save(task, progress, adam, scaler)
    if request in ("stop", "abandon"):
        raise Stopped


def _close_epoch(task: Task, progress: Progress, metrics: dict[str, float], adam: torch.optim.Optimizer) -> None:
    """Adds the epoch to the curve; its end is a look at the watched split as well."""
    progress.epoch += 1
    point = {
        "epoch": progress.epoch,
        "step": progress.epoch * task.steps_per_epoch,
        "losses": {name: total / task.steps_per_epoch for name, total in progress.sums.items()},
        "metrics": metrics,
        "learning_rate": max(group["lr"] for group in adam.param_groups),
        "logit_scale": float(task.model.logit_scale.detach().exp()),
        "seconds": progress.seconds,
    }
    progress.curve.append(point)
    progress.step, progress.sums, progress.seconds = 0, {}, 0.0
    if task.validate and _looks_at(task, point["step"]):
        _keep_best(task, progress, metrics, progress.epoch)
    task.log({"event": "epoch", **point, "epochs": task.config.epochs})


def _looks_at(task: Task, step: int) -> bool:
    """Whether the weights after ``step`` steps are a candidate of the selection."""
    config, per_epoch = task.config, task.steps_per_epoch
    every = config.select_every or per_epoch
    return config.selection != "last" and (step % every == 0 or step == config.epochs * per_epoch)


def _keep_best(task: Task, progress: Progress, metrics: dict[str, float], epoch: int) -> None:
    """Keeps the weights of ``epoch`` (counted from 1) when they are the best so far.

    A training that is killed after this goes on from an earlier state, and finds the same weights again.
    """
    if progress.best is None or metrics[task.watched] > progress.best:
        progress.best, progress.best_epoch = metrics[task.watched], epoch
        write_atomically(task.folder / BEST, lambda file: torch.save(task.model.state_dict(), file))
