"""Video to batches, on generated videos of 320 × 240 pixels and 10 seconds: ratios of what was measured in one run."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import hbi.data.clips
from hbi.config import MSRVTTConfig
from hbi.data.batches import train_batches
from hbi.data.clips import Clips
from hbi.data.dataset import Dataset, Split, Video
from hbi.data.frame_cache import frame_cache
from hbi.data.prepare import prepare
from hbi.data.tokens import tokenize

ROOT = Path(__file__).parents[2]
VIDEOS, SIZE, BATCH = 96, 224, 8
CONFIG = MSRVTTConfig(root="unused")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Videos of moving noise at 25 frames a second: H.264 with the default options of libx264."""
    folder = tmp_path_factory.mktemp("videos")
    picture = np.random.default_rng(0).integers(0, 256, (15, 20, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    with av.open(str(folder / "video0.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(250):
            moved = np.roll(picture, (number, 2 * number), (0, 1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode())
    videos = [Video(f"video{number}", folder / f"video{number}.mp4") for number in range(VIDEOS)]
    for video in videos[1:]:
        shutil.copy(videos[0].path, video.path)
    captions = tuple(f"noise number {number}" for number in range(VIDEOS))
    return Dataset("noise", {"train": Split("train", tuple(videos), captions, tuple(range(VIDEOS)))})


@pytest.fixture(autouse=True)
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hbi.data.clips, "IN_MEMORY_BYTES", 0)
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def cached(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Clips, float]:
    cache = tmp_path_factory.mktemp("cache")
    done = prepare(dataset, CONFIG, SIZE, cache, workers=2)
    assert done.decoded == VIDEOS
    hbi.data.clips.IN_MEMORY_BYTES, kept = 0, hbi.data.clips.IN_MEMORY_BYTES
    clips = Clips(dataset.splits["train"], CONFIG, SIZE, frame_cache(dataset, CONFIG, SIZE, cache))
    hbi.data.clips.IN_MEMORY_BYTES = kept
    return clips, done.seconds


def epoch(dataset: Dataset, clips: Clips, number: int = 0, workers: int = 0) -> float:
    """Seconds of all batches of an epoch; the best of what a loaded machine gives is for the caller to choose."""
    split = dataset.splits["train"]
    answer = torch.full((VIDEOS,), -1)
    tokens = tokenize(split.captions, 24)
    started = time.perf_counter()
    seen = sum(len(batch.frames) for batch in train_batches(split, clips, tokens, answer, BATCH, 0, number, 0, workers))
    assert seen == VIDEOS
    return time.perf_counter() - started


def test_epochs_from_the_cache_beside_decoding_each_time(dataset, cached, capsys, benchmark):
    decoding = Clips(dataset.splits["train"], CONFIG, SIZE)
    clips, prepared = cached
    slow = min(epoch(dataset, decoding) for _ in range(3))
    quick = min(epoch(dataset, clips) for _ in range(5))
    with capsys.disabled():
        print(
            f"\nepoch of {VIDEOS} videos, {SIZE} pixels: decoding {slow:.2f} s, from the cache {quick:.3f} s: "
            f"{slow / quick:.0f} times faster (cache made once with 2 processes: {prepared:.1f} s)"
        )
    assert slow / quick >= 10
    benchmark.pedantic(epoch, (dataset, clips), rounds=3)


def busy(processes: int) -> float:
    """Seconds that so many processes take for a fixed work each."""
    started = time.perf_counter()
    running = [multiprocessing.Process(target=lambda: sum(range(40_000_000))) for _ in range(processes)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    return time.perf_counter() - started


def test_decoding_with_two_workers_beside_one(dataset, capsys):
    """On a machine with two idle cores; what two processes without data reach is printed beside it."""
    decoding = Clips(dataset.splits["train"], CONFIG, SIZE)
    rounds = [
        (epoch(dataset, decoding, workers=1), epoch(dataset, decoding, workers=2), busy(1), busy(2)) for _ in range(5)
    ]
    one, two, alone, both = map(min, zip(*rounds, strict=True))
    ratio, cores = one / two, 2 * alone / both
    with capsys.disabled():
        print(
            f"\nepoch of {VIDEOS} videos: 1 worker {one:.2f} s, 2 workers {two:.2f} s: ratio {ratio:.2f}, where two "
            f"processes without any data do {cores:.2f} times the work of one"
        )
    assert ratio >= 1.6


@pytest.mark.parametrize("source", ["cache", "decoding"])
def test_memory_is_flat_over_five_epochs(dataset, cached, source, capsys):
    clips = cached[0] if source == "cache" else Clips(dataset.splits["train"], CONFIG, SIZE)
    resident = []
    for number in range(5):
        epoch(dataset, clips, number)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        resident.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    with capsys.disabled():
        print(f"\nresident after each of 5 epochs, {source}: {', '.join(f'{size:.0f}' for size in resident)} MB")
    assert max(resident) - resident[0] < 20


TRAINING = """
import sys, time
from pathlib import Path
import torch
import hbi.data.clips, hbi.training.loop
hbi.data.clips.IN_MEMORY_BYTES = 0
from ablations.trained import untrained
from ablations.work import Work
from suites.expand import expand
from suites.load import load_suite
spec = next(run.spec for run in expand(load_suite("quickstart.yaml"), "hbi") if run.label == "hbi")
torch.set_num_threads(spec.runtime.threads)
work = Work(spec, untrained(spec, Path("runs")), Path("runs/data"), torch.device("cpu"), lambda event: None)
model, waited, worked = work.model.train(), 0.0, 0.0
for epoch in range(2):
    batches = work.training_batches(epoch, 0)
    while True:
        begun = time.perf_counter()
        batch = next(batches, None)
        waited += time.perf_counter() - begun
        if batch is None:
            break
        begun = time.perf_counter()
        model.zero_grad(set_to_none=True)
        model.losses(batch)["total"].backward()
        worked += time.perf_counter() - begun
    if not epoch:
        waited = worked = 0.0
print(waited, worked)
"""


def test_a_training_step_of_the_quickstart_waits_little_for_the_cache(tmp_path, capsys):
    shutil.copy(ROOT / "suites" / "quickstart.yaml", tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, ROOT / "run_suite.py", "prepare", "quickstart.yaml"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-c", TRAINING], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    waited, worked = map(float, done.stdout.split()[-2:])
    with capsys.disabled():
        print(f"\nan epoch of the quickstart's hbi: {worked:.2f} s of steps, {waited:.3f} s of waiting for batches, ")
        print(f"{100 * waited / (waited + worked):.1f} % of the time")
    assert waited / (waited + worked) < 0.1
