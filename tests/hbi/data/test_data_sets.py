"""What holds for every data set that is read from files, by its name."""

from pathlib import Path

import pytest

import hbi.data
from hbi.config import DATASETS
from hbi.errors import InputError

READ = [name for name in DATASETS if not name.startswith("shapes") and name != "pairs"]
PUBLISHED = {
    "msrvtt": (24, 12, "stride"),
    "msvd": (32, 12, "stride"),
    "lsmdc": (32, 12, "stride"),
    "didemo": (64, 64, "seconds"),
    "activitynet": (64, 64, "seconds"),
    "msrvtt-qa": (32, 12, "stride"),
    "msvd-qa": (32, 12, "stride"),
}


@pytest.mark.parametrize("name", READ)
def test_words_frames_and_sampling_are_the_published_ones_and_nothing_goes_missing(name: str) -> None:
    config = DATASETS[name]()
    assert (config.max_words, config.max_frames, config.sampler) == PUBLISHED[name]
    assert config.frame_rate == 1
    assert getattr(config, "missing", "error") == "error"
    assert getattr(config, "grouping", "correct") == "correct"


@pytest.mark.parametrize("name", READ)
def test_no_root_no_folder_and_no_file_are_named_with_what_belongs_there(name: str, tmp_path: Path) -> None:
    roots = {None: "no root is given; set it to the folder that holds", tmp_path / "no": "no such folder; data set"}
    for root, message in (roots | {tmp_path: "no such file; the data set needs .*videos"}).items():
        with pytest.raises(InputError, match=message) as caught:
            hbi.data.load(DATASETS[name].model_validate({"root": root and str(root)}), tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", READ)
def test_a_file_that_is_no_text_is_named(name: str, tmp_path: Path) -> None:
    """Whatever the loader asks for is there, and is UTF-16."""
    root = str(tmp_path)
    for _ in range(10):
        with pytest.raises(InputError) as caught:
            hbi.data.load(DATASETS[name].model_validate({"root": root}), tmp_path)
        file, _, message = str(caught.value).partition(": ")
        if not message.startswith("no such file"):
            break
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_bytes("video1".encode("utf-16"))
    assert message.startswith("cannot be read as UTF-8 text")
