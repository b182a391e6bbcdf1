"""Hierarchical Banzhaf Interaction, for retrieval and for questions, with every ablated part an option."""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from hbi.config.base import LEVELS, Choice, Config, Level, Rate
from hbi.config.models.base import ClipSystemConfig, CommonDeparturesConfig


class TeacherConfig(Config):
    """The teacher of the Banzhaf loss: an interaction index of the word-frame game, no gradient through it."""

    index: Literal["banzhaf", "shapley"] = Field("banzhaf", description="Interaction index.")
    method: Literal["exact", "sampled", "released", "estimated"] = Field(
        "exact",
        description="How it is computed: exactly, by unbiased Monte Carlo, by the published sampler, or by a network.",
    )
    samples: int = Field(100, ge=2, description="Coalitions drawn a game and step; for the methods that draw.")
    estimator: str = Field(
        "estimator",
        description="For the method estimated: the variant whose run trains the network, or a file of it, ours "
        "(.safetensors) or the published (.pth, .pt, .bin).",
    )
    scale: float = Field(
        1000.0, gt=0, description="Factor on the interactions before their softmax (cosines give about 1e-3)."
    )
    weight: float = Field(0.1, gt=0, description="Weight of the Banzhaf loss at each level.")

    @property
    def needs(self) -> str | None:
        """Variant that trains the estimator; none where there is none to train."""
        return self.estimator if self.method == "estimated" and not self._from_file else None

    @property
    def files(self) -> dict[str, str]:
        """As ModelConfig.files."""
        return {"estimator": self.estimator} if self.method == "estimated" and self._from_file else {}

    @property
    def _from_file(self) -> bool:
        return "/" in self.estimator or bool(re.search(r"\.(safetensors|pth|pt|bin)(\.\d+)?$", self.estimator))

    @model_validator(mode="after")
    def _consistent(self) -> "TeacherConfig":
        if self.method == "released" and self.index != "banzhaf":
            raise ValueError("method: the released sampler is that of the Banzhaf index")
        return self


class DeparturesConfig(CommonDeparturesConfig):
    """Where the published code departs from the paper, or lets padding count: "released" does as it does.

    Those of training, evaluation and the estimator are options there; docs/released_vs_corrected.md lists all.
    """

    missing_estimator: Choice = Field(
        "correct", description="A file teacher.estimator that is not there: an error; or, in silence, a random network."
    )
    merged_teacher: Choice = Field(
        "correct",
        description="Teacher of the merged levels where it is estimated: the exact game; or the network that was "
        "trained on words and frames.",
    )
    second_kl: Choice = Field(
        "correct", description="Second half of the Banzhaf loss: softmax over the words; or over the batch."
    )
    kl_padding: Choice = Field(
        "correct",
        description="Padded cells in the Banzhaf loss: left out, mean over real rows; or seen by student and teacher "
        "network and in the softmax as 0, mean over all cells.",
    )
    self_distillation: Choice = Field(
        "correct",
        description="Between logits, batch mean, teacher detached; or between unscaled cosines, mean over all cells, "
        "with gradient to both.",
    )
    clustering: Choice = Field(
        "correct", description="DPC-KNN: deterministic, blind to padding; or with random noise of 1e-6, at all times."
    )
    merge_padding: Choice = Field(
        "correct",
        description="Padding in token merging: zeroed first, empty clusters masked; or leaking through the "
        "convolution, empty clusters taking part in what follows.",
    )
    similarity_padding: Choice = Field(
        "correct", description="A padded cell in the maximum of a similarity: no candidate; or a cosine of 0."
    )
    unused_levels: Choice = Field(
        "correct", description="Levels of rate 0 in evaluation: not computed; or computed and multiplied by 0."
    )


class HBIConfig(ClipSystemConfig):
    """Hierarchical Banzhaf Interaction (arXiv 2303.14369), with every ablated part an option.

    The corrected losses have weights of their own, for the published ones belong to losses of another scale: 0.1 and
    0.1 gave the lowest mean rank on the validation split of shapes (12 epochs, two seeds) of those in
    suites/loss_weights.yaml.
    """

    builder: ClassVar[str] = "hbi.models.hbi:HBI"

    system: Literal["hbi"] = "hbi"
    levels: tuple[Level, ...] = Field(LEVELS, min_length=1, description="Levels that are trained.")
    similarity_rates: dict[Level, Annotated[float, Field(ge=0)]] = Field(
        default={"entity": 1.0},
        description="Weight of each level in the similarity that is evaluated; a level not named is not computed.",
    )
    text_merge_rates: tuple[Rate, Rate] = Field((0.25, 0.5), description="Clusters per word, then per phrase.")
    video_merge_rates: tuple[Rate, Rate] = Field((0.25, 0.5), description="Clusters per frame, then per clip.")
    neighbours: int = Field(3, ge=1, description="Nearest neighbours in the density of DPC-KNN.")
    teacher: TeacherConfig | None = Field(
        TeacherConfig(), description="Teacher of the Banzhaf loss; none: no such loss."
    )
    student_width: int = Field(64, ge=1, description="Channels of the student network.")
    distillation_weight: float = Field(
        0.1, ge=0, description="Weight of the self-distillation from the entity level; 0: none."
    )
    departures: DeparturesConfig = Field(
        DeparturesConfig(), description="Each place where the published code departs from the paper."
    )

    @classmethod
    def published(cls, estimator: str = "estimator") -> dict[str, Any]:
        """What the published code sets otherwise than our defaults; ``estimator`` as in TeacherConfig."""
        return {
            **super().published(),
            "teacher": {"method": "estimated", "estimator": estimator, "weight": 1.0},
            "distillation_weight": 2.0,
            "freeze": "patches",
        }

    @property
    def needs(self) -> str | None:
        return self.teacher.needs if self.teacher else None

    @property
    def files(self) -> dict[str, str]:
        theirs = self.teacher.files if self.teacher else {}
        if self.departures.missing_estimator == "released":
            theirs = {option: path for option, path in theirs.items() if Path(path).is_file()}
        return super().files | {f"teacher.{option}": path for option, path in theirs.items()}

    @model_validator(mode="after")
    def _consistent(self) -> "HBIConfig":
        if len(set(self.levels)) != len(self.levels):
            raise ValueError("levels: the same level is named twice")
        missing = [level for level in self.similarity_rates if level not in self.levels]
        if missing:
            raise ValueError(f"similarity_rates: {', '.join(missing)} is not among the levels that are trained")
        if not any(self.similarity_rates.values()):
            raise ValueError("similarity_rates: at least one level needs a rate above 0")
        if self.distillation_weight and ("entity" not in self.levels or len(self.levels) < 2):
            raise ValueError("distillation_weight: self-distillation needs the entity level and one more; set it to 0")
        return self


class HBIQAConfig(HBIConfig):
    """HBI for questions: an answer head at each level beside the losses of retrieval (section 4.3 of its paper)."""

    builder: ClassVar[str] = "hbi.models.hbi_qa:HBIQA"
    task: ClassVar[Literal["retrieval", "qa"]] = "qa"

    system: Literal["hbi-qa"] = "hbi-qa"  # type: ignore[assignment]
    text_merge_rates: tuple[Rate, Rate] = Field((0.25, 0.125), description="Clusters per word, then per phrase.")
    video_merge_rates: tuple[Rate, Rate] = Field((0.25, 0.25), description="Clusters per frame, then per clip.")
    answers: int = Field(1500, ge=5, description="Answers it can give; a smaller vocabulary leaves the last unused.")
    answer_rates: dict[Level, Annotated[float, Field(ge=0)]] = Field(
        default={"entity": 0.4, "action": 0.4, "event": 0.2},
        description="Weight of each level's logits in the answer that is evaluated; those of levels not trained drop.",
    )
    head_width: int = Field(2048, ge=1, description="Width of each side in the answer heads; their hidden layer has 4.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Before the classifier of the answer heads.")
    alignment_weight: float = Field(
        0.5, ge=0, description="Weight of the contrastive and Banzhaf losses beside the answers'; 0: not computed."
    )
    head_padding: Choice = Field(
        "correct", description="Padding in the pooling of the answer heads: masked; or taking a share of the weight."
    )

    @classmethod
    def published(cls, estimator: str = "estimator") -> dict[str, Any]:
        return {**super().published(estimator), "head_padding": "released"}

    @model_validator(mode="after")
    def _answering(self) -> "HBIQAConfig":
        if not any(self.answer_rates.get(level) for level in self.levels):
            raise ValueError("answer_rates: at least one level that is trained needs a rate above 0")
        return self
