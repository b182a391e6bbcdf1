"""DiCoSA: captions and videos as sets of concepts, a chunk of channels each."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from hbi.config.base import Choice
from hbi.config.models.base import ClipSystemConfig, CommonDeparturesConfig


class DiCoSADeparturesConfig(CommonDeparturesConfig):
    """Where the published code of DiCoSA departs from its paper, or lets padding count: "released" does as it does."""

    pooling_padding: Choice = Field(
        "correct",
        description="Padded frames in the pooling of a video: without a share; or with one that is then dropped, so "
        "that a video with padding is pooled to something shorter, which the network of the concepts' weights sees.",
    )
    correlation_scale: Choice = Field(
        "correct",
        description="Sum over channels in the correlation of two concepts: equal concepts correlate at 1; or divided "
        "by the number of word positions, padded ones as well, instead of that of channels.",
    )


class DiCoSAConfig(ClipSystemConfig):
    """DiCoSA (IJCAI 2023): concepts of a caption against those of a video pooled for it, each pair weighted.

    The temperature is that of the published scripts; the code's own default is 5.
    """

    builder: ClassVar[str] = "hbi.models.dicosa:DiCoSA"

    system: Literal["dicosa"] = "dicosa"
    center: int = Field(8, ge=1, description="Concepts that the channels are split into, in equal parts.")
    temp: float = Field(
        3.0, gt=0, description="Temperature of the softmax over frames by which a caption pools a video."
    )
    alpha: float = Field(0.01, ge=0, description="Weight of (1 − correlation)² of a concept with itself.")
    beta: float = Field(0.005, ge=0, description="Weight of correlation² of a concept with another.")
    departures: DiCoSADeparturesConfig = Field(
        DiCoSADeparturesConfig(), description="Each place where the published code departs from the paper."
    )

    @classmethod
    def published(cls) -> dict[str, Any]:
        return {**super().published(), "freeze": "patches"}
