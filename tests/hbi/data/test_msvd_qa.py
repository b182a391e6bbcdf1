import json
from collections.abc import Callable
from pathlib import Path

import pytest

import hbi.data
from hbi.config import MSVDQAConfig
from hbi.errors import InputError

ROWS = {
    "train": [(7, "what runs?", "dog"), (8, "who sings?", "man"), (7, "who runs?", "man"), (7, "what is it?", "cat")],
    "val": [(5, "who sings?", "man")],
    "test": [(9, "who cooks?", "man"), (9, "what is cooked?", "rice")],
}
CLIPS = {7: "ab-_9xYz012_5_15", 8: "-Qr5tUvWx34_40_52", 5: "five_1_2", 9: "nine_1_2"}
MAPPING = "".join(f"{clip} vid{number}\n" for number, clip in CLIPS.items())


def rows(split: str, name: Callable[[int], object]) -> list[dict[str, object]]:
    return [{"video_id": name(video), "question": asked, "answer": answer} for video, asked, answer in ROWS[split]]


def original(root: Path, name: Callable[[int], object] = int, **files: str) -> Path:
    """A small data set in the form of its authors; ``files`` replaces the content of its parts."""
    root.mkdir(exist_ok=True)
    (root / "youtube_mapping.txt").write_text(files.pop("mapping", MAPPING), newline="")
    for split in ROWS:
        (root / f"{split}_qa.json").write_text(files.get(split, json.dumps(rows(split, name))))
    return root


def by_lines(root: Path, name: Callable[[int], object] = CLIPS.__getitem__, **files: str) -> Path:
    """The same in JSONL, without mapping."""
    root.mkdir(exist_ok=True)
    for split in ROWS:
        text = "\n".join(json.dumps(row | {"answer_type": "what"}) for row in rows(split, name))
        (root / f"{split}.jsonl").write_text(files.get(split, text), newline="")
    return root


def read(root: Path, **options: object) -> hbi.data.Dataset:
    return hbi.data.load(MSVDQAConfig.model_validate({"root": str(root), **options}), root / "cache")


def contents(dataset: hbi.data.Dataset) -> object:
    return {
        name: ([video.id for video in split.videos], split.captions, split.video_of, split.answers)
        for name, split in dataset.splits.items()
    }


def test_questions_are_in_the_order_of_their_file_and_on_the_clips_of_the_mapping(tmp_path: Path) -> None:
    train = read(original(tmp_path)).splits["train"]
    assert [video.id for video in train.videos] == [CLIPS[7], CLIPS[8]]
    assert train.captions == ("what runs?", "who sings?", "who runs?", "what is it?")
    assert (train.video_of, train.answers) == ((0, 1, 0, 0), ("dog", "man", "man", "cat"))


def test_every_form_gives_the_same(tmp_path: Path) -> None:
    one = contents(read(original(tmp_path / "numbers")))
    assert contents(read(original(tmp_path / "names", lambda number: f"vid{number}"))) == one
    assert contents(read(original(tmp_path / "clips", CLIPS.__getitem__))) == one
    assert contents(read(original(tmp_path / "cr", mapping="\ufeff" + MAPPING.strip().replace("\n", "\r\n")))) == one
    assert contents(read(by_lines(tmp_path / "lines"))) == one
    (tmp_path / "lines" / "youtube_mapping.txt").write_text(MAPPING)
    assert contents(read(by_lines(tmp_path / "lines", lambda number: f"vid{number}"))) == one


def test_videos_are_called_by_clip_or_without_mapping_by_number(video: Callable[[str], Path], tmp_path: Path) -> None:
    clip, number = video("more/ab-_9xYz012_5_15.avi"), video("vid7.avi")
    assert read(original(tmp_path)).splits["train"].videos[0].path == clip
    (tmp_path / "youtube_mapping.txt").unlink()
    found = read(tmp_path).splits["train"].videos
    assert (found[0].id, found[0].path) == ("vid7", number)
    assert found[1].path == tmp_path / "videos" / "vid8.mp4"


def test_the_vocabulary_is_of_training_answers_the_most_frequent_first(tmp_path: Path) -> None:
    dataset = read(by_lines(tmp_path))
    assert dataset.vocabulary == ("man", "cat", "dog")
    assert dataset.labels("test") == [0, -1]
    assert read(tmp_path, most_frequent=2).vocabulary == ("man", "cat")
    labels = tmp_path / "train_ans2label.json"
    labels.write_text('{"rice": 0, "man": 1}')
    assert read(tmp_path).vocabulary == ("man", "cat", "dog")  # it may hold answers of val and test
    assert read(tmp_path, labels=str(labels)).vocabulary == ("rice", "man")
    labels.write_text('{"rice": 0}')
    with pytest.raises(InputError, match="no training question has an answer of this file"):
        read(tmp_path, labels=str(labels))


def test_both_forms_at_once_are_an_error_and_no_val_is_none(tmp_path: Path) -> None:
    by_lines(original(tmp_path))
    with pytest.raises(InputError, match=r"train_qa.json: train.jsonl is there too; remove the files of one form"):
        read(tmp_path)
    (tmp_path / "train.jsonl").unlink()
    (tmp_path / "val_qa.json").unlink()
    assert list(read(tmp_path).splits) == ["train", "test"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train": "[{]"}, r"train_qa.json: Invalid JSON"),
        ({"train": "[]"}, r"train_qa.json: holds no question"),
        ({"val": json.dumps([{"video_id": 1}])}, r"val_qa.json: 0.question: Field required"),
        (
            {"val": json.dumps([{"video_id": True, "question": "a?", "answer": "b"}])},
            r"video_id: Input should be a valid",
        ),
        ({"val": json.dumps([{"video_id": 5, "question": " ", "answer": "b"}])}, r"0.question: empty"),
        (
            {"val": json.dumps([{"video_id": "../x", "question": "a?", "answer": "b"}])},
            r"0.video_id: '../x' is no video id",
        ),
        (
            {"val": json.dumps([{"video_id": 6, "question": "a?", "answer": "b"}])},
            r"val_qa.json: vid6 is not in youtube_map",
        ),
        ({"val": json.dumps(rows("test", int))}, r"test_qa.json: nine_1_2 is also in val_qa.json"),
        ({"mapping": MAPPING + "clip 9\n"}, r'youtube_mapping.txt:5: is not "<clip id> vid<number>"'),
        ({"mapping": MAPPING + "../../x vid10\n"}, r"youtube_mapping.txt:5: is not"),
        ({"mapping": MAPPING + "clip_1_2 vid9\n"}, r"youtube_mapping.txt:5: vid9 is there twice"),
    ],
)
def test_bad_files_are_named_with_place_in_one_line(files: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(original(tmp_path, **files))
    assert "\n" not in str(caught.value)


def test_a_bad_line_is_named_by_its_number(tmp_path: Path) -> None:
    for text in ('{"video_id": "a_1_2", "question": "b?", "answer": "c"}\n\n{"video_id": "a_1_2"}', "\n\n{"):
        with pytest.raises(InputError, match=r"val.jsonl:3: "):
            read(by_lines(tmp_path, val=text))
