"""MSR-VTT (Xu et al., CVPR 2016) with the 1k-A test split (Yu et al., ECCV 2018), as its loaders lay it out:

anns/MSRVTT_data.json            sentences of all videos
anns/MSRVTT_train.9k.csv         ids of the training videos (or MSRVTT_train.7k.csv)
anns/MSRVTT_JSFUSION_test.csv    test pairs, one row each
anns/MSRVTT_val.full.csv         ids of the validation videos, where these are held out
videos/<id>.mp4                  as published by its authors: no other extension is tried, as two loaders do
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from hbi.config import MSRVTTConfig
from hbi.data.annotations import (
    Caption,
    VideoId,
    content,
    existing,
    first,
    parsed,
    refuse_shared,
    refuse_without_caption,
    root_of,
)
from hbi.data.dataset import Counts, Dataset, Progress, Split, Video
from hbi.errors import InputError

_HOLDS = "anns/ and videos/"
_SENTENCES = 20
"""Of every video."""
_TRAIN_VIDEOS = {"9k": 9000, "7k": 7010}
_VAL_VIDEOS = 497


def load(config: MSRVTTConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """MSR-VTT under ``config.root``; see ``read_msrvtt``.

    The published counts are those of the lists that most repositories ship; of the test pairs, 5 captions are
    another's word for word.
    """
    train_csv = f"MSRVTT_train.{config.train_split}.csv"
    dataset = read_msrvtt("msrvtt", root_of(config, _HOLDS), train_csv, config.hold_out_validation)
    train, val = _TRAIN_VIDEOS[config.train_split], _VAL_VIDEOS if config.hold_out_validation else 0
    published = {
        "train": Counts((train - val,), (_SENTENCES * (train - val),)),
        "test": Counts((1000,), (1000,), (995,)),
    }
    if val:
        published["val"] = Counts((val,), (_SENTENCES * val,))
    return replace(dataset, published=published)


def read_msrvtt(name: str, root: Path, train_csv: str, hold_out_validation: bool) -> Dataset:
    """Reads the annotations under ``root``; videos are named, not opened.

    train: every (video, sentence) of the listed videos, in the order of the JSON file.
    test: the rows of the test list; row n is the match of row n.
    val: with ``hold_out_validation``, the listed validation videos with all their sentences. The published 9k and 7k
    lists contain the 497 videos of the published validation list, so these leave train then.

    Sentences of videos that no list names are ignored. Raises InputError where a file is missing or malformed
    or lists a video twice, a video is in both train and test, or a listed one has no sentence.
    """
    existing(root, name, _HOLDS)
    annotations = root / "anns"
    files = {"train": annotations / train_csv, "test": annotations / "MSRVTT_JSFUSION_test.csv"}
    data = annotations / "MSRVTT_data.json"
    sentences = parsed(data, _Sentences, _FILES).sentences
    test = _read_csv(files["test"], _Sentence, "video_id", "sentence")
    ids = {
        "train": [row.video_id for row in _read_csv(files["train"], _Listed, "video_id")],
        "test": [row.video_id for row in test],
    }
    if hold_out_validation:
        files["val"] = annotations / "MSRVTT_val.full.csv"
        ids["val"] = [row.video_id for row in _read_csv(files["val"], _Listed, "video_id")]
        held_out = set(ids["val"])
        ids["train"] = [id for id in ids["train"] if id not in held_out]
        if not ids["train"]:
            raise InputError(f"{files['train']}: every video is also in {files['val'].name}; none is left to train")
    refuse_shared(files, ids)
    splits: dict[str, Split] = {}
    for split in ("train", "val", "test"):
        if split in ids:
            splits[split] = _split(split, ids[split], test if split == "test" else sentences, data)
    return Dataset(name, splits)


def _split(name: str, ids: Sequence[str], sentences: Sequence["_Sentence"], data: Path) -> Split:
    column = {id: number for number, id in enumerate(ids)}
    pairs = [(sentence.caption, column[sentence.video_id]) for sentence in sentences if sentence.video_id in column]
    with_caption = {number for _, number in pairs}
    refuse_without_caption(data, name, (id for id in ids if column[id] not in with_caption))
    captions, video_of = zip(*pairs, strict=True)
    folder = data.parents[1] / "videos"
    return Split(name, tuple(Video(id, folder / f"{id}.mp4") for id in ids), captions, video_of)


# ---- files ------------------------------------------------------------------------------------------------

_FILES = (
    "the data set needs MSRVTT_data.json, the list of training videos and MSRVTT_JSFUSION_test.csv in anns/, "
    "and its videos in videos/<id>.mp4"
)


class _Listed(BaseModel):
    video_id: VideoId


class _Sentence(BaseModel):
    """A row of the test list, or of either form of the JSON file."""

    video_id: VideoId = Field(validation_alias=AliasChoices("video_id", "image_id"))
    caption: Caption = Field(validation_alias=AliasChoices("caption", "sentence"))


class _Sentences(BaseModel):
    """{"sentences": [{"video_id", "caption"}, …]}, or {"annotations": [{"image_id", "caption"}, …]}."""

    sentences: list[_Sentence] = Field(validation_alias=AliasChoices("sentences", "annotations"))


def _read_csv(path: Path, row_type: type["_Row"], *columns: str) -> list["_Row"]:
    """Rows of a comma-separated file whose header names at least ``columns``; no video twice."""
    reader = csv.DictReader(io.StringIO(content(path, _FILES)), strict=True)
    rows: dict[str, _Row] = {}
    try:
        if missing := [column for column in columns if column not in (reader.fieldnames or ())]:
            raise InputError(f"{path}:1: no column {missing[0]!r} in the header; the first line must name the columns")
        for line in reader:
            if None in line:  # an unquoted comma would cut the sentence short
                raise InputError(f"{path}:{reader.line_num}: more fields than the header; quote what holds a comma")
            row = row_type.model_validate(line)
            if row.video_id in rows:
                raise InputError(f"{path}:{reader.line_num}: {row.video_id} is listed twice; remove one")
            rows[row.video_id] = row
    except ValidationError as error:
        raise InputError(f"{path}:{reader.line_num}: {first(error)}; correct the line") from error
    except csv.Error as error:
        raise InputError(f"{path}:{reader.reader.line_num}: {error}; correct the line") from error
    if not rows:
        raise InputError(f"{path}: lists no video")
    return list(rows.values())


_Row = TypeVar("_Row", _Listed, _Sentence)
