from pathlib import Path

import av
import numpy as np
import pytest

from hbi.data.dataset import Dataset
from hbi.data.video import Reader, VideoError, decoder_version, read_frames

READERS: tuple[Reader, ...] = ("decord", "pyav")


def every(frames: int, fps: float) -> list[int]:
    return list(range(frames))


@pytest.fixture(scope="module")
def faststart(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A video whose index comes first, so that a truncated copy still opens."""
    path = tmp_path_factory.mktemp("video") / "faststart.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), np.uint8)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=8)
        stream.height = stream.width = 64
        stream.pix_fmt = "yuv420p"
        for frame in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


def test_both_readers_give_the_same_bytes(dataset: Dataset) -> None:
    pytest.importorskip("decord", reason="there is no decord wheel for this platform")
    for split in dataset.splits.values():
        for video in split.videos[:3]:
            one, other = (read_frames(video.path, every, reader) for reader in READERS)
            assert one.dtype == np.uint8
            assert one.shape[1:] == (32, 32, 3)
            np.testing.assert_array_equal(one, other)


def test_both_readers_agree_where_frames_are_stored_out_of_order(faststart: bytes, tmp_path: Path) -> None:
    pytest.importorskip("decord", reason="there is no decord wheel for this platform")
    path = tmp_path / "video0.mp4"
    path.write_bytes(faststart)
    seen = []

    def some(frames: int, fps: float) -> list[int]:
        seen.append((frames, fps))
        return [1, 7, 20]

    np.testing.assert_array_equal(*(read_frames(path, some, reader) for reader in READERS))
    assert seen == [(24, 8.0)] * 2
    np.testing.assert_array_equal(read_frames(path, some, "pyav"), read_frames(path, every, "pyav")[[1, 7, 20]])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda whole: b"", "the file is empty"),
        (lambda whole: b"hello, I am a video\n", "is not an MP4"),
        (lambda whole: b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", "is not an MP4"),
        (lambda whole: whole[:40] + bytes(range(256)) * 8, "video0.mp4: "),
        (lambda whole: whole[: len(whole) // 2], "does not decode"),
        (lambda whole: whole[: len(whole) // 2] + bytes(3000) + whole[len(whole) // 2 + 3000 :], "does not decode"),
    ],
    ids=["empty", "text", "playlist", "only a header", "truncated", "overwritten"],
)
def test_a_damaged_file_is_named_in_one_line(faststart, damage, message, reader, tmp_path) -> None:  # type: ignore[no-untyped-def]
    if reader == "decord":
        pytest.importorskip("decord", reason="there is no decord wheel for this platform")
    path = tmp_path / "video0.mp4"
    path.write_bytes(damage(faststart))
    with pytest.raises(VideoError, match=message) as caught:
        read_frames(path, every, reader)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "video0.mp4", tmp_path):
        with pytest.raises(VideoError, match="cannot be read"):
            read_frames(path, every, "auto")


def test_no_sampled_frame_and_no_stride_name_the_file(dataset: Dataset) -> None:
    path = dataset.splits["test"].videos[0].path
    with pytest.raises(VideoError, match="no frame to sample"):
        read_frames(path, lambda frames, fps: [], "auto")

    def refuse(frames: int, fps: float) -> list[int]:
        raise ValueError("a stride of 0")

    with pytest.raises(VideoError, match=f"{path.name}: a stride of 0"):
        read_frames(path, refuse, "auto")


def test_decoder_version_names_the_package() -> None:
    assert decoder_version("pyav") == f"pyav {av.__version__}"
    assert decoder_version("auto").split()[0] in READERS
