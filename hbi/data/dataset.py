"""What a data set is to all that use one: videos, captions, and which caption belongs to which video."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total) as long work goes on: "generating video", "checking video", "decoding video"."""


@dataclass(frozen=True)
class Video:
    """One video: its id in the annotations and its file."""

    id: str
    path: Path


@dataclass(frozen=True)
class Split:
    """N captions of M videos, in the order of the annotation files.

    ``video_of`` [N]: the column of each caption's video in ``videos``.
    """

    name: str
    videos: tuple[Video, ...]
    captions: tuple[str, ...]
    video_of: tuple[int, ...]


@dataclass(frozen=True)
class Dataset:
    """Splits by name: "train", "test", and "val" where the data set has one. No video is in two of them."""

    name: str
    splits: dict[str, Split]
