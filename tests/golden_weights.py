"""The weights of the published models, drawn by the recipe of ../shared/golden/hbi/README.md."""

import zlib
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parents[2] / "shared" / "golden" / "hbi" / "dev"
SEED = 20230618


def drawn(name: str, tensor: dict) -> torch.Tensor:
    """The weight of the published key ``name``, a manifest's entry."""
    if tensor["kind"] == "int_zero":
        return torch.zeros((), dtype=torch.int64)
    random = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()) ^ SEED))
    noise = {
        "normal": lambda: random.standard_normal(size=tensor["shape"]),
        "one_plus_abs": lambda: np.abs(random.standard_normal(size=tensor["shape"])),
        "constant": lambda: np.float64(0),
    }[tensor["kind"]]()
    return torch.from_numpy(np.asarray(tensor["mean"] + tensor["scale"] * noise, dtype=np.float32))


def published_weights(entries: dict[str, list]) -> dict[str, torch.Tensor]:
    """All weights of a model, from what tests/golden keeps of its manifest: kind, shape, mean and scale by key."""
    fields = ("kind", "shape", "mean", "scale")
    return {name: drawn(name, dict(zip(fields, entry, strict=True))) for name, entry in entries.items()}
