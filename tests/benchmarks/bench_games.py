"""What games cost, beside the estimator network that the paper trains because it takes them to be NP-hard.

python -m tests.benchmarks.bench_games FILE.json growth.png       the times over sizes in FILE.json, as a plot
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from hbi.cost.memory import peak_memory
from hbi.games import TokenGame, interaction, pairwise_interaction, value
from hbi.games.estimator import BanzhafEstimator, estimated_interaction
from hbi.games.quadrature import trapezoid_rule
from tests.benchmarks.ratios import read

B, T, V = 128, 24, 12
THREADS = 2
PUBLISHED_SAMPLER = 345.8  # seconds for B games with 1000 samples on 2 threads: golden/hbi/timing.json
SIZES = (4, 8, 16, 32, 64, 128, 256, 512)
OVER_SIZES = f"exact Banzhaf over sizes: 16 games of as many words as frames, {THREADS} threads"


def a_game(B: int = B, T: int = T, V: int = V) -> TokenGame:
    g = torch.Generator().manual_seed(0)
    draw = [torch.randn(*shape, generator=g) for shape in ((B, T, V), (B, T), (B, V))]
    return TokenGame(0.3 * draw[0], *draw[1:])


def a_game_like(game: TokenGame) -> TokenGame:
    return TokenGame(game.similarity, game.text.scores, game.video.scores, game.text.mask, game.video.mask)


METHODS: dict[str, Callable[[TokenGame], Any]] = {
    "estimator network": partial(estimated_interaction, BanzhafEstimator()),
    "new game": a_game_like,
    "exact Banzhaf": interaction,
    "exact Shapley": partial(interaction, index="shapley"),
    "exact Banzhaf values": value,
    "Monte Carlo, 1000 samples": partial(interaction, method="sample", samples=1000),
    "released sampler, 1000 samples": partial(interaction, method="released", samples=1000),
}


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    torch.set_num_threads(THREADS)
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("method", METHODS)
def test_game(benchmark, method):
    benchmark.group = f"{B} games of {T} words and {V} frames, {THREADS} threads"
    benchmark.extra_info["reference"] = method == "estimator network"
    if "released" in method:
        benchmark.extra_info["published_seconds"] = PUBLISHED_SAMPLER
    slow = "samples" in method
    benchmark.pedantic(METHODS[method], (a_game(),), rounds=3 if slow else 30, warmup_rounds=0 if slow else 3)


@pytest.mark.parametrize("index", ["banzhaf", "shapley"])
def test_exact(benchmark, index):
    benchmark.group = f"64 games of 64 words and 64 frames, {THREADS} threads"
    benchmark.extra_info["reference"] = index == "banzhaf"
    peak = peak_memory(f"{a_game.__module__}:large_game", {"index": index}).bytes
    benchmark.extra_info["peak_bytes"] = peak
    benchmark.pedantic(interaction, (a_game(64, 64, 64), index), rounds=20, warmup_rounds=1)
    assert peak < 2 * 2**30


def large_game(index: str) -> None:
    interaction(a_game(64, 64, 64), index)


def test_all_pairs(benchmark):
    benchmark.group = f"exact Banzhaf of 500 × 500 pairs, {T} words and {V} frames, {THREADS} threads"
    peak = peak_memory(f"{a_game.__module__}:all_pairs").bytes
    benchmark.extra_info["peak_bytes"] = peak
    benchmark.pedantic(all_pairs, rounds=3)
    assert peak < 2**30


def all_pairs(pairs: int = 500) -> None:
    text, video = torch.randn(pairs, T, 512), torch.randn(pairs, V, 512)
    for _ in pairwise_interaction(text, video, torch.randn(pairs, T), torch.randn(pairs, V)):
        pass


@pytest.mark.parametrize("size", SIZES)
def test_size(benchmark, size):
    benchmark.group = OVER_SIZES
    benchmark.extra_info["reference"] = size == SIZES[-1]
    benchmark.extra_info["predicted_ratio"] = operations(size) / operations(SIZES[-1])
    benchmark.pedantic(interaction, (a_game(16, size, size),), rounds=20, warmup_rounds=3)


def operations(size: int) -> float:
    """(T²+V²)·nodes + TV(T+V) + TV·log TV, of 16 games with T = V = size."""
    nodes = trapezoid_rule(a_game(16, size, size).text.spread, torch.finfo(torch.float32).eps)[2]
    cells = torch.tensor(float(size * size))
    return 16 * float(2 * cells * nodes + 2 * cells * size + cells * cells.log2())


def plot(measured: Path, picture: Path) -> None:
    from matplotlib import pyplot

    results = [result for result in read(measured).benchmarks if result.group == OVER_SIZES]
    sizes = [int(result.param) for result in results]
    seconds = [result.stats.median for result in results]
    scale = seconds[-1] / operations(sizes[-1])
    pyplot.loglog(sizes, seconds, "o-", label="exact Banzhaf, B = 16")
    pyplot.loglog(sizes, [scale * operations(n) for n in sizes], "--", label="(T²+V²)·nodes + TV(T+V) + TV·log TV")
    pyplot.xticks(sizes, map(str, sizes))
    pyplot.minorticks_off()
    pyplot.xlabel("words = frames")
    pyplot.ylabel("seconds")
    pyplot.legend()
    pyplot.savefig(picture)


if __name__ == "__main__":
    plot(Path(sys.argv[1]), Path(sys.argv[2]))
