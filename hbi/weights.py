"""Weights in files: read without running any code of them, fitted with a list of what does not fit."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hbi.errors import InputError


def read_weights(file: Path) -> dict[str, Tensor]:
    """A state dict from ``file`` without running any code of it; raises InputError when that is not possible."""
    if not file.is_file():
        raise InputError(f"{file}: no such file of weights")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise whatever the damage provokes
        raise InputError(
            f"{file}: not readable as plain weights ({(str(error) or type(error).__name__).splitlines()[0][:120]})"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{file}: holds no state dict (a mapping from names to tensors)")
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def fit(module: nn.Module, state: dict[str, Tensor], file: Path) -> None:
    """Loads ``state`` into ``module``; raises InputError that lists what is missing, unexpected or of another shape."""
    own = module.state_dict()
    wrong = [f"missing {key}" for key in own if key not in state]
    wrong += [f"unexpected {key}" for key in state if key not in own]
    wrong += [
        f"{key} is {list(state[key].shape)}, not {list(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise InputError(f"{file}: does not fit the model: {'; '.join(wrong[:5])}{more}")
    module.load_state_dict(state)
