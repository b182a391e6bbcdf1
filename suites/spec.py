"""RunSpec: everything one run's result depends on, resolved; nothing is left to a default of the machine."""

from typing import Literal

from pydantic import Field

from hbi.config import AnyData, AnySystem, Config, EvaluationConfig, RuntimeConfig, TrainingConfig


class RunSpec(Config):
    """One run: a variant on a data set with one seed."""

    version: Literal[1] = 1
    variant: str
    seed: int = Field(0, ge=0)
    data: AnyData
    model: AnySystem
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    runtime: RuntimeConfig = RuntimeConfig()
