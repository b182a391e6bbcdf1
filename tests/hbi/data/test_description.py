from pathlib import Path

import hbi.data
from hbi.data import Counts, Dataset, Description, Split, Video


def split(name: str, ids: str, *pairs: tuple[int, str], answers: tuple[str, ...] | None = None) -> Split:
    videos = tuple(Video(id, Path(f"{id}.mp4")) for id in ids)
    columns, captions = zip(*pairs, strict=True)
    return Split(name, videos, captions, columns, answers, left_out=("z",) if name == "train" else ())


GOOD = {
    "train": split("train", "abc", (0, "a dog runs"), (0, "rain"), (1, "a man and a dog"), (2, "rain")),
    "test": split("test", "de", (0, "a cat"), (1, "a bird")),
}


def test_a_row_a_split_counts_what_is_in_it() -> None:
    assert hbi.data.describe(Dataset("mine", GOOD)) == [
        Description("train", 3, 4, 3, (1, 2), 5, 1),
        Description("test", 2, 2, 2, (1, 1), 2, 0),
    ]


def test_of_questions_it_also_counts_those_that_can_be_answered() -> None:
    asked = split("test", "d", (0, "what?"), (0, "who?"), answers=("dog", "man"))
    (row,) = hbi.data.describe(Dataset("mine", {"test": asked}, vocabulary=("cat", "dog", "rain")))
    assert (row.vocabulary, row.in_vocabulary) == (3, 1)


def test_only_counts_that_nobody_has_published_are_differences() -> None:
    published = {"train": Counts((2, 3), (5, 6)), "test": Counts((2,), (), (995,)), "val": Counts((1,))}
    assert hbi.data.differences(Dataset("mine", GOOD, published=published)) == [
        "train: 4 captions, published are 5 or 6",
        "test: 2 distinct captions, published are 995",
        "val: there is no such split",
    ]
    assert hbi.data.differences(Dataset("mine", GOOD)) == []


def test_what_is_odd_is_found_with_a_count_and_an_example() -> None:
    odd = {
        "train": split("train", "abca", (0, "rain"), (0, "rain"), (1, " "), (3, "a cat"), (4, "snow")),
        "test": split("test", "ad", (0, "a cat"), (1, "a bird")),
    }
    assert hbi.data.findings(Dataset("mine", odd)) == [
        "train: videos without file, left out: 1, the first 'z'",
        "train: videos that are there twice: 1, the first 'a'",
        "train: videos without caption: 1, the first 'c'",
        "train: captions without video: 1, the first 'snow'",
        "train: empty captions: 1, the first 'caption 2'",
        "train: captions that their video has twice: 1, the first 'rain'",
        "train and test: videos in both: 1, the first 'a'",
        "train and test: video files in both: 1, the first 'a.mp4'",
        "train and test: captions in both, word for word: 1, the first 'a cat'",
    ]
    asked = {name: split(name, name[0], (0, "what?"), (0, "what?"), answers=("dog", "man")) for name in ("val", "test")}
    assert hbi.data.findings(Dataset("mine", asked, vocabulary=("dog",))) == [
        "val: answers outside the vocabulary: 1, the first 'man'",
        "test: answers outside the vocabulary: 1, the first 'man'",
    ]


def test_nothing_odd_is_found_in_good_data(dataset: Dataset) -> None:
    assert not [finding for finding in hbi.data.findings(dataset) if "word for word" not in finding]
    assert hbi.data.differences(dataset) == []
