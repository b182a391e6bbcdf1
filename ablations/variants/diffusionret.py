"""The variants of DiffusionRet: both stages, and the first alone."""

from ablations.registry import register
from ablations.variants.recipes import RELEASED_TRAINING
from hbi.config import DiffusionRetConfig

register(
    "diffusionret",
    "DiffusionRet: best candidates re-ranked by diffusion; the training of its first stage comes first",
    model={"system": "diffusionret"},
)
register(
    "diffusionret-discrimination",
    "DiffusionRet, first stage alone: weighted token-wise interaction, contrastive loss",
    model={"system": "diffusionret", "generation": None},
)
register(
    "diffusionret-released",
    "DiffusionRet by the published code: departures, freezing, optimiser; its first stage comes first",
    model={
        "system": "diffusionret",
        **DiffusionRetConfig.published(),
        "generation": {"start": "diffusionret-discrimination-released"},
    },
    training={**RELEASED_TRAINING, "selection": "test"},
    evaluation={"ties": "released"},
)
register(
    "diffusionret-discrimination-released",
    "DiffusionRet, first stage alone, by the published code: departures, freezing, optimiser",
    model={"system": "diffusionret", **DiffusionRetConfig.published(), "generation": None},
    training={**RELEASED_TRAINING, "selection": "test"},
    evaluation={"ties": "released"},
)
