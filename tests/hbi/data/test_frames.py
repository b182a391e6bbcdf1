import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hbi.config import ActivityNetConfig, DiDeMoConfig, MSRVTTConfig
from hbi.data.dataset import Video
from hbi.data.frames import sample_positions, sample_seconds, sampling


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
