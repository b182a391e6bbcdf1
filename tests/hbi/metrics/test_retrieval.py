"""Ranks: one for each query, the definition of the expected rank, several captions a video, bad input.

Those of the published code: its numbers, from tests/golden (golden/hbi: metrics.npz and metrics.json, by our names).
"""

import json
from pathlib import Path
from typing import get_args
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hbi.cost.memory import peak_memory
from hbi.metrics import retrieval
from hbi.metrics.retrieval import Ties, blocks, ranks, retrieval_metrics

GOLDEN = Path(__file__).parents[2] / "golden"
PUBLISHED = json.loads((GOLDEN / "hbi_metrics.json").read_text())

few_values = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0])
square = st.integers(1, 8).flatmap(lambda n: arrays.arrays(np.float64, (n, n), elements=few_values))


@given(square)
def test_every_query_has_exactly_one_rank_whatever_the_ties(scores):
    for direction in ("t2v", "v2t"):
        for ties in ("expected", "optimistic", "pessimistic"):
            rank = ranks(scores, direction, ties=ties)
            assert rank.shape == (len(scores),)
            assert ((rank >= 1) & (rank <= len(scores))).all()


@given(square)
def test_expected_rank_is_the_mean_over_all_orders_of_the_ties(scores):
    expected, best, worst = (ranks(scores, "t2v", ties=ties) for ties in ("expected", "optimistic", "pessimistic"))
    np.testing.assert_allclose(expected, (best + worst) / 2)
    for n, row in enumerate(scores):
        others = np.delete(row, n)
        assert best[n] == 1 + (others > row[n]).sum()
        assert worst[n] == 1 + (others >= row[n]).sum()


@pytest.mark.parametrize("case", PUBLISHED)
def test_released_ties_give_the_published_numbers(case):
    expected = dict(PUBLISHED[case])
    with np.load(GOLDEN / "hbi_metrics.npz") as file:
        scores, groups = file[case], file["multi_groups"].tolist() if case == "multi" else None
    for direction in ("t2v", "v2t"):
        assert len(ranks(scores, direction, groups, "released")) == expected.pop(f"{direction}/ranks")
    found = retrieval_metrics(scores, groups, "released")
    assert found == pytest.approx(expected, rel=1e-7)  # with several captions theirs are float32


@given(square)
def test_released_ties_are_every_place_that_the_match_shares(scores):
    places = [np.flatnonzero(np.sort(-row) == -row[n]) + 1 for n, row in enumerate(scores)]
    np.testing.assert_array_equal(ranks(scores, "t2v", ties="released"), np.concatenate(places))


@given(square)
def test_directions_are_each_others_transpose(scores):
    np.testing.assert_array_equal(ranks(scores, "v2t"), ranks(scores.T, "t2v"))


def test_a_collapsed_model_scores_chance():
    metrics = retrieval_metrics(np.zeros((200, 200)))
    assert metrics["t2v/MdR"] == metrics["t2v/MnR"] == 100.5
    assert metrics["t2v/R@1"] == metrics["t2v/R@50"] == 0.0


@given(st.integers(2, 5), st.integers(0, 1000))
def test_video_to_text_takes_a_videos_best_caption(videos, seed):
    random = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(videos), random.integers(0, videos, 2 * videos)])
    scores = random.standard_normal((len(groups), videos))
    best = np.array([[scores[groups == group, video].max() for group in range(videos)] for video in range(videos)])
    np.testing.assert_array_equal(ranks(scores, "v2t", groups.tolist()), ranks(best, "t2v"))
    expected = [1 + (scores[n] > scores[n, groups[n]]).sum() for n in range(len(groups))]
    np.testing.assert_array_equal(ranks(scores, "t2v", groups.tolist()), expected)


@st.composite
def grouped(draw):
    """Scores with ties and infinities, and the video of each caption: every video has one or more, in any order."""
    videos = draw(st.integers(1, 6))
    more = draw(st.lists(st.integers(0, videos - 1), max_size=6))
    groups = draw(st.permutations([*range(videos), *more]))
    dtype = draw(st.sampled_from([np.float16, np.float32, np.float64, np.int64]))
    values = [-1, 0, 1, 2] if dtype is np.int64 else [-np.inf, -1.0, 0.0, 0.5, np.inf]
    return draw(arrays.arrays(dtype, (len(groups), videos), elements=st.sampled_from(values))), groups


def place_by_place(scores, direction, groups, ties):
    """The ranks, query by query, over the whole matrix."""
    if direction == "v2t":
        best = [
            [max(scores[np.equal(groups, g), video]) for g in range(len(scores.T))] for video in range(len(scores.T))
        ]
        return place_by_place(np.array(best), "t2v", range(len(best)), ties)
    found = []
    for row, column in zip(scores, groups, strict=True):
        greater, equal = sum(row > row[column]), sum(row == row[column]) - 1
        if ties == "released":
            found += [1 + greater + place for place in range(equal + 1)]
        else:
            found.append(1 + greater + {"expected": equal / 2, "optimistic": 0, "pessimistic": equal}[ties])
    return np.array(found)


@settings(deadline=None)
@given(grouped(), st.sampled_from(["t2v", "v2t"]), st.sampled_from(get_args(Ties)), st.sampled_from([1, 20, 60, 2**24]))
def test_blocks_of_any_size_give_the_ranks_of_the_whole_matrix(case, direction, ties, size):
    scores, groups = case
    with patch.object(retrieval, "BLOCK", size):
        found = ranks(scores, direction, groups, ties)
    np.testing.assert_array_equal(found, place_by_place(scores, direction, groups, ties))
    np.testing.assert_array_equal(ranks(np.asfortranarray(scores), direction, groups, ties), found)


@given(square, st.integers(1, 200))
def test_blocks_are_all_rows_or_columns_in_order(scores, size):
    with patch.object(retrieval, "BLOCK", size):
        for axis in (0, 1):
            every = np.arange(scores.shape[axis])
            parts = [every[part] for part in blocks(scores, axis)]
            np.testing.assert_array_equal(np.concatenate(parts), every)
            assert all(len(part) == 1 or len(part) * 8 * len(scores) <= size for part in parts)


@pytest.mark.parametrize("captions", [1, 2])
def test_memory_beside_the_matrix_is_bounded(captions):
    """The best captions of 4000 videos, as float64, would be 122 MiB, and a comparison of them 15."""
    peak = peak_memory(f"{__name__}:measure", {"captions": captions}, prepare=f"{__name__}:large")
    assert peak.bytes < 64 * 2**20


def large(captions, videos=4000):
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(videos), captions))
    return np.random.default_rng(0).standard_normal((len(groups), videos), dtype=np.float32), groups.tolist()


def measure(prepared):
    retrieval_metrics(*prepared)


def test_recall_median_and_mean_of_known_ranks():
    scores = np.eye(4)
    scores[3] = [0.9, 0.8, 0.7, 0.6]  # rank 4 for the last caption
    metrics = retrieval_metrics(scores)
    assert metrics["t2v/R@1"] == 75.0
    assert metrics["t2v/R@5"] == 100.0
    assert metrics["t2v/MdR"] == 1.0
    assert metrics["t2v/MnR"] == (1 + 1 + 1 + 4) / 4


@pytest.mark.parametrize(
    ("scores", "groups", "message"),
    [
        (np.zeros((2, 3)), None, "not square"),
        (np.zeros(3), None, "captions, videos"),
        (np.full((2, 2), np.nan), None, "4 NaN"),
        (np.zeros((3, 2)), [0, 0, 2], "groups must hold"),
        (np.zeros((3, 2)), [0, 0, 0], "video 1 has no caption"),
    ],
)
def test_what_has_no_rank_is_refused(scores, groups, message):
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(scores, groups)
