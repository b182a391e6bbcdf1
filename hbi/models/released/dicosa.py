"""The published checkpoint layout of DiCoSA."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from hbi.models.clip_system import ClipSystem
from hbi.models.released.layout import Layout

SCORES = "weight_fc.0.weight"


class DiCoSALayout(Layout[ClipSystem]):
    system = "dicosa"
    title = "DiCoSA"
    needed: ClassVar[Mapping[str, int]] = {SCORES: 2}
    marks: ClassVar[tuple[str, ...]] = (SCORES,)

    def name(self, ours: str) -> str:
        part, _, rest = ours.partition(".")
        return f"weight_fc.{rest}" if part == "concept_scores" else super().name(ours)

    def sizes(self, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
        """The network reads two concepts side by side, so its width tells how many there are."""
        both, width = 2 * state["clip.text_projection"].shape[1], state[SCORES].shape[1]
        fits = width and both % width == 0
        return super().sizes(state, options) | ({"center": both // width} if fits else {})
