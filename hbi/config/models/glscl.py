"""GLSCL: a global similarity without parameters, and a local one of concepts that shared queries ask for."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from hbi.config.base import Choice
from hbi.config.models.base import ClipSystemConfig, CommonDeparturesConfig


class GLSCLDeparturesConfig(CommonDeparturesConfig):
    """Where the published code of GLSCL departs from its paper, or lets padding count: "released" does as it does."""

    concept_padding: Choice = Field(
        "correct",
        description="Padding where queries look for concepts: not seen; or seen as words of id 0 and as frames of 0.",
    )
    text_diversity: Choice = Field(
        "correct", description="Intra-diversity: mean of both sides' concepts; or of those of videos alone."
    )
    consistency_batch: Choice = Field(
        "correct",
        description="In inter-consistency, the cosines of a pair's concepts: mean over the batch; or its sum over the "
        "number of queries, which grows with the batch.",
    )


class GLSCLConfig(ClipSystemConfig):
    """GLSCL (arXiv 2405.12710): frames weighed by the caption, and concepts of both sides asked for by shared queries.

    Weights of the loss are those of the published script for MSR-VTT.
    """

    builder: ClassVar[str] = "hbi.models.glscl:GLSCL"

    system: Literal["glscl"] = "glscl"
    temp: float = Field(3.0, gt=0, description="Temperature of the caption's attention over the frames.")
    query_number: int = Field(8, ge=0, description="Queries, each of a concept; 0: the global similarity alone.")
    cross_att_layer: int = Field(3, ge=1, description="Layers of the decoder that turns queries into concepts.")
    query_share: bool = Field(True, description="Whether both sides are asked by the same queries.")
    cross_att_share: bool = Field(True, description="Whether the same decoder serves both sides.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Of the decoder, in training.")
    loss2_weight: float = Field(0.5, ge=0, description="Weight of the local similarity; that of the global one is 1.")
    alpha: float = Field(1e-4, ge=0, description="Weight of the intra-diversity in the loss.")
    beta: float = Field(
        0.02, ge=0, description="Weight of the cosines' distance to 0.75 in the inter-consistency, whose own is 1."
    )
    departures: GLSCLDeparturesConfig = Field(
        GLSCLDeparturesConfig(), description="Each place where the published code departs from the paper."
    )

    @classmethod
    def published(cls) -> dict[str, Any]:
        return {**super().published(), "freeze": "patches"}
