"""Numbers of a published system: tests/golden/SYSTEM.json and .npz, a case of ../shared/golden/SYSTEM.

The .npz holds the inputs and, of every array that the published code gave, the first 16 channels; the .json its losses
and gradient norms by variant, and the recipe of its weights, which are drawn and not stored.
"""

import json
import re
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hbi.data.batches import Batch
from hbi.models import released

GOLDEN = Path(__file__).parent / "golden"
CHANNELS = 16


def read(system: str) -> SimpleNamespace:
    """``weights`` by published name, ``texts`` and ``videos`` (ids or frames, mask), ``batch`` (the pairs that are
    trained on), ``arrays``, ``variants``, ``scalars``."""
    known = json.loads((GOLDEN / f"{system}.json").read_text())
    arrays = dict(np.load(GOLDEN / f"{system}.npz"))
    ids, text_mask, video_mask = (torch.from_numpy(arrays[n]) for n in ("text_ids", "text_mask", "video_mask"))
    frames, pairs = torch.from_numpy(arrays["video"]), known["train_batch"]
    texts, videos = (ids.long(), text_mask.bool()), (frames.float(), video_mask.bool())
    batch = Batch(
        *(part[:pairs] for part in (*texts, *videos)), torch.arange(pairs), torch.full((pairs,), -1, dtype=torch.int64)
    )
    return SimpleNamespace(
        weights={name: drawn(name, shape, known["rules"], known["seed"]) for name, shape in known["weights"].items()},
        texts=texts,
        videos=videos,
        batch=batch,
        arrays=arrays,
        variants=known["variants"],
        scalars=known["scalars"],
    )


def drawn(name: str, shape: list[int], rules: list[dict], seed: int) -> torch.Tensor:
    """The weight of a published key, by the first of the ``rules`` that fits its name and axes."""
    rule = next(r for r in rules if re.search(r["pattern"], name) and r.get("ndim", len(shape)) == len(shape))
    scale = rule["scale"]
    if scale == "fan_in**-0.5":
        fan_in = shape[0] if rule["fan_in"] == "shape[0]" else np.prod(shape[1:])
        scale = rule["gain"] / np.sqrt(fan_in)
    random = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()) ^ seed))
    noise = random.standard_normal(size=tuple(shape))
    return torch.from_numpy(np.asarray(rule["offset"] + scale * noise, dtype=np.float32))


def encoded(model, golden):
    """All captions and all videos, without gradient."""
    with torch.no_grad():
        return model.encode_text(*golden.texts), model.encode_video(*golden.videos)


def assert_close(found: torch.Tensor, expected: np.ndarray) -> None:
    """To the tolerance that the published numbers are stated with; of the channels that are kept."""
    kept = found.detach().numpy()
    if kept.shape != expected.shape:
        kept = kept[..., :CHANNELS]
    np.testing.assert_allclose(kept, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def gradients(model, batch: Batch, system: str) -> dict[str, torch.Tensor | None]:
    """Of the total loss, by published name."""
    model.train().zero_grad()
    model.losses(batch)["total"].backward()
    return {released.published_name(name, system): weight.grad for name, weight in model.named_parameters()}


def assert_norms(found: dict[str, torch.Tensor | None], norms: dict[str, float | None]) -> None:
    """Gradients' norms; where one is published as none the weight has none, or is not there."""
    largest = max(filter(None, norms.values()))
    for name, norm in norms.items():
        if norm is None:
            assert found.get(name) is None, name
        else:
            assert found[name].double().norm().item() == pytest.approx(norm, rel=1e-3, abs=1e-6 * largest), name
    assert {name for name, gradient in found.items() if gradient is not None} <= {n for n in norms if norms[n]}
