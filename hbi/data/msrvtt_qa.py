"""MSRVTT-QA (Xu et al., ACM MM 2017), in the files that HBI's repository ships:

qa/{train,val,test}.jsonl     a question a line: {"answer", "question", "video_id", "answer_type"}
qa/train_ans2label.json       {answer: label}
videos/<id>.mp4
"""

from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, RootModel, ValidationError

from hbi.config import MSRVTTQAConfig
from hbi.data.annotations import VideoId, content, first
from hbi.data.dataset import Dataset, Progress, Split, Video
from hbi.errors import InputError

LABELS = "train_ans2label.json"


def load(config: MSRVTTQAConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """MSRVTT-QA under ``config.root``; see ``read_msrvtt_qa``."""
    if config.root is None:
        raise InputError("data set msrvtt-qa: no root is given; set it to the folder that holds qa/ and videos/")
    labels = Path(config.labels) if config.labels else None
    return read_msrvtt_qa("msrvtt-qa", Path(config.root), labels, config.most_frequent)


def read_msrvtt_qa(name: str, root: Path, labels: Path | None, most_frequent: int = 1500) -> Dataset:
    """Reads the questions under ``root``; videos are named, not opened.

    A split is every line of its file, in order, on the videos that these name, in the order of first mention; "val"
    is there where its file is. The vocabulary is that of the file ``labels``; none: that of the file beside the
    training questions; without such a file, the ``most_frequent`` training answers (of equally frequent ones those
    that come first in the alphabet), labelled in alphabetical order. Answers are compared as they are written.

    Raises InputError where a file is missing or malformed, a video is in two splits, or the vocabulary has no answer
    of any training question.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; data set {name} is expected there, with qa/ and videos/")
    files = {split: root / "qa" / f"{split}.jsonl" for split in ("train", "val", "test")}
    if not files["val"].is_file():
        del files["val"]
    splits = {split: _split(split, _read_questions(file), root) for split, file in files.items()}
    seen: dict[str, str] = {}
    for split, found in splits.items():
        for video in found.videos:
            if (other := seen.setdefault(video.id, split)) != split:
                raise InputError(
                    f"{files[split]}: {video.id} is also in {files[other].name}; remove its questions from one"
                )
    training = Counter(splits["train"].answers)
    beside = files["train"].with_name(LABELS)
    file = labels or (beside if beside.exists() else None)
    vocabulary = _read_labels(file) if file else _alphabetical(training, most_frequent)
    if training.keys().isdisjoint(vocabulary):
        raise InputError(f"{file}: no training question has an answer of this file; give the one that belongs to it")
    return Dataset(name, splits, vocabulary)


def _split(name: str, questions: list["_Question"], root: Path) -> Split:
    column: dict[str, int] = {}
    video_of = tuple(column.setdefault(question.video_id, len(column)) for question in questions)
    return Split(
        name,
        videos=tuple(Video(id, root / "videos" / f"{id}.mp4") for id in column),
        captions=tuple(question.question for question in questions),
        video_of=video_of,
        answers=tuple(question.answer for question in questions),
    )


def _alphabetical(answers: Counter[str], most_frequent: int) -> tuple[str, ...]:
    kept = sorted(answers, key=lambda answer: (-answers[answer], answer))[:most_frequent]
    return tuple(sorted(kept))


# ---- files ------------------------------------------------------------------------------------------------

_FILES = f"the data set needs train.jsonl and test.jsonl in qa/ (val.jsonl and {LABELS} may be there), and videos/"


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("empty")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]


class _Question(BaseModel):
    """One line; its "answer_type" is the question's first word, and not read."""

    video_id: VideoId
    question: Text
    answer: Text


class _Labels(RootModel[dict[Text, Annotated[int, Field(strict=True)]]]):
    """{answer: label}."""


def _read_questions(path: Path) -> list[_Question]:
    questions = []
    # by line feeds alone: splitlines() also cuts at characters that JSON allows inside a string
    for number, line in enumerate(content(path, _FILES).split("\n"), start=1):
        if line.strip():
            try:
                questions.append(_Question.model_validate_json(line))
            except ValidationError as error:
                raise InputError(f"{path}:{number}: {first(error)}; correct the line") from error
    if not questions:
        raise InputError(f"{path}: holds no question")
    return questions


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        labels = _Labels.model_validate_json(content(path, 'data.labels is a JSON file {"answer": label}')).root
    except ValidationError as error:
        raise InputError(f"{path}: {first(error)}; correct the file") from error
    answers = {label: answer for answer, label in labels.items()}
    if missing := sorted(set(range(len(labels))) - answers.keys()):
        raise InputError(
            f"{path}: no answer has label {missing[0]}; {len(labels)} answers take the labels 0 to {len(labels) - 1}, "
            "each once"
        )
    if not answers:
        raise InputError(f"{path}: holds no answer")
    return tuple(answers[label] for label in range(len(answers)))
