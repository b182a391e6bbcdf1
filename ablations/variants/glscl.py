"""The variants of GLSCL: with and without concepts, and what of them is shared."""

from ablations.registry import register
from ablations.variants.recipes import RELEASED_TRAINING
from hbi.config import GLSCLConfig

register(
    "glscl",
    "GLSCL: frames weighed by the caption, and concepts of both sides found by shared queries",
    model={"system": "glscl"},
)
register(
    "glscl-global",
    "GLSCL without concepts: frames weighed by the caption, no parameters, contrastive loss",
    model={"system": "glscl", "query_number": 0},
)
register(
    "glscl-unshared",
    "GLSCL with queries and a decoder for each side",
    model={"system": "glscl", "query_share": False, "cross_att_share": False},
)
register(
    "glscl-released",
    "GLSCL by the published code: its departures and optimiser",
    model={"system": "glscl", **GLSCLConfig.published()},
    training={**RELEASED_TRAINING, "selection": "test"},
    evaluation={"ties": "released"},
)
