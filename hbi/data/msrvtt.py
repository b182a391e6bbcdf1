"""MSR-VTT (Xu et al., CVPR 2016) with the 1k-A test split (Yu et al., ECCV 2018), as its loaders lay it out:

anns/MSRVTT_data.json            sentences of all videos
anns/MSRVTT_train.9k.csv         ids of the training videos (or MSRVTT_train.7k.csv)
anns/MSRVTT_JSFUSION_test.csv    test pairs, one row each
anns/MSRVTT_val.full.csv         ids of the validation videos, where these are held out
videos/<id>.mp4
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, AliasChoices, BaseModel, Field, ValidationError

from hbi.config import MSRVTTConfig
from hbi.data.annotations import VideoId, content, first
from hbi.data.dataset import Dataset, Progress, Split, Video
from hbi.errors import InputError


def load(config: MSRVTTConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """MSR-VTT under ``config.root``; see ``read_msrvtt``."""
    if config.root is None:
        raise InputError("data set msrvtt: no root is given; set it to the folder that holds anns/ and videos/")
    return read_msrvtt(
        "msrvtt", Path(config.root), f"MSRVTT_train.{config.train_split}.csv", config.hold_out_validation
    )


def read_msrvtt(name: str, root: Path, train_csv: str, hold_out_validation: bool) -> Dataset:
    """Reads the annotations under ``root``; videos are named, not opened.

    train: every (video, sentence) of the listed videos, in the order of the JSON file.
    test: the rows of the test list; row n is the match of row n.
    val: with ``hold_out_validation``, the listed validation videos with all their sentences. The published 9k and 7k
    lists contain the 497 videos of the published validation list, so these leave train then.

    Sentences of videos that no list names are ignored. Raises InputError where a file is missing or malformed
    or lists a video twice, a video is in both train and test, or a listed one has no sentence.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; data set {name} is expected there, with anns/ and videos/")
    annotations = root / "anns"
    sentences = _read_sentences(annotations / "MSRVTT_data.json")
    test = _read_csv(annotations / "MSRVTT_JSFUSION_test.csv", _Sentence, "video_id", "sentence")
    ids = {
        "train": [row.video_id for row in _read_csv(annotations / train_csv, _Listed, "video_id")],
        "test": [row.video_id for row in test],
    }
    val_csv = annotations / "MSRVTT_val.full.csv"
    if hold_out_validation:
        ids["val"] = [row.video_id for row in _read_csv(val_csv, _Listed, "video_id")]
        held_out = set(ids["val"])
        ids["train"] = [id for id in ids["train"] if id not in held_out]
        if not ids["train"]:
            raise InputError(f"{annotations / train_csv}: every video is also in {val_csv.name}; none is left to train")
    for split in set(ids) - {"test"}:
        if shared := set(ids["test"]) & set(ids[split]):
            raise InputError(
                f"{annotations}: {min(shared)} is in the lists of both {split} and test; remove it from one"
            )

    splits = {}
    for split in ("train", "val", "test"):
        if split in ids:
            splits[split] = _split(split, ids[split], test if split == "test" else sentences, root)
    return Dataset(name, splits)


def _split(name: str, ids: Sequence[str], sentences: Sequence["_Sentence"], root: Path) -> Split:
    column = {id: number for number, id in enumerate(ids)}
    pairs = [(sentence.caption, column[sentence.video_id]) for sentence in sentences if sentence.video_id in column]
    if without := sorted(set(range(len(ids))) - {number for _, number in pairs}):
        raise InputError(
            f"{root / 'anns' / 'MSRVTT_data.json'}: no sentence for {ids[without[0]]} of split {name} "
            f"({len(without)} such videos); complete the file or take them off the list"
        )
    captions, video_of = zip(*pairs, strict=True)
    return Split(name, tuple(Video(id, root / "videos" / f"{id}.mp4") for id in ids), captions, video_of)


# ---- files ------------------------------------------------------------------------------------------------

_FILES = (
    "the data set needs MSRVTT_data.json, the list of training videos and MSRVTT_JSFUSION_test.csv in anns/, "
    "and its videos in videos/<id>.mp4"
)


def _not_empty(caption: str) -> str:
    if not caption.strip():
        raise ValueError("empty caption")
    return caption


class _Listed(BaseModel):
    video_id: VideoId


class _Sentence(BaseModel):
    """A row of the test list, or of either form of the JSON file."""

    video_id: VideoId = Field(validation_alias=AliasChoices("video_id", "image_id"))
    caption: Annotated[str, AfterValidator(_not_empty)] = Field(validation_alias=AliasChoices("caption", "sentence"))


class _Sentences(BaseModel):
    """{"sentences": [{"video_id", "caption"}, …]}, or {"annotations": [{"image_id", "caption"}, …]}."""

    sentences: list[_Sentence] = Field(validation_alias=AliasChoices("sentences", "annotations"))


def _read_sentences(path: Path) -> list[_Sentence]:
    try:
        return _Sentences.model_validate_json(content(path, _FILES)).sentences
    except ValidationError as error:
        raise InputError(f"{path}: {first(error)}; correct the file") from error


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
