import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hbi.config import DiDeMoConfig
from hbi.data.didemo import without_format
from hbi.errors import InputError
from tests.hbi.data.small_sets import load, write


def data(*pairs: tuple[object, object]) -> str:
    rows = [
        {"annotation_id": number, "video": video, "description": text, "times": [[1, 2], [1, 1]], "num_segments": 6}
        for number, (video, text) in enumerate(pairs)
    ]
    return json.dumps(rows)


FILES = {
    "train_list.txt": "1@N00_5_a.mov\n2@N01_8_b.mp4\n",
    "val_list.txt": "3@N01_9_c.avi",
    "test_list.txt": "4@N01_9_d.avi\n",
    "train_data.json": data(
        ("2@N01_8_b.mp4", "the boat turns"),
        ("1@N00_5_a.mov", "a dog runs"),
        ("9@N00_5_z.mov", "unlisted"),
        ("2@N01_8_b.mp4", "it stops"),
    ),
    "val_data.json": data(("3@N01_9_c.avi", "a man waves")),
    "test_data.json": data(("4@N01_9_d.avi", "a cat walks"), ("4@N01_9_d.avi", "it sleeps")),
}
read = partial(load, DiDeMoConfig)


def test_the_descriptions_of_a_video_are_one_paragraph_and_31_seconds_are_seen(tmp_path: Path) -> None:
    dataset = read(write(tmp_path, FILES))
    assert list(dataset.splits) == ["train", "val", "test"]
    train = dataset.splits["train"]
    assert [video.id for video in train.videos] == ["2@N01_8_b", "1@N00_5_a"]  # as the annotations first name them
    assert (train.captions, train.video_of) == (("the boat turns it stops", "a dog runs"), (0, 1))
    assert dataset.splits["test"].captions == ("a cat walks it sleeps",)
    assert {(video.start, video.end) for split in dataset.splits.values() for video in split.videos} == {(0, 31)}


@pytest.mark.parametrize(
    "name", ["1@N00_5_a.mov", "1@N00_5_a.mov.mp4", "1@N00_5_a.mp4", "1@N00_5_a.MOV", "more/1@N00_5_a.webm"]
)
def test_a_file_is_found_by_either_convention_of_names(name: str, video: Callable[[str], Path], tmp_path: Path) -> None:
    path = video(name)
    assert read(write(tmp_path, FILES)).splits["train"].videos[1].path == path
    without = {file: content.replace(".mov", "").replace(".mp4", "") for file, content in FILES.items()}
    assert read(write(tmp_path, FILES | without)).splits["train"].videos[1].path == path


def test_two_files_or_two_lines_of_one_video_are_an_error(video: Callable[[str], Path], tmp_path: Path) -> None:
    write(tmp_path, FILES)
    video("1@N00_5_a.mov")
    video("1@N00_5_a.mov.mp4")
    with pytest.raises(InputError, match=r"1@N00_5_a.mov.mp4 is a file of the same video; remove one"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"val_list.txt: c.mov and c.mp4 are one video; remove one"):
        read(write(tmp_path, FILES | {"val_list.txt": "c.mp4\nc.mov\n"}))


def test_only_video_formats_are_taken_off_a_name() -> None:
    names = ["a", "a.mov", "a.mov.mp4", "a.b", "a.b.AVI", "a_1.5"]
    assert [without_format(name) for name in names] == ["a", "a", "a", "a.b", "a.b", "a_1.5"]


def test_training_videos_without_file_are_left_out_where_that_is_asked_for(
    video: Callable[[str], Path], tmp_path: Path
) -> None:
    video("1@N00_5_a.mov")
    splits = read(write(tmp_path, FILES), missing="drop").splits
    assert splits["train"].captions == ("a dog runs",)
    assert splits["train"].left_out == ("2@N01_8_b",)
    assert splits["test"].videos[0].path == tmp_path / "videos" / "4@N01_9_d.mp4"


def test_line_ends_do_not_matter(tmp_path: Path) -> None:
    plain = read(write(tmp_path, FILES))
    for change in (str.strip, lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text):
        assert read(write(tmp_path, {name: change(content) for name, content in FILES.items()})) == plain


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train_list.txt": "\n"}, r"train_list.txt: lists no video"),
        ({"train_list.txt": "a.mov\na.mov\n"}, r"train_list.txt:2: a.mov is also on line 1"),
        ({"train_list.txt": "a.mov\n../../etc/x.mov\n"}, r"train_list.txt:2: '../../etc/x.mov' is no video id"),
        ({"test_list.txt": "3@N01_9_c.mp4\n"}, r"test_list.txt: 3@N01_9_c is also in val_list.txt"),
        ({"val_list.txt": "x.avi\ny.avi"}, r"val_data.json: no caption for x of split val \(2 such videos\)"),
        ({"val_data.json": "[{]"}, r"val_data.json: Invalid JSON"),
        ({"val_data.json": '[{"video": "a.mov"}]'}, r"val_data.json: 0.description: Field required"),
        ({"val_data.json": data(("/etc/x", "a"))}, r"val_data.json: 0.video: '/etc/x' is no video id"),
        ({"val_data.json": data(("3@N01_9_c.avi", 3))}, r"0.description: Input should be a valid string"),
        (
            {"val_data.json": data(("3@N01_9_c.avi", ""), ("3@N01_9_c.avi", " "))},
            r"no caption for 3@N01_9_c of split val",
        ),
    ],
)
def test_bad_files_are_named_with_place_in_one_line(files: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(write(tmp_path, FILES | files))
    assert "\n" not in str(caught.value)
