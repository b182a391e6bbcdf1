"""The dual softmax and the dynamic inverted softmax, against their formulas written out."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hbi.metrics import retrieval
from hbi.metrics.post_processing import dual_softmax, dynamic_inverted_softmax, processed
from hbi.metrics.retrieval import ranks

rng = np.random.default_rng(0)


def test_dual_softmax_is_the_score_times_its_share_among_the_queries():
    scores = rng.uniform(-1, 1, (4, 3))
    found = dual_softmax(scores, scale=5)
    for q, c in np.ndindex(scores.shape):
        share = np.exp(5 * scores[q, c]) / sum(np.exp(5 * scores[other, c]) for other in range(4))
        assert found[q, c] == pytest.approx(scores[q, c] * share)


def test_dual_softmax_takes_a_hub_from_all_but_its_best_query():
    scores = np.array([[0.9, 0.5, 0.4], [0.7, 0.6, 0.3], [0.8, 0.2, 0.7]])
    assert ranks(scores, "t2v").tolist() == [1, 2, 2]
    assert ranks(dual_softmax(scores), "t2v").tolist() == [1, 1, 1]


def test_inverted_softmax_orders_as_the_papers_quotient_where_the_bank_likes_the_best_candidate():
    scores, bank = rng.uniform(-1, 1, (6, 4)), rng.uniform(-1, 1, (9, 4))
    bank[:, 3] = -1  # nothing in the bank likes the last candidate
    scores[0, 3] = 2  # so this query stays as it is
    found = dynamic_inverted_softmax(scores, bank, scale=20)
    liked = {int(row.argmax()) for row in bank}
    for q, row in enumerate(scores):
        quotient = np.exp(20 * row) / np.exp(20 * bank).sum(0)
        if row.argmax() in liked:
            assert found[q].argsort().tolist() == quotient.argsort().tolist()
            np.testing.assert_allclose(found[q] - found[q, 0], np.log(quotient / quotient[0]) / 20)
        else:
            assert found[q].tolist() == row.tolist()
    assert found[0].tolist() == scores[0].tolist()


def test_a_hub_is_what_enough_queries_of_the_bank_have_among_their_nearest():
    bank = np.array([[0.9, 0.8, 0.1], [0.9, 0.8, 0.1], [0.1, 0.8, 0.9]])  # nearest 1: 2 × first; nearest 2: 3 × second
    scores = np.eye(3)
    for nearest, hub, changed in (
        (1, 1, [0, 2]),
        (1, 2, [0]),
        (1, 3, []),
        (2, 3, [1]),
        (2, 1, [0, 1, 2]),
        (9, 3, [0, 1, 2]),
    ):
        found = processed(scores, "t2v", "qb-norm", bank=bank, nearest=nearest, hub=hub)
        assert np.flatnonzero((found != scores).any(1)).tolist() == changed, (nearest, hub)


def test_large_logits_do_not_overflow():
    scores = 1000 * rng.uniform(-1, 1, (5, 5))
    assert np.isfinite(dual_softmax(scores)).all()
    assert np.isfinite(dynamic_inverted_softmax(scores, scores)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_change_nothing_and_float32_is_computed_in_float64(dtype):
    scores, bank = (rng.uniform(-1, 1, (rows, 7)).astype(dtype) for rows in (6, 9))

    def found(scores, bank):
        return dual_softmax(scores), dynamic_inverted_softmax(scores, bank)

    whole = found(scores.astype(np.float64), bank.astype(np.float64))
    with patch.object(retrieval, "BLOCK", 2 * scores[:, 0].nbytes):
        for part, expected in zip(found(scores, bank), whole, strict=True):
            assert part.dtype == np.float64
            np.testing.assert_allclose(part, expected, rtol=1e-14)


def matrices(rows: st.SearchStrategy[int], columns: int):
    return rows.flatmap(lambda n: arrays(np.float32, (n, columns), elements=st.floats(-1, 1, width=32)))


@settings(deadline=None)
@given(scores=matrices(st.just(1), 5))
def test_one_query_alone_is_left_as_it_is_by_the_dual_softmax(scores):
    assert processed(scores, "t2v", "dsl").tolist() == scores.tolist()
    assert processed(scores.T, "v2t", "dsl").tolist() == scores.T.tolist()


@settings(deadline=None)
@given(scores=matrices(st.integers(1, 6), 4), bank=matrices(st.integers(1, 6), 4), scale=st.floats(0.1, 100))
def test_video_to_text_is_text_to_video_of_the_transposed_matrix(scores, bank, scale):
    for method in ("none", "dsl", "qb-norm"):
        one = processed(scores, "t2v", method, scale, bank)
        other = processed(scores.T, "v2t", method, scale, bank.T)
        assert one.shape == scores.shape
        assert np.array_equal(one, other.T)


@settings(deadline=None)
@given(scores=matrices(st.integers(1, 6), 4), bank=matrices(st.integers(1, 6), 4), rng=st.randoms())
def test_neither_the_order_of_the_bank_nor_that_of_the_queries_matters(scores, bank, rng):
    found = processed(scores, "t2v", "qb-norm", bank=bank)
    mixed, order = list(bank), list(range(len(scores)))
    rng.shuffle(mixed)
    rng.shuffle(order)
    again = processed(scores[order], "t2v", "qb-norm", bank=np.array(mixed))
    np.testing.assert_allclose(again, found[order], atol=1e-12)
    found, again = processed(scores, "t2v", "dsl"), processed(scores[order], "t2v", "dsl")
    np.testing.assert_allclose(again, found[order], atol=1e-12)


@settings(deadline=None)
@given(scores=matrices(st.integers(1, 6), 4), level=st.floats(-1, 1, width=32))
def test_a_bank_that_likes_all_candidates_alike_changes_no_order(scores, level):
    found = processed(scores, "t2v", "qb-norm", bank=np.full((3, 4), level, np.float32))
    np.testing.assert_allclose(found - found[:, :1], scores - scores[:, :1].astype(float), atol=1e-6)


def test_without_a_bank_there_is_no_inverted_softmax():
    with pytest.raises(ValueError, match="qb-norm needs a bank of queries"):
        processed(np.eye(3), "t2v", "qb-norm")
