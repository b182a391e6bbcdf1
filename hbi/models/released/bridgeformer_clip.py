"""The published checkpoint layout of MCQ on a CLIP (MCQ_CLIP.pth): OpenAI's names, and nothing else."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from hbi.models.clip_system import ClipSystem
from hbi.models.released.layout import CLIP, Layout, clip_sizes, over


class BridgeFormerClipLayout(Layout[ClipSystem]):
    system = "bridgeformer-clip"
    title = "MCQ, CLIP-initialised"
    tower: ClassVar[Mapping[str, int]] = {name.removeprefix("clip."): axes for name, axes in CLIP.items()}

    def name(self, ours: str) -> str:
        return ours.removeprefix("encoder.clip.")

    def tower_sizes(self, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> Any:
        return clip_sizes(over("clip.", state))

    def beyond(self, model: ClipSystem) -> dict[str, Tensor]:
        return {}
