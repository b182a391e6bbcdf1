import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hbi.config import ActivityNetConfig, DiDeMoConfig, MSRVTTConfig, ShapesConfig
from hbi.data.dataset import Video
from hbi.data.frames import sample_positions, sample_ranges, sample_seconds, sampling


def test_positions_are_those_of_the_released_code(golden: Path) -> None:
    for case in json.loads((golden / "hbi_frames.json").read_text()):
        arguments = [case[key] for key in ("n_frames", "avg_fps", "max_frames", "framerate", "start", "end")]
        if "error" in case:
            with pytest.raises(ValueError, match=r"0\.4 frames a second"):
                sample_positions(*arguments)
        else:
            assert sample_positions(*arguments) == case["sampled"], case


def test_positions_by_the_second_are_those_of_the_released_code(golden: Path) -> None:
    for case in json.loads((golden / "hbi_frames_seconds.json").read_text()):
        arguments = [case[key] for key in ("frame_count", "cap_prop_fps", "max_frames", "framerate", "start", "end")]
        assert sample_seconds(*arguments) == case["sampled"], case


def test_a_second_has_a_whole_number_of_frames_and_the_last_one_counts() -> None:
    assert sample_seconds(90, 29.97, 12, 1.0) == [0, 29, 58, 87]
    assert sample_seconds(500, 25.0, 12, 1.0, 2, 4) == [50, 75, 100]  # the span's end included
    assert sample_seconds(500, 25.0, 12, 1.0, 4, 2) == [50, 75, 100]
    assert sample_seconds(500, 25.0, 12, 1.0, 5, 5) == [125, 150]
    assert sample_seconds(100, 10.0, 12, 3.0, 1, 2) == [10, 13, 16, 20, 23, 26]
    assert sample_seconds(0, 25.0, 12, 1.0) == []


def test_each_data_set_has_its_published_rule_and_a_video_its_span(tmp_path: Path) -> None:
    whole, part = Video("a", tmp_path / "a"), Video("a", tmp_path / "a", 1, 3)
    assert sampling(MSRVTTConfig(), whole)(100, 29.97) == [0, 30, 60, 90]
    assert sampling(MSRVTTConfig(), part)(100, 29.97) == [29, 59, 89]
    for config in (DiDeMoConfig(), ActivityNetConfig()):
        assert sampling(config, whole)(100, 29.97) == [0, 29, 58, 87]
        assert sampling(config, part)(120, 29.97) == [29, 58, 87]
    assert sampling(DiDeMoConfig(sampler="stride"), whole)(100, 29.97) == [0, 30, 60, 90]


def test_sampling_by_the_second_takes_whole_frames_alone() -> None:
    with pytest.raises(ValueError, match=r"frame_rate 0\.5: sampler seconds takes a whole number"):
        DiDeMoConfig(frame_rate=0.5)


@pytest.mark.parametrize("sample", [sample_positions, sample_seconds])
@given(
    frames=st.integers(0, 5000),
    fps=st.floats(2, 120),
    max_frames=st.integers(1, 64),
    frame_rate=st.floats(0.1, 2),
    span=st.none() | st.tuples(st.integers(-5, 200), st.integers(-5, 200)),
)
def test_positions_rise_lie_in_the_video_and_are_not_too_many(
    sample: Callable[..., list[int]],
    frames: int,
    fps: float,
    max_frames: int,
    frame_rate: float,
    span: tuple[int, int] | None,
) -> None:
    if sample is sample_seconds:
        frame_rate = max(1.0, float(int(frame_rate)))
    positions = sample(frames, fps, max_frames, frame_rate, *(span or ()))
    assert positions == sorted(set(positions))
    assert len(positions) <= max_frames
    assert all(0 <= position < frames for position in positions)
    assert positions or span or not frames


@pytest.mark.parametrize("sample", [sample_positions, sample_seconds])
def test_a_span_beyond_the_end_has_no_frames(sample: Callable[..., list[int]]) -> None:
    assert sample(100, 25.0, 12, 1.0, 50, 60) == []


@pytest.mark.parametrize("sample", [sample_positions, sample_seconds])
@pytest.mark.parametrize("fps", [float("nan"), float("inf"), 0.0, -25.0])
def test_a_frame_rate_that_makes_no_sense_is_refused(sample: Callable[..., list[int]], fps: float) -> None:
    with pytest.raises(ValueError, match="frames a second"):
        sample(100, fps, 12, 1.0)


# ---- ranges ---------------------------------------------------------------------------------------------------------


def test_of_each_range_the_middle_frame_or_as_published_the_one_before() -> None:
    assert sample_ranges(100, 25.0, 4) == [12, 37, 62, 87]  # of 0–24, 25–49, 50–74, 75–99
    assert sample_ranges(100, 25.0, 4, released=True) == [11, 36, 61, 86]
    assert sample_ranges(10, 25.0, 4) == [0, 3, 5, 8]  # of 0–1, 2–4, 5–6, 7–9
    assert sample_ranges(3, 25.0, 4) == [0, 1, 2]
    assert sample_ranges(3, 25.0, 4, released=True) == [0, 0, 1]
    assert sample_ranges(0, 25.0, 4) == []
    assert sample_ranges(100, math.nan, 1) == [49]  # no matter how fast


def test_ranges_of_a_span() -> None:
    assert sample_ranges(500, 25.0, 2, 2, 4) == [62, 87]  # of 50–74, 75–100
    assert sample_ranges(500, 25.0, 2, 4, 2, released=True) == [61, 86]
    assert sample_ranges(100, 25.0, 2, 10, 12) == []
    with pytest.raises(ValueError, match="a video of nan frames a second has no second 2"):
        sample_ranges(100, math.nan, 2, 2, 4)


@given(
    frames=st.integers(0, 500),
    max_frames=st.integers(1, 64),
    span=st.none() | st.tuples(st.integers(-5, 60), st.integers(-5, 60)),
    seed=st.integers(0, 2**62),
    released=st.booleans(),
)
def test_a_drawn_frame_is_of_its_range(
    frames: int, max_frames: int, span: tuple[int, int] | None, seed: int, released: bool
) -> None:
    middle = sample_ranges(frames, 10.0, max_frames, *(span or ()))
    drawn = sample_ranges(frames, 10.0, max_frames, *(span or ()), released=released, seed=seed)
    assert drawn == sample_ranges(frames, 10.0, max_frames, *(span or ()), released=released, seed=seed)
    assert len(drawn) == len(middle) == min(max_frames, len(set(middle)))
    assert drawn == sorted(drawn)
    assert all(0 <= position < frames for position in drawn)
    if span is None:
        edges = [frames * number // max(len(drawn), 1) for number in range(len(drawn) + 1)]
        early = 1 if released else 0
        for position, low, high in zip(drawn, edges, edges[1:], strict=False):
            assert max(0, low - early) <= position < max(low + 1, high - early)


def test_every_frame_of_a_range_is_drawn_but_as_published_the_last(tmp_path: Path) -> None:
    video = Video("a", tmp_path / "a")
    for sampler, expected in (("ranges", {*range(10)}), ("ranges-released", {0, 1, 2, 4, 5, 6, 7})):
        config = ShapesConfig.model_validate({"max_frames": 2, "sampler": sampler, "training_frames": "drawn"})
        drawn = [sampling(config, video, seed)(10, 2.0) for seed in range(200)]
        assert {position for positions in drawn for position in positions} == expected
        assert sampling(config, video)(10, 2.0) == ([2, 7] if sampler == "ranges" else [1, 6])
    same = ShapesConfig(max_frames=2, sampler="ranges")
    assert {tuple(sampling(same, video, seed)(10, 2.0)) for seed in range(9)} == {(2, 7)}


def test_frames_are_drawn_from_ranges_alone() -> None:
    with pytest.raises(ValueError, match="training_frames drawn: sampler stride has no ranges to draw from"):
        ShapesConfig(training_frames="drawn")


@pytest.mark.parametrize("sampler", ["stride", "seconds", "ranges", "ranges-released"])
def test_a_video_of_one_frame_shows_it_at_any_rate(sampler: str, tmp_path: Path) -> None:
    config = ShapesConfig.model_validate({"sampler": sampler})  # 2 frames a second
    assert sampling(config, Video("a", tmp_path / "a"))(1, 1.0) == [0]
