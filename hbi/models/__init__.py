"""One file a system, on shared parts: encoder, temporal, token_merge, similarity, banzhaf_loss."""

from hbi.config import SystemConfig, imported
from hbi.models.base import Encoded, System, targets_of

__all__ = ["Encoded", "System", "build", "targets_of"]


def build(config: SystemConfig, seed: int = 0) -> System:
    """The model that ``config`` describes; equally named parts of two models of one seed start from equal weights."""
    model: System = imported(config.builder)(config, seed)
    return model
