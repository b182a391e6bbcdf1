"""MCQ on a CLIP: a video is seen as a whole by CLIP's image tower."""

from typing import ClassVar, Literal

from pydantic import model_validator
from typing_extensions import Self

from hbi.config.models.base import ClipSystemConfig


class BridgeFormerClipConfig(ClipSystemConfig):
    """MCQ, CLIP-initialised (arXiv 2201.04850, table 6): one class token over the patches of all frames.

    It has no temporal part: temporal_layers changes nothing.
    """

    builder: ClassVar[str] = "hbi.models.bridgeformer_clip:BridgeFormerClip"

    system: Literal["bridgeformer-clip"] = "bridgeformer-clip"

    @model_validator(mode="after")
    def _trains_something(self) -> Self:
        if self.freeze == "encoder":
            raise ValueError("freeze: bridgeformer-clip is an encoder and nothing else; freeze less of it")
        return self

    @property
    def starts_whole(self) -> bool:
        return self.pretrained is not None
