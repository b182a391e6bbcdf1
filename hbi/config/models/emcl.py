"""EMCL-Net: features as combinations of few bases, which expectation-maximisation finds."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from hbi.config.base import Choice
from hbi.config.models.base import ClipSystemConfig, CommonDeparturesConfig


class EMCLDeparturesConfig(CommonDeparturesConfig):
    """Where the published code of EMCL-Net departs from its paper, or lets padding count: "released" does so too."""

    bases: Choice = Field(
        "correct",
        description="What the bases are of: the latent space, kept from training, so that a score depends on its pair "
        "alone; or the rows of a block of captions and videos (they cluster its channels), found anew for every block "
        "that is scored, so that a score depends on the whole block.",
    )
    pooling_padding: Choice = Field(
        "correct",
        description="Padded frames in the pooling of a video: without a share; or, as frames of 0, with one that is "
        "then dropped, so that a video with padding is pooled to something shorter, which the bases see.",
    )


class EMCLConfig(ClipSystemConfig):
    """EMCL-Net (arXiv 2211.11427): captions, and videos pooled for them, moved towards combinations of a few bases.

    Options have the names and the values of the published code.
    """

    builder: ClassVar[str] = "hbi.models.emcl:EMCL"

    system: Literal["emcl"] = "emcl"
    temp: float = Field(
        3.0, gt=0, description="Temperature of the softmax over frames by which a caption pools a video."
    )
    centerK: int = Field(32, ge=1, description="Bases.")
    stage_num: int = Field(9, ge=1, description="Rounds of expectation and maximisation, from the bases that are kept.")
    momentum: float = Field(
        0.9, ge=0, le=1, description="Share of the bases that are kept, at each step; the rest is of those just found."
    )
    lamd: float = Field(1.0, gt=0, description="Temperature of the softmax over bases.")
    beta: float = Field(3.0, ge=0, description="Weight of the combination of bases that is added to a feature.")
    block: int = Field(
        32, ge=1, description="Captions, and videos, of a block that is scored at once where bases are released."
    )
    departures: EMCLDeparturesConfig = Field(
        EMCLDeparturesConfig(), description="Each place where the published code departs from the paper."
    )

    @classmethod
    def published(cls) -> dict[str, Any]:
        return {**super().published(), "freeze": "patches"}
