"""Systems of two transformers, one that reads captions and one that sees videos: MCQ (BridgeFormer) and MILES."""

from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from hbi.config.base import Choice, Config
from hbi.config.models.base import CommonDeparturesConfig, SystemConfig


class TwoTowerDeparturesConfig(CommonDeparturesConfig):
    """Where the published code departs from its paper, or lets padding count: "released" does as it does."""

    padded_frames: Choice = Field(
        "correct",
        description="What fills a video up that has fewer frames than others: nothing that is seen; or grey frames (0 "
        "behind the normalisation), which are.",
    )


class TwoTowerConfig(SystemConfig):
    """A caption is a vector of DistilBERT, a video one of a transformer over all its patches; they meet in a cosine."""

    towers: str = Field(
        "tiny",
        description="Sizes of both: tiny, base (DistilBERT and ViT-B/16), or a FILE.json as hbi/models/towers has.",
    )
    vocabulary: str | None = Field(
        None,
        description="DistilBERT's vocabulary (vocab.txt, a token a line); none: a tiny one of ours, for generated "
        "captions.",
    )
    weights: str | None = Field(
        None,
        description="Weights of both towers to start from: a published checkpoint, or a run's model.safetensors. With "
        "training.epochs 0 they are evaluated as they are.",
    )
    text_weights: str | None = Field(
        None, description="Instead, weights of DistilBERT alone: model.safetensors or pytorch_model.bin of its release."
    )
    video_weights: str | None = Field(
        None, description="Instead, weights of an image transformer (ViT) for the video tower, by the names of timm."
    )
    temperature: float = Field(
        0.05, gt=0, description="Of the softmax of contrastive losses; published is 0.05, and not learned."
    )
    departures: TwoTowerDeparturesConfig = Field(
        TwoTowerDeparturesConfig(), description="Each place where the published code departs from the paper."
    )

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.weights and (self.text_weights or self.video_weights):
            raise ValueError("weights are those of both towers; take out text_weights and video_weights")
        return self

    @property
    def files(self) -> dict[str, str]:
        named = ("vocabulary", "weights", "text_weights", "video_weights")
        given = {option: getattr(self, option) for option in named}
        sizes = {"towers": self.towers} if self.towers.endswith(".json") else {}
        return {option: path for option, path in given.items() if path} | sizes

    @property
    def starts_whole(self) -> bool:
        return self.weights is not None

    def without_weights(self) -> Self:
        return self.model_copy(update=dict.fromkeys(("weights", "text_weights", "video_weights")))


Asked = Literal["noun", "verb"]


class BridgeFormerDeparturesConfig(TwoTowerDeparturesConfig):
    """Where the published code of MCQ departs from its paper, or lets padding count: "released" does as it does."""

    same_answer: Choice = Field(
        "correct", description="Equal phrases, erased from other captions of the batch: right answers too; or wrong."
    )


class BridgeFormerConfig(TwoTowerConfig):
    """MCQ (arXiv 2201.04850): two towers, pre-trained by multiple choice questions that BridgeFormer answers."""

    builder = "hbi.models.bridgeformer:BridgeFormer"

    system: Literal["bridgeformer"] = "bridgeformer"
    questions: tuple[Asked, ...] = Field(
        (),
        description="Pre-training: kinds of phrases that are erased from a caption and asked for. Captions need spans "
        "of phrases (data sets shapes and pairs). None: retrieval alone, without BridgeFormer.",
    )
    seen_frames: int | None = Field(
        None, ge=1, description="Frames of a video that training sees, drawn anew at each step; none: all."
    )
    departures: BridgeFormerDeparturesConfig = Field(
        BridgeFormerDeparturesConfig(), description="Each place where the published code departs from the paper."
    )
    start: str | None = Field(
        None,
        description="Variant whose trained model this one starts from, instead of from text_weights and video_weights: "
        "its run comes first.",
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.questions)) < len(self.questions):
            raise ValueError("questions: a kind stands there twice")
        if self.start and self.weights:
            raise ValueError("start and weights exclude each other; take one of them out")
        return self

    @property
    def needs(self) -> str | None:
        return self.start

    @property
    def asks(self) -> tuple[Asked, ...]:
        return self.questions


class MaskingConfig(Config):
    """Masked visual modelling: features of hidden patches are guessed as a slower copy of the model sees them."""

    share: float = Field(0.5, gt=0, lt=1, description="Of the patches that are hidden, the same places in all frames.")
    momentum: float = Field(0.996, ge=0, lt=1, description="Of the copy: what it keeps of itself at each step.")
    weight: float = Field(1.0, ge=0, description="Of this loss beside the contrastive one.")


class MILESConfig(TwoTowerConfig):
    """MILES (arXiv 2204.12408): towers as MCQ's, with attention over time and space apart, pre-trained by masking."""

    builder = "hbi.models.miles:MILES"

    system: Literal["miles"] = "miles"
    masking: MaskingConfig | None = Field(None, description="Pre-training; none: the contrastive loss alone.")
