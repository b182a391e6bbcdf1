import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hbi.metrics.qa import answered_right, qa_metrics
from hbi.metrics.registry import KINDS, columns_of, known_metrics

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "qa_accuracy.json").read_text())

answered = st.lists(
    st.tuples(st.integers(0, 4), st.integers(-1, 4), st.sampled_from([*KINDS, "is"])), min_size=1, max_size=40
)


def test_percent_over_all_over_those_in_the_vocabulary_and_by_kind() -> None:
    questions = ["What is it?", "what's that?", "who sings?", "WHO cooks?", "is it?"]
    found = qa_metrics([3, 1, 2, 0, 5], [3, 2, -1, 0, 5], questions)
    assert found == {
        "accuracy": 60.0,
        "accuracy/in_vocabulary": 75.0,
        "accuracy/what": 50.0,
        "accuracy/who": 50.0,
    }
    assert qa_metrics([1], [-1], ["where?"]) == {"accuracy": 0.0, "accuracy/where": 0.0}


@pytest.mark.parametrize("example", GOLDEN)
def test_accuracy_over_all_is_what_the_published_code_finds(example) -> None:  # type: ignore[no-untyped-def]
    """Its loader drops questions outside the vocabulary; where one comes through, it too counts as wrong."""
    predicted, answer = example["predicted"], example["answer"]
    assert qa_metrics(predicted, answer, ["what?"] * len(answer))["accuracy"] == example["top1_percent"]
    kept = [n for n, label in enumerate(answer) if label >= 0]
    dropped = qa_metrics([predicted[n] for n in kept], [answer[n] for n in kept], ["what?"] * len(kept))
    assert qa_metrics(predicted, answer, ["what?"] * len(answer))["accuracy/in_vocabulary"] == dropped["accuracy"]


@given(answered=answered)
def test_the_parts_make_up_the_whole(answered: list[tuple[int, int, str]]) -> None:
    predicted, answer, kinds = (list(column) for column in zip(*answered, strict=True))
    found = qa_metrics(predicted, answer, [f"{kind} ... ?" for kind in kinds])
    assert all(0 <= value <= 100 for value in found.values())
    right = found["accuracy"] * len(answered) / 100
    known = sum(label >= 0 for label in answer)
    assert found.get("accuracy/in_vocabulary", 0) * known / 100 == pytest.approx(right)
    asked = {kind for kind in kinds if kind in KINDS}
    assert {name for name in found if name.removeprefix("accuracy/") in KINDS} == {f"accuracy/{kind}" for kind in asked}
    others = sum(p == a >= 0 for p, a, kind in answered if kind == "is")
    assert sum(found[f"accuracy/{kind}"] * kinds.count(kind) / 100 for kind in asked) + others == pytest.approx(right)
    assert found.keys() <= known_metrics().keys()


@given(answered=answered, seed=st.integers(0, 100))
def test_the_order_of_the_questions_does_not_matter(answered: list[tuple[int, int, str]], seed: int) -> None:
    shuffled = [answered[n] for n in np.random.default_rng(seed).permutation(len(answered))]
    one, other = (qa_metrics(*(list(column) for column in zip(*order, strict=True))) for order in (answered, shuffled))
    assert one == pytest.approx(other)


def test_no_prediction_is_right_outside_the_vocabulary() -> None:
    assert answered_right([-1, 0, 7], [-1, -1, 7]).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("predicted", "answer", "questions", "message"),
    [
        ([1], [1, 2], ["what?"], r"predicted and answer must be \[N\] both, not \[1\] and \[2\]"),
        ([], [], [], r"must be \[N\] both, not \[0\] and \[0\]"),
        ([[1]], [[1]], ["what?"], r"must be \[N\] both"),
        ([1.0], [1], ["what?"], "labels must be whole numbers, not float64 and int64"),
        ([1], [-2], ["what?"], "-2 is no label"),
        ([1], [1], ["what?", "who?"], "2 questions, but 1 answers"),
    ],
)
def test_what_does_not_fit_is_refused(predicted, answer, questions, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        qa_metrics(predicted, answer, questions)


def test_a_table_has_the_columns_of_what_its_data_ask() -> None:
    assert columns_of({"retrieval"})[0] == "t2v/R@1"
    assert columns_of({"qa"})[:3] == ("accuracy", "accuracy/in_vocabulary", "accuracy/what")
    assert columns_of({"qa", "retrieval"}) == columns_of({"retrieval"}) + columns_of({"qa"})
