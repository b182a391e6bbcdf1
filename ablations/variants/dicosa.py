"""The variants of DiCoSA: with concepts and without, decorrelated or not."""

from ablations.registry import register
from ablations.variants.recipes import RELEASED_TRAINING
from hbi.config import DiCoSAConfig

register(
    "dicosa",
    "DiCoSA: weighted concepts of caption and pooled video, different ones decorrelated",
    model={"system": "dicosa"},
)
register(
    "dicosa-no-decorrelation",
    "DiCoSA without decorrelation: weighted concepts, contrastive loss alone",
    model={"system": "dicosa", "alpha": 0.0, "beta": 0.0},
)
register(
    "dicosa-one-concept",
    "DiCoSA with all channels in one concept: a weighted cosine with the video as the caption pools it",
    model={"system": "dicosa", "center": 1},
)
released = {
    "model": {"system": "dicosa", **DiCoSAConfig.published()},
    "training": {**RELEASED_TRAINING, "selection": "test"},
}
register(
    "dicosa-released",
    "DiCoSA by the published code, scores as they are: its departures, freezing and optimiser",
    **released,
    evaluation={"ties": "released"},
)
register(
    "dicosa-released-qb-norm",
    "DiCoSA by the published code, scores normalised by a bank of training queries, as it reports them on MSR-VTT",
    **released,
    evaluation={"ties": "released", "post_processing": "qb-norm", "qb_norm_scale": 70.0, "qb_norm_hub": [3, 5]},
)
