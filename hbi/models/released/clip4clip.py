"""The published checkpoint layout of CLIP4Clip, with any of its headers over frames.

Nothing in it is its own: DRL without weighted tokens and EMCL-Net have the same names.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hbi.models.clip_system import ClipSystem
from hbi.models.released.layout import Layout, header_in


class Clip4ClipLayout(Layout[ClipSystem]):
    system = "clip4clip"
    title = "CLIP4Clip"
    variants = r"(transformerClip|frame_position_embeddings|lstm_visual)\."
    chosen_by = ("sim_header",)

    def sizes(self, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
        return {**super().sizes(state, options), "sim_header": header_in(state) or "meanP"}
