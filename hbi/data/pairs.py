"""The data set ``pairs``: captions of videos and images from tables (hbi.data.tables), to train on.

<root>/<path>    a video or an image (hbi.data.video), by the column ``path`` of the tables
"""

import gc
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from hbi.config import PairsConfig, imported
from hbi.data.annotations import root_of
from hbi.data.dataset import Dataset, Phrases, Progress, Split, Video
from hbi.data.tables import SPANS, line_of, read_table, spans
from hbi.errors import InputError


def load(config: PairsConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """train: all rows of ``config.tables``, in their order; a path on several rows is one video with several captions.
    test, and val where there is one: those of ``config.test``.

    Phrases are those of the tables, none where no table has a column of them. With ``config.missing`` "drop" rows are
    left out whose file is not there.
    Raises InputError where ``read_table`` or the loader of ``config.test`` does, a path has a caption twice, no file of
    all is there to train on, or one of val or test is also a training file.
    """
    root = root_of(config, "the videos and images that the tables list")
    read = {file: read_table(Path(file)) for file in config.tables}
    table = pd.concat(read.values(), ignore_index=True)
    _refuse_repeated(read, table)
    tested = imported(config.test.loader)(config.test, cache, progress).splits
    evaluated = {name: tested[name] for name in ("val", "test") if name in tested}
    left_out: tuple[str, ...] = ()
    there = _there(root, table["path"].unique().tolist(), evaluated)
    if config.missing == "drop":
        left_out = tuple(path for path, found in there.items() if not found)
        if len(left_out) == len(there):
            raise InputError(f"{root}: none of the {len(left_out)} training files is there; put them into it")
        table = table[~table["path"].isin(left_out)]
    with _without_collector():
        train = _train(root, table, left_out)
    return Dataset("pairs", {"train": train, **evaluated})


def _train(root: Path, table: pd.DataFrame, left_out: tuple[str, ...]) -> Split:
    video_of, paths = pd.factorize(table["path"])
    phrases = None
    if any((table[name] != "").any() for name in SPANS):
        phrases = tuple(map(Phrases, *(spans(table[name]) for name in SPANS)))
    return Split(
        "train",
        tuple(Video(path, root / path) for path in paths),
        tuple(table["caption"].tolist()),
        tuple(video_of.tolist()),
        left_out=left_out,
        phrases=phrases,
    )


@contextmanager
def _without_collector() -> Iterator[None]:
    """Millions of objects that stay are made in half the time where they are not looked through again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _refuse_repeated(read: Mapping[str, pd.DataFrame], table: pd.DataFrame) -> None:
    """Raises InputError where a path has the same caption twice, also in two of the tables."""
    repeated = np.flatnonzero(table.duplicated(["path", "caption"]))
    if not len(repeated):
        return
    second = table.iloc[repeated[0]]
    same = (table["path"] == second["path"]) & (table["caption"] == second["caption"])
    begins = np.cumsum([0, *map(len, read.values())])

    def place(row: int) -> str:
        number = int(np.searchsorted(begins, row, "right")) - 1
        file = list(read)[number]
        return f"{file}:{line_of(Path(file), row - int(begins[number]))}"

    first = place(int(np.flatnonzero(same)[0]))
    more = f" ({len(repeated)} such rows)" if len(repeated) > 1 else ""
    raise InputError(f"{place(int(repeated[0]))}: {second['path']} has this caption also at {first}{more}; remove one")


def _there(root: Path, paths: Sequence[str], evaluated: Mapping[str, Split]) -> dict[str, bool]:
    """Which of ``paths`` are files; raises InputError where one is that of a video of an ``evaluated`` split."""
    tested = {os.path.realpath(video.path): name for name, split in evaluated.items() for video in split.videos}
    there = {}
    for path, file in zip(paths, _files(root, paths), strict=True):
        there[path] = file is not None
        if file in tested:
            raise InputError(f"{root / path}: is also a video of split {tested[file]}; take it out of the tables")
    return there


def _files(root: Path, paths: Iterable[str]) -> Iterator[str | None]:
    """Each file's path, links followed; none where there is no such file.

    Folders are listed, for to ask after each of millions of files takes minutes over a network.
    """
    folders: dict[str, tuple[str, dict[str, bool]]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in folders:
            folders[folder] = _listed(root / folder)
        real, is_link = folders[folder]
        file = f"{real}/{name}"
        if is_link.get(name):
            file = os.path.realpath(file)
            yield file if Path(file).exists() else None
        else:
            yield file if name in is_link else None


def _listed(folder: Path) -> tuple[str, dict[str, bool]]:
    """The folder's path, links followed, and of each name in it whether it is a link; no names where it is absent."""
    try:
        with os.scandir(folder) as entries:
            return os.path.realpath(folder), {entry.name: entry.is_symlink() for entry in entries}
    except OSError:
        return str(folder), {}
