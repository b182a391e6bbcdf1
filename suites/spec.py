"""RunSpec: everything one run's result depends on, resolved; only the device "auto" is left to the machine."""

from typing import Literal

from pydantic import Field

from hbi.config import AnyData, AnyModel, Config, EvaluationConfig, RuntimeConfig, TrainingConfig

Kept = Literal["weights", "similarity"]


class RunSpec(Config):
    """One run: a variant on a data set with one seed."""

    version: Literal[1] = 1
    variant: str
    seed: int = Field(0, ge=0)
    after: str | None = Field(None, description="Id of the run whose trained model this one starts from, or evaluates.")
    checkpoint: str | None = Field(None, description="File of weights that are evaluated; none: they are trained.")
    files: dict[str, str] = Field({}, description="sha256 of the file that an option names, by dotted option.")
    keep: tuple[Kept, ...] = Field(("weights",), description="What stays beside the record when it is complete.")
    data: AnyData
    model: AnyModel
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    @property
    def trains(self) -> bool:
        """Whether the run trains; else it evaluates its checkpoint, or the weights of the run it comes after."""
        return self.checkpoint is None and self.evaluation.post_processing == "none"
