"""The video files of a data set whose annotations give their names without folder and extension."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from hbi.data.dataset import Split, Video, paired
from hbi.errors import InputError

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3g2", "3gp", "asf", "avi", "divx", "flv", "m2ts", "m4v", "mkv", "mod"),
        *("mov", "mp4", "mpeg", "mpg", "mts", "ogv", "vob", "webm", "wmv"),
    )
)
"""Of videos: of several files with one id, these are meant (others lie beside them: sound, subtitles, notes)."""


def stem(name: str) -> str:
    """Without the last extension alone: an id may hold dots."""
    return Path(name).stem


def found(folder: Path, ids: Iterable[str], id_of: Callable[[str], str] = stem) -> dict[str, Path]:
    """The files of ``ids`` anywhere under ``folder``, sub-folders included; an id without file is not in it.

    ``id_of``: from a file's name to its id. Raises InputError where two videos have one id.
    """
    wanted = set(ids)
    files: dict[str, list[Path]] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            if not name.startswith(".") and (id := id_of(name)) in wanted:
                files.setdefault(id, []).append(Path(parent, name))
    chosen = {}
    for id in sorted(files):
        paths = sorted(path for path in files[id] if path.suffix.lower() in SUFFIXES) or sorted(files[id])
        if len(paths) > 1:
            raise InputError(f"{paths[0]}: {paths[1].relative_to(folder)} is a file of the same video; remove one")
        chosen[id] = paths[0]
    return chosen


def splits(
    pairs: Mapping[str, Sequence[tuple[str, str]]],
    folder: Path,
    missing: Literal["error", "drop"] = "error",
    id_of: Callable[[str], str] = stem,
    spans: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, Split]:
    """The splits of (video id, caption) ``pairs``, with the videos' files under ``folder`` (``found``).

    A video without file is there all the same, as <id>.mp4, so that the check of videos reports it. With ``missing``
    "drop" those of the training split are left out of it; the others are not, for the gallery must not shrink.
    ``spans``: start and end of each video, in seconds. Raises InputError as ``found``, and where no file is left.
    """
    files = found(folder, (id for split in pairs.values() for id, _ in split), id_of)

    def video(id: str) -> Video:
        return Video(id, files.get(id, folder / f"{id}.mp4"), *(spans[id] if spans else ()))

    made = {name: paired(name, split, video) for name, split in pairs.items()}
    if missing == "drop":
        left_out = tuple(video.id for video in made["train"].videos if video.id not in files)
        if len(left_out) == len(made["train"].videos):
            raise InputError(f"{folder}: none of the {len(left_out)} training videos is there; put them into it")
        train = paired("train", (pair for pair in pairs["train"] if pair[0] in files), video)
        made["train"] = replace(train, left_out=left_out)
    return made
