"""Reading frames of a video file, by decord or by PyAV; both give the same ones."""

from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hbi.errors import InputError

Reader = Literal["auto", "decord", "pyav"]
Frames = NDArray[np.uint8]
PositionsOf = Callable[[int, float], list[int]]
"""From a video's number of frames and frames a second to the positions that are wanted, in rising order."""

_SIGNATURES = {  # byte offset and bytes of the containers that are read
    4: (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"),  # MP4, QuickTime
    0: (b"\x1aE\xdf\xa3", b"RIFF"),  # WebM and Matroska, AVI
}
_NO_FRAMES: Frames = np.empty((0, 0, 0, 3), np.uint8)


class VideoError(InputError):
    """A video file that is missing or does not decode."""


def read_frames(path: Path, positions_of: PositionsOf, reader: Reader) -> Frames:
    """Frames [F, H, W, 3] uint8 RGB at the positions that ``positions_of(number of frames, fps)`` gives.

    The file is opened and closed here, for an open decord reader does not survive the fork of a DataLoader's
    worker. Raises VideoError where the file is missing, is no video, does not decode, or has no such frame.
    """
    _refuse_other_files(path)

    def positions(frames: int, fps: float) -> list[int]:
        try:
            return positions_of(frames, fps)
        except ValueError as error:
            raise VideoError(f"{path}: {error}; replace the file") from error

    read = {"decord": _read_by_decord, "pyav": _read_by_pyav}[_chosen(reader)]
    try:
        frames = read(path, positions)
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


def _refuse_other_files(path: Path) -> None:
    """ffmpeg also opens playlists, which name other files and addresses to open: no data set needs them."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
    if not head:
        raise VideoError(f"{path}: the file is empty; replace it")
    if not any(head[offset:].startswith(known) for offset, known in _SIGNATURES.items()):
        raise VideoError(f"{path}: is not an MP4, WebM or AVI file; replace it")


def _read_by_decord(path: Path, positions_of: PositionsOf) -> Frames:
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    try:
        video = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
        positions = positions_of(len(video), float(video.get_avg_fps()))
        return np.asarray(video.get_batch(positions).asnumpy()) if positions else _NO_FRAMES
    except decord.DECORDError as error:
        raise RuntimeError(str(error)) from error


def _read_by_pyav(path: Path, positions_of: PositionsOf) -> Frames:
    import av

    with av.open(str(path)) as container:
        if not container.streams.video:
            raise VideoError(f"{path}: has no video stream; replace the file")
        stream = container.streams.video[0]
        count = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
        positions = positions_of(count, float(stream.average_rate or 0))
        wanted, frames = set(positions), {}
        container.seek(0)
        for position, frame in enumerate(container.decode(stream)):
            if position in wanted:
                frames[position] = frame.to_ndarray(format="rgb24")
            if len(frames) == len(wanted):
                break
    if missing := wanted - set(frames):
        raise VideoError(f"{path}: frame {min(missing)} of {count} is missing; replace the file")
    return np.stack([frames[position] for position in positions]) if frames else _NO_FRAMES
