import json
from pathlib import Path

import pytest
import torch

import hbi.data
from hbi.config import ShapesConfig, ShapesQAConfig
from hbi.data.batches import data_order, train_batches
from hbi.data.clips import Clips
from hbi.data.tokens import tokenize

KINDS = {"what", "who", "how", "when", "where"}


@pytest.fixture(scope="module")
def qa_config(config: ShapesConfig) -> ShapesQAConfig:
    """The questions about the videos of ``config``."""
    return ShapesQAConfig.model_validate(config.model_dump(exclude={"name"}))


@pytest.fixture(scope="module")
def questions(qa_config: ShapesQAConfig, cache: Path, dataset: hbi.data.Dataset) -> hbi.data.Dataset:
    return hbi.data.load(qa_config, cache)


def test_questions_are_about_the_videos_that_shapes_has_generated(
    questions: hbi.data.Dataset, dataset: hbi.data.Dataset, cache: Path
) -> None:
    assert len(list(cache.glob("shapes-*"))) == 1  # generated once
    for name, split in dataset.splits.items():
        assert questions.splits[name].videos == split.videos
        assert len(questions.splits[name].captions) > len(split.captions)


def test_every_kind_is_asked_and_every_training_answer_has_a_label(questions: hbi.data.Dataset) -> None:
    assert questions.vocabulary is not None
    assert list(questions.vocabulary) == sorted(set(questions.vocabulary))
    train = questions.splits["train"]
    assert {question.split()[0] for question in train.captions} == KINDS
    assert [questions.vocabulary[label] for label in questions.labels("train")] == list(train.answers or ())
    root = train.videos[0].path.parents[1]
    written = json.loads((root / "qa" / "train_ans2label.json").read_text())
    assert {answer: label for label, answer in enumerate(questions.vocabulary)} == written


def test_captions_have_no_labels(dataset: hbi.data.Dataset) -> None:
    assert set(dataset.labels("train")) == {-1}


def test_a_batch_holds_the_answers_to_its_questions(questions: hbi.data.Dataset, qa_config: ShapesQAConfig) -> None:
    split = questions.splits["train"]
    labels, tokens = torch.tensor(questions.labels("train")), tokenize(split.captions, 24)
    batch = next(train_batches(split, Clips(split, qa_config, 16), tokens, labels, 8, seed=0, epoch=0))
    pairs = data_order(split, 0, 0)[:8]
    assert torch.equal(batch.answer, labels[pairs])
    assert torch.equal(batch.token_ids, tokens[0][pairs])
    assert batch.video_index.tolist() == [split.video_of[pair] for pair in pairs.tolist()]
