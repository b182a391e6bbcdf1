"""Data sets: where they lie, and how their captions and videos become tokens and frames."""

from functools import cache
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny

from hbi.config.base import Config, member, plugins
from hbi.errors import InputError


class DataConfig(Config):
    """What every data set shares: how captions and videos become tokens and frames."""

    loader: ClassVar[str]
    task: ClassVar[Literal["retrieval", "qa"]] = "retrieval"

    name: str = Field(description="Which data set.")
    root: str | None = Field(None, description="Folder of the data set. Not part of a run's identity.")
    max_words: int = Field(24, ge=3, description="Tokens a caption keeps, start and end token included.")
    max_frames: int = Field(12, ge=1, description="Frames a video keeps.")
    frame_rate: float = Field(1.0, gt=0, description="Frames a second sampled before the uniform choice of max_frames.")
    reader: Literal["auto", "decord", "pyav"] = Field(
        "auto", description="Video reader; auto takes decord where it imports, else PyAV."
    )

    @property
    def files(self) -> dict[str, str]:
        """As ModelConfig.files: those that options name, not those in ``root``."""
        return {}


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


DATASETS: dict[str, type[DataConfig]] = {
    "shapes": ShapesConfig,
    "msrvtt": MSRVTTConfig,
    "shapes-qa": ShapesQAConfig,
    "msrvtt-qa": MSRVTTQAConfig,
}


@cache
def datasets() -> dict[str, type[DataConfig]]:
    """DATASETS, completed by what installed packages offer as entry points "hbi.datasets"."""
    for name, config in plugins("hbi.datasets").items():
        if name in DATASETS:
            raise InputError(f"two data sets are called {name!r}; uninstall the plug-in that brings the second")
        DATASETS[name] = config
    return DATASETS


AnyData = SerializeAsAny[
    Annotated[DataConfig, BeforeValidator(lambda value: member(datasets(), "name", "data set", value))]
]
