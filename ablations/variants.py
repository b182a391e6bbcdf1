"""The variants of HBI. Each is a few changed fields of hbi.config.HBIConfig, no code of its own."""

from typing import Any

from ablations.registry import register
from hbi.config import HBIConfig, HBIQAConfig

RELEASED_TRAINING = {"optimiser": "bertadam", "schedule": "released", "precision": "released"}


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

# ---- question answering

register(
    "no-hbi-qa",
    "question answering, baseline: words and frames, answer and contrastive losses only",
    model=_one_level("entity", system="hbi-qa", teacher=None),
)
register(
    "entity-only-qa",
    "question answering by words and frames alone, with the exact Banzhaf teacher",
    model=_one_level("entity", system="hbi-qa"),
)
register(
    "action-only-qa",
    "question answering by phrases and clips alone (merged once), with the exact Banzhaf teacher",
    model=_one_level("action", system="hbi-qa"),
)
register(
    "event-only-qa",
    "question answering by the twice merged tokens alone, with the exact Banzhaf teacher",
    model=_one_level("event", system="hbi-qa"),
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
