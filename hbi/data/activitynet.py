"""ActivityNet Captions (Krishna et al., ICCV 2017), for paragraph retrieval, in its authors' files:

train_ids.json, val_ids.json       [id, …]
train.json, val_1.json             {id: {"duration": seconds, "sentences": [sentence, …], …}, …}
videos/**/<id>.*                   any extension

Ids are "v_" and the 11 characters of YouTube's; repositories differ in whether files are to have the "v_": it does
not count anywhere.
"""

from math import ceil
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, RootModel

from hbi.config import ActivityNetConfig
from hbi.data.annotations import VideoId, parsed, refuse_shared, refuse_without_caption, root_of
from hbi.data.dataset import Counts, Dataset, Progress
from hbi.data.video_files import splits, stem
from hbi.errors import InputError

_NAMES = {"train": ("train_ids.json", "train.json"), "test": ("val_ids.json", "val_1.json")}
_FILES = "the data set needs train_ids.json, train.json, val_ids.json and val_1.json, and videos/"
_PUBLISHED = {"train": Counts((10_009,), (10_009,)), "test": Counts((4917,), (4917,))}


def load(config: ActivityNetConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """ActivityNet Captions under ``config.root``: the listed videos, each with all its sentences as one paragraph.

    The test split is val_1, on which all publications report; there is no val. An id that a list repeats counts once.
    Every video is seen from 0 s to its annotated duration, rounded up; the sentences' times are not needed.

    Raises InputError where a file is missing or malformed, or a video is in both lists or has no sentence or two files.
    """
    root = root_of(config, "the ids, the captions and videos/")
    lists = {split: root / names[0] for split, names in _NAMES.items()}
    ids = {split: _ids(file) for split, file in lists.items()}
    refuse_shared(lists, ids)
    pairs: dict[str, list[tuple[str, str]]] = {}
    spans: dict[str, tuple[int, int]] = {}
    for split, (_, name) in _NAMES.items():
        captions = {youtube_id(id): found for id, found in parsed(root / name, _Captions, _FILES).root.items()}
        paragraphs = {id: " ".join(captions[id].sentences) for id in ids[split] if id in captions}
        refuse_without_caption(root / name, split, (id for id in ids[split] if not paragraphs.get(id, "").strip()))
        pairs[split] = list(paragraphs.items())
        spans |= {id: (0, ceil(captions[id].duration)) for id in paragraphs}
    made = splits(pairs, root / "videos", config.missing, lambda name: youtube_id(stem(name)), spans)
    return Dataset("activitynet", made, published=_PUBLISHED)


def youtube_id(name: str) -> str:
    """Without the prefix: a name of other length is an id that begins so itself."""
    return name[2:] if len(name) == 13 and name.startswith("v_") else name


class _Ids(RootModel[list[VideoId]]):
    """[id, …]."""


class _Described(BaseModel):
    duration: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    sentences: list[str]


class _Captions(RootModel[dict[VideoId, _Described]]):
    """{id: {"duration", "sentences"}}."""


def _ids(path: Path) -> list[str]:
    ids = dict.fromkeys(map(youtube_id, parsed(path, _Ids, _FILES).root))
    if not ids:
        raise InputError(f"{path}: lists no video")
    return list(ids)
