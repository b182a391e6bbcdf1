"""A training step: of hbi-released on the batch of tests/golden, and of the quickstart's variants."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ablations.trained import untrained
from hbi.data.batches import Batch
from hbi.models import released
from hbi.training.optimiser import optimiser
from hbi.training.step import Step, backward
from suites.expand import expand
from suites.load import load_suite
from tests.golden_weights import published_weights

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
THREADS = 2
RELEASED = f"hbi-released, forward and backward of 6 pairs, {THREADS} threads"
PUBLISHED_SECONDS = 0.31  # of the published code on two idle cores of an AMD EPYC: golden/hbi/timing.json


def test_product_of_2048_by_2048_matrices(benchmark):
    """Tells how this machine compares with others."""
    benchmark.group = RELEASED
    benchmark.extra_info["reference"] = True
    torch.set_num_threads(THREADS)
    square = torch.randn(2048, 2048)
    benchmark.pedantic(lambda: square @ square, rounds=15, warmup_rounds=2)


def test_hbi_released(benchmark):
    benchmark.group = RELEASED
    benchmark.extra_info["published_seconds"] = PUBLISHED_SECONDS
    torch.set_num_threads(THREADS)
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

    def step() -> float:
        model.zero_grad(set_to_none=True)
        loss = model.losses(batch)["total"]
        loss.backward()
        return loss.item()

    assert np.isfinite(benchmark.pedantic(step, rounds=15, warmup_rounds=2))


@pytest.mark.parametrize("variant", ["no-hbi", "entity-only", "hbi-no-banzhaf", "hbi", "hbi-shapley", "hbi-sampled"])
def test_step(benchmark, variant, tmp_path):
    benchmark.group = "a training step of the quickstart, 25 pairs, 1 thread"
    benchmark.extra_info["reference"] = variant == "no-hbi"
    spec = expand(load_suite(ROOT / "suites" / "quickstart.yaml"), variant)[0].spec
    torch.set_num_threads(spec.runtime.threads)
    model = untrained(spec, tmp_path).train()
    adam, step, scaler = optimiser(model, spec.training), Step(model, "fp32"), torch.amp.GradScaler(enabled=False)
    pairs, words, frames = spec.training.batch_size, spec.data.max_words, spec.data.max_frames
    batch = Batch(
        token_ids=torch.randint(1, 49408, (pairs, words)),
        text_mask=torch.ones(pairs, words, dtype=torch.bool),
        frames=torch.randint(0, 256, (pairs, frames, 3, model.image_size, model.image_size), dtype=torch.uint8),
        video_mask=torch.ones(pairs, frames, dtype=torch.bool),
        video_index=torch.arange(pairs),
        answer=torch.full((pairs,), -1),
    )

    def whole_step() -> float:
        adam.zero_grad(set_to_none=True)
        losses = backward(step, batch, 1, scaler)
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.training.clip_norm)
        adam.step()
        return losses["total"].item()

    assert np.isfinite(benchmark.pedantic(whole_step, rounds=10, warmup_rounds=2))
