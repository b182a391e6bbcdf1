"""MSRVTT-QA (Xu et al., ACM MM 2017), in the files that HBI's repository ships:

qa/{train,val,test}.jsonl     a question a line: {"answer", "question", "video_id", "answer_type"}
qa/train_ans2label.json       {answer: label}
videos/<id>.mp4
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, RootModel, ValidationError

from hbi.config import MSRVTTQAConfig
from hbi.data.annotations import Text, VideoId, existing, first, lines, parsed, refuse_shared, root_of
from hbi.data.dataset import Counts, Dataset, Progress, Split, Video, paired
from hbi.errors import InputError

LABELS = "train_ans2label.json"
_HOLDS = "qa/ and videos/"

# Validation: counted in the file. Training: all questions, and those whose answer is among the 1500, as HBI's
# repository ships them (a data card of the latter counts each file's lines but one, for want of a last line feed).
_PUBLISHED = {
    "train": Counts((6513,), (149_075, 158_581)),
    "val": Counts((497,), (12_278,)),
    "test": Counts((2990,), (72_821,)),
}


def load(config: MSRVTTQAConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """MSRVTT-QA under ``config.root``; see ``read_msrvtt_qa``."""
    labels = Path(config.labels) if config.labels else None
    dataset = read_msrvtt_qa("msrvtt-qa", root_of(config, _HOLDS), labels, config.most_frequent)
    return replace(dataset, published=_PUBLISHED)


def read_msrvtt_qa(name: str, root: Path, labels: Path | None, most_frequent: int = 1500) -> Dataset:
    """Reads the questions under ``root``; videos are named, not opened.

    A split is every line of its file, in order, on the videos that these name, in the order of first mention; "val"
    is there where its file is. The vocabulary is that of the file ``labels``; none: that of the file beside the
    training questions; without such a file, the ``most_frequent`` training answers (of equally frequent ones those
    that come first in the alphabet), labelled in alphabetical order. Answers are compared as they are written.

    Raises InputError where a file is missing or malformed, a video is in two splits, or the vocabulary has no answer
    of any training question.
    """
    existing(root, name, _HOLDS)
    files = {split: root / "qa" / f"{split}.jsonl" for split in ("train", "val", "test")}
    if not files["val"].is_file():
        del files["val"]
    splits = {}
    for split, path in files.items():
        splits[split] = question_split(split, read_questions(path, Question, _FILES), lambda id: _video(id, root))
    refuse_shared(files, {split: [video.id for video in found.videos] for split, found in splits.items()})
    training = Counter(splits["train"].answers)
    beside = files["train"].with_name(LABELS)
    file = labels or (beside if beside.exists() else None)
    vocabulary = read_labels(file, training) if file else tuple(sorted(most_frequent_of(training, most_frequent)))
    return Dataset(name, splits, vocabulary)


def _video(id: str, root: Path) -> Video:
    return Video(id, root / "videos" / f"{id}.mp4")


def question_split(name: str, questions: Sequence["Question"], video: Callable[[str], Video]) -> Split:
    """The split of these questions, on the videos that they name, in the order of first mention."""
    split = paired(name, ((question.video_id, question.question) for question in questions), video)
    return replace(split, answers=tuple(question.answer for question in questions))


def most_frequent_of(answers: Counter[str], count: int) -> tuple[str, ...]:
    """The ``count`` most frequent ones, in that order; of equally frequent ones, by the alphabet."""
    return tuple(sorted(answers, key=lambda answer: (-answers[answer], answer))[:count])


# ---- files ------------------------------------------------------------------------------------------------

_FILES = f"the data set needs train.jsonl and test.jsonl in qa/ (val.jsonl and {LABELS} may be there), and videos/"


class Question(BaseModel):
    """One line; its "answer_type" is the question's first word, and not read."""

    video_id: VideoId
    question: Text
    answer: Text


Asked = TypeVar("Asked", bound=Question)


class _Labels(RootModel[dict[Text, Annotated[int, Field(strict=True)]]]):
    """{answer: label}."""


def read_questions(path: Path, model: type[Asked], expected: str) -> list[Asked]:
    """The questions of a file, one a line; ``expected``: what is said where there is no file."""
    questions = []
    for number, line in lines(path, expected):
        try:
            questions.append(model.model_validate_json(line))
        except ValidationError as error:
            raise InputError(f"{path}:{number}: {first(error)}; correct the line") from error
    if not questions:
        raise InputError(f"{path}: holds no question")
    return questions


def read_labels(path: Path, training: Counter[str]) -> tuple[str, ...]:
    """The answers of a label file, in the order of their labels, which are 0, 1, 2 … .

    Raises InputError also where it has none of the ``training`` answers.
    """
    labels = parsed(path, _Labels, 'data.labels is a JSON file {"answer": label}').root
    answers = {label: answer for answer, label in labels.items()}
    if missing := sorted(set(range(len(labels))) - answers.keys()):
        raise InputError(
            f"{path}: no answer has label {missing[0]}; {len(labels)} answers take the labels 0 to {len(labels) - 1}, "
            "each once"
        )
    if not answers:
        raise InputError(f"{path}: holds no answer")
    if training.keys().isdisjoint(labels):
        raise InputError(f"{path}: no training question has an answer of this file; give the one that belongs to it")
    return tuple(answers[label] for label in range(len(answers)))
