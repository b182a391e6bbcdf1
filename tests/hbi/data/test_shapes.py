import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hbi.data
from hbi.config import ShapesConfig
from hbi.data.shapes_questions import questions
from hbi.data.shapes_scenes import caption, sample_scene, scenes
from hbi.data.shapes_video import FPS, draw, encode
from hbi.data.tokens import tokenize
from hbi.data.video import read_frames
from hbi.errors import InputError

GENERATE = """
import sys
from pathlib import Path
import hbi.data
from hbi.config import ShapesConfig
hbi.data.load(ShapesConfig(train={train}, val=2, test=2, size=32), Path(sys.argv[1]))
"""


@given(seed=st.integers(0, 2**63 - 1))
def test_a_scene_is_one_to_three_events_and_its_questions_have_one_answer(seed: int) -> None:
    scene = sample_scene(seed)
    assert scene == sample_scene(seed)
    assert 1 <= len(scene) <= 3
    assert caption(scene).count(", then ") == len(scene) - 1
    pairs = questions(scene)
    assert len({question for question, _ in pairs}) == len(pairs)
    assert {question.split()[0] for question, _ in pairs} <= {"what", "who", "how", "when", "where"}
    assert all(question.endswith("?") and answer.isalpha() for question, answer in pairs)


def test_captions_fit_into_the_default_number_of_words() -> None:
    found = [caption(scene) for scene in scenes(0, "train", 2000, distinct=False)]
    config = ShapesConfig()
    _, mask = tokenize(found, config.max_words + 8)
    assert mask.sum(1).max() <= config.max_words


@given(seed=st.integers(0, 1000), count=st.integers(1, 40))
def test_scenes_are_distinct_and_a_longer_list_begins_with_the_shorter(seed: int, count: int) -> None:
    found = scenes(seed, "test", count, distinct=True)
    assert len({caption(scene) for scene in found}) == count
    assert scenes(seed, "test", count + 5, distinct=True)[:count] == found


@pytest.mark.parametrize("seed", range(6))
def test_what_is_drawn_is_seen_and_lasts_as_long_as_its_events(seed: int) -> None:
    scene = sample_scene(seed)
    frames = draw(scene, 32)
    assert len(frames) == FPS * (3 if len(scene) == 1 else 2 * len(scene))
    assert 3 * FPS <= len(frames) <= 6 * FPS
    for part in np.split(frames, len(scene)):
        assert len(np.unique(part[:: FPS // 2].reshape(len(part[:: FPS // 2]), -1), axis=0)) > 1  # something happens
        assert (part.max(axis=-1) > 150).any()


def test_files_are_those_of_msrvtt(config: ShapesConfig, dataset: hbi.data.Dataset) -> None:
    root = dataset.splits["train"].videos[0].path.parents[1]
    assert {name: len(split.videos) for name, split in dataset.splits.items()} == {"train": 10, "val": 4, "test": 7}
    assert len(set(dataset.splits["test"].captions)) == 7
    assert (
        (root / "anns" / "MSRVTT_JSFUSION_test.csv")
        .read_text()
        .startswith("key,vid_key,video_id,sentence\nret0,msr14,")
    )
    labels = json.loads((root / "qa" / "train_ans2label.json").read_text())
    assert list(labels.values()) == list(range(len(labels)))
    for split, found in dataset.splits.items():
        lines = [json.loads(line) for line in (root / "qa" / f"{split}.jsonl").read_text().splitlines()]
        assert {line["video_id"] for line in lines} == {video.id for video in found.videos}
        assert all(line["answer_type"] == line["question"].split()[0] for line in lines)
        assert split != "train" or {line["answer"] for line in lines} == set(labels)


def test_the_same_seed_gives_the_same_captions_and_frames(config: ShapesConfig, dataset, tmp_path) -> None:  # type: ignore[no-untyped-def]
    again = hbi.data.load(config.model_copy(update={"root": str(tmp_path / "again")}), tmp_path)
    other = hbi.data.load(config.model_copy(update={"generator_seed": 1}), tmp_path)
    for name, split in dataset.splits.items():
        assert again.splits[name].captions == split.captions != other.splits[name].captions
        for one, two in zip(split.videos, again.splits[name].videos, strict=True):
            frames = [read_frames(video.path, lambda n, fps: list(range(n)), "auto") for video in (one, two)]
            np.testing.assert_array_equal(*frames)


@pytest.mark.parametrize("size", [32, 64])
def test_encoding_gives_the_same_bytes_each_time(size: int, tmp_path: Path) -> None:
    """With x264's look-ahead it does not: 2 of 8 such clips differed within 107 repetitions."""
    path, drawn = tmp_path / "video0.mp4", [draw(sample_scene(seed), size) for seed in range(4)]
    written: list[set[bytes]] = [set() for _ in drawn]
    for repetition in range(25):
        for frames, found in zip(drawn, written, strict=True):
            _ = np.zeros(1000 * repetition)  # memory lies elsewhere each time
            encode(frames, path)
            found.add(path.read_bytes())
    assert [len(found) for found in written] == [1] * 4


def test_a_folder_of_other_parameters_is_refused(config: ShapesConfig, tmp_path: Path) -> None:
    mine = config.model_copy(update={"root": str(tmp_path / "mine"), "train": 1, "val": 1, "test": 1})
    hbi.data.load(mine, tmp_path)
    with pytest.raises(InputError, match="not the data set of these parameters"):
        hbi.data.load(mine.model_copy(update={"generator_seed": 5}), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: not the data set"):
        hbi.data.load(mine.model_copy(update={"root": str(tmp_path / "empty")}), tmp_path)


def test_two_processes_may_generate_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", GENERATE.format(train=30), str(tmp_path)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert (process.wait(timeout=60), process.stderr.read()) == (0, "")  # type: ignore[union-attr]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_killed_generation_leaves_nothing_half(tmp_path: Path) -> None:
    config = ShapesConfig(train=200, val=2, test=2, size=32)
    process = subprocess.Popen([sys.executable, "-c", GENERATE.format(train=200), str(tmp_path)])
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".*.part/videos/video3.mp4")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    dataset = hbi.data.load(config, tmp_path)
    assert [len(split.videos) for split in dataset.splits.values()] == [200, 2, 2]
    assert [path.name.startswith("shapes-") for path in tmp_path.iterdir()] == [True]
