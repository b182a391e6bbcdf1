"""DiDeMo (Hendricks et al., ICCV 2017), for paragraph retrieval, in the files that CLIP4Clip's repository names:

{train,val,test}_list.txt      a video name a line
{train,val,test}_data.json     [{"video": name, "description": sentence, …}, …]
videos/**/<name>               of any video format

Names are those of the uploads, a.mov or b.avi, and repositories differ in whether files are to be called so: a video
format at the end of a name, also two, does not count, neither in lists and annotations nor of files.
"""

from pathlib import Path

from pydantic import BaseModel, RootModel

from hbi.config import DiDeMoConfig
from hbi.data.annotations import VideoId, listed, parsed, refuse_shared, refuse_without_caption, root_of
from hbi.data.dataset import Counts, Dataset, Progress
from hbi.data.video_files import SUFFIXES, splits
from hbi.errors import InputError

SPAN = (0, 31)
"""Seconds: annotators saw the first 30, and the published loaders sample these of every video."""

_FILES = "the data set needs train_list.txt, train_data.json, the like of val and test, and videos/"
_PUBLISHED = {
    "train": Counts((8392, 8395), (8392, 8395)),
    "val": Counts((1065,), (1065,)),
    "test": Counts((1004,), (1004,)),
}


def load(config: DiDeMoConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """DiDeMo under ``config.root``: the listed videos, each with all its descriptions as one paragraph.

    Videos are in the order in which the annotations first name them, descriptions in theirs. The moments that they
    describe are not needed: every video is seen from 0 to 31 s.

    Raises InputError where a file is missing or malformed, a video is in two lists or has no description or two files.
    """
    root = root_of(config, "the lists, the annotations and videos/")
    lists = {split: root / f"{split}_list.txt" for split in ("train", "val", "test")}
    ids = {split: _ids(file) for split, file in lists.items()}
    refuse_shared(lists, ids)
    pairs = {split: _paragraphs(root / f"{split}_data.json", split, found) for split, found in ids.items()}
    spans = {id: SPAN for found in ids.values() for id in found}
    made = splits(pairs, root / "videos", config.missing, without_format, spans)
    return Dataset("didemo", made, published=_PUBLISHED)


def without_format(name: str) -> str:
    """The name of a video without the extensions of video formats: "a.mov.mp4" → "a"."""
    while (path := Path(name)).suffix.lower() in SUFFIXES:
        name = path.stem
    return name


class _Description(BaseModel):
    video: VideoId
    description: str


class _Descriptions(RootModel[list[_Description]]):
    """[{"video", "description"}, …]."""


def _ids(path: Path) -> list[str]:
    names: dict[str, str] = {}
    for name in listed(path, _FILES):
        if (other := names.setdefault(without_format(name), name)) != name:
            raise InputError(f"{path}: {name} and {other} are one video; remove one")
    return list(names)


def _paragraphs(path: Path, split: str, ids: list[str]) -> list[tuple[str, str]]:
    wanted = set(ids)
    sentences: dict[str, list[str]] = {}
    for found in parsed(path, _Descriptions, _FILES).root:
        if (id := without_format(found.video)) in wanted:
            sentences.setdefault(id, []).append(found.description)
    paragraphs = {id: " ".join(texts) for id, texts in sentences.items()}
    refuse_without_caption(path, split, (id for id in ids if not paragraphs.get(id, "").strip()))
    return list(paragraphs.items())
