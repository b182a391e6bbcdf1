"""What a query ranks first: candidates in the order that its rank stands for, whatever ties and groups there are."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hbi.config import EvaluationConfig
from hbi.metrics.post_processing import dual_softmax, dynamic_inverted_softmax
from hbi.metrics.ranking import candidates, ranked_by
from hbi.metrics.retrieval import Direction, Ties, ranks
from hbi.metrics.saved import Saved

EVERY_TIES = [ties for ties in get_args(Ties) if ties != "released"]


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    videos=st.integers(1, 8),
    captions=st.integers(0, 12),
    levels=st.sampled_from([1, 2, 4, 1000]),
    most=st.integers(0, 9),
)
@pytest.mark.parametrize("way", get_args(Direction))
@pytest.mark.parametrize("ties", EVERY_TIES)
def test_the_match_stands_at_its_rank(
    way: Direction, ties: Ties, seed: int, videos: int, captions: int, levels: int, most: int
) -> None:
    """Few levels make many ties; every video has a caption, in any order."""
    generator = np.random.default_rng(seed)
    groups = generator.permutation(np.concatenate([np.arange(videos), generator.integers(0, videos, captions)]))
    scores = generator.integers(0, levels, (len(groups), videos)) / np.float32(levels)
    expected = ranks(scores, way, groups.tolist(), ties)
    for query, rank in enumerate(expected):
        found = candidates(scores, way, groups, query, ties, most)
        (right,) = [one for one in found if one.right]
        assert right.rank == rank
        assert right.column == (groups[query] if way == "t2v" else query)
        assert len(found) in {min(most, videos), min(most, videos) + 1}
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        assert len({one.column for one in found}) == len(found)
        for one in found:
            row, column = (query, one.column) if way == "t2v" else (one.caption, query)
            assert one.score == scores[row, column]
            assert way == "t2v" or groups[one.caption] == one.column


def test_by_hand() -> None:
    scores = np.array([[0.1, 0.9, 0.5, 0.5], [0.2, 0.1, 0.3, 0.4], [0.0, 0.0, 0.0, 0.0], [0.9, 0.8, 0.7, 0.6]])
    found = candidates(scores, "t2v", np.arange(4), 0, "expected", 2)
    assert [(one.column, one.rank, one.score, one.right) for one in found] == [
        (1, 1.0, 0.9, False),
        (2, 2.5, 0.5, False),
        (0, 4.0, 0.1, True),
    ]
    of_video = candidates(scores, "v2t", np.array([0, 1, 2, 3]), 0, "expected", 2)
    assert [(one.caption, one.rank, one.right) for one in of_video] == [(3, 1, False), (1, 2, False), (0, 3, True)]


def test_the_best_caption_of_a_video_stands_for_it() -> None:
    scores = np.array([[0.1, 0.0], [0.3, 0.0], [0.2, 0.0]])
    found = candidates(scores, "v2t", np.array([0, 0, 1]), 0, "expected", 5)
    assert [(one.column, one.caption, one.score) for one in found] == [(0, 1, 0.3), (1, 2, 0.2)]


def test_post_processing_is_that_of_the_protocol_and_each_way_has_its_own_scores() -> None:
    generator = np.random.default_rng(0)
    scores, other, texts, videos = (generator.normal(size=shape) for shape in ((6, 5), (6, 5), (7, 5), (6, 8)))
    found = Saved(scores, None, texts, videos, other)
    plain, dsl = EvaluationConfig(), EvaluationConfig(post_processing="dsl", dsl_scale=3)
    qb = EvaluationConfig(post_processing="qb-norm", qb_norm_scale=2, qb_norm_nearest=2, qb_norm_hub=(1, 3))
    assert ranked_by(found, "t2v", plain) is scores
    assert ranked_by(found, "v2t", plain) is other
    assert np.array_equal(ranked_by(found, "t2v", dsl), dual_softmax(scores, 3))
    assert np.array_equal(ranked_by(found, "v2t", dsl), dual_softmax(other.T, 3).T)
    assert np.array_equal(ranked_by(found, "t2v", qb), dynamic_inverted_softmax(scores, texts, 2, 2, 1))
    assert np.array_equal(ranked_by(found, "v2t", qb), dynamic_inverted_softmax(other.T, videos.T, 2, 2, 3).T)
    with pytest.raises(ValueError, match="bank"):
        ranked_by(Saved(scores), "t2v", qb)
