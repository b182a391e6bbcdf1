"""The variants of HBI for questions."""

from ablations.registry import register
from ablations.variants.hbi import one_level
from ablations.variants.recipes import RELEASED_TRAINING
from hbi.config import HBIQAConfig

register(
    "no-hbi-qa",
    "question answering, baseline: words and frames, answer and contrastive losses only",
    model=one_level("entity", system="hbi-qa", teacher=None),
)
register(
    "entity-only-qa",
    "question answering by words and frames alone, with the exact Banzhaf teacher",
    model=one_level("entity", system="hbi-qa"),
)
register(
    "action-only-qa",
    "question answering by phrases and clips alone (merged once), with the exact Banzhaf teacher",
    model=one_level("action", system="hbi-qa"),
)
register(
    "event-only-qa",
    "question answering by the twice merged tokens alone, with the exact Banzhaf teacher",
    model=one_level("event", system="hbi-qa"),
)
register(
    "hbi-qa",
    "question answering by the full method: three levels, exact Banzhaf teacher, self-distillation",
    model={"system": "hbi-qa"},
)
register(
    "hbi-no-banzhaf-qa",
    "question answering with deep supervision only: three levels, no teacher, no self-distillation",
    model={"system": "hbi-qa", "teacher": None, "distillation_weight": 0.0},
)
register(
    "hbi-released-qa",
    "question answering by the published code to rounding; its estimator's training comes first",
    model={
        "system": "hbi-qa",
        **HBIQAConfig.published("estimator-released-qa"),
        "freeze": "embeddings",  # by an option of the published training (freeze_layer_num 0), not by the model
    },
    training={**RELEASED_TRAINING, "selection": "test"},
)
register(
    "estimator-released-qa",
    "the network that hbi-released-qa needs, trained on the games of hbi-no-banzhaf-qa",
    model={"system": "estimator", "source": "hbi-no-banzhaf-qa", "labels": "released", "padding": "released"},
    training={**RELEASED_TRAINING, "epochs": 10, "lr": 1e-2, "accumulation": 1, "selection": "last"},
)
