"""The token-wise similarity against its definition, pair by pair, and the faster form of evaluation against it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from hbi.models.similarity import block_similarity, masked_softmax, token_similarity

PADDINGS = ["correct", "released"]
few = st.integers(1, 4)


def side_of(items: int, tokens: int, seed: int, empty: bool = False) -> tuple[torch.Tensor, ...]:
    """Tokens of unit length [items, tokens, 3], their weights, and a mask with gaps; ``empty``: no token at all too."""
    draw = torch.Generator().manual_seed(seed)
    mask = torch.rand(items, tokens, generator=draw) < 0.6
    if not empty:
        mask[torch.arange(items), torch.randint(tokens, (items,), generator=draw)] = True
    unit = F.normalize(torch.randn(items, tokens, 3, generator=draw), dim=-1)
    return unit, masked_softmax(torch.randn(items, tokens, generator=draw), mask), mask


@given(N=few, M=few, T=few, V=few, seed=st.integers(0, 2**16), padding=st.sampled_from(PADDINGS))
def test_it_is_its_definition(N, M, T, V, seed, padding):
    sides = *side_of(N, T, seed), *side_of(M, V, seed + 1)
    found = token_similarity(*sides, padding)
    words, p, of_words, frames, u, of_frames = sides
    for n in range(N):
        for m in range(M):
            own, other = (of_words[n], of_frames[m]) if padding == "correct" else (slice(None), slice(None))
            a = ((words[n] * of_words[n, :, None]) @ (frames[m] * of_frames[m, :, None]).T)[own][:, other]
            expected = (p[n, own] @ a.amax(1) + u[m, other] @ a.amax(0)) / 2
            torch.testing.assert_close(found[n, m], expected, rtol=0, atol=3e-7)


@given(N=few, M=few, T=few, V=few, seed=st.integers(0, 2**16), padding=st.sampled_from(PADDINGS), empty=st.booleans())
def test_evaluation_finds_the_same_also_where_an_item_has_no_token(N, M, T, V, seed, padding, empty):
    sides = *side_of(N, T, seed, empty), *side_of(M, V, seed + 1, empty)
    slow, fast = token_similarity(*sides, padding), block_similarity(*sides, padding)
    torch.testing.assert_close(fast, slow, rtol=0, atol=3e-7, equal_nan=True)


@pytest.mark.parametrize("padding", PADDINGS)
def test_what_stands_in_padding_changes_nothing(padding):
    (words, *of_words), (frames, *of_frames) = side_of(5, 4, 0), side_of(3, 6, 1)
    others = [torch.where(mask[:, :, None], x, 9.0) for x, mask in ((words, of_words[1]), (frames, of_frames[1]))]
    found = block_similarity(words, *of_words, frames, *of_frames, padding)
    assert torch.equal(block_similarity(others[0], *of_words, others[1], *of_frames, padding), found)


@pytest.mark.parametrize("similarity", [token_similarity, block_similarity])
def test_negative_maxima_stay_negative_but_for_the_released_padding(similarity):
    tokens = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    weights, mask = torch.tensor([[1.0, 0.0]]), torch.tensor([[True, False]])
    sides = tokens, weights, mask, -tokens, weights, mask
    assert similarity(*sides).item() == -1
    assert similarity(*sides, "released").item() == 0
