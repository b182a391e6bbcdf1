"""Similarity matrices in files (npy, npz), with the video of each caption and banks of queries where there are any.

An npz holds ``similarity`` [N,M], captions × videos, and may hold ``groups`` [N], the column of each caption's video,
``video_to_text`` [N,M], by which videos rank captions where they do so by other scores than captions rank videos,
``bank_texts`` [B,M], scores of other captions with the videos, and ``bank_videos`` [N,B], of the captions with others.
"""

import csv
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hbi.errors import InputError
from hbi.metrics.post_processing import Scores
from hbi.metrics.retrieval import Direction, count_nan

SIMILARITY = "similarity.npz"
"""The file beside a record, where a suite's ``keep`` has it: the scores of the test split before any post-processing,
the column of each caption's video, and the bank where there is one."""


@dataclass(frozen=True)
class Saved:
    """What a file of similarities holds."""

    similarity: Scores
    groups: NDArray[np.int64] | None = None
    bank_texts: Scores | None = None
    bank_videos: Scores | None = None
    video_to_text: Scores | None = None

    def scores(self, direction: Direction) -> Scores:
        """[N,M], by which the queries of ``direction`` rank."""
        return self.similarity if direction == "t2v" or self.video_to_text is None else self.video_to_text

    def bank(self, direction: Direction) -> Scores | None:
        """Scores of other queries of ``direction``: captions [B,M], or videos [N,B]."""
        return self.bank_texts if direction == "t2v" else self.bank_videos


def read_similarity(file: Path, groups: Path | None = None) -> Saved:
    """The content of ``file``; ``groups``, a file of its own (json, csv, npy), replaces those in it.

    Raises InputError with the file's name where one is missing, damaged, of another shape, or holds objects or NaN.
    """
    arrays = _arrays(file, "similarity")
    if "similarity" not in arrays:
        raise InputError(f"{file}: no array 'similarity'; it holds: {', '.join(arrays) or 'nothing'}")
    similarity = _scores(file, "similarity", arrays["similarity"])
    captions, videos = similarity.shape
    others = ("bank_texts", "bank_videos", "video_to_text")
    found = {name: _scores(file, name, arrays[name]) for name in others if name in arrays}
    for name, axes in (("bank_texts", {1}), ("bank_videos", {0}), ("video_to_text", {0, 1})):
        if name in found and any(found[name].shape[axis] != similarity.shape[axis] for axis in axes):
            raise InputError(f"{file}: {name} {list(found[name].shape)} does not fit similarity [{captions}, {videos}]")
    column = None
    if groups:
        column = _groups(groups, _read_groups(groups))
    elif "groups" in arrays:
        column = _groups(file, arrays["groups"])
    return Saved(similarity, column, **found)


def _arrays(file: Path, alone: str) -> dict[str, NDArray[Any]]:
    """The arrays of an npz by name, or the one of an npy under the name ``alone``."""
    try:
        # a pickle could run code; an npy is read as it is used, and what is written into it is not saved
        content = np.load(file, mmap_mode="c", allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {alone: content}
        with content:
            return {name: content[name] for name in content.files}
    except FileNotFoundError:
        raise InputError(f"{file}: there is no such file") from None
    except Exception as error:  # numpy raises whatever the damage provokes
        raise InputError(f"{file}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if "Object" in str(error) or "objects in dtype" in str(error):
        return "holds objects, not numbers; save a plain array of numbers"
    if "pickled" in str(error) or isinstance(error, zipfile.BadZipFile):
        return "not readable as npy or npz (another format, or truncated)"
    return f"not readable as npy or npz ({' '.join(str(error).split())[:120] or type(error).__name__})"


def _scores(file: Path, name: str, array: NDArray[Any]) -> Scores:
    if array.dtype.kind not in "iuf":
        raise InputError(f"{file}: {name} holds {array.dtype}, not numbers")
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"{file}: {name} must be a matrix, captions × videos, not {list(array.shape)}")
    if missing := count_nan(array):
        raise InputError(f"{file}: {name} {list(array.shape)} holds {missing} NaN")
    return array.astype(np.result_type(array.dtype, np.float32), copy=False)  # float64 where float32 is not enough


def _read_groups(file: Path) -> NDArray[Any]:
    """A list of numbers: JSON, CSV (one column, or one line), or npy."""
    if file.suffix not in (".json", ".csv"):
        return _arrays(file, "groups").get("groups", np.empty(0))
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix == ".json":
            return np.asarray(json.loads(text))
        return np.asarray([int(cell) for row in csv.reader(text.splitlines()) for cell in row])
    except FileNotFoundError:
        raise InputError(f"{file}: there is no such file") from None
    except (OSError, ValueError, OverflowError, RecursionError, csv.Error) as error:
        raise InputError(f"{file}: not a list of numbers ({' '.join(str(error).split())[:120]})") from error


def _groups(file: Path, array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype.kind not in "iu" or array.ndim != 1 or not array.size:
        raise InputError(f"{file}: groups must be a list of whole numbers, the column of each caption's video")
    return array.astype(np.int64)
