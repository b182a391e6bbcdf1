"""DiffusionRet: token interaction first, then denoisers that re-rank what it finds best."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from hbi.config.base import Choice, Config
from hbi.config.models.base import ClipSystemConfig, CommonDeparturesConfig


class GenerationConfig(Config):
    """The second stage: the first one's model stays as it is; two denoisers learn to re-rank what it finds best."""

    start: str = Field("diffusionret-discrimination", description="Variant whose trained model is the first stage.")
    diffusion_steps: int = Field(50, ge=1, description="Steps from noise to a guess; re-ranking takes all of them.")
    num: int = Field(127, ge=0, description="Hardest negatives a query has in training; of a smaller batch all.")
    temp: float = Field(1.0, gt=0, description="Temperature of the softmax over frames by which a caption pools them.")
    d_temp: float = Field(100.0, gt=0, description="Factor on the guesses in the cross entropy of training.")
    t2v_num: int = Field(32, ge=1, description="Best videos of a caption that are re-ranked.")
    v2t_num: int = Field(32, ge=1, description="Best captions of a video that are re-ranked.")
    t2v_temp: float = Field(1.0, ge=0, description="Factor on a caption's guesses before the softmax over its videos.")
    v2t_temp: float = Field(1.0, ge=0, description="Factor on a video's guesses before the softmax over its captions.")
    t2v_alpha: float = Field(1.0, ge=0, description="Weight of that softmax beside the similarity, for captions.")
    v2t_alpha: float = Field(1.0, ge=0, description="Weight of that softmax beside the similarity, for videos.")


class DiffusionRetDeparturesConfig(CommonDeparturesConfig):
    """Where the published code of DiffusionRet departs from its paper, or lets padding count, or chance."""

    similarity_padding: Choice = Field(
        "correct", description="A padded cell in the maximum of a similarity: no candidate; or a cosine of 0."
    )
    pooling_padding: Choice = Field(
        "correct",
        description="Padded frames where a caption pools a video's frames: without a share; or with one that is then "
        "dropped, so that a video with padding is pooled to something shorter.",
    )
    noise: Choice = Field(
        "correct",
        description="Noise that re-ranking starts from: of the pair, by seed, query and candidate; or of the place "
        "among the query's best, so that it is another one's where the order changes. (The published code "
        "draws it anew in every evaluation; here another seed does.)",
    )


class DiffusionRetConfig(ClipSystemConfig):
    """DiffusionRet (arXiv 2303.09867): weighted token-wise interaction, whose best candidates denoisers re-rank.

    Trained in two runs, as published: the first stage, then the denoisers on what it leaves.
    """

    builder: ClassVar[str] = "hbi.models.diffusionret:DiffusionRet"

    system: Literal["diffusionret"] = "diffusionret"
    generation: GenerationConfig | None = Field(
        GenerationConfig(), description="The second stage (generation); none: the first (discrimination) alone."
    )
    departures: DiffusionRetDeparturesConfig = Field(
        DiffusionRetDeparturesConfig(), description="Each place where the published code departs from the paper."
    )

    @property
    def needs(self) -> str | None:
        return self.generation.start if self.generation else None

    @property
    def trains_encoder(self) -> bool:
        return self.generation is None and super().trains_encoder

    @classmethod
    def published(cls) -> dict[str, Any]:
        return {**super().published(), "freeze": "patches"}
