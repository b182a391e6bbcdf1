"""The published checkpoint layout of DRL."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from hbi.models.clip_system import ClipSystem
from hbi.models.released.layout import Layout, header_in


class DRLLayout(Layout[ClipSystem]):
    system = "drl"
    title = "DRL"
    marks: ClassVar[tuple[str, ...]] = ("text_weight_fc.0.weight",)
    variants = r"(transformerClip|frame_position_embeddings|lstm_visual|(text|video)_weight_fc)\."
    chosen_by = ("interaction", "agg_module", "wti_arch")

    def name(self, ours: str) -> str:
        part, _, rest = ours.partition(".")
        if part not in ("word_scores", "frame_scores"):
            return super().name(ours)
        side = "text" if part == "word_scores" else "video"
        return f"{side}_weight_fc.{rest}"

    def sizes(self, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
        """The interaction is wti unless ``options`` say otherwise: no tensor tells dp from ti."""
        found = {**super().sizes(state, options), "agg_module": header_in(state) or "None"}
        for layers, last in ((1, "weight"), (2, "2.weight"), (3, "4.weight")):
            if f"text_weight_fc.{last}" in state:
                found["wti_arch"] = layers
        if options.get("interaction") == "ti":
            found["cdcr"] = 2  # 3 is of wti alone
        return found
