"""Typed configuration of everything that a run's result depends on. Free of torch, so that planning is quick.

Each open family (data sets, systems) is a small base class and a dictionary of its members; a member names the code
that builds it as "module:function", which is imported only when a run needs it.
"""

from hbi.config.base import LEVELS, Choice, Config, Level, imported, plugins
from hbi.config.cost import AnyModel, CaseConfig, CostConfig, CostOptions
from hbi.config.data import (
    DATASETS,
    ActivityNetConfig,
    AnyData,
    DataConfig,
    DiDeMoConfig,
    LSMDCConfig,
    MSRVTTConfig,
    MSRVTTQAConfig,
    MSVDConfig,
    MSVDQAConfig,
    ShapesConfig,
    ShapesQAConfig,
    datasets,
)
from hbi.config.models import (
    SYSTEMS,
    AnySystem,
    DeparturesConfig,
    EstimatorConfig,
    HBIConfig,
    HBIQAConfig,
    ModelConfig,
    SystemConfig,
    TeacherConfig,
    is_file,
)
from hbi.config.training import EvaluationConfig, RuntimeConfig, TrainingConfig

__all__ = [
    "DATASETS",
    "LEVELS",
    "SYSTEMS",
    "ActivityNetConfig",
    "AnyData",
    "AnyModel",
    "AnySystem",
    "CaseConfig",
    "Choice",
    "Config",
    "CostConfig",
    "CostOptions",
    "DataConfig",
    "DeparturesConfig",
    "DiDeMoConfig",
    "EstimatorConfig",
    "EvaluationConfig",
    "HBIConfig",
    "HBIQAConfig",
    "LSMDCConfig",
    "Level",
    "MSRVTTConfig",
    "MSRVTTQAConfig",
    "MSVDConfig",
    "MSVDQAConfig",
    "ModelConfig",
    "RuntimeConfig",
    "ShapesConfig",
    "ShapesQAConfig",
    "SystemConfig",
    "TeacherConfig",
    "TrainingConfig",
    "datasets",
    "imported",
    "is_file",
    "plugins",
]
