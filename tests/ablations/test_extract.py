"""The command `features`, as it is called: by a run, by a published checkpoint, killed, and called wrong."""

import json
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import hbi.data
import run_suite
from ablations.trained import trained
from hbi.config import BridgeFormerConfig, ShapesConfig
from hbi.data.dataset import Video
from hbi.data.decode import decode
from hbi.files import sha256
from hbi.metrics.retrieval import ranks
from results.store import WEIGHTS, read_ranks, read_record, run_folder
from tests.command_line import call, finished, place, records, start, wait_for
from tests.published_towers import place_published

SUITE = """
data: {name: shapes, train: 8, val: 2, test: 12, size: 32, max_words: 16, max_frames: 4, sampler: ranges, root: shapes}
training: {epochs: 0}
runtime: {threads: 1, device: cpu}
variants: [bridgeformer, no-hbi]
"""
PUBLISHED = ("data.max_frames=4", "data.sampler=ranges-released", "data.resize=twice")


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A folder with complete runs by variant, and the videos and captions of their test split, apart."""
    folder = place(tmp_path_factory.mktemp("mine"), SUITE)
    done = call("run", "small.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    by_variant = {name.partition(".")[0]: name for name in records(folder)}
    spec = read_record(run_folder(folder / "runs", by_variant["bridgeformer"])).spec
    data = spec.data.model_copy(update={"root": str(folder / "shapes")})
    split = hbi.data.load(data, folder / "runs" / "data").splits["test"]
    for video in split.videos:
        (folder / "videos" / video.id[-1]).mkdir(parents=True, exist_ok=True)
        shutil.copy(video.path, folder / "videos" / video.id[-1])
    (folder / "captions.txt").write_text("".join(f"{caption}\n" for caption in split.captions))
    return SimpleNamespace(folder=folder, runs=by_variant, split=split, data=data)


def features(*arguments: str | Path, cwd: Path, code: int = 0) -> str:
    """What is said."""
    done = call("features", *arguments, cwd=cwd)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def read(into: Path) -> tuple[np.ndarray, pd.DataFrame, dict]:
    index = pd.read_csv(into.with_suffix(".tsv"), sep="\t")
    return np.load(into, mmap_mode="r"), index, json.loads(into.with_suffix(".json").read_text())


def test_retrieval_by_the_features_has_the_ranks_of_the_run(mine: SimpleNamespace, tmp_path: Path) -> None:
    run = mine.runs["bridgeformer"]
    told = features("videos", tmp_path / "video.npy", run, "--device", "cpu", cwd=mine.folder)
    assert "12 vectors of 64 features" in told
    assert f"wrote {tmp_path / 'video.tsv'}" in told
    features("captions.txt", tmp_path / "text.npy", run, "--device", "cpu", cwd=mine.folder)
    (text, _, _), (video, index, made) = read(tmp_path / "text.npy"), read(tmp_path / "video.npy")
    row = {Path(path).stem: row for path, row in zip(index["path"], index["row"], strict=True)}
    similarity = text @ video[[row[one.id] for one in mine.split.videos]].T
    folder = run_folder(mine.folder / "runs", run)
    expected = read_ranks(folder, read_record(folder))
    for way in ("t2v", "v2t"):
        np.testing.assert_array_equal(ranks(similarity, way, list(mine.split.video_of)), expected[way])
    assert (made["rows"], made["width"], made["left_out"]) == (12, 64, {})
    by = made["made"]
    assert (by["run"], by["variant"], by["weights_sha256"]) == (run, "bridgeformer", sha256(folder / WEIGHTS))
    assert by["data"] == {"max_words": 16, "max_frames": 4, "frame_rate": 2.0, "sampler": "ranges", "resize": "once"}
    assert by["provenance"]["decoder"]
    assert by["command"].startswith("run_suite.py features videos")


def test_fewer_frames_are_seen_where_asked_for(mine: SimpleNamespace, tmp_path: Path) -> None:
    features("videos", tmp_path / "out.npy", mine.runs["bridgeformer"], "--frames", "2", cwd=mine.folder)
    found, index, made = read(tmp_path / "out.npy")
    assert set(index["frames"]) == {2}
    assert made["made"]["data"]["max_frames"] == 2
    model = trained(run_folder(mine.folder / "runs", mine.runs["bridgeformer"])).eval()
    file = mine.folder / "videos" / index["path"][3]
    config = mine.data.model_copy(update={"max_frames": 2})
    frames = torch.from_numpy(decode(Video("3", file), config, model.image_size).frames)[None]
    with torch.no_grad():
        alone = model.encode_video(frames, torch.ones(1, 2, dtype=torch.bool))["vector"][0]
    np.testing.assert_allclose(found[3], alone, atol=2e-6)


def test_a_checkpoint_in_the_published_layout(mine: SimpleNamespace, tmp_path: Path) -> None:
    model = place_published(tmp_path)
    settings = (*PUBLISHED, "model.towers=towers.json", "model.vocabulary=vocab.txt")
    options = [argument for setting in settings for argument in ("--set", setting)]
    source = mine.folder / "videos"
    checkpoint = ("--variant", "bridgeformer-released", "--weights", "MCQ.pth", *options)
    features(source, "out.npy", *checkpoint, cwd=tmp_path)
    found, index, made = read(tmp_path / "out.npy")
    config = ShapesConfig(max_frames=4, sampler="ranges-released", resize="twice")
    for path, row in zip(index["path"], found, strict=True):
        frames = torch.from_numpy(decode(Video(path, source / path), config, model.image_size).frames)[None]
        with torch.no_grad():
            expected = model.encode_video(frames, torch.ones(frames.shape[:2], dtype=torch.bool))["vector"][0]
        np.testing.assert_allclose(row, expected, atol=2e-5)
    assert made["made"]["run"] is None
    assert made["made"]["weights_sha256"] == sha256(tmp_path / "MCQ.pth")
    assert BridgeFormerConfig.model_validate(made["made"]["model"]).towers == "towers.json"


def test_a_damaged_file_is_named_at_the_end(mine: SimpleNamespace, tmp_path: Path) -> None:
    shutil.copytree(mine.folder / "videos", tmp_path / "videos")
    (tmp_path / "videos" / "bad.mp4").write_bytes(b"no video")
    told = features(
        "videos", "out.npy", mine.runs["bridgeformer"], "--runs", mine.folder / "runs", cwd=tmp_path, code=1
    )
    found, index, made = read(tmp_path / "out.npy")
    assert len(found) == len(index) == 12
    assert "bad.mp4" not in set(index["path"])
    assert [*made["left_out"]] == ["bad.mp4"]
    assert told.splitlines()[-1].startswith("left out: videos/bad.mp4: is not an MP4")


def test_killed_in_the_middle_it_leaves_the_old_files(mine: SimpleNamespace, tmp_path: Path) -> None:
    for name in ("out.npy", "out.tsv", "out.json"):
        (tmp_path / name).write_text("old")
    process = start("features", "videos", tmp_path / "out.npy", mine.runs["bridgeformer"], cwd=mine.folder)
    wait_for(lambda: list(tmp_path.glob(".out.npy.*.part")))
    process.send_signal(signal.SIGKILL)
    assert finished(process).returncode == -signal.SIGKILL
    assert {path.name: path.read_text() for path in tmp_path.glob("out.*")} == dict.fromkeys(
        ("out.npy", "out.tsv", "out.json"), "old"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("videos", "out.npy"), "features: name a run; or give --variant and --weights"),
        (("videos", "out.npy", "--variant", "miles"), "features: name a run; or give --variant and --weights"),
        (("videos", "out.npy", "RUN", "--set", "data.max_frames=2"), "features: name a run; or give"),
        (
            ("videos", "out.npy", "bridgeformer.shapes.s0"),
            "features: no complete run 'bridgeformer.shapes.s0'; did you",
        ),
        (("nowhere", "out.npy", "RUN"), "nowhere: no such folder"),
        (("small.yaml", "out.npy", "RUN"), "small.yaml: is neither a folder of videos nor a .txt file of captions"),
        (("nowhere.txt", "out.npy", "RUN"), "nowhere.txt: no such file; give a file of captions"),
        (("empty", "out.npy", "RUN"), "empty: no video and no image is in it"),
        (("videos", "out.npz", "RUN"), "out.npz: the features are written to a file; call it NAME.npy"),
        (("videos", "out.npy", "OTHER"), "features: HBI makes entity/tokens"),
        (("videos", "small.yaml/out.npy", "RUN"), "small.yaml"),
        (("videos", "out.npy", "--variant", "miles", "--weights", "none.pth"), "checkpoint: no such file: none.pth"),
        (("videos", "out.npy", "--variant", "mils", "--weights", "small.yaml"), "unknown variant 'mils'; did you mean"),
        (("videos", "out.npy", "--variant", "miles", "--weights", "small.yaml"), "small.yaml: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_one_line(
    arguments: tuple[str, ...],
    message: str,
    mine: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (mine.folder / "empty").mkdir(exist_ok=True)
    named = {"RUN": mine.runs["bridgeformer"], "OTHER": mine.runs["no-hbi"]}
    monkeypatch.chdir(mine.folder)
    monkeypatch.setattr("sys.argv", ["run_suite.py", "features", *(named.get(one, one) for one in arguments)])
    with pytest.raises(SystemExit) as ended:
        run_suite.main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(mine.folder.glob("*out*"))
    assert not list(mine.folder.glob(".*out*"))
