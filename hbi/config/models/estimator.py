"""The learned estimator of an interaction: no system, but what a teacher of HBI can be."""

from typing import Literal

from pydantic import Field, model_validator

from hbi.config.base import Choice
from hbi.config.models.base import ModelConfig


class EstimatorConfig(ModelConfig):
    """The learned estimator of an interaction, trained on the games of words and frames of another run's model."""

    system: Literal["estimator"] = "estimator"
    source: str = Field("hbi-no-banzhaf", description="Variant whose trained model gives the games.")
    width: int = Field(64, ge=1, description="Channels of the network.")
    index: Literal["banzhaf", "shapley"] = Field("banzhaf", description="Interaction index that it learns.")
    labels: Literal["exact", "sample", "released"] = Field(
        "exact", description="Method that gives its labels; released: the published sampler."
    )
    samples: int = Field(100, ge=2, description="Coalitions drawn a label; for the labels sample and released.")
    scale: float = Field(1000.0, gt=0, description="Factor on the labels; the squared error is in this unit.")
    padding: Choice = Field(
        "correct", description="Padded cells: unseen and uncounted; or seen by the network and counted, both as 0."
    )

    @property
    def needs(self) -> str | None:
        return self.source

    @model_validator(mode="after")
    def _consistent(self) -> "EstimatorConfig":
        if self.labels == "released" and self.index != "banzhaf":
            raise ValueError("labels: the released sampler is that of the Banzhaf index")
        return self
