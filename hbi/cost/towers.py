"""The FLOPs of a system of two towers: each makes of its item, in one, the vector that is compared."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hbi.config import SystemConfig
from hbi.cost.flops import FlopReport, count_flops
from hbi.cost.meta import adamw, many
from hbi.cost.systems import Sizes, smallest, untrained
from hbi.data.batches import Batch
from hbi.models import Encoded, System
from hbi.models.base import initialised
from hbi.models.two_towers import TwoTowers


def tower_stages(
    config: SystemConfig, sizes: Sizes, words: int, frames: int, batch: int | None, gallery: tuple[int, int]
) -> dict[str, FlopReport]:
    """As ``hbi.cost.stages.stages``: both towers, "similarity" and "training step"."""
    towers = _without_values(config, sizes)
    one = _pairs(1, words, frames, towers.image_size, len(config.asks))
    with torch.no_grad():
        towers.eval()
        text, caption = _counted(towers.encode_text, one.token_ids, one.text_mask)
        video, clip = _counted(towers.encode_video, one.frames, one.video_mask)
        similarity = count_flops(towers.similarity, many(caption, gallery[0]), many(clip, gallery[1]))
    reports = {"text encoder": text, "video encoder": video, "encode text": text, "encode video": video}
    reports["similarity"] = similarity
    if batch:
        pairs = _pairs(batch, words, frames, towers.image_size, len(config.asks))
        with initialised(0, "cost"):
            reports["training step"] = _training_step(towers.train(), untrained(config, smallest(sizes)), pairs)
    return reports


def _without_values(config: SystemConfig, sizes: Sizes) -> System:
    """The system on the meta device; what it draws by the numbers of videos, which are values, it gets at no cost."""
    with torch.device("meta"):
        towers = untrained(config, sizes)
    if isinstance(towers, TwoTowers):
        towers.drawn = lambda purpose, videos, count: torch.rand(len(videos), count, device="meta")  # type: ignore[method-assign]
    return towers


def _training_step(towers: System, rest: System, pairs: Batch) -> FlopReport:
    """``rest``: the system with its losses on the CPU, for they select and sort by value."""
    forward, encoded = _counted(towers.encode_pairs, pairs)
    text, video = (side.map(_random) for side in encoded)
    rows = torch.arange(len(text))
    targets = Encoded({"video_index": rows, "answer": torch.zeros_like(rows)})
    losses = count_flops(lambda: rest.losses_of(text, video, targets)["total"].backward())
    learned = [tensor for side in encoded for tensor in side.tensors.values() if tensor.requires_grad]
    backward = count_flops(torch.autograd.backward, learned, [torch.empty_like(tensor) for tensor in learned])
    return forward + losses + backward + adamw(towers) + adamw(rest) + count_flops(towers.after_step)


def _pairs(number: int, words: int, frames: int, side: int, kinds: int) -> Batch:
    """A batch without padding on the meta device; every caption asks for a phrase of each of ``kinds``."""
    with torch.device("meta"):
        ids, rows = torch.ones(number, words, dtype=torch.int64), torch.arange(number)
        pictures = torch.empty(number, frames, 3, side, side, dtype=torch.uint8)
        seen = torch.ones(number, frames, dtype=torch.bool)
        questions = torch.ones(number, kinds, 2, words, dtype=torch.int64)
        return Batch(ids, ids.bool(), pictures, seen, rows, rows, questions, questions.bool())


def _random(tensor: Tensor) -> Tensor:
    """One of that shape on the CPU: random features, and words of which none is padding."""
    if not tensor.is_floating_point():
        return torch.ones_like(tensor, device="cpu")
    return torch.randn(tensor.shape).requires_grad_(tensor.requires_grad)


def _counted(function: Callable[..., Any], *inputs: Any) -> tuple[FlopReport, Any]:
    """What it costs, and what it returns."""
    found: list[Any] = []
    report = count_flops(lambda: found.append(function(*inputs)))
    return report, found[0]
