"""Merging of tokens in a batch of training: beside the matrix products that it is made of."""

import pytest
import torch
from torch import Tensor

from hbi.models.token_merge import TokenMerge, cluster

B, D, HEADS, RATE, NEIGHBOURS = 128, 512, 8, 0.25, 3
THREADS = 2
each_side = pytest.mark.parametrize("tokens", [24, 12], ids=["24 words", "12 frames"])


def batch(tokens: int) -> tuple[TokenMerge, Tensor, Tensor]:
    torch.set_num_threads(THREADS)
    draw = torch.Generator().manual_seed(0)
    mask = torch.arange(tokens) < torch.randint(tokens // 2, tokens + 1, (B, 1), generator=draw)
    features = torch.randn(B, tokens, D, generator=draw)
    return TokenMerge(D, HEADS, RATE, NEIGHBOURS), features.requires_grad_(), mask


def group(tokens: int) -> str:
    return f"{B} × {tokens} tokens of {D} dimensions merge into {int(RATE * tokens)}, {THREADS} threads"


@each_side
def test_matrix_products(benchmark, tokens):
    """Of the forward pass: convolution, keys and values, queries, projection."""
    benchmark.group = group(tokens)
    benchmark.extra_info["reference"] = True
    torch.set_num_threads(THREADS)
    before, after = B * tokens, B * int(RATE * tokens)
    shapes = [(before, 3 * D, D), (before, D, 2 * D), (after, D, D), (after, D, D)]
    pairs = [(torch.randn(n, k), torch.randn(k, m)) for n, k, m in shapes]
    benchmark.pedantic(lambda: [one @ other for one, other in pairs], rounds=30, warmup_rounds=2)


@each_side
def test_clustering(benchmark, tokens):
    benchmark.group = group(tokens)
    _, features, mask = batch(tokens)
    benchmark.pedantic(cluster, (features, mask, int(RATE * tokens), NEIGHBOURS), rounds=30, warmup_rounds=2)


@each_side
def test_forward(benchmark, tokens):
    benchmark.group = group(tokens)
    merge, *given = batch(tokens)
    with torch.inference_mode():
        benchmark.pedantic(merge, given, rounds=30, warmup_rounds=2)


@each_side
def test_forward_and_backward(benchmark, tokens):
    benchmark.group = group(tokens)
    merge, features, mask = batch(tokens)
    benchmark.pedantic(lambda: merge(features, mask)[0].sum().backward(), rounds=30, warmup_rounds=2)
