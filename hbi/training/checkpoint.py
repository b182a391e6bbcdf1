"""The state of an unfinished training, complete enough that going on is bit-equal to never having stopped."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from hbi.files import write_atomically


@dataclass
class Progress:
    """How far the training is. Plain numbers, strings, lists and dictionaries only, so that reading runs no code."""

    epoch: int = 0
    """Epochs completed."""
    step: int = 0
    """Steps completed in the epoch under way."""
    sums: dict[str, float] = field(default_factory=dict)
    """Losses of the epoch under way, summed over its steps."""
    seconds: float = 0.0
    """Training time of the epoch under way."""
    curve: list[dict[str, Any]] = field(default_factory=list)
    best: float | None = None
    """Best value of the selection metric so far, reached after ``best_epoch`` epochs."""
    best_epoch: int | None = None


def save(
    path: Path,
    progress: Progress,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> None:
    """Writes everything to ``path`` atomically; raises OSError when the disk is full, the old file then stays."""
    state = {
        "progress": asdict(progress),
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "scaler": scaler.state_dict(),
    }
    write_atomically(path, lambda file: torch.save(state, file))


def load(
    path: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer, scaler: torch.amp.GradScaler
) -> Progress | None:
    """Restores what ``save`` wrote; none when there is no file, or a damaged one (set aside; the run starts anew)."""
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # damage surfaces as whatever the unpickler meets first
        path.rename(path.with_suffix(".damaged"))
        return None
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    scaler.load_state_dict(state["scaler"])
    return Progress(**state["progress"])
