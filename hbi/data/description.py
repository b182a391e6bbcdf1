"""What a data set holds, how that differs from what is published of it, and what is odd about it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import combinations

from hbi.data.dataset import Counts, Dataset, Split


@dataclass(frozen=True)
class Description:
    """A split in numbers. A caption is a question where there are answers.

    ``captions_per_video``: least and most. ``longest_caption``: in words. ``vocabulary``, ``in_vocabulary``: how many
    answers a model chooses from, and how many questions have one of them. ``left_out``: videos without file.
    """

    split: str
    videos: int
    captions: int
    distinct_captions: int
    captions_per_video: tuple[int, int]
    longest_caption: int
    left_out: int
    vocabulary: int | None = None
    in_vocabulary: int | None = None


def describe(dataset: Dataset) -> list[Description]:
    """A row a split, in the order train, val, test."""
    rows = []
    for name, split in dataset.splits.items():
        per_video = Counter(split.video_of)
        each = [per_video[column] for column in range(len(split.videos))]
        rows.append(
            Description(
                split=name,
                videos=len(split.videos),
                captions=len(split.captions),
                distinct_captions=len(set(split.captions)),
                captions_per_video=(min(each, default=0), max(each, default=0)),
                longest_caption=max((len(caption.split()) for caption in split.captions), default=0),
                left_out=len(split.left_out),
                vocabulary=len(dataset.vocabulary) if dataset.vocabulary else None,
                in_vocabulary=sum(label >= 0 for label in dataset.labels(name)) if dataset.vocabulary else None,
            )
        )
    return rows


def differences(dataset: Dataset) -> list[str]:
    """Where the counts are not the published ones, a sentence each: "test: 998 videos, published are 1000"."""
    found = []
    rows = {row.split: row for row in describe(dataset)}
    for name, published in dataset.published.items():
        if name not in rows:
            found.append(f"{name}: there is no such split")
            continue
        for count in fields(Counts):
            known, have = getattr(published, count.name), getattr(rows[name], count.name)
            if known and have not in known:
                what = count.name.replace("_", " ")
                found.append(f"{name}: {have} {what}, published are {' or '.join(map(str, known))}")
    return found


def findings(dataset: Dataset) -> list[str]:
    """What is odd and can be told from the annotations alone, a sentence each, with a count and the first example.

    Loaders refuse much of this themselves (a video in two splits, an empty caption, a video without caption); here
    it is found in the data sets of plug-ins too.
    """
    return [f"{what}: {len(examples)}, the first {examples[0][:80]!r}" for what, examples in _odd(dataset) if examples]


def _odd(dataset: Dataset) -> Iterator[tuple[str, Sequence[str]]]:
    """What is looked for, and where it is found."""
    for split in dataset.splits.values():
        for what, examples in _odd_in(split):
            yield f"{split.name}: {what}", examples
    for one, other in combinations(dataset.splits.values(), 2):
        between = f"{one.name} and {other.name}"
        yield f"{between}: videos in both", _shared(*({video.id for video in split.videos} for split in (one, other)))
        files = ({str(video.path) for video in split.videos} for split in (one, other))
        yield f"{between}: video files in both", _shared(*files)
        if not one.answers:  # questions are alike by nature
            yield f"{between}: captions in both, word for word", _shared(set(one.captions), set(other.captions))
    if dataset.vocabulary:
        for name, split in dataset.splits.items():
            answers = zip(split.answers or (), dataset.labels(name), strict=True)
            yield f"{name}: answers outside the vocabulary", [answer for answer, label in answers if label < 0]


def _odd_in(split: Split) -> Iterator[tuple[str, Sequence[str]]]:
    ids = Counter(video.id for video in split.videos)
    rows = list(zip(split.captions, split.video_of, strict=True))
    columns = range(len(split.videos))
    with_caption = set(split.video_of)
    yield "videos without file, left out", split.left_out
    yield "videos that are there twice", [id for id in ids if ids[id] > 1]
    yield "videos without caption", [split.videos[column].id for column in columns if column not in with_caption]
    yield "captions without video", [text for text, column in rows if column not in columns]
    yield "empty captions", [f"caption {number}" for number, (text, _) in enumerate(rows) if not text.strip()]
    if not split.answers:
        yield "captions that their video has twice", [text for (text, _), count in Counter(rows).items() if count > 1]


def _shared(one: set[str], other: set[str]) -> list[str]:
    return sorted(one & other)
