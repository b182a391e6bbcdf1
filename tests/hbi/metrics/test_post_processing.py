"""The dual softmax and the dynamic inverted softmax, against their formulas written out."""

from unittest.mock import patch

import numpy as np
import pytest

from hbi.metrics import retrieval
from hbi.metrics.post_processing import dual_softmax, dynamic_inverted_softmax
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
