"""The published checkpoint layout of EMCL-Net.

It holds no bases: the published code loses those that a training ends with, and an evaluation draws its own. So do we,
by the seed, unless what is loaded has them under "bases"; bases of the latent space, which are ours, are saved so.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hbi.models.clip_system import ClipSystem
from hbi.models.released.layout import Layout, Origin

BASES = "bases"


class EMCLLayout(Layout[ClipSystem]):
    system = "emcl"
    title = "EMCL-Net"
    marks = (BASES,)

    def name(self, ours: str) -> str:
        return ours if ours == BASES else super().name(ours)

    def sizes(self, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
        found = super().sizes(state, options)
        return {**found, "centerK": state[BASES].shape[-1]} if BASES in state else found

    def fill(self, model: ClipSystem, state: Mapping[str, Tensor], origin: Origin) -> None:
        super().fill(model, {BASES: model.get_buffer(BASES), **state}, origin)

    def state(self, model: ClipSystem) -> dict[str, Tensor]:
        state = super().state(model)
        if state[BASES].shape[0] == 1:
            del state[BASES]
        return state
