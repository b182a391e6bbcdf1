"""The variants of MILES: for retrieval, and in pre-training."""

from ablations.registry import register
from hbi.config import MILESConfig

register(
    "miles",
    "MILES: as MCQ, with attention over time and over space apart; zero-shot or fine-tuned",
    model={"system": "miles", "masking": None},
)
register(
    "miles-pretraining",
    "MILES, pre-training: features of hidden patches guessed as a slower copy of the model sees them",
    model={"system": "miles", "masking": {}},
)
register(
    "miles-released",
    "MILES by the published code: grey frames fill up short videos and are seen",
    model={"system": "miles", "masking": None, **MILESConfig.published()},
    evaluation={"ties": "optimistic"},
)
