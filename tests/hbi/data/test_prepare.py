"""The command `prepare`, as it is called."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import hbi.data
from hbi.config import ShapesConfig
from hbi.data.frame_cache import frame_cache

ROOT = Path(__file__).parents[3]
SMALL = ("data.train=20", "data.val=4", "data.test=16", "data.size=32")
COMMAND = """
import sys
import hbi.data.prepare
hbi.data.prepare.SHARD_VIDEOS = 4
import run_suite
run_suite.main()
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    hbi.data.load(ShapesConfig(train=20, val=4, test=16, size=32, root=str(folder / "shapes")), folder)
    return folder / "shapes"


@pytest.fixture
def data(generated: Path, tmp_path: Path) -> Path:
    """A copy of the data set, to be damaged."""
    subprocess.run(["cp", "-r", generated, tmp_path / "shapes"], check=True)
    return tmp_path / "shapes"


def start(data: Path, *options: str) -> "subprocess.Popen[str]":
    settings = [f"data.root={data}", *SMALL, *(option for option in options if "=" in option)]
    arguments = ["prepare", "shapes", "--size", "16", *(option for option in options if "=" not in option)]
    for setting in settings:
        arguments += ["--set", setting]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments, "--runs", str(data.parent / "runs")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def prepared(data: Path, *options: str, code: int = 0) -> dict[str, object]:
    process = start(data, "--json", *options)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    (result,) = json.loads(out)
    return result


def counts(result: dict[str, object]) -> tuple[object, object, int]:
    assert isinstance(result["bad"], dict)
    return result["decoded"], result["reused"], len(result["bad"])


def test_every_video_is_decoded_once_and_a_person_is_told(data: Path) -> None:
    process = start(data, "--workers", "2")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "32 videos left: about 0:00:" in err
    assert out.startswith("shapes, 16 pixels: 40 decoded (")
    assert ", 0 reused, 0 bad · " in out
    assert counts(prepared(data)) == (0, 40, 0)

    config = ShapesConfig(train=20, val=4, test=16, size=32, root=str(data))
    dataset = hbi.data.load(config, data)
    cache = frame_cache(dataset, config, 16, data.parent / "runs" / "data")
    for split in dataset.splits.values():
        for video in split.videos:
            entry = cache.find(video, config)
            assert entry
            frames = cache.read(entry)
            assert frames is not None
            assert frames.shape == (len(entry.positions), 3, 16, 16)
            assert np.ptp(frames) > 50


def test_after_kill_9_it_goes_on(data: Path) -> None:
    process = start(data, "--workers", "1")
    frames = data.parent / "runs" / "data" / "frames"
    while not list(frames.glob("*/*.json")):
        time.sleep(0.005)
        assert process.poll() is None, process.communicate()[1]
    process.kill()
    process.wait()
    done = 4 * len(list(frames.glob("*/*.json")))
    (folder,) = frames.iterdir()
    (folder / ".0123.npy.abcd.part").write_bytes(b"half a shard")
    assert 4 <= done < 40
    assert counts(prepared(data)) == (40 - done, done, 0)
    assert not list(folder.glob(".*.part"))


def test_two_at_once_share_the_work(data: Path) -> None:
    both = [start(data, "--workers", "1", "--json") for _ in range(2)]
    results = []
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        results += json.loads(out)
    assert sum(result["decoded"] for result in results) == 40
    assert all(result["decoded"] + result["reused"] == 40 for result in results)
    assert counts(prepared(data)) == (0, 40, 0)


def test_one_takes_over_from_another_that_is_killed(data: Path) -> None:
    first, second = start(data, "--workers", "1"), start(data, "--workers", "1", "--json")
    while not list((data.parent / "runs" / "data" / "frames").glob("*/*.json")):
        time.sleep(0.005)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    out, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    (result,) = json.loads(out)
    assert result["decoded"] + result["reused"] == 40
    assert counts(prepared(data)) == (0, 40, 0)


def test_only_what_has_changed_is_decoded_again(data: Path) -> None:
    prepared(data)
    video = data / "videos" / "video3.mp4"
    video.write_bytes((data / "videos" / "video4.mp4").read_bytes())
    assert counts(prepared(data)) == (1, 39, 0)
    assert counts(prepared(data, "data.max_frames=3")) == (40, 0, 0)
    assert counts(prepared(data, "data.max_words=9")) == (0, 40, 0)
    assert counts(prepared(data)) == (0, 40, 0)


def test_bad_videos_are_named_with_their_reason_and_do_not_stop_the_others(data: Path) -> None:
    videos = data / "videos"
    (videos / "video0.mp4").unlink()
    (videos / "video1.mp4").write_bytes(b"")
    (videos / "video2.mp4").write_text("I am not a video")
    content = (videos / "video3.mp4").read_bytes()
    (videos / "video3.mp4").write_bytes(content[: len(content) // 2])
    (videos / "video4.mp4").unlink()
    os.mkfifo(videos / "video4.mp4")  # whoever opens it waits for ever
    result = prepared(data, "--limit", "1", code=1)
    assert counts(result) == (35, 0, 5)
    bad = result["bad"]
    assert isinstance(bad, dict)
    reasons = ["No such file", "the file is empty", "is not an MP4", "does not decode", "not decoded after 1 s"]
    for number, reason in enumerate(reasons):
        assert reason in bad[f"video{number}"]
    listed = Path(str(result["folder"]), "bad.txt").read_text().splitlines()
    assert [line.split("\t")[0] for line in listed] == [f"video{number}" for number in range(5)]

    (videos / "video4.mp4").unlink()
    process = start(data)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "0 decoded" in out
    assert "35 reused, 5 bad" in out
    assert "\nbad: video1: " in out


@pytest.mark.parametrize("arguments", [["no-such-thing"], ["shapes", "--set", "data.max_frame=3"], ["msrvtt"]])
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "run_suite.py", "prepare", *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("runs/data/frames/*"))


def test_a_suite_is_prepared_at_the_size_of_its_encoders(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(
        "data: {name: shapes, train: 4, val: 2, test: 3, size: 32}\nmodel: {encoder: tiny}\nvariants: [no-hbi, hbi]\n"
        "grid: {data.max_frames: [2, 3], training.lr: [1e-3, 1e-4]}\n"
    )
    command = [sys.executable, ROOT / "run_suite.py", "prepare", "suite.yaml", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert [(result["size"], result["decoded"]) for result in results] == [(32, 9), (32, 9)]


def test_check_counts_and_names_and_keeps_no_frames(data: Path) -> None:
    (data / "videos" / "video1.mp4").write_bytes(b"")
    (data / "videos" / "video30.mp4").unlink()
    annotations = data / "anns" / "MSRVTT_data.json"
    content = json.loads(annotations.read_text())
    content["sentences"].append(content["sentences"][0])
    annotations.write_text(json.dumps(content))
    process = start(data, "--check")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    rows = [line.split() for line in out.splitlines()]
    assert ["train", "20", "21"] in [row[:3] for row in rows]
    assert ["test", "16", "16"] in [row[:3] for row in rows]
    assert "found: train: captions that their video has twice: 1, the first" in out
    assert "40 videos, 2 bad" in out
    assert "video1.mp4: the file is empty" in out
    assert "video30.mp4: cannot be read" in out
    assert not (data.parent / "runs" / "data" / "frames").exists()


def test_a_cache_that_cannot_be_written_is_one_line(data: Path) -> None:
    runs = data.parent / "runs" / "data"
    runs.mkdir(parents=True)
    (runs / "frames").write_text("a file where the folder should be")
    process = start(data)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert err.strip().splitlines()[-1].startswith(str(runs / "frames"))
    assert "Traceback" not in err
