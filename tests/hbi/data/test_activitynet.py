import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hbi.config import ActivityNetConfig
from hbi.data.activitynet import youtube_id
from hbi.errors import InputError
from tests.hbi.data.small_sets import load, write


def captions(**videos: tuple[object, list[object]]) -> str:
    return json.dumps(
        {
            id: {"duration": duration, "timestamps": [[0.5, 2.0]] * len(sentences), "sentences": sentences}
            for id, (duration, sentences) in videos.items()
        }
    )


FILES = {
    "train_ids.json": '["v_AbCdEfGhIjK", "v_-LmNoPqRsTu", "v_AbCdEfGhIjK"]',
    "val_ids.json": '["v_v_345678901"]',
    "train.json": captions(
        **{
            "v_-LmNoPqRsTu": (60, ["Rain falls."]),
            "v_AbCdEfGhIjK": (82.7, ["A man sits down.", " He plays the drums."]),
            "v_unlisted000": (1, ["Nothing."]),
        }
    ),
    "val_1.json": captions(v_v_345678901=(0.4, ["A cat.", "", "A dog."])),
}
read = partial(load, ActivityNetConfig)


def test_the_sentences_of_a_video_are_one_paragraph_and_its_whole_duration_is_seen(tmp_path: Path) -> None:
    dataset = read(write(tmp_path, FILES))
    assert list(dataset.splits) == ["train", "test"]
    train, test = dataset.splits["train"], dataset.splits["test"]
    assert [(video.id, video.start, video.end) for video in train.videos] == [
        ("AbCdEfGhIjK", 0, 83),
        ("-LmNoPqRsTu", 0, 60),
    ]
    assert (train.captions, train.video_of) == (("A man sits down.  He plays the drums.", "Rain falls."), (0, 1))
    assert (test.captions, test.videos[0].end) == (("A cat.  A dog.",), 1)


@pytest.mark.parametrize("name", ["AbCdEfGhIjK.mp4", "v_AbCdEfGhIjK.mp4", "more/v_AbCdEfGhIjK.mkv"])
def test_a_file_is_found_with_and_without_the_prefix(name: str, video: Callable[[str], Path], tmp_path: Path) -> None:
    path = video(name)
    assert read(write(tmp_path, FILES)).splits["train"].videos[0].path == path
    without = {"train_ids.json": FILES["train_ids.json"].replace("v_", "")}
    assert read(write(tmp_path, FILES | without)).splits["train"].videos[0].path == path


def test_only_the_prefix_of_13_characters_is_taken_off(video: Callable[[str], Path], tmp_path: Path) -> None:
    names = ["v_AbCdEfGhIjK", "AbCdEfGhIjK", "v_345678901", "v_v_345678901"]
    assert [youtube_id(name) for name in names] == ["AbCdEfGhIjK", "AbCdEfGhIjK", "v_345678901", "v_345678901"]
    path = video("v_345678901.mp4")
    assert read(write(tmp_path, FILES)).splits["test"].videos[0].path == path
    video("v_v_345678901.mp4")
    with pytest.raises(InputError, match=r"v_v_345678901.mp4 is a file of the same video; remove one"):
        read(tmp_path)


def test_training_videos_without_file_are_left_out_where_that_is_asked_for(
    video: Callable[[str], Path], tmp_path: Path
) -> None:
    video("-LmNoPqRsTu.mp4")
    splits = read(write(tmp_path, FILES), missing="drop").splits
    assert (splits["train"].captions, splits["train"].left_out) == (("Rain falls.",), ("AbCdEfGhIjK",))
    assert len(splits["test"].videos) == 1


def test_line_ends_do_not_matter(tmp_path: Path) -> None:
    plain = read(write(tmp_path, FILES))
    for change in (lambda text: text + "\r\n", lambda text: "\ufeff" + text, lambda text: text.replace(" ", "\r\n ")):
        changed = {name: change(FILES[name]) for name in ("train_ids.json", "val_ids.json")}
        assert read(write(tmp_path, FILES | changed)) == plain


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train_ids.json": "[]"}, r"train_ids.json: lists no video"),
        ({"train_ids.json": "[1]"}, r"train_ids.json: 0: Input should be a valid string"),
        ({"train_ids.json": '["../../etc/x"]'}, r"train_ids.json: 0: '../../etc/x' is no video id"),
        ({"val_ids.json": '["AbCdEfGhIjK"]'}, r"val_ids.json: AbCdEfGhIjK is also in train_ids.json"),
        (
            {"val_ids.json": '["v_none", "v_neither"]'},
            r"val_1.json: no caption for v_none of split test \(2 such videos",
        ),
        ({"val_1.json": "{]"}, r"val_1.json: Invalid JSON"),
        ({"val_1.json": '{"v_v_345678901": {}}'}, r"val_1.json: v_v_345678901.duration: Field required"),
        ({"val_1.json": captions(v_v_345678901=(0, ["a"]))}, r"duration: Input should be greater than 0"),
        (
            {"val_1.json": captions(v_v_345678901=(2, [" ", ""]))},
            r"val_1.json: no caption for v_345678901 of split test",
        ),
        ({"val_1.json": captions(v_v_345678901=(2, [None]))}, r"sentences.0: Input should be a valid string"),
    ],
)
def test_bad_files_are_named_with_place_in_one_line(files: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(write(tmp_path, FILES | files))
    assert "\n" not in str(caught.value)
