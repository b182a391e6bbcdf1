import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import hbi.data
from hbi.config import MSRVTTConfig
from hbi.errors import InputError

ANNOTATIONS = Path(__file__).parents[4] / "shared" / "annotations" / "MSR-VTT"
REAL = pytest.mark.skipif(not ANNOTATIONS.is_dir(), reason="the published annotation files are not at hand")

TRAIN = "video_id\nvideo3\nvideo1\nvideo2\n"
TEST = 'key,vid_key,video_id,sentence\nret0,msr9,video9,"a cat walks, then sleeps"\nret1,msr8,video8,a dog runs\n'
SENTENCES = [
    ("video1", "a man folds a shirt"),
    ("video3", "rain falls"),
    ("video7", "unused"),
    ("video2", "a car stops"),
]
SENTENCES += [("video1", "someone is folding clothes")]


def write(root: Path, **files: str) -> Path:
    """A small data set of MSR-VTT's layout; ``files`` replaces the content of its parts."""
    data = {"sentences": [{"video_id": id, "caption": caption} for id, caption in SENTENCES]}
    contents = {"data": json.dumps(data), "train": TRAIN, "test": TEST} | files
    names = {"data": "MSRVTT_data.json", "train": "MSRVTT_train.9k.csv"}
    names |= {"test": "MSRVTT_JSFUSION_test.csv", "val": "MSRVTT_val.full.csv"}
    (root / "anns").mkdir(parents=True, exist_ok=True)
    for part, content in contents.items():
        (root / "anns" / names[part]).write_text(content)
    return root


def read(root: Path, hold_out_validation: bool = False) -> hbi.data.Dataset:
    config = MSRVTTConfig(root=str(root), hold_out_validation=hold_out_validation)
    return hbi.data.load(config, root / "cache")


def test_train_is_every_pair_in_json_order_and_test_is_the_list_row_by_row(tmp_path: Path) -> None:
    dataset = read(write(tmp_path))
    train, test = dataset.splits["train"], dataset.splits["test"]
    assert [video.id for video in train.videos] == ["video3", "video1", "video2"]
    assert train.captions == ("a man folds a shirt", "rain falls", "a car stops", "someone is folding clothes")
    assert train.video_of == (1, 0, 2, 1)
    assert test.captions == ("a cat walks, then sleeps", "a dog runs")
    assert test.video_of == (0, 1)
    assert test.videos[0].path == tmp_path / "videos" / "video9.mp4"
    assert "val" not in dataset.splits


def test_validation_videos_leave_train_where_that_is_asked_for(tmp_path: Path) -> None:
    root = write(tmp_path, val="video_id\nvideo1\n")
    assert read(root).splits.keys() == {"train", "test"}  # that the file lies there changes nothing
    assert len(read(root).splits["train"].videos) == 3
    dataset = read(root, hold_out_validation=True)
    assert [video.id for video in dataset.splits["train"].videos] == ["video3", "video2"]
    assert dataset.splits["val"].captions == ("a man folds a shirt", "someone is folding clothes")
    assert dataset.splits["val"].video_of == (0, 0)


def test_the_other_json_form_is_read_too(tmp_path: Path) -> None:
    data = {"annotations": [{"image_id": id, "caption": caption} for id, caption in SENTENCES]}
    other = read(write(tmp_path / "other", data=json.dumps(data))).splits["train"]
    assert other.captions == read(write(tmp_path / "one")).splits["train"].captions


def sentences(*pairs: tuple[object, object]) -> str:
    return json.dumps({"sentences": [{"video_id": id, "caption": caption} for id, caption in pairs]})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"data": "{ not json"}, r"MSRVTT_data.json: Invalid JSON"),
        ({"data": '{"videos": []}'}, r"MSRVTT_data.json: sentences: Field required"),
        (
            {"data": sentences(("video1", "a"), ("video2", " \t"))},
            r"MSRVTT_data.json: sentences.1.caption: empty caption",
        ),
        ({"data": sentences(("video1", None))}, r"sentences.0.caption: Input should be a valid string"),
        ({"data": sentences(("../../etc/x", "a"))}, r"'../../etc/x' is no video id"),
        ({"data": sentences(("video1", "a"))}, r"no caption for video3 of split train \(2 such videos\)"),
        ({"train": "video1\nvideo2\n"}, r"MSRVTT_train.9k.csv:1: no column 'video_id'"),
        ({"train": ""}, r"MSRVTT_train.9k.csv:1: no column 'video_id'"),
        ({"train": "video_id\n"}, r"MSRVTT_train.9k.csv: lists no video"),
        ({"train": "video_id\nvideo1\nvideo1\n"}, r"MSRVTT_train.9k.csv:3: video1 is listed twice"),
        ({"train": "video_id\n../../etc/x\n"}, r"MSRVTT_train.9k.csv:2: video_id: '../../etc/x' is no video id"),
        ({"train": "video_id\n..\n"}, r"is no video id"),
        ({"train": "video_id\n/etc/x\n"}, r"is no video id"),
        ({"train": TRAIN + "video9\n"}, r"MSRVTT_JSFUSION_test.csv: video9 is also in MSRVTT_train.9k.csv"),
        ({"val": "video_id\nvideo1\nvideo2\nvideo3\n"}, r"none is left to train"),
        ({"test": TEST + "ret2,msr5,video5,\n"}, r"MSRVTT_JSFUSION_test.csv:4: sentence: empty caption"),
        (
            {"test": TEST + "ret2,msr5,video5\n"},
            r"MSRVTT_JSFUSION_test.csv:4: sentence: Input should be a valid string",
        ),
        ({"test": TEST + "ret2,msr5,video5,a bird, flying\n"}, r"test.csv:4: more fields than the header"),
        ({"test": TEST + 'ret2,msr5,video5,"a bird\n'}, r"test.csv:4: unexpected end of data"),
    ],
)
def test_bad_files_are_named_with_place_in_one_line(files: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(write(tmp_path, **files), hold_out_validation="val" in files)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "no such folder; data set msrvtt is expected there"),
        (lambda root: (root / "anns" / "MSRVTT_data.json").unlink(), "MSRVTT_data.json: no such file"),
        (lambda root: (root / "anns" / "MSRVTT_data.json").write_bytes(b"\xff\xfe\x00"), "cannot be read as UTF-8"),
    ],
)
def test_missing_files_are_named(damage: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    damage(root)
    with pytest.raises(InputError, match=message):
        read(root)


def test_no_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no root is given"):
        hbi.data.load(MSRVTTConfig(root=None), tmp_path)


@REAL
@pytest.mark.parametrize(("split", "count"), [("9k", 9000), ("7k", 7010)])
def test_the_published_lists(split: str, count: int, tmp_path: Path) -> None:
    (tmp_path / "anns").mkdir()
    for name in (f"MSRVTT_train.{split}.csv", "MSRVTT_JSFUSION_test.csv", "MSRVTT_val.full.csv"):
        shutil.copy(ANNOTATIONS / name, tmp_path / "anns")
    everything = sentences(*((f"video{number}", "a man talks") for number in range(10_000) for _ in range(20)))
    (tmp_path / "anns" / "MSRVTT_data.json").write_text(everything)
    config = MSRVTTConfig.model_validate({"root": str(tmp_path), "train_split": split})
    dataset = hbi.data.load(config, tmp_path)
    train, test = hbi.data.describe(dataset)
    assert (train.videos, train.captions, train.captions_per_video) == (count, 20 * count, (20, 20))
    assert (test.videos, test.captions, test.distinct_captions, test.longest_caption) == (1000, 1000, 995, 30)
    assert dataset.splits["test"].video_of == tuple(range(1000))
    assert hbi.data.differences(dataset) == []

    held_out = hbi.data.load(config.model_copy(update={"hold_out_validation": True}), tmp_path)
    assert [len(split.videos) for split in held_out.splits.values()] == [count - 497, 497, 1000]
    assert hbi.data.differences(held_out) == []


def test_counts_that_are_not_the_published_ones_are_told(tmp_path: Path) -> None:
    assert hbi.data.differences(read(write(tmp_path))) == [
        "train: 3 videos, published are 9000",
        "train: 4 captions, published are 180000",
        "test: 2 videos, published are 1000",
        "test: 2 captions, published are 1000",
        "test: 2 distinct captions, published are 995",
    ]
