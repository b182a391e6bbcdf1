import json
import pickle
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import hbi.data
from hbi.config import MSVDConfig
from hbi.data.msvd_captions import convert
from hbi.errors import InputError
from hbi.metrics.retrieval import ranks
from tests.hbi.data.small_sets import load, write

ANNOTATIONS = Path(__file__).parents[4] / "shared" / "annotations" / "MSVD"
REAL = pytest.mark.skipif(not ANNOTATIONS.is_dir(), reason="the published annotation files are not at hand")

TRAIN, VAL, TEST = ["ab-_9xYz012_5_15", "-Qr5tUvWx34_40_52"], ["cd_5_6"], ["one_1_2", "two_1_2", "three_1_2"]
COUNTS = {"ab-_9xYz012_5_15": 2, "-Qr5tUvWx34_40_52": 1, "cd_5_6": 2, "one_1_2": 3, "two_1_2": 2, "three_1_2": 4}
CAPTIONS = {id: [["caption", str(number), "of", id] for number in range(count)] for id, count in COUNTS.items()}
FILES = {
    "train_list.txt": "\n".join(TRAIN),
    "val_list.txt": "\n".join(VAL),
    "test_list.txt": "\n".join(TEST) + "\n",
    "raw-captions.json": json.dumps(CAPTIONS),
}
read = partial(load, MSVDConfig)


def test_captions_come_clip_after_clip_and_are_grouped_by_clip(tmp_path: Path) -> None:
    dataset = read(write(tmp_path, FILES))
    assert list(dataset.splits) == ["train", "val", "test"]
    train, test = dataset.splits["train"], dataset.splits["test"]
    assert [video.id for video in train.videos] == TRAIN
    assert train.captions[0] == "caption 0 of ab-_9xYz012_5_15"
    assert train.video_of == (0, 0, 1)
    assert test.video_of == (0, 0, 0, 1, 1, 2, 2, 2, 2)
    assert test.captions[3] == "caption 0 of two_1_2"


def test_released_groups_are_one_row_off_in_val_and_test(tmp_path: Path) -> None:
    correct, released = read(write(tmp_path, FILES)), read(tmp_path, grouping="released")
    groups = released.splits["test"].video_of
    assert groups == (0, 0, 1, 1, 2, 2, 2, 2)  # [0,2) [2,4) [4,8), the last caption in none
    assert released.splits["test"].captions == correct.splits["test"].captions[:-1]
    assert released.splits["test"].videos == correct.splits["test"].videos
    assert released.splits["val"].video_of == (0,)
    assert released.splits["train"] == correct.splits["train"]


def test_released_groups_give_the_ranks_of_the_released_code(tmp_path: Path) -> None:
    """That code cuts the rows at 2, 4 and 8, fills up with −∞, and ranks every row, and the best row of each group."""
    similarity = np.random.default_rng(0).normal(size=(9, 3))
    rows = [similarity[start:end] for start, end in ((0, 2), (2, 4), (4, 8))]
    text = [1 + (row > row[k]).sum() for k, group in enumerate(rows) for row in group]
    best = np.stack([group.max(0) for group in rows])
    video = [1 + (best[:, k] > best[k, k]).sum() for k in range(3)]
    split = read(write(tmp_path, FILES), grouping="released").splits["test"]
    assert ranks(similarity[: len(split.captions)], "t2v", split.video_of).tolist() == text
    assert ranks(similarity[: len(split.captions)], "v2t", split.video_of).tolist() == video


def test_a_clip_with_one_caption_has_no_released_group(tmp_path: Path) -> None:
    captions = json.dumps(CAPTIONS | {"two_1_2": [["a"]]})
    with pytest.raises(InputError, match="needs two captions a clip; two_1_2 has one"):
        read(write(tmp_path, FILES | {"raw-captions.json": captions}), grouping="released")
    assert read(tmp_path).splits["test"].video_of == (0, 0, 0, 1, 2, 2, 2, 2)


def test_videos_are_found_by_stem_with_any_extension_in_any_folder(
    video: Callable[[str], Path], tmp_path: Path
) -> None:
    write(tmp_path, FILES)
    avi, mkv = video("one_1_2.avi"), video("more/two_1_2.xyz")
    for other in ("one_1_2.srt", ".one_1_2.avi", "unlisted.avi", "unlisted.mp4", "more/unlisted.avi"):
        video(other)
    one, two, three = read(tmp_path).splits["test"].videos
    assert (one.path, two.path) == (avi, mkv)
    assert three.path == tmp_path / "videos" / "three_1_2.mp4"  # there is none: the check of videos says so
    with pytest.raises(InputError, match=r"of data set msvd cannot be used: .*ab-_9xYz012_5_15\.mp4"):
        hbi.data.check(MSVDConfig(root=str(tmp_path)), tmp_path / "cache")


@pytest.mark.parametrize(
    "names", [("one_1_2.avi", "one_1_2.mp4"), ("one_1_2.AVI", "more/one_1_2.avi"), ("one_1_2.a", "one_1_2.b")]
)
def test_two_files_of_one_clip_are_an_error(
    names: tuple[str, str], video: Callable[[str], Path], tmp_path: Path
) -> None:
    write(tmp_path, FILES)
    for name in names:
        video(name)
    with pytest.raises(InputError, match=r"one_1_2.* is a file of the same video; remove one"):
        read(tmp_path)


def test_line_ends_do_not_matter(tmp_path: Path) -> None:
    plain = read(write(tmp_path, FILES))
    for train in (
        "\r\n".join(TRAIN) + "\r\n",
        "\ufeff" + "\n".join(TRAIN),
        "\r".join(TRAIN),
        "\n" + "\n\n".join(TRAIN),
    ):
        assert read(write(tmp_path, FILES | {"train_list.txt": train})) == plain


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train_list.txt": ""}, r"train_list.txt: lists no video"),
        ({"train_list.txt": "a_1_2\n../../etc/x\n"}, r"train_list.txt:2: '../../etc/x' is no video id"),
        ({"train_list.txt": "a_1_2\na_1_2 b\n"}, r"train_list.txt:2: 'a_1_2 b' is no video id"),
        ({"test_list.txt": "one_1_2\ntwo_1_2\n\none_1_2"}, r"test_list.txt:4: one_1_2 is also on line 1; remove one"),
        ({"test_list.txt": "one_1_2\ncd_5_6\n"}, r"test_list.txt: cd_5_6 is also in val_list.txt; remove it from one"),
        (
            {"train_list.txt": "none_1_2\nnone_3_4"},
            r"raw-captions.json: no caption for none_1_2 of split train \(2 such videos\)",
        ),
        ({"raw-captions.json": "{ not json"}, r"raw-captions.json: Invalid JSON"),
        ({"raw-captions.json": '{"cd_5_6": "a dog"}'}, r"raw-captions.json: cd_5_6: Input should be a valid array"),
        ({"raw-captions.json": '{"cd_5_6": [[]]}'}, r"raw-captions.json: cd_5_6.0: List should have at least 1 item"),
        ({"raw-captions.json": '{"cd_5_6": [["a"], ["", " "]]}'}, r"raw-captions.json: cd_5_6.1: empty caption"),
    ],
)
def test_bad_files_are_named_with_place_in_one_line(files: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(write(tmp_path, FILES | files))
    assert "\n" not in str(caught.value)


def test_the_pickle_alone_is_not_read_but_how_to_convert_it_is_said(tmp_path: Path) -> None:
    plain = read(write(tmp_path, FILES))
    (tmp_path / "raw-captions.json").unlink()
    (tmp_path / "raw-captions.pkl").write_bytes(pickle.dumps(CAPTIONS))
    with pytest.raises(
        InputError, match=r"make it from raw-captions.pkl: python -m hbi.data.msvd_captions \S+pkl \S+json"
    ):
        read(tmp_path)
    convert(tmp_path / "raw-captions.pkl", tmp_path / "raw-captions.json")
    assert read(tmp_path) == plain


@REAL
def test_the_published_lists(tmp_path: Path) -> None:
    ids = []
    for name in ("train_list.txt", "val_list.txt", "test_list.txt"):
        shutil.copy(ANNOTATIONS / name, tmp_path)
        ids += (ANNOTATIONS / name).read_text().split()
    (tmp_path / "raw-captions.json").write_text(json.dumps({id: [["a", "dog"]] for id in ids}))
    dataset = read(tmp_path)
    assert {name: len(split.videos) for name, split in dataset.splits.items()} == {
        "train": 1200,
        "val": 100,
        "test": 670,
    }
    assert hbi.data.differences(dataset) == [
        "train: 1200 captions, published are 48774",
        "val: 100 captions, published are 4290",
        "test: 670 captions, published are 27763",
    ]
