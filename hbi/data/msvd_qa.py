"""MSVD-QA (Xu et al., ACM MM 2017), in its authors' files or in the form of ALPRO's repository:

{train,val,test}_qa.json      [{"video_id": number, "question", "answer", …}, …]
{train,val,test}.jsonl        or this: a question a line, {"answer", "question", "video_id": clip id, …}
youtube_mapping.txt           "<clip id> vid<number>" a line; without it, videos are called vid<number>
videos/**/<clip id>.*         any extension

The splits are not those of ``msvd``: a training video of one may be a test video of the other.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, RootModel

from hbi.config import MSVDQAConfig
from hbi.data.annotations import VideoId, lines, parsed, refuse_shared, root_of
from hbi.data.dataset import Counts, Dataset, Progress, Video
from hbi.data.msrvtt_qa import Question, most_frequent_of, question_split, read_labels, read_questions
from hbi.data.video_files import found
from hbi.errors import InputError

MAPPING = "youtube_mapping.txt"
_FILES = f"the data set needs train_qa.json and test_qa.json, or train.jsonl and test.jsonl, and videos/ and {MAPPING}"
_PUBLISHED = {
    "train": Counts((1161,), (30_933,)),
    "val": Counts((245,), (6415,)),
    "test": Counts((504,), (13_157,)),
}


def load(config: MSVDQAConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """MSVD-QA under ``config.root``: every question, in the order of the files; "val" is there where its file is.

    A video is given by its number, by "vid" and the number, or by its clip id; the mapping turns the first two into
    the third. The vocabulary is that of the file ``config.labels``, or the ``config.most_frequent`` training answers,
    the most frequent first: never those of a file that lies beside the questions, for the one that ALPRO's repository
    ships has more answers than the training questions. Answers are compared as they are written.

    Raises InputError where a file is missing or malformed, both forms are there, the mapping lacks a video, or a video
    is in two splits or has two files.
    """
    root = root_of(config, "the questions and videos/")
    files = _files(root)
    clips = _mapping(root / MAPPING)
    questions = {split: [_on_clip(asked, clips, file) for asked in _read(file)] for split, file in files.items()}
    ids = {split: {question.video_id for question in asked} for split, asked in questions.items()}
    refuse_shared(files, {split: sorted(found) for split, found in ids.items()})
    folder = root / "videos"
    paths = found(folder, set().union(*ids.values()))
    splits = {
        split: question_split(split, asked, lambda id: Video(id, paths.get(id, folder / f"{id}.mp4")))
        for split, asked in questions.items()
    }
    training = Counter(splits["train"].answers)
    if config.labels:
        vocabulary = read_labels(Path(config.labels), training)
    else:
        vocabulary = most_frequent_of(training, config.most_frequent)
    return Dataset("msvd-qa", splits, vocabulary, _PUBLISHED)


def _files(root: Path) -> dict[str, Path]:
    """The file of each split, in one form."""
    forms = [
        {split: root / f"{split}{ending}" for split in ("train", "val", "test")} for ending in ("_qa.json", ".jsonl")
    ]
    there = [form for form in forms if form["train"].exists()]
    if len(there) > 1:
        raise InputError(f"{there[0]['train']}: {there[1]['train'].name} is there too; remove the files of one form")
    files = (there or forms)[0]
    return {split: file for split, file in files.items() if split != "val" or file.exists()}


# ---- files ------------------------------------------------------------------------------------------------


def _named(id: Any) -> Any:
    """7 → "vid7", as the mapping writes it."""
    return f"vid{id}" if isinstance(id, int) and not isinstance(id, bool) else id


class _Asked(Question):
    video_id: Annotated[VideoId, BeforeValidator(_named)]


class _Questions(RootModel[list[_Asked]]):
    """[{"video_id", "question", "answer"}, …]."""


def _read(path: Path) -> list[_Asked]:
    if path.suffix == ".jsonl":
        return read_questions(path, _Asked, _FILES)
    questions = parsed(path, _Questions, _FILES).root
    if not questions:
        raise InputError(f"{path}: holds no question")
    return questions


def _mapping(path: Path) -> dict[str, str] | None:
    """{"vid7": clip id}; None where there is no file."""
    if not path.exists():
        return None
    clips: dict[str, str] = {}
    for number, line in lines(path, _FILES):
        fields = re.fullmatch(r"([\w-]+)\s+(vid\d+)", line.strip(), re.ASCII)
        if not fields:
            raise InputError(f'{path}:{number}: is not "<clip id> vid<number>"; correct the line')
        clip, name = fields.groups()
        if name in clips:
            raise InputError(f"{path}:{number}: {name} is there twice; remove one")
        clips[name] = clip
    return clips


def _on_clip(asked: _Asked, clips: dict[str, str] | None, path: Path) -> _Asked:
    id = asked.video_id
    if clips is None or not re.fullmatch(r"vid\d+", id):
        return asked
    if id not in clips:
        raise InputError(f"{path}: {id} is not in {MAPPING}; complete that file")
    return asked.model_copy(update={"video_id": clips[id]})
