"""Video to batches, on generated videos of 320 × 240 pixels and 10 seconds."""

import multiprocessing
import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import hbi.data.clips
from ablations.trained import untrained
from ablations.work import Work
from hbi.config import MSRVTTConfig
from hbi.data.batches import train_batches
from hbi.data.clips import Clips
from hbi.data.dataset import Dataset, Split, Video
from hbi.data.frame_cache import frame_cache
from hbi.data.prepare import prepare
from hbi.data.tokens import tokenize
from suites.expand import expand
from suites.load import load_suite

ROOT = Path(__file__).parents[2]
VIDEOS, SIZE, BATCH = 96, 224, 8
CONFIG = MSRVTTConfig(root="unused")
EPOCH = f"an epoch of {VIDEOS} videos of 320 × 240 pixels and 10 seconds, {SIZE} pixels to the model"


@pytest.fixture(scope="module", autouse=True)
def _on_disk() -> Iterator[None]:
    """Frames are read from the disk's cache, as those of a data set that does not fit into memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hbi.data.clips, "IN_MEMORY_BYTES", 0)
        yield


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
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


@pytest.fixture(scope="module")
def cache(dataset, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    assert prepare(dataset, CONFIG, SIZE, folder, workers=2).decoded == VIDEOS
    return folder


def epoch(dataset: Dataset, clips: Clips, number: int = 0, workers: int = 0) -> None:
    split = dataset.splits["train"]
    tokens, answer = tokenize(split.captions, 24), torch.full((VIDEOS,), -1)
    seen = sum(len(batch.frames) for batch in train_batches(split, clips, tokens, answer, BATCH, 0, number, 0, workers))
    assert seen == VIDEOS


def test_cache_made_once_by_two_processes(benchmark, dataset, tmp_path):
    benchmark.group = EPOCH
    numbers = count()
    done = benchmark.pedantic(
        prepare, setup=lambda: ((dataset, CONFIG, SIZE, tmp_path / str(next(numbers)), 2), {}), rounds=3
    )
    assert done.decoded == VIDEOS


@pytest.mark.parametrize("source", ["decoded each time", "from the cache"])
def test_epoch(benchmark, dataset, cache, source):
    benchmark.group = EPOCH
    benchmark.extra_info["reference"] = source == "decoded each time"
    frames = frame_cache(dataset, CONFIG, SIZE, cache) if source == "from the cache" else None
    clips = Clips(dataset.splits["train"], CONFIG, SIZE, frames)
    numbers, resident = count(), []
    benchmark.pedantic(
        epoch,
        setup=lambda: ((dataset, clips, next(numbers)), {}),
        teardown=lambda *_: resident.append(resident_bytes()),
        rounds=5,
    )
    growth = max(resident) - resident[0]
    benchmark.extra_info["memory_growth_bytes"] = growth
    assert growth < 20e6  # the frames of one epoch are 173 MB


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("workers", [1, 2])
def test_workers(benchmark, dataset, workers):
    benchmark.group = f"decoding {VIDEOS} videos in worker processes"
    benchmark.extra_info["reference"] = workers == 1
    benchmark.pedantic(epoch, (dataset, Clips(dataset.splits["train"], CONFIG, SIZE), 0, workers), rounds=3)


@pytest.mark.parametrize("processes", [1, 2])
def test_processes(benchmark, processes):
    """What the machine gives to two processes: less than twice as much where others are at work."""
    benchmark.group = "a sum in one process, and shared by two: what two decoding ones can reach"
    benchmark.extra_info["reference"] = processes == 1
    benchmark.pedantic(summed, (processes,), rounds=5)


def summed(processes: int) -> None:
    numbers = range(80_000_000 // processes)
    running = [multiprocessing.Process(target=sum, args=(numbers,)) for _ in range(processes)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert not any(process.exitcode for process in running)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory) -> Work:
    """The quickstart's hbi, with its frames in the cache."""
    folder = tmp_path_factory.mktemp("quickstart")
    spec = expand(load_suite(ROOT / "suites" / "quickstart.yaml"), "hbi")[0].spec
    model = untrained(spec, folder)
    data = hbi.data.load(spec.data, folder, lambda *_: None)
    prepare(data, spec.data, model.image_size, folder, workers=2)
    return Work(spec, model.train(), folder, torch.device("cpu"), lambda event: None)


@pytest.mark.parametrize("part", ["steps and batches", "batches alone"])
def test_quickstart(benchmark, quickstart, part):
    benchmark.group = "an epoch of the quickstart's hbi, frames from the cache, 1 thread"
    benchmark.extra_info["reference"] = part == "steps and batches"
    steps = benchmark.pedantic(through, (quickstart, part == "steps and batches"), rounds=3, warmup_rounds=1)
    assert steps == 16


def through(work: Work, trained: bool) -> int:
    """Steps of an epoch."""
    steps = 0
    for batch in work.training_batches(0, 0):
        steps += 1
        if trained:
            work.model.zero_grad(set_to_none=True)
            work.model.losses(batch)["total"].backward()
    return steps
