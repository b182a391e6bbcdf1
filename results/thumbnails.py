"""Small pictures of videos, for pages that need nothing but themselves."""

import base64
import io
from collections.abc import Sequence

import numpy as np
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

    It is that of the frames that a model sees (``hbi.data.frames.sampling``) whose pixels vary most: no blank one where
    another is not.
    """
    found = []
    for done, video in enumerate(videos, start=1):
        found.append(_thumbnail(video, config))
        progress("reading video", done, len(videos))
    return found


def _thumbnail(video: Video, config: DataConfig) -> str | None:
    try:
        frames = read_frames(video.path, sampling(config, video), config.reader)
    except VideoError:
        return None
    picture, file = Image.fromarray(max(frames, key=np.var)), io.BytesIO()
    picture.thumbnail((WIDTH, HEIGHT))
    picture.save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
