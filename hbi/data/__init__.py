"""Data sets: ``load`` reads the annotations of one, ``check`` opens every video. Neither imports torch.

``describe``, ``differences`` and ``findings`` tell what a loaded one holds, where its counts are not the published
ones, and what is odd about its annotations.
"""

from pathlib import Path

from hbi.config import DataConfig, imported
from hbi.data.checking import check_videos
from hbi.data.dataset import Counts, Dataset, Progress, Split, Video
from hbi.data.description import Description, describe, differences, findings

__all__ = [
    "Counts",
    "Dataset",
    "Description",
    "Progress",
    "Split",
    "Video",
    "check",
    "describe",
    "differences",
    "findings",
    "load",
]


def load(config: DataConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """The data set that ``config`` names; what has to be generated first goes under ``cache``.

    Raises InputError where a file is missing or malformed. Videos are not opened: see ``check``.
    """
    dataset: Dataset = imported(config.loader)(config, cache, progress)
    return dataset


def check(config: DataConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """Loads the data set and makes sure that all its videos can be read, so that no run fails on one later.

    What was found is remembered under ``cache``; a second call opens only the files that have changed.
    Raises InputError that names the first few videos that are missing or do not decode, and counts them all.
    """
    dataset = load(config, cache, progress)
    check_videos(dataset, config, cache, progress)
    return dataset
