"""Data sets: where they lie, and how their captions and videos become tokens and frames."""

from functools import cache
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from hbi.config.base import Choice, Config, member, plugins
from hbi.errors import InputError

Sampler = Literal["stride", "seconds", "ranges", "ranges-released"]


class DataConfig(Config):
    """What every data set shares: how captions and videos become tokens and frames."""

    loader: ClassVar[str]
    task: ClassVar[Literal["retrieval", "qa"]] = "retrieval"

    name: str = Field(description="Which data set.")
    root: str | None = Field(None, description="Folder of the data set. Not part of a run's identity.")
    max_words: int = Field(24, ge=3, description="Tokens a caption keeps, start and end token included.")
    max_frames: int = Field(12, ge=1, description="Frames a video keeps.")
    frame_rate: float = Field(1.0, gt=0, description="Frames a second sampled before the uniform choice of max_frames.")
    sampler: Sampler = Field(
        "stride",
        description="Rule of the sampling: every n-th frame of the whole video, as published for the short videos; "
        "the first frames of every second, as published for DiDeMo and ActivityNet; or the middle of each of "
        "max_frames ranges, as published for Frozen, MCQ and MILES, or the frame before it, as their code reads.",
    )
    training_frames: Literal["same", "drawn"] = Field(
        "same",
        description="Frames of training clips: those of the sampler; or one drawn from each of its ranges, anew in "
        "each epoch and decoded from the file, as published for Frozen, MCQ and MILES.",
    )
    resize: Literal["once", "twice"] = Field(
        "once",
        description="How a frame becomes a square: its shorter side resized, then cropped, as for CLIP; or larger by "
        "256/224 first, cropped, and resized again, as published for MCQ and MILES.",
    )
    reader: Literal["auto", "decord", "pyav"] = Field(
        "auto", description="Video reader; auto takes decord where it imports, else PyAV."
    )
    augmentation: Literal["none", "randaugment"] = Field(
        "none", description="Of training clips; randaugment is the published rand-m7-n4-mstd0.5-inc1."
    )
    augment_order: Choice = Field(
        "correct",
        description="What is augmented: the frames that the model sees, or, as published, those of the file before "
        "they are resized, which the frame cache does not hold.",
    )

    @model_validator(mode="after")
    def _whole_frames(self) -> "DataConfig":
        if self.sampler == "seconds" and not self.frame_rate.is_integer():
            raise ValueError(f"frame_rate {self.frame_rate:g}: sampler seconds takes a whole number of frames a second")
        return self

    @model_validator(mode="after")
    def _ranges_to_draw_from(self) -> "DataConfig":
        if self.training_frames == "drawn" and not self.sampler.startswith("ranges"):
            raise ValueError(f"training_frames drawn: sampler {self.sampler} has no ranges to draw from; take ranges")
        return self

    @property
    def evaluated_on(self) -> str:
        """Name of the data set whose test split a model is evaluated on."""
        return self.name

    @property
    def varies(self) -> bool:
        """Whether a training clip is another each time."""
        return self.augmentation != "none" or self.training_frames == "drawn"

    @property
    def files(self) -> dict[str, str]:
        """As ModelConfig.files: those that options name, not those in ``root``."""
        return {}

    @property
    def test_videos(self) -> int | None:
        """Of the test split, as published; none: nobody knows before the data are read."""
        return None


AnyData = SerializeAsAny[
    Annotated[DataConfig, BeforeValidator(lambda value: member(datasets(), "name", "data set", value))]
]
"""Any of ``datasets()``: a mapping with its name, or the name alone."""


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

    @property
    def test_videos(self) -> int:
        return self.test


class MSRVTTConfig(DataConfig):
    """MSR-VTT with the 1k-A test split (Yu et al., ECCV 2018) and 9k or 7k training videos."""

    loader: ClassVar[str] = "hbi.data.msrvtt:load"

    name: Literal["msrvtt"] = Field("msrvtt", description="Which data set.")
    root: str | None = Field("data/MSR-VTT", description="Folder with anns/ and videos/. Not part of a run's identity.")
    train_split: Literal["9k", "7k"] = Field("9k", description="Which training list is read.")
    hold_out_validation: bool = Field(
        False, description="Take the videos of MSRVTT_val.full.csv out of training, as a validation split."
    )

    @property
    def test_videos(self) -> int:
        return 1000


class MSVDConfig(DataConfig):
    """MSVD (Chen and Dolan, ACL 2011), about 40 captions a video, in the lists of 1200, 100 and 670 videos."""

    loader: ClassVar[str] = "hbi.data.msvd:load"

    name: Literal["msvd"] = Field("msvd", description="Which data set.")
    root: str | None = Field(
        "data/MSVD", description="Folder with lists, raw-captions.json and videos/. Not part of a run's identity."
    )
    max_words: int = Field(32, ge=3, description="Tokens a caption keeps, start and end token included.")
    grouping: Choice = Field(
        "correct",
        description="Which captions of val and test belong to which video; released: all of them one place off, as "
        "four published repositories have it.",
    )

    @property
    def test_videos(self) -> int:
        return 670


class _IncompleteConfig(DataConfig):
    """A data set of which not all videos can be had any more."""

    missing: Literal["error", "drop"] = Field(
        "error",
        description="What becomes of training videos without file; drop: they are left out, and counted. The videos "
        "of val and test must all be there.",
    )


class LSMDCConfig(_IncompleteConfig):
    """LSMDC (Rohrbach et al., CVPR 2015): clips of films, one sentence each; test is the list of 1000 clips."""

    loader: ClassVar[str] = "hbi.data.lsmdc:load"

    name: Literal["lsmdc"] = Field("lsmdc", description="Which data set.")
    root: str | None = Field(
        "data/LSMDC", description="Folder with the annotation files and videos/. Not part of a run's identity."
    )
    max_words: int = Field(32, ge=3, description="Tokens a caption keeps, start and end token included.")
    drop: tuple[str, ...] = Field(
        (
            "0017_Pianist_00.23.28.872-00.23.34.843",
            "0017_Pianist_00.30.36.767-00.30.38.009",
            "3064_SPARKLE_2012_01.41.07.000-01.41.11.793",
        ),
        description="Clips that are left out of every split; those that most published loaders leave out.",
    )

    @property
    def test_videos(self) -> int:
        return 1000


class _ParagraphConfig(_IncompleteConfig):
    """All sentences of a video are one caption."""

    max_words: int = Field(64, ge=3, description="Tokens a caption keeps, start and end token included.")
    max_frames: int = Field(64, ge=1, description="Frames a video keeps.")
    sampler: Sampler = Field("seconds", description="Rule of the sampling; seconds is published.")


class DiDeMoConfig(_ParagraphConfig):
    """DiDeMo (Hendricks et al., ICCV 2017): the descriptions of a video as one paragraph, its first 31 seconds."""

    loader: ClassVar[str] = "hbi.data.didemo:load"

    name: Literal["didemo"] = Field("didemo", description="Which data set.")
    root: str | None = Field(
        "data/DiDeMo", description="Folder with lists, annotations and videos/. Not part of a run's identity."
    )

    @property
    def test_videos(self) -> int:
        return 1004


class ActivityNetConfig(_ParagraphConfig):
    """ActivityNet Captions (Krishna et al., ICCV 2017): a paragraph a video; val_1 is the test split."""

    loader: ClassVar[str] = "hbi.data.activitynet:load"

    name: Literal["activitynet"] = Field("activitynet", description="Which data set.")
    root: str | None = Field(
        "data/ActivityNet", description="Folder with ids, captions and videos/. Not part of a run's identity."
    )

    @property
    def test_videos(self) -> int:
        return 4917


class PairsConfig(_IncompleteConfig):
    """Captions of videos and images as tables list them, to train on; evaluated on another data set, as it is."""

    loader: ClassVar[str] = "hbi.data.pairs:load"

    name: Literal["pairs"] = Field("pairs", description="Which data set.")
    root: str | None = Field(None, description="Folder of the videos and images. Not part of a run's identity.")
    tables: tuple[str, ...] = Field(
        min_length=1,
        description="Files of the training pairs, .csv or .tsv, with the columns path and caption; nouns and verbs "
        'where phrases are asked for: "2:12 31:42" are the characters from the third to the twelfth, and so on.',
    )
    test: AnyData = Field(
        description="Data set that the run is evaluated on: its test split, and its val where it has one; words, "
        "frames and their sampling are those of this section."
    )

    @model_validator(mode="after")
    def _evaluated_on_another(self) -> "PairsConfig":
        if self.test.task != "retrieval" or isinstance(self.test, PairsConfig):
            raise ValueError(f"test: {self.test.name} has no captions to be tested on; take a data set that has")
        return self

    @property
    def evaluated_on(self) -> str:
        return self.test.evaluated_on

    @property
    def files(self) -> dict[str, str]:
        tables = {f"tables.{number}": table for number, table in enumerate(self.tables)}
        return tables | {f"test.{option}": file for option, file in self.test.files.items()}

    @property
    def test_videos(self) -> int | None:
        return self.test.test_videos


class ShapesQAConfig(ShapesConfig):
    """Questions about the generated videos of shapes: what, who, how, when, where; answers are one word."""

    loader: ClassVar[str] = "hbi.data.shapes_qa:load"
    task: ClassVar[Literal["retrieval", "qa"]] = "qa"

    name: Literal["shapes-qa"] = Field("shapes-qa", description="Which data set.")  # type: ignore[assignment]
    max_words: int = Field(16, ge=3, description="Tokens a question keeps, start and end token included.")


class MSRVTTQAConfig(DataConfig):
    """MSRVTT-QA (Xu et al., ACM MM 2017), questions about the videos of MSR-VTT."""

    loader: ClassVar[str] = "hbi.data.msrvtt_qa:load"
    task: ClassVar[Literal["retrieval", "qa"]] = "qa"

    name: Literal["msrvtt-qa"] = Field("msrvtt-qa", description="Which data set.")
    root: str | None = Field("data/MSR-VTT", description="Folder with qa/ and videos/. Not part of a run's identity.")
    max_words: int = Field(32, ge=3, description="Tokens a question keeps, start and end token included.")
    labels: str | None = Field(
        None,
        description='Label file, {"answer": label}; default: qa/train_ans2label.json, or where that is missing the '
        "most frequent answers of the training questions.",
    )
    most_frequent: int = Field(1500, ge=1, description="How many of these answers, where there is no label file.")

    @property
    def files(self) -> dict[str, str]:
        return {"labels": self.labels} if self.labels else {}

    @property
    def test_videos(self) -> int:
        return 2990


class MSVDQAConfig(DataConfig):
    """MSVD-QA (Xu et al., ACM MM 2017), questions about the videos of MSVD, in splits of its own."""

    loader: ClassVar[str] = "hbi.data.msvd_qa:load"
    task: ClassVar[Literal["retrieval", "qa"]] = "qa"

    name: Literal["msvd-qa"] = Field("msvd-qa", description="Which data set.")
    root: str | None = Field(
        "data/MSVD-QA", description="Folder with the questions and videos/. Not part of a run's identity."
    )
    max_words: int = Field(32, ge=3, description="Tokens a question keeps, start and end token included.")
    labels: str | None = Field(
        None, description='Label file, {"answer": label}; default: the most frequent answers of the training questions.'
    )
    most_frequent: int = Field(1000, ge=1, description="How many of these answers, where no label file is given.")

    @property
    def files(self) -> dict[str, str]:
        return {"labels": self.labels} if self.labels else {}

    @property
    def test_videos(self) -> int:
        return 504


DATASETS: dict[str, type[DataConfig]] = {
    "shapes": ShapesConfig,
    "msrvtt": MSRVTTConfig,
    "msvd": MSVDConfig,
    "lsmdc": LSMDCConfig,
    "didemo": DiDeMoConfig,
    "activitynet": ActivityNetConfig,
    "shapes-qa": ShapesQAConfig,
    "msrvtt-qa": MSRVTTQAConfig,
    "msvd-qa": MSVDQAConfig,
    "pairs": PairsConfig,
}


@cache
def datasets() -> dict[str, type[DataConfig]]:
    """DATASETS, completed by what installed packages offer as entry points "hbi.datasets"."""
    for name, config in plugins("hbi.datasets").items():
        if name in DATASETS:
            raise InputError(f"two data sets are called {name!r}; uninstall the plug-in that brings the second")
        DATASETS[name] = config
    return DATASETS
