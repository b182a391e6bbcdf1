"""The golden weights of MCQ (tests/golden/bridgeformer.*) as a user has the published ones: in files."""

from pathlib import Path

import torch

from hbi.models import released
from hbi.models.two_towers import TwoTowers
from tests import golden_system

HEADS = (4, 4)
"""The golden heads are 16 channels wide, which no tensor tells."""


def place_published(folder: Path) -> TwoTowers:
    """Writes MCQ.pth, towers.json and vocab.txt into ``folder``; the model that they stand for."""
    weights = golden_system.read("bridgeformer").weights
    model = released.load("bridgeformer", weights, heads=HEADS)
    assert isinstance(model, TwoTowers)
    torch.save({"state_dict": {f"module.{name}": weight for name, weight in weights.items()}}, folder / "MCQ.pth")
    (folder / "towers.json").write_text(model.sizes.model_dump_json())
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += [f"word{number}" for number in range(len(tokens), model.sizes.text.vocabulary or 0)]
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
    return model
