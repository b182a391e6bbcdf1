from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import hbi.data
from hbi.config import LSMDCConfig
from hbi.errors import InputError
from tests.hbi.data.small_sets import load, write

TRAIN_CSV, VAL_CSV = "LSMDC16_annos_training.csv", "LSMDC16_annos_val.csv"
TEST_CSV = "LSMDC16_challenge_1000_publictect.csv"
BAD = LSMDCConfig().drop[0]


def line(clip: str, sentence: str) -> str:
    return "\t".join([clip, "00.01.02.000", "00.01.05.500", "00.01.01.900", "00.01.05.600", sentence])


TRAIN = [
    line("1_Film_00.01.02.000-00.01.05.500", 'He says "stop.'),
    line("2_Film_a.b", "Rain falls."),
    line(BAD, "No."),
]
VAL = [line("3_Film", "One."), line("4_Film", "Two."), line("3_Film", "Three.")]
TEST = [line("5_Film", "Someone opens the door."), line("6_Film", "He looks back.")]
FILES = {TRAIN_CSV: "\n".join(TRAIN), VAL_CSV: "\n".join(VAL), TEST_CSV: "\n".join(TEST)}
read = partial(load, LSMDCConfig)


def test_every_line_is_a_pair_and_the_lines_of_a_clip_are_its_captions(tmp_path: Path) -> None:
    dataset = read(write(tmp_path, FILES))
    assert list(dataset.splits) == ["train", "val", "test"]
    assert dataset.splits["train"].captions == ('He says "stop.', "Rain falls.")
    val = dataset.splits["val"]
    assert [video.id for video in val.videos] == ["3_Film", "4_Film"]
    assert (val.captions, val.video_of) == (("One.", "Two.", "Three."), (0, 1, 0))
    assert dataset.splits["test"].video_of == (0, 1)


def test_the_clips_on_the_list_are_left_out_of_every_split(tmp_path: Path) -> None:
    assert BAD in [video.id for video in read(write(tmp_path, FILES), drop=()).splits["train"].videos]
    left = read(tmp_path, drop=("3_Film", "6_Film", "nowhere")).splits
    assert [[video.id for video in split.videos][-1] for split in left.values()] == [BAD, "4_Film", "5_Film"]
    published = {drop: read(tmp_path, drop=drop).published for drop in ((), (BAD,), ("6_Film",))}
    assert [counts["train"].videos for counts in published.values()] == [(101_079,), (101_078,), (101_079,)]
    assert published["6_Film",]["test"].videos == (1000,)  # that the gallery shrinks is to be seen


def test_videos_are_found_in_any_folder_and_an_id_may_hold_dots(video: Callable[[str], Path], tmp_path: Path) -> None:
    one = video("1_Film/1_Film_00.01.02.000-00.01.05.500.avi")
    two = video("2_Film_a.b.mp4")
    assert [video.path for video in read(write(tmp_path, FILES)).splits["train"].videos] == [one, two]
    video("1_Film_00.01.02.000-00.01.05.500.mp4")
    with pytest.raises(InputError, match=r"1_Film_00\S+: \S+ is a file of the same video; remove one"):
        read(tmp_path)


def test_training_clips_without_file_are_left_out_where_that_is_asked_for(
    video: Callable[[str], Path], tmp_path: Path
) -> None:
    write(tmp_path, FILES)
    assert len(read(tmp_path).splits["train"].videos) == 2
    with pytest.raises(InputError, match=r"videos: none of the 2 training videos is there"):
        read(tmp_path, missing="drop")
    video("2_Film_a.b.avi")
    splits = read(tmp_path, missing="drop").splits
    assert (splits["train"].captions, splits["train"].video_of) == (("Rain falls.",), (0,))
    assert splits["train"].left_out == ("1_Film_00.01.02.000-00.01.05.500",)
    assert [len(splits[name].videos) for name in ("val", "test")] == [2, 2]  # the check of videos refuses these
    with pytest.raises(InputError, match=r"of data set lsmdc cannot be used: .*3_Film\.mp4: cannot be read"):
        hbi.data.check(LSMDCConfig(root=str(tmp_path), missing="drop"), tmp_path / "cache")


def test_line_ends_do_not_matter(tmp_path: Path) -> None:
    plain = read(write(tmp_path, FILES))
    for train in ("\r\n".join(TRAIN) + "\r\n", "\ufeff" + "\n".join(TRAIN), "\n\n".join(TRAIN) + "\n"):
        assert read(write(tmp_path, FILES | {TRAIN_CSV: train})) == plain


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({TRAIN_CSV: ""}, r"LSMDC16_annos_training.csv: holds no sentence"),
        ({VAL_CSV: VAL[0] + "\n" + "4_Film\tTwo."}, r"LSMDC16_annos_val.csv:2: 2 fields, not 6 parted by tabs"),
        ({VAL_CSV: VAL[0] + "\tmore"}, r"LSMDC16_annos_val.csv:1: 7 fields, not 6"),
        ({TEST_CSV: TEST[0] + "\n" + line("6_Film", " ")}, r"publictect.csv:2: sentence: empty caption"),
        ({TEST_CSV: line("../../etc/x", "Rain.")}, r"publictect.csv:1: clip: '../../etc/x' is no video id"),
        ({TEST_CSV: "\n".join([*TEST, VAL[1]])}, r"publictect.csv: 4_Film is also in LSMDC16_annos_val.csv"),
    ],
)
def test_bad_files_are_named_with_place_in_one_line(files: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(write(tmp_path, FILES | files))
    assert "\n" not in str(caught.value)
