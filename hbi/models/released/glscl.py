"""The published checkpoint layout of GLSCL.

The published code keeps in every model two decoders, two sets of queries, a template of each decoder's layers, and a
network of weights. It never uses the templates and the network, nor a second decoder or set where both sides share one.
"""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hbi.errors import InputError
from hbi.models.base import initialised
from hbi.models.clip_system import ClipSystem
from hbi.models.glscl import GLSCL, concept_decoder
from hbi.models.released.layout import Layout, over

_NAME = {
    "queries": "spatial_queries",
    "text_queries": "noun_queries",
    "decoder": "transformer_decoder_noun",
    "video_decoder": "transformer_decoder_spatial",
}


class GLSCLLayout(Layout[ClipSystem]):
    system = "glscl"
    title = "GLSCL"
    needed: ClassVar[Mapping[str, int]] = {
        "transformerClip.resblocks.0.ln_1.weight": 1,
        "spatial_queries": 2,
        "transformer_decoder_noun.layers.0.norm1.weight": 1,
    }
    marks: ClassVar[tuple[str, ...]] = ("spatial_queries", "transformer_decoder_noun.layers.0.norm1.weight")

    def name(self, ours: str) -> str:
        part, dot, rest = ours.partition(".")
        return f"{_NAME[part]}{dot}{rest}" if part in _NAME else super().name(ours)

    def sizes(self, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
        """What is shared, no tensor tells: the published setting, all of it, unless ``options`` say otherwise."""
        layers = {name.split(".")[2] for name in state if name.startswith("transformer_decoder_noun.layers.")}
        found = {"query_number": len(state["spatial_queries"]), "cross_att_layer": len(layers)}
        return {**super().sizes(state, options), **found}

    def beyond(self, model: ClipSystem) -> dict[str, Tensor]:
        assert isinstance(model, GLSCL)
        queries, width = model.config.query_number, model.encoder.width
        if not queries:
            raise InputError("released: a published checkpoint of GLSCL always has queries, and query_number is 0")
        with initialised(model.seed, "published"):
            weights = nn.Sequential(nn.Linear(2 * width, 4 * width), nn.ReLU(), nn.Linear(4 * width, 1))
            decoders = [concept_decoder(width, model.config.cross_att_layer, 0.0) for _ in range(2)]
            state = over("weight_fc.", weights.state_dict())
            for side, decoder in zip(("noun", "spatial"), decoders, strict=True):
                state[f"{side}_queries"] = torch.rand(queries, width)
                state |= over(f"decoder_layer_{side}.", copy.deepcopy(decoder.layers[0]).state_dict())
                state |= over(f"transformer_decoder_{side}.", decoder.state_dict())
        return state
