"""Systems: what a run trains, one file each, with every ablated part an option."""

from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from hbi.config.base import member
from hbi.config.models.base import ClipSystemConfig, CommonDeparturesConfig, ModelConfig, SystemConfig, is_file
from hbi.config.models.bridgeformer_clip import BridgeFormerClipConfig
from hbi.config.models.clip4clip import Clip4ClipConfig
from hbi.config.models.dicosa import DiCoSAConfig
from hbi.config.models.diffusionret import DiffusionRetConfig, GenerationConfig
from hbi.config.models.drl import DRLConfig
from hbi.config.models.emcl import EMCLConfig
from hbi.config.models.estimator import EstimatorConfig
from hbi.config.models.glscl import GLSCLConfig
from hbi.config.models.hbi import DeparturesConfig, HBIConfig, HBIQAConfig, TeacherConfig
from hbi.config.models.two_towers import BridgeFormerConfig, MILESConfig, TwoTowerConfig

__all__ = [
    "SYSTEMS",
    "AnySystem",
    "BridgeFormerClipConfig",
    "BridgeFormerConfig",
    "Clip4ClipConfig",
    "ClipSystemConfig",
    "CommonDeparturesConfig",
    "DRLConfig",
    "DeparturesConfig",
    "DiCoSAConfig",
    "DiffusionRetConfig",
    "EMCLConfig",
    "EstimatorConfig",
    "GLSCLConfig",
    "GenerationConfig",
    "HBIConfig",
    "HBIQAConfig",
    "MILESConfig",
    "ModelConfig",
    "SystemConfig",
    "TeacherConfig",
    "TwoTowerConfig",
    "is_file",
]

SYSTEMS: dict[str, type[ModelConfig]] = {
    "hbi": HBIConfig,
    "hbi-qa": HBIQAConfig,
    "estimator": EstimatorConfig,
    "clip4clip": Clip4ClipConfig,
    "drl": DRLConfig,
    "glscl": GLSCLConfig,
    "emcl": EMCLConfig,
    "dicosa": DiCoSAConfig,
    "diffusionret": DiffusionRetConfig,
    "bridgeformer": BridgeFormerConfig,
    "bridgeformer-clip": BridgeFormerClipConfig,
    "miles": MILESConfig,
}

AnySystem = SerializeAsAny[
    Annotated[ModelConfig, BeforeValidator(lambda value: member(SYSTEMS, "system", "system", value))]
]
