"""Speed of a training step of hbi-released on the batch of tests/golden, beside a matrix product of the same machine.

The published code takes 0.31 s on two idle cores (golden/hbi/timing.json, AMD EPYC); the product of 2048 × 2048
matrices, printed beside, tells how this machine compares.
"""

import json
import time
from pathlib import Path

import numpy as np
import torch

from hbi.data.batches import Batch
from hbi.models import released
from tests.golden_weights import published_weights

GOLDEN = Path(__file__).parents[1] / "golden"
PUBLISHED_SECONDS = 0.31


def best_of(function, repeats: int = 15) -> float:
    took = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        took.append(time.perf_counter() - start)
    return min(took)


def test_forward_and_backward_of_hbi_released(benchmark, capsys):
    torch.set_num_threads(2)
    arrays = np.load(GOLDEN / "hbi_released.npz")
    model = released.load("hbi", published_weights(json.loads((GOLDEN / "hbi_released.json").read_text())["weights"]))
    model.train()
    tensors = {name: torch.from_numpy(arrays[name]) for name in ("text_ids", "text_mask", "video", "video_mask")}
    batch = Batch(
        tensors["text_ids"].long(),
        tensors["text_mask"].bool(),
        tensors["video"].float(),
        tensors["video_mask"].bool(),
        torch.arange(6),
        torch.full((6,), -1),
    )

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model.losses(batch)["total"].backward()

    square = torch.randn(2048, 2048)
    best_of(step, 2)
    ours, product = best_of(step), best_of(lambda: square @ square)
    with capsys.disabled():
        print(
            f"\nhbi-released, forward and backward, 6 pairs: {ours:.3f} s (published code {PUBLISHED_SECONDS} s on its "
            f"machine); 2048³ float32 product: {product:.3f} s; ratio {ours / product:.1f}"
        )
    benchmark.pedantic(step, rounds=3)
