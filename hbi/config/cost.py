"""What a measurement of cost measures, and at which sizes."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from hbi.config.base import Config, member
from hbi.config.models import SYSTEMS, AnySystem, ModelConfig

Size = Literal["words", "frames", "gallery", "batch"]
Sizes = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=2)]


class CostOptions(Config):
    """What a suite says of a measurement, for all its rows."""

    resolution: int | None = Field(None, ge=1, description="Side of the frames, pixels; none: the encoder's own.")
    gallery: int = Field(1000, ge=1, description="Captions, and videos, whose similarities are computed: N of N × N.")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="Of the encoder's arithmetic (autocast).")
    rounds: int = Field(100, ge=1, description="Times that each call is timed; variants take turns.")
    seconds: float = Field(
        60.0,
        gt=0,
        description="Seconds for the rounds of one kind of call, a fifth of them at each size of scaling: long calls "
        "get fewer rounds, but never fewer than 8, however long these take. Warm-up comes before: each call three "
        "times or more.",
    )
    scaling: dict[Size, Sizes] = Field(
        {},
        description="Sizes at which the cost is measured again, the others as they are: {gallery: [250, 500, 1000]}.",
    )

    @model_validator(mode="after")
    def _growing(self) -> "CostOptions":
        for size, values in self.scaling.items():
            if list(values) != sorted(set(values)):
                raise ValueError(f"scaling.{size}: sizes grow from one to the next")
            if size == "batch" and values[0] < 2:
                raise ValueError("scaling.batch: a training step takes 2 pairs or more")
        return self


class CaseConfig(Config):
    """A row of a table of cost: a system, and the sizes of its own."""

    label: str
    model: AnySystem
    words: int = Field(ge=1, description="Tokens of each caption; none is padding.")
    frames: int = Field(ge=1, description="Frames of each video.")
    batch: int = Field(
        ge=2,
        description="Pairs of a training step, which is measured in one part (accumulation 1) and without "
        "activation checkpointing, whatever the row's training does.",
    )


class CostConfig(CostOptions, ModelConfig):
    """A measurement of cost: all rows of a suite in one run, for times are compared only where they were taken in turn.

    Weights are random and tokens too; which they are changes no shape, so none are read.
    """

    system: Literal["cost"] = "cost"
    cases: tuple[CaseConfig, ...] = Field(
        min_length=1, description="The rows; the first is what others are compared with."
    )

    @property
    def files(self) -> dict[str, str]:
        """Of every case, by "cases.NUMBER.model.OPTION"."""
        return {
            f"cases.{number}.model.{option}": path
            for number, case in enumerate(self.cases)
            for option, path in case.model.files.items()
        }


AnyModel = SerializeAsAny[
    Annotated[
        ModelConfig,
        BeforeValidator(lambda value: member(_members(), "system", "system", value)),
    ]
]


def _members() -> dict[str, Any]:
    return {**SYSTEMS, "cost": CostConfig}
