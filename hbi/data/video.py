"""Reading frames of a video file, by decord or by PyAV; both give the same ones.

Both count frames as they are stored: of a video whose frame rate varies, a position is a number of frames and not a
time, and its rate is the mean. Both turn frames upright where the file says how it was held (its display matrix).
Where decord fails or is wrong, PyAV reads in its place: at a quarter turn, and in containers in which decord 0.6.0
finds other frames than those asked for (AVI with B-frames, MPEG, WMV).

An image is a video of one frame, at 1 frame a second: Pillow reads it, upright too; of an animation the first picture.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hbi.errors import InputError

Reader = Literal["auto", "decord", "pyav"]
Frames = NDArray[np.uint8]
PositionsOf = Callable[[int, float], list[int]]
"""From a video's number of frames and frames a second to the positions that are wanted, in rising order."""

_IMAGES = ("JPEG", "PNG", "GIF", "WEBP")
_CONTAINERS = {  # what is read, whatever the file is called: bytes that are found at an offset, or at all of several
    "JPEG": ((0,), (b"\xff\xd8\xff",)),
    "PNG": ((0,), (b"\x89PNG\r\n\x1a\n",)),
    "GIF": ((0,), (b"GIF87a", b"GIF89a")),
    "WEBP": ((8,), (b"WEBP",)),  # before AVI, which begins alike
    "MP4": ((4,), (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")),  # also QuickTime, 3GP
    "Matroska": ((0,), (b"\x1aE\xdf\xa3",)),  # also WebM
    "FLV": ((0,), (b"FLV",)),
    "AVI": ((0,), (b"RIFF",)),
    "MPEG": ((0,), (b"\x00\x00\x01\xba",)),
    "ASF": ((0,), (b"\x30\x26\xb2\x75",)),  # also WMV
    "Ogg": ((0,), (b"OggS",)),
    "MPEG-TS": ((0, 188), (b"G",)),
    "M2TS": ((4, 196), (b"G",)),
}
_EXACT_BY_DECORD = ("MP4", "Matroska", "FLV")
_NO_FRAMES: Frames = np.empty((0, 0, 0, 3), np.uint8)


class VideoError(InputError):
    """A video file that is missing or does not decode."""


def read_frames(path: Path, positions_of: PositionsOf, reader: Reader) -> Frames:
    """Frames [F, H, W, 3] uint8 RGB at the positions that ``positions_of(number of frames, fps)`` gives.

    The file is opened and closed here, for an open decord reader does not survive the fork of a DataLoader's
    worker. Raises VideoError where the file is missing, is no video, does not decode, or has no such frame.
    """
    container = _container(path)

    def positions(frames: int, fps: float) -> list[int]:
        try:
            return positions_of(frames, fps)
        except ValueError as error:
            raise VideoError(f"{path}: {error}; replace the file") from error

    by_decord = _chosen(reader) == "decord" and container in _EXACT_BY_DECORD
    read = _read_image if container in _IMAGES else _read_by_decord if by_decord else _read_by_pyav
    try:
        try:
            frames = read(path, positions)
        except RuntimeError:
            if not by_decord:
                raise
            frames = _read_by_pyav(path, positions)  # decord 0.6.0 refuses some sizes, such as 48 pixels
    except (OSError, RuntimeError, ValueError) as error:  # PyAV's own errors are kinds of these
        raise VideoError(f"{path}: does not decode; replace the file") from error
    if not len(frames):
        raise VideoError(f"{path}: no frame to sample; replace the file")
    return frames


def decoder_version(reader: Reader) -> str:
    """What decodes when ``reader`` is asked for: "decord 0.6.0"."""
    chosen = _chosen(reader)
    return f"{chosen} {version({'decord': 'decord', 'pyav': 'av'}[chosen])}"


@cache
def _chosen(reader: Reader) -> str:
    has_decord = find_spec("decord") is not None
    if reader == "decord" and not has_decord:
        raise InputError("reader decord: the package decord is not installed; install it or take reader pyav")
    if reader == "auto":
        return "decord" if has_decord else "pyav"
    return reader


def _container(path: Path) -> str:
    """Raises VideoError for other files: ffmpeg also opens playlists, which name files and addresses to open."""
    try:
        with path.open("rb") as file:
            head = file.read(200)
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
    if not head:
        raise VideoError(f"{path}: the file is empty; replace it")
    for name, (offsets, known) in _CONTAINERS.items():
        if all(head[offset:].startswith(known) for offset in offsets):
            return name
    raise VideoError(
        f"{path}: is not an MP4, WebM or AVI file, nor an older kind, nor a JPEG, PNG, GIF or WebP image; replace it"
    )


def _read_image(path: Path, positions_of: PositionsOf) -> Frames:
    positions = positions_of(1, 1.0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_IMAGES) as picture:
                frame = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise VideoError(f"{path}: more than {Image.MAX_IMAGE_PIXELS} pixels; replace it by a smaller image") from error
    except Exception as error:  # Pillow raises whatever a damaged file leads its readers to
        raise RuntimeError(str(error)) from error
    return frame[None][: len(positions)]


def _read_by_decord(path: Path, positions_of: PositionsOf) -> Frames:
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    try:
        video = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
        positions = positions_of(len(video), float(video.get_avg_fps()))
        return np.asarray(video.get_batch(positions).asnumpy()) if positions else _NO_FRAMES
    except decord.DECORDError as error:
        if _is_turned(path):
            return _read_by_pyav(path, positions_of)
        raise RuntimeError(str(error)) from error


def _read_by_pyav(path: Path, positions_of: PositionsOf) -> Frames:
    with _opened(path) as (container, stream):
        count = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
        positions = positions_of(count, float(stream.average_rate or 0))
        wanted, frames = set(positions), {}
        if not stream.frames:
            container.seek(0)
        for position, frame in enumerate(container.decode(stream)):
            if position in wanted:
                frames[position] = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
            if len(frames) == len(wanted):
                break
    if missing := wanted - set(frames):
        raise VideoError(f"{path}: frame {min(missing)} of {count} is missing; replace the file")
    return np.stack([frames[position] for position in positions]) if frames else _NO_FRAMES


def _is_turned(path: Path) -> bool:
    """Whether frames are stored a quarter turn from upright; raises VideoError where there are none."""
    with _opened(path) as (container, stream):
        first = next(container.decode(stream), None)
        return first is not None and round(first.rotation / 90) % 2 == 1


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """PyAV's container and its first video stream."""
    import av

    with av.open(str(path)) as container:
        if not container.streams.video:
            raise VideoError(f"{path}: has no video stream; replace the file")
        yield container, container.streams.video[0]
