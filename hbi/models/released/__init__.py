"""Published checkpoints: into our models and back, name by name.

Each published code keeps one flat model; a Layout says how it calls each weight of ours. What it has and ours have not
(batch norms that it never uses, mostly) is kept beside the model, so that ``save`` gives back what ``load`` has read.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, overload

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from hbi.errors import InputError
from hbi.files import write_atomically
from hbi.games.estimator import BanzhafEstimator
from hbi.models.clip_system import ClipSystem
from hbi.models.estimator_training import EstimatorTraining
from hbi.models.released import estimator
from hbi.models.released.bridgeformer_clip import BridgeFormerClipLayout
from hbi.models.released.clip4clip import Clip4ClipLayout
from hbi.models.released.dicosa import DiCoSALayout
from hbi.models.released.diffusionret import DiffusionRetLayout
from hbi.models.released.drl import DRLLayout
from hbi.models.released.emcl import EMCLLayout
from hbi.models.released.estimator import ESTIMATOR
from hbi.models.released.glscl import GLSCLLayout
from hbi.models.released.hbi import TEACHER, HBILayout, HBIQALayout
from hbi.models.released.layout import Layout
from hbi.models.released.two_towers import BridgeFormerLayout, MILESLayout
from hbi.models.two_towers import TwoTowers
from hbi.weights import read_weights

__all__ = ["LAYOUTS", "TEACHER", "fill", "is_published", "load", "published_name", "published_state", "save"]

Weights = Mapping[str, Tensor] | str | Path
Released = ClipSystem | TwoTowers
Model = Released | BanzhafEstimator | EstimatorTraining

LAYOUTS: dict[str, Layout[Any]] = {
    layout.system: layout
    for layout in (
        HBILayout(),
        HBIQALayout(),
        Clip4ClipLayout(),
        DRLLayout(),
        GLSCLLayout(),
        EMCLLayout(),
        DiCoSALayout(),
        DiffusionRetLayout(),
        BridgeFormerLayout(),
        BridgeFormerClipLayout(),
        MILESLayout(),
    )
}
"""By system, as hbi.config.SYSTEMS names it."""


@overload
def load(
    system: Literal["hbi-estimator"], weights: Weights, *, seed: int = 0, **options: Any
) -> BanzhafEstimator | EstimatorTraining: ...
@overload
def load(system: str, weights: Weights, *, seed: int = 0, **options: Any) -> Released: ...
def load(system: str, weights: Weights, *, seed: int = 0, **options: Any) -> nn.Module:
    """The model of a published checkpoint, in evaluation mode, on the CPU, with every departure "released".

    system   as hbi.config.SYSTEMS names it; or "hbi-estimator", which takes the published estimator's own file and
             gives the network, or the state dict of the whole model that it is trained in, which gives an
             EstimatorTraining
    weights  a file (read without running any code of it), or its state dict; all sizes are read from the tensors
    options  of the system's configuration (hbi.config), over the published ones; departures={} gives the corrected
             method with these weights. What no tensor says is among them: the merge rates of HBI, say

    Raises InputError that names the system and the file (or "state dict") and lists keys that are missing, unexpected,
    or of another shape, or where the file cannot be read.
    """
    if system not in LAYOUTS and system != ESTIMATOR:
        raise InputError(f"released.load: unknown system {system!r}; known: {', '.join([*LAYOUTS, ESTIMATOR])}")
    state, origin = _read(weights)
    if system != ESTIMATOR:
        with _naming_another(system, state):
            model: Released = LAYOUTS[system].load(state, origin, seed, options)
            return model.eval()
    if is_published(state):
        return estimator.load_training(state, origin, seed, options).eval()
    return estimator.load_network(state, origin).eval()


def is_published(state: Mapping[str, Tensor]) -> bool:
    """Whether these are the names of a published checkpoint, and not ours."""
    return any(name in state for name in ("clip.logit_scale", "text_proj.1.weight", "visual.class_embedding"))


def fill(model: Released, state: Mapping[str, Tensor], origin: Path | str) -> None:
    """Loads ``state``, by its published names, into ``model``.

    InputError, which names system and ``origin``, where ``state`` is not what the published model of these sizes has
    (of HBI: all levels included).
    """
    with _naming_another(model.config.system, state):
        _layout_of(model).fill(model, state, origin)


def save(model: Model, path: str | Path) -> None:
    """Writes ``model`` in the published layout, whole or not at all: safetensors, or, of another suffix, torch's own.

    What was loaded comes out as it was. What the layout has beyond the model (unused batch norms; of HBI a teacher,
    where an exact one has taught) is as in a new network of the published code. InputError where a part is missing
    that the published code always has: of HBI a level or its student.
    """
    state = {name: weight.detach().cpu().contiguous() for name, weight in published_state(model).items()}
    if Path(path).suffix == ".safetensors":
        write_atomically(Path(path), to_safetensors(state))
    else:
        write_atomically(Path(path), lambda file: torch.save(state, file))


def published_state(model: Model) -> dict[str, Tensor]:
    """What ``save`` writes, by published names."""
    if isinstance(model, Released):
        return _layout_of(model).state(model)
    return estimator.published_state(model)


def published_name(name: str, system: str = "hbi") -> str:
    """A weight of our model as the published code of ``system`` calls it."""
    return LAYOUTS[system].name(name)


def _layout_of(model: Released) -> Layout[Any]:
    system = model.config.system
    if system not in LAYOUTS:
        raise InputError(f"released: {system} has no published layout; known: {', '.join(LAYOUTS)}")
    return LAYOUTS[system]


@contextmanager
def _naming_another(system: str, state: Mapping[str, Tensor]) -> Iterator[None]:
    """An InputError says which other system ``state`` looks like, by what only checkpoints of that have."""
    try:
        yield
    except InputError as error:
        marked = [layout for layout in LAYOUTS.values() if layout.marks and all(mark in state for mark in layout.marks)]
        likely = max(marked, key=lambda layout: len(layout.marks), default=None)
        if likely is None or likely.system == system:
            raise
        raise InputError(f"{error}; it looks like a checkpoint of {likely.title} ({likely.system})") from error


def _read(weights: Weights) -> tuple[Mapping[str, Tensor], Path | str]:
    if isinstance(weights, Mapping):
        return {str(name).removeprefix("module."): weight for name, weight in weights.items()}, "state dict"
    return read_weights(Path(weights)), Path(weights)
