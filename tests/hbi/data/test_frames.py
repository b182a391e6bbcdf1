import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hbi.data.frames import sample_positions


def test_positions_are_those_of_the_released_code(golden: Path) -> None:
    for case in json.loads((golden / "hbi_frames.json").read_text()):
        arguments = [case[key] for key in ("n_frames", "avg_fps", "max_frames", "framerate", "start", "end")]
        if "error" in case:
            with pytest.raises(ValueError, match=r"0\.4 frames a second"):
                sample_positions(*arguments)
        else:
            assert sample_positions(*arguments) == case["sampled"], case


@given(
    frames=st.integers(0, 5000),
    fps=st.floats(1, 120),
    max_frames=st.integers(1, 64),
    frame_rate=st.floats(0.1, 2),
    span=st.none() | st.tuples(st.integers(-5, 200), st.integers(-5, 200)),
)
def test_positions_rise_lie_in_the_video_and_are_not_too_many(
    frames: int, fps: float, max_frames: int, frame_rate: float, span: tuple[int, int] | None
) -> None:
    positions = sample_positions(frames, fps, max_frames, frame_rate, *(span or ()))
    assert positions == sorted(set(positions))
    assert len(positions) <= max_frames
    assert all(0 <= position < frames for position in positions)
    assert positions or span or not frames


def test_a_span_beyond_the_end_has_no_frames() -> None:
    assert sample_positions(100, 25.0, 12, 1.0, 50, 60) == []


@pytest.mark.parametrize("fps", [float("nan"), float("inf"), 0.0, -25.0])
def test_a_frame_rate_that_makes_no_sense_is_refused(fps: float) -> None:
    with pytest.raises(ValueError, match="frames a second"):
        sample_positions(100, fps, 12, 1.0)
