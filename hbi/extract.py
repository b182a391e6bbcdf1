"""Features of video files, or of captions: of each the vector by which a system compares it (hbi.data.feature_file)."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hbi.config import DataConfig
from hbi.data.annotations import content
from hbi.data.batches import text_batches
from hbi.data.dataset import Progress, Video
from hbi.data.decode import LIMIT_SECONDS, Decoded
from hbi.data.feature_file import UNFIT, Blocks, Extracted, write_features
from hbi.data.video_files import SUFFIXES
from hbi.data.workers import Outcome, decode_all
from hbi.errors import InputError, RunFailure
from hbi.models import Encoded, System
from hbi.training.evaluate import evaluating
from hbi.training.step import autocast

BLOCK = 32
"""Videos, or captions, that are encoded at a time: bounds memory, changes values by rounding alone."""

HELD_BYTES = 2**30
"""Of frames that are decoded and wait for those of an earlier file."""

IMAGES = frozenset((".jpg", ".jpeg", ".png", ".gif", ".webp"))
"""Suffixes of what is a video of one frame."""

ONE_VECTOR = ("bridgeformer", "bridgeformer-clip", "clip4clip", "miles")
"""Systems that make one vector of a video; drl does, too, where its interaction is dp."""

Vectors = Callable[[Callable[..., Encoded], Tensor, Tensor], NDArray[np.float32]]


def extract_videos(
    model: System,
    folder: Path,
    into: Path,
    config: DataConfig,
    precision: str = "fp32",
    workers: int = 1,
    made: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Extracted:
    """Writes ``into`` (NAME.npy): a row of unit length for each of ``video_files``, in their order; with the index
    path, frames (that were seen), bytes (of the file).

    A file that does not decode has no row. Frames are sampled and resized as ``config`` says, by ``workers`` processes.
    Raises InputError where there is no file, none decodes, ``model`` makes no single vector, or nothing can be
    written; RunFailure("nan") where a vector is not finite.
    """
    videos = [Video(name, folder / name) for name in video_files(folder)]
    vectors = _vectors_of(model, config.max_frames, precision)
    left_out: dict[str, str] = {}

    def blocks() -> Blocks:
        lines, clips = [], []
        for done, (video, outcome) in enumerate(_in_order(videos, config, model.image_size, workers), start=1):
            if isinstance(outcome, str):
                left_out[video.id] = outcome
            else:
                state, clip = outcome
                lines.append((video.id, len(clip.frames), state.bytes))
                clips.append(clip)
            if clips and (len(clips) == BLOCK or done == len(videos)):
                yield [*lines], vectors(model.encode_video, *_padded(clips, config.max_frames))
                lines, clips = [], []
            if progress:
                progress("encoding video", done, len(videos))

    return write_features(into, ("path", "frames", "bytes"), blocks(), left_out, made or {})


def extract_captions(
    model: System,
    file: Path,
    into: Path,
    config: DataConfig,
    precision: str = "fp32",
    made: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Extracted:
    """As ``extract_videos``: a row for each line of ``file``, cut to config.max_words tokens, with the index caption.

    Raises InputError also where a line is no caption.
    """
    captions = _captions(file)
    vectors = _vectors_of(model, config.max_frames, precision)

    def blocks() -> Blocks:
        done = 0
        for ids, mask in text_batches(model.tokenize(captions, config.max_words), BLOCK):
            some = captions[done : done + len(ids)]
            yield [(caption,) for caption in some], vectors(model.encode_text, ids, mask)
            done += len(some)
            if progress:
                progress("encoding caption", done, len(captions))

    return write_features(into, ("caption",), blocks(), {}, made or {})


def video_files(folder: Path) -> list[str]:
    """Paths under ``folder`` of all videos and images, known by their suffix, in the order of their characters.

    Sub-folders are included; links to folders, and what begins with a dot, are not. Raises InputError where there are
    none, or a name does not fit into a line.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found = []
    for parent, folders, names in os.walk(folder, onerror=_refuse_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES | IMAGES:
                found.append(Path(parent, name).relative_to(folder).as_posix())
    for name in found:
        if UNFIT.search(name):
            raise InputError(f"{folder}: {name!r} has a control character, or a byte that is no UTF-8; rename the file")
    if not found:
        raise InputError(f"{folder}: no video and no image is in it, to tell by the suffix (.mp4, .webm, .jpg, ...)")
    return sorted(found)


def _refuse_unreadable(error: OSError) -> NoReturn:
    raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _captions(file: Path) -> list[str]:
    captions = content(file, "give a file of captions, one a line").removesuffix("\n").split("\n")
    for number, caption in enumerate(captions, start=1):
        if not caption.strip():
            raise InputError(f"{file}:{number}: is blank; each line must be a caption")
        if UNFIT.search(caption):
            raise InputError(f"{file}:{number}: has a tab or another control character; take it out")
    return captions


def _vectors_of(model: System, frames: int, precision: str) -> Vectors:
    """What makes vectors [B, D] of an encoder of ``model`` and what that takes.

    Raises InputError where ``model`` makes something else of a video, which a cosine does not compare.
    """
    device = next(model.parameters()).device

    @torch.no_grad()
    def encoded(encoder: Callable[..., Encoded], inputs: Tensor, mask: Tensor) -> dict[str, Tensor]:
        with evaluating(model), autocast(device, precision):
            return encoder(inputs.to(device), mask.to(device)).tensors

    def vectors(encoder: Callable[..., Encoded], inputs: Tensor, mask: Tensor) -> NDArray[np.float32]:
        (found,) = encoded(encoder, inputs, mask).values()
        if not found.isfinite().all():
            raise RunFailure("nan", "features: a vector is not finite; are these the weights of this model?")
        return found.float().cpu().numpy()

    black = torch.zeros(1, frames, 3, model.image_size, model.image_size, dtype=torch.uint8)
    of_black = encoded(model.encode_video, black, torch.ones(1, frames, dtype=torch.bool))
    if [tensor.ndim for tensor in of_black.values()] != [2]:
        raise InputError(
            f"features: {type(model).__name__} makes {', '.join(of_black)} of a video, not one vector; "
            f"{', '.join(ONE_VECTOR)} and drl (model.interaction=dp) do"
        )
    return vectors


def _in_order(videos: Sequence[Video], config: DataConfig, size: int, workers: int) -> Iterator[tuple[Video, Outcome]]:
    """``decode_all`` in the order of ``videos``; no more than HELD_BYTES wait for an earlier one."""
    window = max(workers, HELD_BYTES // (config.max_frames * 3 * size * size))
    for first in range(0, len(videos), window):
        some = videos[first : first + window]
        held: dict[Video, Outcome] = {}
        given = 0
        with closing(decode_all(some, config, size, workers, LIMIT_SECONDS)) as outcomes:
            for video, outcome in outcomes:
                held[video] = outcome
                while given < len(some) and some[given] in held:
                    yield some[given], held.pop(some[given])
                    given += 1


def _padded(clips: Sequence[Decoded], most: int) -> tuple[Tensor, Tensor]:
    """Frames [B, F, 3, S, S] uint8, black where a video has fewer, and mask [B, F]."""
    frames = np.zeros((len(clips), most, *clips[0].frames.shape[1:]), np.uint8)
    for row, clip in zip(frames, clips, strict=True):
        row[: len(clip.frames)] = clip.frames
    lengths = torch.tensor([len(clip.frames) for clip in clips])
    return torch.from_numpy(frames), torch.arange(most) < lengths[:, None]
