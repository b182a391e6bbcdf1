"""The training loop: epochs of steps, a checkpoint after every epoch and on request, the chosen weights at the end."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from hbi.config import TrainingConfig
from hbi.data.batches import Batch
from hbi.errors import RunFailure
from hbi.files import write_atomically
from hbi.models import System
from hbi.training import checkpoint
from hbi.training.checkpoint import Progress
from hbi.training.optimiser import optimiser, set_learning_rate, share_of_peak
from hbi.training.step import backward

STATE, BEST = "training.pt", "best.pt"
"""Files in the run's folder while it trains: everything needed to go on, and the best weights so far."""

Event = dict[str, Any]
Request = Literal["save", "stop"]


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
    """(epoch, first step) → the epoch's batches from that step on."""
    validate: Callable[[], dict[str, float]] | None
    """Metrics on the split that is watched; none where the data set has none."""
    watched: str
    """The metric whose largest value selects the weights."""
    log: Callable[[Event], None]
    requested: Callable[[], Request | None]
    """What the outside wants, asked after every step."""


def train(task: Task) -> Progress:
    """Trains to the end and leaves the chosen weights in the model; resumes where ``task.folder`` has a state.

    Raises RunFailure("nan") when the loss is no longer finite (the last good checkpoint stays), Stopped on request.
    """
    model, config = task.model, task.config
    adam = optimiser(model, config)
    scaler = torch.amp.GradScaler(task.device.type, enabled=config.precision == "fp16")
    progress = checkpoint.load(task.folder / STATE, model, adam, scaler) or Progress()
    if progress.epoch or progress.step:
        task.log({"event": "resumed", "epoch": progress.epoch + 1, "step": progress.step})

    while progress.epoch < config.epochs:
        model.train()
        _epoch(task, progress, adam, scaler)
        metrics = task.validate() if task.validate else {}
        _close_epoch(task, progress, metrics, adam)
        checkpoint.save(task.folder / STATE, progress, model, adam, scaler)
    if config.selection != "last":
        model.load_state_dict(torch.load(task.folder / BEST, map_location=task.device, weights_only=True))
    return progress


def _epoch(task: Task, progress: Progress, adam: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> None:
    """The rest of the epoch under way, step by step."""
    model, config = task.model, task.config
    steps = config.epochs * task.steps_per_epoch
    for batch in task.batches(progress.epoch, progress.step):
        started = time.perf_counter()
        done = progress.epoch * task.steps_per_epoch + progress.step
        set_learning_rate(adam, share_of_peak(config, done, steps, task.published_steps))
        model.step = done
        adam.zero_grad(set_to_none=True)
        try:
            losses = backward(model, batch.to(task.device), config.accumulation, config.precision, scaler)
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
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(config.max_logit_scale))

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
        if task.validate and _looks_at(task, done + 1) and progress.step < task.steps_per_epoch:  # else at its close
            _keep_best(task, progress, task.validate(), progress.epoch + 1)
        match task.requested():
            case "save":
                checkpoint.save(task.folder / STATE, progress, model, adam, scaler)
            case "stop":
                checkpoint.save(task.folder / STATE, progress, model, adam, scaler)
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
    if _looks_at(task, point["step"]):
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
