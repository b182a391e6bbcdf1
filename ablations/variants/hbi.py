"""The variants of HBI, for retrieval."""

from typing import Any

from ablations.registry import register
from ablations.variants.recipes import RELEASED_TRAINING
from hbi.config import HBIConfig


def one_level(level: str, **more: Any) -> dict[str, Any]:
    """The model with a single level, trained and scored alone."""
    return {
        "system": "hbi",
        "levels": [level],
        "similarity_rates": {level: 1.0},
        "distillation_weight": 0.0,
        **more,
    }


register(
    "no-hbi",
    "baseline: weighted token-wise interaction of words and frames, contrastive loss only",
    model=one_level("entity", teacher=None),
)
register("entity-only", "words and frames alone, with the exact Banzhaf teacher", model=one_level("entity"))
register(
    "action-only",
    "phrases and clips alone (merged once), with the exact Banzhaf teacher",
    model=one_level("action"),
)
register("event-only", "the twice merged tokens alone, with the exact Banzhaf teacher", model=one_level("event"))
register(
    "hbi",
    "the full method: three levels, exact Banzhaf teacher, self-distillation",
    model={"system": "hbi"},
)
register(
    "hbi-no-distillation",
    "three levels and exact Banzhaf teacher, without self-distillation",
    model={"system": "hbi", "distillation_weight": 0.0},
)
register(
    "hbi-no-banzhaf",
    "deep supervision only: three levels, contrastive losses, no teacher, no self-distillation",
    model={"system": "hbi", "teacher": None, "distillation_weight": 0.0},
)
register(
    "hbi-shapley",
    "the full method with the exact Shapley interaction as teacher",
    model={"system": "hbi", "teacher": {"index": "shapley"}},
)
register(
    "hbi-sampled",
    "the full method with a teacher by unbiased Monte Carlo (model.teacher.samples)",
    model={"system": "hbi", "teacher": {"method": "sampled"}},
)
register(
    "hbi-estimated",
    "the full method with a learned estimator as teacher at every level; its training comes first",
    model={"system": "hbi", "teacher": {"method": "estimated"}, "departures": {"merged_teacher": "released"}},
)
register(
    "hbi-released",
    "the published code to rounding, with all its departures; its estimator's training comes first",
    model={"system": "hbi", **HBIConfig.published("estimator-released")},
    training={**RELEASED_TRAINING, "selection": "test", "select_every": 150},
    evaluation={"ties": "released"},
)
register(
    "estimator",
    "no system but the network that hbi-estimated needs, trained on the games of hbi-no-banzhaf",
    model={"system": "estimator"},
    training={"epochs": 10, "lr": 1e-2, "weight_decay": 0.0, "accumulation": 1, "selection": "last"},
)
register(
    "estimator-released",
    "the network that hbi-released needs, trained as published: its sampler's labels, padding, BertAdam",
    model={"system": "estimator", "labels": "released", "padding": "released"},
    training={**RELEASED_TRAINING, "epochs": 10, "lr": 1e-2, "accumulation": 1, "selection": "last"},
)
