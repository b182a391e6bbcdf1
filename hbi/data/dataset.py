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
    """N captions of M videos, in the order of the annotation files; of a data set of questions, N questions.

    ``video_of`` [N]: the column of each caption's video in ``videos``. ``answers`` [N]: those of the questions.
    """

    name: str
    videos: tuple[Video, ...]
    captions: tuple[str, ...]
    video_of: tuple[int, ...]
    answers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Dataset:
    """Splits by name: "train", "test", and "val" where the data set has one. No video is in two of them.

    ``vocabulary``: the answers that a model chooses from, for questions; label k stands for vocabulary[k].
    """

    name: str
    splits: dict[str, Split]
    vocabulary: tuple[str, ...] | None = None

    def labels(self, split: str) -> list[int]:
        """[N]: the label of each answer of a split, −1 for one outside the vocabulary, and for captions."""
        found = self.splits[split]
        if found.answers is None:
            return [-1] * len(found.captions)
        label = {answer: number for number, answer in enumerate(self.vocabulary or ())}
        return [label.get(answer, -1) for answer in found.answers]
