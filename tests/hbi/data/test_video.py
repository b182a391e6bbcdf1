import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hbi.data.dataset import Dataset
from hbi.data.video import PositionsOf, Reader, VideoError, decoder_version, read_frames

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


def numbered(path: Path, count: int = 24, codec: str = "libx264", times: Sequence[int] | None = None) -> Path:
    """``count`` frames [48, 64], the k-th of red 10 k, with a white corner; ``times`` in 30ths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30 if times else 8)
        stream.height, stream.width = 48, 64
        stream.pix_fmt = "yuv420p"
        for number in range(count):
            picture = np.zeros((48, 64, 3), np.uint8)
            picture[..., 0] = 10 * number
            picture[:12, :12] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read_by(reader: Reader, path: Path, positions_of: PositionsOf = every) -> NDArray[np.uint8]:
    if reader == "decord":
        pytest.importorskip("decord", reason="there is no decord wheel for this platform")
    return read_frames(path, positions_of, reader)


@pytest.mark.parametrize("reader", READERS)
def test_a_varying_frame_rate_counts_frames(reader: Reader, tmp_path: Path) -> None:
    times = np.cumsum([0, 1, 1, 5, 1, 9, 1, 1, 2, 3, 1, 1, 1, 14, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]).tolist()
    path = numbered(tmp_path / "video0.mp4", times=times)
    seen = []

    def some(frames: int, fps: float) -> list[int]:
        seen.append((frames, fps))
        return [1, 5, 11, 22]

    red = read_by(reader, path, some)[:, 40, 40, 0]
    np.testing.assert_allclose(red, [10, 50, 110, 220], atol=8)
    ((frames, fps),) = seen
    assert frames == 24
    assert fps == pytest.approx(24 / (times[-1] / 30), rel=0.1)


# The display matrix of an MP4 track: where its x and y axes go, clockwise.
TURNS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("turn", TURNS)
def test_frames_are_upright_however_the_camera_was_held(reader: Reader, turn: int, tmp_path: Path) -> None:
    path = numbered(tmp_path / "video0.mp4", 3)
    stored = read_by(reader, path)
    a, b, c, d = TURNS[turn]
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44
    assert struct.unpack_from(">9i", content, matrix) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", content, matrix, a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_by(reader, path), np.rot90(stored, -turn // 90, axes=(1, 2)))


@pytest.mark.parametrize("reader", READERS)
def test_a_video_of_one_frame(reader: Reader, tmp_path: Path) -> None:
    assert read_by(reader, numbered(tmp_path / "video0.mp4", 1)).shape == (1, 48, 64, 3)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("wanted", [[0, 17, 40, 41, 80, 99], [50], [99]], ids=str)
@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "libx264"),
        ("mov", "libx264"),
        ("mkv", "libx264"),
        ("flv", "libx264"),
        ("mpegts", "libx264"),
        ("avi", "mpeg4"),
        ("webm", "libvpx"),
        ("mpeg", "mpeg2video"),
        ("asf", "wmv2"),
    ],
)
def test_the_frames_are_those_asked_for_in_any_container_whatever_the_extension(  # type: ignore[no-untyped-def]
    reader, wanted, container, codec, tmp_path
) -> None:
    path = tmp_path / "video0.mp4"
    order = {"bf": "2"} if codec in ("libx264", "mpeg4", "mpeg2video") else {}  # frames are stored out of order
    with av.open(str(path), "w", format={"mkv": "matroska"}.get(container, container)) as file:
        stream = file.add_stream(codec, rate=25, options={"g": "12", **order})
        stream.height, stream.width, stream.pix_fmt = 144, 176, "yuv420p"
        for number in range(100):
            picture = np.full((144, 176, 3), 30, np.uint8)
            picture[:, : number + 5] = 220  # a bar as wide as the frame's number
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    frames = read_by(reader, path, lambda count, fps: wanted)
    np.testing.assert_allclose((frames[:, 70, :, 0] > 125).sum(1) - 5, wanted, atol=1)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["sound", "nothing"])
def test_a_file_without_a_frame_is_refused(reader: Reader, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "video0.mp4"
    with av.open(str(path), "w") as container:
        if kind == "sound":
            stream = container.add_stream("aac", rate=44100, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
        else:
            stream = container.add_stream("libx264", rate=8)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            container.start_encoding()
        container.mux(stream.encode())
    with pytest.raises(VideoError, match=r"video0.mp4: .*replace the file") as caught:
        read_by(reader, path)
    if kind == "sound":
        assert "has no video stream" in str(caught.value)


# ---- images ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "JPEG"])
@pytest.mark.parametrize("name", ["picture.mp4", "picture"])
def test_an_image_is_a_video_of_one_frame_whatever_it_is_called(  # type: ignore[no-untyped-def]
    kind, name, reader, picture, tmp_path
) -> None:
    if reader == "decord":
        pytest.importorskip("decord", reason="there is no decord wheel for this platform")
    path, seen = tmp_path / name, []
    Image.fromarray(picture).save(path, kind)

    def all_of(frames: int, fps: float) -> list[int]:
        seen.append((frames, fps))
        return [0]

    found = read_frames(path, all_of, reader)
    assert seen == [(1, 1.0)]
    assert (found.dtype, found.shape) == (np.uint8, (1, 20, 30, 3))
    with Image.open(path) as expected:
        np.testing.assert_array_equal(found[0], np.asarray(expected.convert("RGB")))


def test_an_image_is_upright_and_has_three_channels(picture: NDArray[np.uint8], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # held at a quarter turn
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_frames(tmp_path / "turned.png", every, "auto")[0], np.rot90(picture, -1))
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_frames(tmp_path / "grey.png", every, "auto")[0], np.stack([grey] * 3, -1))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "JPEG"])
def test_a_damaged_image_is_named_in_one_line(kind: str, picture: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "picture"
    Image.fromarray(picture).save(path, kind)
    whole = path.read_bytes()
    for damaged in (whole[:40], whole[: len(whole) // 2], whole[:20] + bytes(len(whole) - 20)):
        path.write_bytes(damaged)
        with pytest.raises(VideoError, match="picture: does not decode; replace the file") as caught:
            read_frames(path, every, "auto")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("times", [1.5, 3.0])
def test_a_small_file_with_a_vast_image_is_refused(times, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow warns above it, and refuses above twice as many
    Image.new("RGB", (20, int(50 * times))).save(tmp_path / "vast.png")
    with pytest.raises(VideoError, match=r"vast\.png: more than 1000 pixels; replace it by a smaller image"):
        read_frames(tmp_path / "vast.png", every, "auto")


def test_no_sampled_frame_of_an_image_is_named(picture: NDArray[np.uint8], tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "picture.png")
    with pytest.raises(VideoError, match="no frame to sample"):
        read_frames(tmp_path / "picture.png", lambda frames, fps: [], "auto")
