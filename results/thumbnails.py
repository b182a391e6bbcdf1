"""Small pictures of videos, for pages that need nothing but themselves."""

import base64
import io
from collections.abc import Sequence

from PIL import Image

from hbi.config import DataConfig
from hbi.data import Progress, Video
from hbi.data.frames import sampling
from hbi.data.video import VideoError, read_frames

WIDTH, HEIGHT = 160, 120
"""Pixels; a picture fits into them."""
_QUALITY = 70


def thumbnails(videos: Sequence[Video], config: DataConfig, progress: Progress) -> list[str | None]:
    """Of each video a JPEG as a data URI, some kilobytes; None of one that does not decode.

    It is the middle one of the frames that a model sees (``hbi.data.frames.sampling``).
    """
    found = []
    for done, video in enumerate(videos, start=1):
        found.append(_thumbnail(video, config))
        progress("reading video", done, len(videos))
    return found


def _thumbnail(video: Video, config: DataConfig) -> str | None:
    positions_of = sampling(config, video)

    def middle(frames: int, fps: float) -> list[int]:
        positions = positions_of(frames, fps)
        return positions[len(positions) // 2 :][:1]

    try:
        (frame,) = read_frames(video.path, middle, config.reader)
    except VideoError:
        return None
    picture, file = Image.fromarray(frame), io.BytesIO()
    picture.thumbnail((WIDTH, HEIGHT))
    picture.save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
