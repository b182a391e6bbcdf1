"""Recall and ranks of a similarity matrix, beside one comparison of all its scores."""

import numpy as np
import pytest

from hbi.cost.memory import peak_memory
from hbi.metrics.retrieval import retrieval_metrics

SIZES = [(1000, 1000), (10_000, 10_000), (10_000, 2_000)]
every_size = pytest.mark.parametrize(("captions", "videos"), SIZES, ids=[f"{n} by {m}" for n, m in SIZES])


def group(captions: int, videos: int) -> str:
    return f"metrics of both directions, {captions} captions × {videos} videos, float32"


def matrix(captions: int, videos: int) -> tuple[np.ndarray, list[int]]:
    """Scores, and the video of each caption."""
    draw = np.random.default_rng(0)
    video_of = draw.permutation(captions) % videos
    return draw.standard_normal((captions, videos), dtype=np.float32), video_of.tolist()


@every_size
def test_comparison_of_all_scores(benchmark, captions, videos):
    benchmark.group = group(captions, videos)
    benchmark.extra_info["reference"] = True
    scores, _ = matrix(captions, videos)
    benchmark.pedantic(lambda: np.count_nonzero(scores > 0), rounds=10, warmup_rounds=1)


@every_size
def test_metrics(benchmark, captions, videos):
    benchmark.group = group(captions, videos)
    peak = peak_memory(f"{__name__}:measure", {"captions": captions, "videos": videos}, prepare=f"{__name__}:matrix")
    benchmark.extra_info["peak_bytes"] = peak.bytes
    benchmark.pedantic(measure, (matrix(captions, videos),), rounds=5, warmup_rounds=1)
    assert peak.bytes < 64 * 2**20


def measure(given: tuple[np.ndarray, list[int]]) -> None:
    retrieval_metrics(*given)
