"""From a run, or a file of weights, to the games of one caption and one video."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import torch

import hbi.data
from ablations.registry import did_you_mean
from ablations.trained import finished, source_of, trained, weights_of
from ablations.work import device_of
from hbi.config import DataConfig, EstimatorConfig, HBIConfig
from hbi.data.dataset import Split, Video
from hbi.data.decode import decode
from hbi.errors import InputError
from hbi.explain import Explanation, explain
from hbi.explain.pair import check_plays
from hbi.games.estimator import BanzhafEstimator, load_estimator
from hbi.games.indices import Index
from hbi.models import System

METHODS = ("exact", "sampled", "released", "estimated")

PICTURE = 144
"""Least side of the pictures, pixels: a small encoder's frames are no sight."""


@dataclass(frozen=True)
class Player:
    """A trained model, what it is called, the data that it was trained for, and the estimators of its games."""

    name: str
    model: System
    data: DataConfig
    seed: int
    estimators: Mapping[Index, BanzhafEstimator] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """A caption and a video; ``number`` of the caption in the test split, where it is from there."""

    caption: str
    video: Video
    number: int | None = None


def of_run(folder: Path) -> Player:
    """The model of the complete run in ``folder``; of an estimator's run the model whose games it has learned, with
    that estimator. Raises InputError where its words and frames play no game, RunFailure where it has no result."""
    record = finished(folder)
    spec, config, file = record.spec, record.spec.model, None
    torch.set_num_threads(spec.runtime.threads)
    index: Index = "banzhaf"
    model: System
    if isinstance(config, EstimatorConfig):
        model, file, index = source_of(spec, folder.parent), weights_of(folder), config.index
    else:
        model = trained(folder)
        teacher = config.teacher if isinstance(config, HBIConfig) else None
        if teacher and teacher.method == "estimated":
            index = teacher.index
            file = weights_of(folder.parent / spec.after) if spec.after else Path(teacher.estimator)
    check_plays(model)
    estimators = {index: load_estimator(file, index)} if file and file.is_file() else {}
    return Player(record.run_id, model.to(device_of(spec.runtime.device)), spec.data, spec.seed, estimators)


def of_weights(name: str, model: System, data: DataConfig, seed: int, device: str) -> Player:
    """A model with its weights, called ``name``; ``device`` as in RuntimeConfig. Raises InputError where its words and
    frames play no game."""
    check_plays(model)
    return Player(name, model.to(device_of(device)), data, seed)


def chosen_index(name: str) -> Index:
    """Raises InputError for a name of none."""
    known: tuple[Index, ...] = get_args(Index)
    for index in known:
        if index == name:
            return index
    raise InputError(f"--index {name}: no such index; {did_you_mean(name, known)}")


def chosen_methods(players: Sequence[Player], index: Index, names: Sequence[str]) -> Sequence[str]:
    """``names``, one or two. Raises InputError where one is no method, or not one of these players and ``index``, or
    two are the same."""
    if len(names) > 2:
        raise InputError(f"--method is given {len(names)} times; the difference is one of two")
    if len(set(names)) < len(names):
        raise InputError(f"--method {names[0]} is given twice; give two different ones, or it once")
    for player, name in zip((players[0], players[-1]), (names[0], names[-1]), strict=True):
        known = ["exact", "sampled", *(["released"] if index == "banzhaf" else [])]
        known += ["estimated"] if index in player.estimators else []
        if name in known:
            continue
        if name in METHODS:
            raise InputError(f"--method {name}: {player.name} has none for {index}; there are {', '.join(known)}")
        raise InputError(f"--method {name}: no such method; {did_you_mean(name, METHODS)}")
    return names


def same_tokens(found: Sequence[tuple[str, Explanation]]) -> None:
    """Raises InputError where two explanations are not of the same words and frames: they cannot be compared."""
    (first, one), (second, other) = found[0], found[-1]
    if (one.pieces, one.seconds) != (other.pieces, other.seconds):
        raise InputError(
            f"{first} reads {len(one.pieces)} tokens and {len(one.pictures)} frames of this pair, {second} "
            f"{len(other.pieces)} and {len(other.pictures)}, or others: they cannot be compared"
        )


def pair_of(player: Player, query: str, video: str | None, cache: Path) -> Pair:
    """``query``: a sentence, or a caption's number in the test split of the model's data. ``video``: a file, or an id
    of that split; none: that of the numbered caption. The data are read only where a number or an id asks for them.

    Raises InputError where there is no such caption or video, or the sentence is empty.
    """
    if query.strip().startswith("-") and query.strip()[1:].isdecimal():
        raise InputError(f"--query {query.strip()}: a query's number counts from 0")
    numbered = query.strip().isdecimal()
    if not query.strip():
        raise InputError("--query is empty; give a sentence, or the number of a query of the test split")
    file = Path(video) if video else None
    if file and file.is_file() and not numbered:
        return Pair(query, Video(file.name, file))
    if video is None and not numbered:
        raise InputError("--video is missing: give a file, or the id of a video of the test split")
    if video and not numbered and _is_path(video):
        raise InputError(f"--video {video}: no such file")
    split = hbi.data.load(player.data, cache).splits["test"]
    caption, number, own = query, None, None
    if numbered:
        number = int(query)
        if number >= len(split.captions):
            raise InputError(
                f"--query {number}: the test split of {player.data.name} has {len(split.captions)} queries, from 0"
            )
        caption, own = split.captions[number], split.videos[split.video_of[number]]
    if video is None:
        assert own is not None
        return Pair(caption, own, number)
    return Pair(caption, Video(file.name, file) if file and file.is_file() else _video(split, video), number)


def _is_path(video: str) -> bool:
    """Whether it can only be a file: no data set is read to say that there is none."""
    return "/" in video or Path(video).suffix.lower() in (".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".flv")


def _video(split: Split, name: str) -> Video:
    for video in split.videos:
        if video.id == name:
            return video
    near = did_you_mean(name, [video.id for video in split.videos])
    raise InputError(f"--video {name}: no file, and no video of the test split; {near}")


def explained(player: Player, pair: Pair) -> Explanation:
    """What the model makes of the pair, frames sampled and words cut as for the data it was trained for.

    Raises VideoError where the video does not decode.
    """
    data, size = player.data, player.model.image_size
    clip = decode(pair.video, data, size)
    pictures = clip if size >= PICTURE else decode(pair.video, data, PICTURE)
    return explain(
        player.model,
        pair.caption,
        clip.frames,
        [position / clip.fps for position in clip.positions],
        pictures.frames,
        data.max_words,
        data.max_frames,
        player.estimators,
        player.seed,
    )
