"""Typed configuration of everything that a run's result depends on. Free of torch, so that planning is quick.

Each open family (data sets, systems) is a small base class and a dictionary of its members; a member names the code
that builds it as "module:function", which is imported only when a run needs it.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from hbi.errors import InputError

Level = Literal["entity", "action", "event"]
LEVELS: tuple[Level, ...] = ("entity", "action", "event")
Rate = Annotated[float, Field(gt=0, le=1)]


class Config(BaseModel):
    """Immutable; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# ---- data -----------------------------------------------------------------------------------------------------------


class DataConfig(Config):
    """What every data set shares: how captions and videos become tokens and frames."""

    loader: ClassVar[str]

    name: str = Field(description="Which data set.")
    root: str | None = Field(None, description="Folder of the data set. Not part of a run's identity.")
    max_words: int = Field(24, ge=3, description="Tokens a caption keeps, start and end token included.")
    max_frames: int = Field(12, ge=1, description="Frames a video keeps.")
    frame_rate: float = Field(1.0, gt=0, description="Frames a second sampled before the uniform choice of max_frames.")
    reader: Literal["auto", "decord", "pyav"] = Field(
        "auto", description="Video reader; auto takes decord where it imports, else PyAV."
    )


class ShapesConfig(DataConfig):
    """Generated videos of moving coloured shapes, written in MSR-VTT's file layout."""

    loader: ClassVar[str] = "hbi.data.shapes:load"

    name: Literal["shapes"] = Field("shapes", description="Which data set.")
    frame_rate: float = Field(2.0, gt=0, description="Frames a second sampled before the uniform choice of max_frames.")
    train: int = Field(400, ge=1, description="Training videos.")
    val: int = Field(100, ge=1, description="Validation videos.")
    test: int = Field(200, ge=1, description="Test videos; their captions are all different.")
    size: int = Field(64, ge=32, le=512, multiple_of=2, description="Side of the square video, pixels.")
    generator_seed: int = Field(0, ge=0, description="Seed of the generator.")


class MSRVTTConfig(DataConfig):
    """MSR-VTT with the 1k-A test split (Yu et al., ECCV 2018) and 9k or 7k training videos."""

    loader: ClassVar[str] = "hbi.data.msrvtt:load"

    name: Literal["msrvtt"] = Field("msrvtt", description="Which data set.")
    root: str | None = Field("data/MSR-VTT", description="Folder with anns/ and videos/. Not part of a run's identity.")
    train_split: Literal["9k", "7k"] = Field("9k", description="Which training list is read.")
    hold_out_validation: bool = Field(
        False, description="Take the videos of MSRVTT_val.full.csv out of training, as a validation split."
    )


DATASETS: dict[str, type[DataConfig]] = {"shapes": ShapesConfig, "msrvtt": MSRVTTConfig}


@cache
def datasets() -> dict[str, type[DataConfig]]:
    """DATASETS, completed by what installed packages offer as entry points "hbi.datasets"."""
    for name, config in plugins("hbi.datasets").items():
        if name in DATASETS:
            raise InputError(f"two data sets are called {name!r}; uninstall the plug-in that brings the second")
        DATASETS[name] = config
    return DATASETS


# ---- systems --------------------------------------------------------------------------------------------------------


class ModelConfig(Config):
    """What a run trains."""

    system: str

    @property
    def needs(self) -> str | None:
        """Variant whose trained model this one starts from: its run comes first. None: it needs no other."""
        return None

    @property
    def files(self) -> dict[str, str]:
        """Paths of the files that options name, by option. Their content is part of a run's identity."""
        return {}


class SystemConfig(ModelConfig):
    """What every retrieval system shares: the encoder of words and frames."""

    builder: ClassVar[str]

    encoder: str = Field("tiny", description="An open_clip model name, or one of ours (hbi/models/encoders/*.json).")
    pretrained: str | None = Field(
        None, description="Weights of the encoder: an open_clip tag or a file; none trains it from scratch."
    )

    @property
    def files(self) -> dict[str, str]:
        named = {"encoder": self.encoder} if self.encoder.endswith(".json") else {}
        return named | ({"pretrained": self.pretrained} if self.pretrained and is_file(self.pretrained) else {})


def is_file(pretrained: str) -> bool:
    """Whether these weights are a file's: open_clip's tags hold neither dots nor slashes."""
    return "/" in pretrained or "." in pretrained


class TeacherConfig(Config):
    """The teacher of the Banzhaf loss: an interaction index of the word-frame game, no gradient through it."""

    index: Literal["banzhaf", "shapley"] = Field("banzhaf", description="Interaction index.")
    method: Literal["exact", "sampled", "estimated"] = Field(
        "exact", description="How it is computed: exactly, by unbiased Monte Carlo, or by a learned network."
    )
    samples: int = Field(100, ge=2, description="Coalitions drawn a game and step; for the method sampled.")
    estimator: str = Field(
        "estimator",
        description="For the method estimated: the variant whose run trains the network, or a .safetensors file of it.",
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
        return self.estimator.endswith(".safetensors")


class HBIConfig(SystemConfig):
    """Hierarchical Banzhaf Interaction (arXiv 2303.14369), with every ablated part an option.

    The corrected losses have weights of their own, for the published ones belong to losses of another scale: 0.1 and
    0.1 gave the lowest mean rank on the validation split of shapes, two seeds, of those in suites/loss_weights.yaml.
    """

    builder: ClassVar[str] = "hbi.models.hbi:HBI"

    system: Literal["hbi"] = "hbi"
    temporal_layers: int = Field(4, ge=1, description="Layers of the temporal transformer over frames.")
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

    @property
    def needs(self) -> str | None:
        return self.teacher.needs if self.teacher else None

    @property
    def files(self) -> dict[str, str]:
        theirs = self.teacher.files if self.teacher else {}
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

    @property
    def needs(self) -> str | None:
        return self.source

    @model_validator(mode="after")
    def _consistent(self) -> "EstimatorConfig":
        if self.labels == "released" and self.index != "banzhaf":
            raise ValueError("labels: the released sampler is that of the Banzhaf index")
        return self


SYSTEMS: dict[str, type[ModelConfig]] = {"hbi": HBIConfig, "estimator": EstimatorConfig}


# ---- training, evaluation, runtime ----------------------------------------------------------------------------------


class TrainingConfig(Config):
    """The recipe of training. Defaults are those published for MSR-VTT."""

    epochs: int = Field(5, ge=1, description="Passes over the training pairs.")
    batch_size: int = Field(128, ge=2, description="Pairs a step; each is contrasted with all others of the step.")
    accumulation: int = Field(
        1, ge=1, description="Parts a step's batch is encoded in; the loss is still that of the whole batch."
    )
    lr: float = Field(1e-4, gt=0, description="Peak learning rate of everything but the encoder.")
    coef_lr: float = Field(1e-3, gt=0, description="The encoder's learning rate is lr times this.")
    weight_decay: float = Field(0.2, ge=0, description="AdamW's; not on norms, biases and the logit scale.")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.98), description="AdamW's decay rates of the two moments."
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of all steps with a rising rate; a cosine follows.")
    clip_norm: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    max_logit_scale: float = Field(100.0, gt=0, description="Clamp of exp(logit scale).")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="Of the encoder's arithmetic (autocast); weights, losses and games stay in fp32."
    )
    activation_checkpointing: bool = Field(False, description="Recompute the encoder's activations to save memory.")
    selection: Literal["last", "validation", "test"] = Field(
        "last",
        description="Epoch that is kept and evaluated: the last, or that of the best t2v R@1 (test: marked in tables).",
    )


class EvaluationConfig(Config):
    """The protocol of evaluation."""

    ties: Literal["expected", "optimistic", "pessimistic"] = Field(
        "expected", description="Rank of a tied candidate: its mean over all orders, the best, or the worst."
    )


class RuntimeConfig(Config):
    """Where and with what a run computes."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes a GPU where there is one; its id does not say which."
    )
    threads: int = Field(2, ge=1, description="CPU threads of torch; they change the rounding, so they are in the id.")
    workers: int = Field(0, ge=0, description="Processes that decode video; they do not change the result.")


# ---- open families --------------------------------------------------------------------------------------------------

Member = TypeVar("Member", bound=Config)


def _member(family: Mapping[str, type[Member]], key: str, kind: str, value: Any) -> Any:
    """Turns a mapping into the member of ``family`` that its ``key`` names; a plain name stands for its defaults."""
    if isinstance(value, Config):
        return value
    if isinstance(value, str):
        value = {key: value}
    if not isinstance(value, Mapping):
        raise ValueError(f"a {kind} is a name or a mapping, not {type(value).__name__}")
    name = str(value.get(key))
    if name not in family:
        raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(sorted(family))}")
    return family[name].model_validate(value)


AnyData = SerializeAsAny[
    Annotated[DataConfig, BeforeValidator(lambda value: _member(datasets(), "name", "data set", value))]
]
AnySystem = SerializeAsAny[
    Annotated[ModelConfig, BeforeValidator(lambda value: _member(SYSTEMS, "system", "system", value))]
]


def plugins(group: str) -> dict[str, Any]:
    """What installed packages offer under the entry points of ``group``, by name; imports those packages alone."""
    found = {}
    for point in entry_points(group=group):
        try:
            found[point.name] = point.load()
        except Exception as error:
            package = point.dist.name if point.dist else point.value
            raise InputError(
                f"plug-in {point.name!r} ({group}) does not load: {error}; repair or uninstall {package}"
            ) from error
    return found


def imported(reference: str) -> Any:
    """The object that "package.module:name" stands for."""
    module, name = reference.split(":")
    return getattr(import_module(module), name)
