"""The published checkpoint layout of DiffusionRet, of either stage."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hbi.models.clip_system import ClipSystem
from hbi.models.diffusion import sinusoid
from hbi.models.diffusionret import DiffusionRet
from hbi.models.released.layout import Layout, Origin

_MODEL = {"t2v": "diffusion_model", "v2t": "diffusion_model_v"}
_PART = {
    "query": "q_proj",
    "key": "k_proj",
    "value": "v_proj",
    "projection": "proj",
    "time": "embed_timestep.time_embed",
    "hidden": "decoder.0",
    "guess": "decoder.2",
}
_TABLES = ("sequence_pos_encoder.pe", "embed_timestep.sequence_pos_encoder.pe")
_TIMES = 5000
"""Times in a published table of positions, of which ours are computed."""


class DiffusionRetLayout(Layout[ClipSystem]):
    system = "diffusionret"
    title = "DiffusionRet"
    needed: ClassVar[Mapping[str, int]] = {"transformerClip.resblocks.0.ln_1.weight": 1}
    marks: ClassVar[tuple[str, ...]] = ("text_weight_fc.0.weight", "diffusion_model.q_proj.weight")
    variants = r"diffusion_model(_v)?\."
    chosen_by = ("generation",)

    def name(self, ours: str) -> str:
        part, _, rest = ours.partition(".")
        match part:
            case "word_scores":
                return f"text_weight_fc.{rest}"
            case "frame_scores":
                return f"video_weight_fc.{rest}"
            case "denoisers":
                way, inner, tail = rest.split(".", 2)
                return f"{_MODEL[way]}.{_PART[inner]}.{tail}"
        return super().name(ours)

    def sizes(self, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
        """Without a denoiser it is of the first stage."""
        first = not any(name.startswith("diffusion_model.") for name in state)
        return super().sizes(state, options) | ({"generation": None} if first else {})

    def beyond(self, model: ClipSystem) -> dict[str, Tensor]:
        """Tables of positions, twice in each denoiser."""
        assert isinstance(model, DiffusionRet)
        if model.config.generation is None:
            return {}
        table = sinusoid(torch.arange(_TIMES), model.encoder.width)[:, None]
        return {f"{denoiser}.{name}": table for denoiser in _MODEL.values() for name in _TABLES}

    def fill(self, model: ClipSystem, state: Mapping[str, Tensor], origin: Origin) -> None:
        """The tables are constants: a file without them is as good."""
        super().fill(model, self.beyond(model) | dict(state), origin)
