"""CLIP4Clip, with its three headers over frames that compare one vector a side."""

from typing import ClassVar, Literal

from pydantic import Field

from hbi.config.base import Choice
from hbi.config.models.base import ClipSystemConfig, CommonDeparturesConfig


class Clip4ClipDeparturesConfig(CommonDeparturesConfig):
    """Where the published code of CLIP4Clip departs from its paper: "released" does as it does."""

    frame_norm: Choice = Field(
        "correct", description="Frames before their mean: as they are; or each of unit length, so that all count alike."
    )


class Clip4ClipConfig(ClipSystemConfig):
    """CLIP4Clip (arXiv 2104.08860): the caption's end token against the mean of the frames, as one cosine.

    The published score contains the logit scale, ours does not; they rank alike.
    """

    builder: ClassVar[str] = "hbi.models.clip4clip:Clip4Clip"

    system: Literal["clip4clip"] = "clip4clip"
    sim_header: Literal["meanP", "seqLSTM", "seqTransf"] = Field(
        "meanP",
        description="What sees the frames in time before their mean: nothing, an LSTM, or a transformer of "
        "temporal_layers, which the two others leave unused.",
    )
    departures: Clip4ClipDeparturesConfig = Field(
        Clip4ClipDeparturesConfig(), description="Each place where the published code departs from the paper."
    )

    @property
    def starts_whole(self) -> bool:
        return self.pretrained is not None and self.sim_header == "meanP"
