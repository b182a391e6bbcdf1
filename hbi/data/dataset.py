"""What a data set is to all that use one: videos, captions, and which caption belongs to which video."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total) as long work goes on: "generating video", "checking video", "reading video"."""


@dataclass(frozen=True, slots=True)
class Video:
    """One video: its id in the annotations, its file, and the span of it that is seen, in whole seconds (none: all)."""

    id: str
    path: Path
    start: int | None = None
    end: int | None = None


Span = tuple[int, int]
"""Of a caption: the first character, and the one behind the last, counted from 0."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """Where a caption names things and tells what they do; in rising order, none over another of its kind."""

    nouns: tuple[Span, ...] = ()
    verbs: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Split:
    """N captions of M videos, in the order of the annotation files; of a data set of questions, N questions.

    ``video_of`` [N]: the column of each caption's video in ``videos``. ``answers`` [N]: those of the questions.
    ``left_out``: the ids of annotated videos that are not here because they have no file. ``phrases`` [N]: those of
    the captions, where the data set tells them.
    """

    name: str
    videos: tuple[Video, ...]
    captions: tuple[str, ...]
    video_of: tuple[int, ...]
    answers: tuple[str, ...] | None = None
    left_out: tuple[str, ...] = ()
    phrases: tuple[Phrases, ...] | None = None


@dataclass(frozen=True)
class Counts:
    """What publications say of a split: each number that one of them gives; none where nobody does."""

    videos: tuple[int, ...] = ()
    captions: tuple[int, ...] = ()
    distinct_captions: tuple[int, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """Splits by name: "train", "test", and "val" where the data set has one. No video is in two of them.

    ``vocabulary``: the answers that a model chooses from, for questions; label k stands for vocabulary[k].
    ``published``: what is known of the size of the splits.
    """

    name: str
    splits: dict[str, Split]
    vocabulary: tuple[str, ...] | None = None
    published: Mapping[str, Counts] = field(default_factory=dict)

    def labels(self, split: str) -> list[int]:
        """[N]: the label of each answer of a split, −1 for one outside the vocabulary, and for captions."""
        found = self.splits[split]
        if found.answers is None:
            return [-1] * len(found.captions)
        label = {answer: number for number, answer in enumerate(self.vocabulary or ())}
        return [label.get(answer, -1) for answer in found.answers]


def paired(name: str, pairs: Iterable[tuple[str, str]], video: Callable[[str], Video]) -> Split:
    """The split of these (video id, caption), in their order; videos in the order of first mention."""
    column: dict[str, int] = {}
    captions, video_of = [], []
    for id, caption in pairs:
        captions.append(caption)
        video_of.append(column.setdefault(id, len(column)))
    return Split(name, tuple(map(video, column)), tuple(captions), tuple(video_of))
