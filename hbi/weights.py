"""Weights in files: read without running any code that we do not know, fitted with a list of what does not fit."""

import io
from collections.abc import Collection, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor, nn

from hbi.errors import InputError

OPENAI_ARCHIVES = frozenset(
    {
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",  # ViT-B-32.pt
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",  # ViT-B-16.pt
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",  # ViT-L-14.pt
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",  # ViT-L-14-336px.pt
    }
)
"""SHA-256 of OpenAI's CLIP archives with a vision transformer, as their download addresses give it (clip/clip.py of
openai/CLIP; the same in open_clip/pretrained.py, 3.3.0)."""


def read_weights(file: Path, archives: Collection[str] = OPENAI_ARCHIVES) -> dict[str, Tensor]:
    """A state dict from ``file``; raises InputError where there is none, or none that runs no code.

    Reading a TorchScript archive runs code that it brings along: only one whose SHA-256 is in ``archives`` is read.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such file of weights")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(file)
        elif _is_torchscript(file):
            state = _read_torchscript(file, archives)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # the readers raise whatever the damage provokes
        raise InputError(
            f"{file}: not readable as plain weights ({(str(error) or type(error).__name__).splitlines()[0][:120]})"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{file}: holds no state dict (a mapping from names to tensors)")
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def _is_torchscript(file: Path) -> bool:
    """Plain weights, zipped as well, have no constants of a program."""
    if not is_zipfile(file):
        return False
    with ZipFile(file) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _read_torchscript(file: Path, archives: Collection[str]) -> dict[str, Tensor]:
    content = file.read_bytes()  # once: what is read is what was compared, whatever happens to the file meanwhile
    if sha256(content).hexdigest() not in archives:
        plain = file.with_suffix(".state.pt").name
        raise InputError(
            f"{file}: a TorchScript archive that is none of OpenAI's, and reading it would run its code; convert it "
            f"where you trust it: python -c \"import torch; torch.save(torch.jit.load('{file.name}', "
            f"map_location='cpu').state_dict(), '{plain}')\""
        )
    return torch.jit.load(io.BytesIO(content), map_location="cpu").state_dict()  # type: ignore[no-any-return]


def fit(module: nn.Module, state: Mapping[str, Tensor], origin: Path | str) -> None:
    """Loads ``state``, which comes from ``origin``, into ``module``; InputError as ``check_names_and_shapes``."""
    check_names_and_shapes(module.state_dict(), state, origin)
    module.load_state_dict(state)


def check_names_and_shapes(own: Mapping[str, Tensor], state: Mapping[str, Tensor], origin: Path | str) -> None:
    """Raises InputError that lists what ``state`` lacks of a module's ``own``, has beyond it, or of another shape."""
    wrong = [f"missing {key}" for key in own if key not in state]
    wrong += [f"unexpected {key}" for key in state if key not in own]
    wrong += [
        f"{key} is {list(state[key].shape)}, not {list(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise InputError(f"{origin}: does not fit the model: {'; '.join(wrong[:5])}{more}")
