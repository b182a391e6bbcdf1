"""Draws a scene and writes it as an H.264 file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hbi.data.shapes_scenes import COLOURS, DIRECTIONS, Event, Scene, Shape

FPS = 8
BACKGROUND = (25, 25, 30)

Floats = NDArray[np.float32]
Frames = NDArray[np.uint8]


def draw(scene: Scene, size: int) -> Frames:
    """RGB frames [F, size, size, 3]: two seconds an event, three if it is the only one."""
    seconds = 3 if len(scene) == 1 else 2
    return np.concatenate([_draw_event(event, seconds * FPS, size) for event in scene])


def encode(frames: Frames, path: Path) -> None:
    """Writes frames [F, H, W, 3] as H.264, FPS a second, of a quality that leaves plain colours plain."""
    import av

    with av.open(str(path), "w") as container:
        # The same bytes each time: one thread, and no look-ahead, with which x264 varies (seen at 32 pixels).
        options = {"crf": "10", "preset": "veryfast", "tune": "zerolatency", "threads": "1"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _draw_event(event: Event, frames: int, size: int) -> Frames:
    """[frames, size, size, 3]. Half a second apart, frames tell what happens: so often is a clip sampled."""
    seconds = np.arange(frames, dtype=np.float32) / FPS
    progress = np.minimum(1, np.arange(frames, dtype=np.float32) / (0.75 * frames))[:, None]  # then it rests
    towards = np.array(DIRECTIONS[event.direction], np.float32)
    centre = np.tile(np.array(event.centre, np.float32), (frames, 1))
    radius = np.full(frames, event.radius, np.float32)
    angle, visible = np.zeros(frames, np.float32), np.ones(frames, np.float32)

    if event.action == "appear":
        visible = (seconds >= seconds[frames // 2]).astype(np.float32)
    elif event.action == "move":
        centre += towards * (0.52 * progress - 0.26)
    elif event.action == "grow":
        radius *= 0.45 + 1.1 * progress[:, 0]
    elif event.action == "blink":
        visible = (2 * seconds % 2 < 1).astype(np.float32)
    elif event.action == "turn":
        angle = seconds * np.float32(np.pi / 2)
    elif event.action == "meet":
        radius *= 0.9
        centre -= towards * (0.3 * (1 - progress) + radius[:, None])

    picture = np.full((frames, size, size, 3), BACKGROUND, np.float32)
    if event.met:
        there = np.array(event.centre, np.float32) + towards * radius[:, None]
        _paint(picture, event.met, there, radius, angle, visible)
    _paint(picture, event.actor, centre, radius, angle, visible)
    drawn: Frames = picture.round().astype(np.uint8)
    return drawn


def _paint(picture: Floats, shape: Shape, centre: Floats, radius: Floats, angle: Floats, visible: Floats) -> None:
    """Paints ``shape`` on picture [F, S, S, 3], edges a pixel soft: centre [F, 2], the others [F]."""
    size = picture.shape[1]
    pixels = (np.arange(size, dtype=np.float32) + 0.5) / size
    x = pixels[None, None, :] - centre[:, 0, None, None]
    y = pixels[None, :, None] - centre[:, 1, None, None]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    outside = _distance(shape.form, cos * x + sin * y, cos * y - sin * x, radius[:, None, None])
    cover = np.clip(0.5 - size * outside, 0, 1) * visible[:, None, None]
    picture += cover[..., None] * (np.array(COLOURS[shape.colour], np.float32) - picture)


def _distance(form: str, x: Floats, y: Floats, radius: Floats) -> Floats:
    """How far a point lies outside the form (negative: inside), about its centre, y downwards."""
    if form == "circle":
        distance = np.hypot(x, y) - radius
    elif form == "ring":
        distance = np.abs(np.hypot(x, y) - 0.72 * radius) - 0.28 * radius
    elif form == "square":
        distance = np.maximum(np.abs(x), np.abs(y)) - 0.85 * radius
    elif form == "triangle":
        slope = np.float32(np.sqrt(3) / 2)
        distance = np.maximum(y, slope * np.abs(x) - y / 2) - 0.6 * radius
    else:  # cross
        wide, narrow = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
        distance = np.maximum(wide - radius, narrow - radius / 3)
    return distance.astype(np.float32)
