"""The variants of DRL: how tokens meet, with and without decorrelated channels."""

from ablations.registry import register
from ablations.variants.recipes import RELEASED_TRAINING
from hbi.config import DRLConfig

register(
    "drl",
    "DRL: weighted token-wise interaction, channel decorrelation of best partners",
    model={"system": "drl"},
)
register(
    "drl-no-cdcr",
    "DRL without channel decorrelation: weighted token-wise interaction alone",
    model={"system": "drl", "cdcr": 0},
)
register(
    "drl-ti",
    "DRL with token-wise interaction that weighs all tokens alike",
    model={"system": "drl", "interaction": "ti", "cdcr": 2},
)
register(
    "drl-dp",
    "DRL with one vector a side (dot product), their channels decorrelated",
    model={"system": "drl", "interaction": "dp", "cdcr": 1},
)
register(
    "drl-released",
    "DRL by the published code: its departures and optimiser",
    model={"system": "drl", **DRLConfig.published()},
    training={**RELEASED_TRAINING, "selection": "test"},
    evaluation={"ties": "released"},
)
