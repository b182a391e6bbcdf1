"""The similarities of all captions with all videos: beside their matrix product, and beside the published loop."""

import pytest
import torch
from torch import Tensor

from hbi.config import DeparturesConfig, HBIConfig
from hbi.cost.memory import peak_memory
from hbi.models import Encoded
from hbi.models.hbi import HBI
from hbi.training.evaluate import scores
from tests.similarity_matrix import similarity_matrix

T, V, D = 24, 12, 512
VIDEOS = 1000
THREADS = 2
SIZES = {
    "embed_dim": D,
    "vision_cfg": {"image_size": 8, "patch_size": 8, "layers": 1, "width": 8, "head_width": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 2, "width": D, "heads": 8, "layers": 1},
}
CONFIGS = {
    "hbi": HBIConfig(teacher=None),
    "hbi-released": HBIConfig(teacher=None, departures=DeparturesConfig.all_released()),
}
ITEMS, BATCH = 200, 32
PUBLISHED_SECONDS = 2.75  # golden/hbi/timing.json: eval_run_on_single_gpu_200x200_mb32, AMD EPYC, 2 threads


def system(name: str) -> HBI:
    """To which words and frames come encoded."""
    torch.set_num_threads(THREADS)
    model = HBI(CONFIGS[name], sizes=SIZES).eval()
    model.encoder.words = model.temporal.forward = lambda tokens, mask: tokens
    return model


def items(number: int, tokens: int) -> tuple[Tensor, Tensor]:
    """Encoded words or frames [N,L,D], and their mask [N,L]: the longest has no padding."""
    draw = torch.Generator().manual_seed(tokens)
    length = torch.randint(tokens // 2, tokens + 1, (number, 1), generator=draw)
    return torch.randn(number, tokens, D, generator=draw), torch.arange(tokens) < length


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


# ---- beside the product ---------------------------------------------------------------------------------------------


def against_the_product(captions: int) -> str:
    return f"similarities of {captions} × {VIDEOS}: {T} words, {V} frames, {D} dimensions, {THREADS} threads"


@pytest.mark.parametrize("captions", [1, 1000])
def test_matrix_product(benchmark, captions):
    """Of all words with all frames, 128 captions at a time, for the whole would be 1.15 GB."""
    benchmark.group = against_the_product(captions)
    benchmark.extra_info["reference"] = True
    torch.set_num_threads(THREADS)
    words, frames = items(captions, T)[0].split(128), items(VIDEOS, V)[0].flatten(0, 1).T
    found = torch.empty(128 * T, VIDEOS * V)

    def product() -> None:
        for part in words:
            torch.matmul(part.flatten(0, 1), frames, out=found[: len(part) * T])

    benchmark.pedantic(product, rounds=100 if captions == 1 else 5, warmup_rounds=1)


@pytest.mark.parametrize("captions", [1, 1000])
@pytest.mark.parametrize("name", CONFIGS)
def test_similarities(benchmark, name, captions):
    benchmark.group = against_the_product(captions)
    benchmark.extra_info["peak_bytes"] = peak_memory(
        f"{__name__}:compare", {"name": name, "captions": captions}, prepare=f"{__name__}:encoded"
    ).bytes
    given = encoded(name, captions)
    benchmark.pedantic(compare, (given,), rounds=100 if captions == 1 else 5, warmup_rounds=1)


def encoded(name: str, captions: int) -> tuple[HBI, Encoded, Encoded]:
    with torch.inference_mode():
        model = system(name)
        text, video = model.encode_text(*items(captions, T)), model.encode_video(*items(VIDEOS, V))
        model.similarity(text.select(slice(1)), video.select(slice(1)))  # the libraries have started
        return model, text, video


def compare(given: tuple[HBI, Encoded, Encoded]) -> None:
    scores(*given)


# ---- beside the published loop --------------------------------------------------------------------------------------

LOOP = f"evaluation of {ITEMS} × {ITEMS} encoded words and frames: {T} words, {V} frames, {D} dimensions"


def test_loop_that_merges_tokens_for_every_block(benchmark):
    """As the published code is built: every level of both sides, for every block of 32 × 32."""
    benchmark.group = f"{LOOP}, {THREADS} threads"
    benchmark.extra_info.update(reference=True, published_seconds=PUBLISHED_SECONDS)
    model = system("hbi-released")
    texts, videos = batches(T), batches(V)

    def loop() -> Tensor:
        return torch.cat(
            [
                torch.cat(
                    [model.similarity(model.encode_text(*text), model.encode_video(*video)) for video in videos], 1
                )
                for text in texts
            ]
        )

    assert benchmark.pedantic(loop, rounds=3, warmup_rounds=1).shape == (ITEMS, ITEMS)


@pytest.mark.parametrize("name", CONFIGS)
def test_evaluation(benchmark, name):
    benchmark.group = f"{LOOP}, {THREADS} threads"
    arguments = system(name), batches(T), batches(V), torch.device("cpu"), "fp32"
    assert benchmark.pedantic(similarity_matrix, arguments, rounds=15, warmup_rounds=1).shape == (ITEMS, ITEMS)


def batches(tokens: int) -> list[tuple[Tensor, Tensor]]:
    features, mask = items(ITEMS, tokens)
    return list(zip(features.split(BATCH), mask.split(BATCH), strict=True))
