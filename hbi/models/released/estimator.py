"""The published checkpoints of HBI's estimator: its own file, and that of the model in which it is trained."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hbi.config import DeparturesConfig, EstimatorConfig, HBIConfig
from hbi.games.estimator import BanzhafEstimator, from_published, to_published
from hbi.models.estimator_training import EstimatorTraining
from hbi.models.hbi import HBI
from hbi.models.released.hbi import TEACHER, HBILayout
from hbi.models.released.layout import CLIP, Origin, check_sizes, clip_sizes, layers_in, over, under, unheld
from hbi.weights import check_names_and_shapes

ESTIMATOR = "hbi-estimator"
"""What ``load`` calls it."""

_name = HBILayout().name


def load_network(state: Mapping[str, Tensor], origin: Origin) -> BanzhafEstimator:
    """The network of its own file."""
    alone = under(TEACHER, state) or dict(state)
    network = from_published(alone, origin)
    unheld[network] = {name: weight.clone() for name, weight in alone.items() if name.startswith("bn.")}
    return network


def load_training(
    state: Mapping[str, Tensor], origin: Origin, seed: int, options: Mapping[str, Any]
) -> EstimatorTraining:
    """The network with the model whose games it learns, of words and frames alone."""
    network = from_published(under(TEACHER, state), origin)
    check_sizes(state, origin, HBILayout.title, {**CLIP, "transformerClip.resblocks.0.ln_1.weight": 1})
    words_and_frames = HBIConfig(
        encoder="as in the checkpoint",
        temporal_layers=layers_in(state, "transformerClip."),
        levels=("entity",),
        teacher=None,
        distillation_weight=0,
        departures=DeparturesConfig.all_released(),
    )
    source = HBI(words_and_frames, seed, clip_sizes(state))
    rest = {name: weight for name, weight in state.items() if not name.startswith(TEACHER)}
    merged = re.compile(r"(text|video)_weight_fc[01]\.")  # there and never used
    held = {_name(name): weight for name, weight in source.state_dict().items()}
    used = {name: weight for name, weight in rest.items() if not merged.match(name)}
    check_names_and_shapes(held, used, origin)
    source.load_state_dict({name: state[_name(name)] for name in source.state_dict()})
    config = EstimatorConfig.model_validate({"labels": "released", "padding": "released", **options})
    training = EstimatorTraining(config, seed, source)
    training.network.load_state_dict(network.state_dict())
    unheld[training] = {name: w.clone() for name, w in state.items() if merged.match(name) or f"{TEACHER}bn." in name}
    return training


def published_state(model: BanzhafEstimator | EstimatorTraining) -> dict[str, Tensor]:
    """What the published code would have saved."""
    beside = unheld.get(model, {})
    if isinstance(model, BanzhafEstimator):
        return to_published(model) | beside
    source = {_name(name): weight for name, weight in model.source.state_dict().items()}
    return source | over(TEACHER, to_published(model.network)) | beside
