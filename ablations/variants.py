"""The variants of HBI. Each is a few changed fields of hbi.config.HBIConfig, no code of its own."""

from typing import Any

from ablations.registry import register


def _one_level(level: str, **more: Any) -> dict[str, Any]:
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
    model=_one_level("entity", teacher=None),
)
register("entity-only", "words and frames alone, with the exact Banzhaf teacher", model=_one_level("entity"))
register(
    "action-only",
    "phrases and clips alone (merged once), with the exact Banzhaf teacher",
    model=_one_level("action"),
)
register("event-only", "the twice merged tokens alone, with the exact Banzhaf teacher", model=_one_level("event"))
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
    "the full method with a learned estimator as teacher, as published; its training comes first",
    model={"system": "hbi", "teacher": {"method": "estimated"}},
)
register(
    "estimator",
    "no system but the network that hbi-estimated needs, trained on the games of hbi-no-banzhaf",
    model={"system": "estimator"},
    training={"epochs": 10, "lr": 1e-2, "weight_decay": 0.0, "accumulation": 1, "selection": "last"},
)
