"""The published checkpoint layout of HBI: into our modules and back, name by name.

The published code keeps one flat model; ``published_name`` says how it calls each weight of ours. What it has and ours
have not (batch norms that it never uses, mostly) is kept beside the model, so that ``save`` gives back what ``load``
has read.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, overload
from weakref import WeakKeyDictionary

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from hbi.config import LEVELS, DeparturesConfig, EstimatorConfig, HBIConfig, HBIQAConfig, TeacherConfig
from hbi.errors import InputError
from hbi.files import write_atomically
from hbi.games.estimator import PUBLISHED_NAMES, PUBLISHED_SCALE, BanzhafEstimator, from_published, to_published
from hbi.models.estimator_training import EstimatorTraining
from hbi.models.hbi import HBI
from hbi.models.hbi_qa import HBIQA
from hbi.weights import check_names_and_shapes, read_weights

Published = Literal["hbi", "hbi-qa", "hbi-estimator"]
Weights = Mapping[str, Tensor] | str | Path

TEACHER = "banzhafteacher."
"""Prefix of the teacher network, which is no part of our models, only at hand for them."""

_NUMBER = {"entity": "", "action": "0", "event": "1"}
_SIDE = {"text": "t", "video": "v"}
_MERGE = {
    "convolution": "ctm{}.conv.conv",
    "norm": "ctm{}.norm",
    "score": "ctm{}.score",
    "attention_norm": "block{}.norm1",
    "query": "block{}.attn.q",
    "key_value": "block{}.attn.kv",
    "projection": "block{}.attn.proj",
}

_unheld: WeakKeyDictionary[nn.Module, dict[str, Tensor]] = WeakKeyDictionary()
"""What the file of a model held and the model has no place for."""


def published_name(name: str) -> str:
    """A weight of HBI or HBIQA as the published code calls it."""
    part, *rest = name.split(".")
    match part:
        case "encoder":
            return ".".join(rest)
        case "temporal":
            positions = rest == ["positions"]
            return "frame_position_embeddings.weight" if positions else f"transformerClip.res{'.'.join(rest)}"
    level, *inner = rest
    number, tail = _NUMBER[level], ".".join(inner)
    match part:
        case "word_scores":
            return f"text_weight_fc{number}.{tail}"
        case "frame_scores":
            return f"video_weight_fc{number}.{tail}"
        case "student":
            return f"banzhafmodel{number}.{PUBLISHED_NAMES[tail]}"
        case "text_merge" | "video_merge":
            return f"{_SIDE[part.removesuffix('_merge')]}_{_MERGE[inner[0]].format(number)}.{inner[1]}"
    match inner:  # heads
        case ["weights", side, *tail_of_weights]:
            return f"{_SIDE[side]}_weight{number}.{'.'.join(tail_of_weights)}"
        case ["projections", side, kind]:
            return f"{_SIDE[side]}_proj{number}.{kind}"
    return f"classifier{number}.{'0' if inner[0] == 'hidden' else '2'}.{inner[1]}"


@overload
def load(system: Literal["hbi"], weights: Weights, *, seed: int = 0, **options: Any) -> HBI: ...
@overload
def load(system: Literal["hbi-qa"], weights: Weights, *, seed: int = 0, **options: Any) -> HBIQA: ...
@overload
def load(
    system: Literal["hbi-estimator"], weights: Weights, **options: Any
) -> BanzhafEstimator | EstimatorTraining: ...
def load(system: Published, weights: Weights, *, seed: int = 0, **options: Any) -> nn.Module:
    """The model of a published checkpoint, in evaluation mode, on the CPU, with every departure "released".

    weights  a file (read without running any code of it), or its state dict; all sizes are read from the tensors
    options  of the system's configuration (hbi.config), over the published ones; departures=DeparturesConfig() gives
             the corrected method with these weights. What no tensor says is among them: the merge rates
    "hbi-estimator" takes the published estimator's own file, which gives the network; or the state dict of the whole
    model that it is trained in, which gives an EstimatorTraining.

    Raises InputError that names the file (or "state dict") and lists keys that are missing, unexpected, or of another
    shape, or where the file cannot be read.
    """
    state, origin = _read(weights)
    if system == "hbi-estimator":
        return _load_estimator(state, origin, seed, options).eval()
    if system not in ("hbi", "hbi-qa"):
        raise InputError(f"released.load: unknown system {system!r}; known: hbi, hbi-qa, hbi-estimator")
    _check_sizes(state, origin, _NEEDED | (_NEEDED_FOR_ANSWERS if system == "hbi-qa" else {}))
    sizes = _encoder_sizes(state)
    config = _config(system, state, options)
    model = HBIQA(config, seed, sizes) if isinstance(config, HBIQAConfig) else HBI(config, seed, sizes)
    fill(model, state, origin)
    return model.eval()


def is_published(state: Mapping[str, Tensor]) -> bool:
    """Whether these are the names of a published checkpoint of HBI, and not ours."""
    return "clip.logit_scale" in state


def fill(model: HBI, state: Mapping[str, Tensor], origin: Path | str) -> None:
    """Loads ``state``, by its published names, into ``model``; its teacher too, where the model is taught by a network.

    InputError, which names the ``origin``, where ``state`` is not what a model of these sizes has, all levels included.
    """
    check_names_and_shapes(_layout(model), state, origin)
    held = {name: published_name(name) for name in model.state_dict()}
    model.load_state_dict({ours: state[theirs] for ours, theirs in held.items()})
    if model.config.teacher and model.config.teacher.method == "estimated":
        model.teach(from_published(_under(TEACHER, state), origin))
    _unheld[model] = {name: state[name].clone() for name in state.keys() - set(held.values())}


def save(model: HBI | BanzhafEstimator | EstimatorTraining, path: str | Path) -> None:
    """Writes ``model`` in the published layout, whole or not at all: safetensors, or, of another suffix, torch's own.

    What was loaded comes out as it was. What the layout has beyond the model (the unused batch norms; a teacher, where
    an exact one has taught) is as in a new network of the published code. InputError where a level or its student
    is missing, for the published code has them all.
    """
    state = {name: weight.detach().cpu().contiguous() for name, weight in published_state(model).items()}
    if Path(path).suffix == ".safetensors":
        write_atomically(Path(path), to_safetensors(state))
    else:
        write_atomically(Path(path), lambda file: torch.save(state, file))


def published_state(model: HBI | BanzhafEstimator | EstimatorTraining) -> dict[str, Tensor]:
    """What ``save`` writes, by published names."""
    unheld = _unheld.get(model, {})
    if isinstance(model, BanzhafEstimator):
        return to_published(model) | unheld
    if isinstance(model, EstimatorTraining):
        source = {published_name(name): weight for name, weight in model.source.state_dict().items()}
        return source | _over(TEACHER, to_published(model.network)) | unheld
    new = to_published(BanzhafEstimator(model.config.student_width, PUBLISHED_SCALE))
    state = _over(TEACHER, new)
    for number in _NUMBER.values():
        state |= {f"banzhafmodel{number}.{name}": weight for name, weight in new.items() if name.startswith("bn.")}
    state |= unheld
    if model.taught_by:
        state |= {name: w for name, w in _over(TEACHER, to_published(model.taught_by)).items() if ".bn." not in name}
    state |= {published_name(name): weight for name, weight in model.state_dict().items()}
    if missing := [name for name in _layout(model) if name not in state]:
        raise InputError(
            f"released.save: the model lacks {missing[0]} and {len(missing) - 1} more of the published one"
        )
    return state


# ---- layout and sizes -----------------------------------------------------------------------------------------------


def _layout(model: HBI) -> dict[str, Tensor]:
    """Names and shapes (on the meta device) of the published model with the sizes of ``model``: all levels, a teacher
    and students."""
    whole = {"levels": LEVELS, "teacher": TeacherConfig(), "pretrained": None}
    config = model.config.model_copy(update=whole)
    with torch.device("meta"):
        full = type(model)(config, sizes=model.encoder.sizes)
        network = to_published(BanzhafEstimator(config.student_width))
    unused = {name: weight for name, weight in network.items() if name.startswith("bn.")}
    layout = {published_name(name): weight for name, weight in full.state_dict().items()} | _over(TEACHER, network)
    for number in _NUMBER.values():
        layout |= _over(f"banzhafmodel{number}.", unused)
    return layout


def _config(system: Published, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> HBIConfig:
    """The published configuration, sizes from the tensors, under ``options``."""
    sizes: dict[str, Any] = {
        "encoder": "as in the checkpoint",
        "temporal_layers": _layers(state, "transformerClip."),
        "student_width": len(state["banzhafmodel.Q"]),
    }
    if system == "hbi":
        return HBIConfig.model_validate({**HBIConfig.published(), **sizes, **options})
    sizes |= {"answers": len(state["classifier.2.weight"]), "head_width": len(state["v_proj.weight"])}
    return HBIQAConfig.model_validate({**HBIQAConfig.published(), **sizes, **options})


def _encoder_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """In open_clip's format. Heads are 64 wide, as in every CLIP of OpenAI's."""
    patches, width = state["clip.visual.conv1.weight"], len(state["clip.ln_final.weight"])
    grid = math.isqrt(len(state["clip.visual.positional_embedding"]) - 1)
    return {
        "embed_dim": state["clip.text_projection"].shape[1],
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": grid * patches.shape[-1],
            "layers": _layers(state, "clip.visual.transformer."),
            "width": patches.shape[0],
            "patch_size": patches.shape[-1],
        },
        "text_cfg": {
            "context_length": len(state["clip.positional_embedding"]),
            "vocab_size": len(state["clip.token_embedding.weight"]),
            "width": width,
            "heads": width // 64,
            "layers": _layers(state, "clip.transformer."),
        },
    }


_NEEDED = {
    "clip.visual.conv1.weight": 4,
    "clip.visual.positional_embedding": 2,
    "clip.text_projection": 2,
    "clip.positional_embedding": 2,
    "clip.token_embedding.weight": 2,
    "clip.ln_final.weight": 1,
    "clip.visual.transformer.resblocks.0.ln_1.weight": 1,
    "clip.transformer.resblocks.0.ln_1.weight": 1,
    "transformerClip.resblocks.0.ln_1.weight": 1,
    "banzhafmodel.Q": 2,
}
"""The tensors that the sizes are read from, and how many axes each has."""

_NEEDED_FOR_ANSWERS = {"classifier.2.weight": 2, "v_proj.weight": 2}


def _check_sizes(state: Mapping[str, Tensor], origin: Path | str, needed: Mapping[str, int]) -> None:
    if missing := [name for name, axes in needed.items() if name not in state or state[name].ndim != axes]:
        raise InputError(f"{origin}: no published checkpoint of HBI: {', '.join(missing[:5])} missing or misshapen")


def _layers(state: Mapping[str, Tensor], prefix: str) -> int:
    found = (re.match(rf"{re.escape(prefix)}resblocks\.(\d+)\.", name) for name in state)
    return 1 + max(int(match[1]) for match in found if match)


def _load_estimator(state: Mapping[str, Tensor], origin: Path | str, seed: int, options: dict[str, Any]) -> nn.Module:
    if not is_published(state):
        alone = _under(TEACHER, state) or dict(state)
        network = from_published(alone, origin)
        _unheld[network] = {name: weight.clone() for name, weight in alone.items() if name.startswith("bn.")}
        return network
    network = from_published(_under(TEACHER, state), origin)
    _check_sizes(state, origin, {name: axes for name, axes in _NEEDED.items() if name != "banzhafmodel.Q"})
    words_and_frames = HBIConfig(
        encoder="as in the checkpoint",
        temporal_layers=_layers(state, "transformerClip."),
        levels=("entity",),
        teacher=None,
        distillation_weight=0,
        departures=DeparturesConfig.all_released(),
    )
    source = HBI(words_and_frames, seed, _encoder_sizes(state))
    rest = {name: weight for name, weight in state.items() if not name.startswith(TEACHER)}
    merged = re.compile(r"(text|video)_weight_fc[01]\.")  # there and never used
    held = {published_name(name): weight for name, weight in source.state_dict().items()}
    used = {name: weight for name, weight in rest.items() if not merged.match(name)}
    check_names_and_shapes(held, used, origin)
    source.load_state_dict({name: state[published_name(name)] for name in source.state_dict()})
    config = EstimatorConfig.model_validate({"labels": "released", "padding": "released", **options})
    training = EstimatorTraining(config, seed, source)
    training.network.load_state_dict(network.state_dict())
    _unheld[training] = {name: w.clone() for name, w in state.items() if merged.match(name) or f"{TEACHER}bn." in name}
    return training


def _read(weights: Weights) -> tuple[Mapping[str, Tensor], Path | str]:
    if isinstance(weights, Mapping):
        return {str(name).removeprefix("module."): weight for name, weight in weights.items()}, "state dict"
    return read_weights(Path(weights)), Path(weights)


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): weight for name, weight in state.items() if name.startswith(prefix)}


def _over(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: weight for name, weight in state.items()}
