"""The variants of EMCL-Net: whose bases they are."""

from ablations.registry import register
from ablations.variants.recipes import RELEASED_TRAINING
from hbi.config import EMCLConfig

register(
    "emcl",
    "EMCL-Net: a caption and a video pooled for it, each with its combination of bases of the latent space",
    model={"system": "emcl"},
)
register(
    "emcl-released",
    "EMCL-Net by the published code: its departures and optimiser; a score depends on its block of 32 × 32",
    model={"system": "emcl", **EMCLConfig.published()},
    training={**RELEASED_TRAINING, "selection": "test"},
    evaluation={"ties": "released"},
)
