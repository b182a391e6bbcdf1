"""Ranks: one for each query, the definition of the expected rank, several captions a video, bad input.

Those of the published code: its numbers, from tests/golden (golden/hbi: metrics.npz and metrics.json, by our names).
"""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hbi.metrics.retrieval import ranks, retrieval_metrics

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
