"""DRL: how tokens of both sides meet, and the loss that decorrelates their channels."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from hbi.config.base import Choice
from hbi.config.models.base import ClipSystemConfig, CommonDeparturesConfig


class DRLDeparturesConfig(CommonDeparturesConfig):
    """Where the published code of DRL departs from its paper, or lets padding count: "released" does as it does."""

    frame_norm: Choice = Field(
        "correct",
        description="For dp: frames before their mean: as they are; or each of unit length, so that all count alike.",
    )
    similarity_padding: Choice = Field(
        "correct",
        description="A padded cell in the maximum of a similarity: no candidate; or a cosine of 0, so that "
        "channels may be decorrelated against a padded token.",
    )
    standardisation: Choice = Field(
        "correct",
        description="Channels before their correlation: mean and variance by the weights of the correlation itself, "
        "so that equal sides correlate at 1; or plain mean and unbiased deviation, which do not, and no floor.",
    )


class DRLConfig(ClipSystemConfig):
    """DRL (arXiv 2203.07111): token-wise interaction, weighted, with channel decorrelation (CDCR).

    Weights of the loss are those published for MSR-VTT with ViT-B/32.
    """

    builder: ClassVar[str] = "hbi.models.drl:DRL"

    system: Literal["drl"] = "drl"
    interaction: Literal["dp", "ti", "wti"] = Field(
        "wti",
        description="One vector a side (dp); the best partner of every token, in the mean (ti); or weighted by a "
        "network's scores (wti).",
    )
    agg_module: Literal["None", "seqLSTM", "seqTransf"] = Field(
        "seqTransf",
        description="What sees the frames in time: nothing, an LSTM, or a transformer of temporal_layers, which the "
        "two others leave unused.",
    )
    wti_arch: Literal[1, 2, 3] = Field(2, description="For wti: linear layers of the network that scores tokens.")
    cdcr: Literal[0, 1, 2, 3] = Field(
        3,
        description="Which pairs the decorrelation is of: none (0); a random word and a random frame of every pair "
        "(1); every token with its best partner (2); these weighted as the similarity is (3, for wti). "
        "For dp any but 0: the two vectors.",
    )
    cdcr_alpha1: float = Field(0.14, ge=0, description="Weight of (1 − correlation)² of a channel with itself.")
    cdcr_alpha2: float = Field(0.0, ge=0, description="Weight of correlation² of a channel with another.")
    cdcr_lambda: float = Field(1e-3, ge=0, description="Weight of the decorrelation in the loss.")
    departures: DRLDeparturesConfig = Field(
        DRLDeparturesConfig(), description="Each place where the published code departs from the paper."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "DRLConfig":
        if self.cdcr == 3 and self.interaction == "ti":
            raise ValueError("cdcr: 3 weighs tokens by the scores of wti, which ti has not; take 2")
        return self
