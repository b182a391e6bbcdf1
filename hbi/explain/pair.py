"""One caption and one video through a trained model: its games at every level, and what was merged on the way."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hbi.config import LEVELS, Level
from hbi.errors import InputError
from hbi.explain.explanation import Explanation, LevelGame, Members, Numbers
from hbi.explain.pieces import pieces_of
from hbi.games import TokenGame, interaction, value, worth
from hbi.games.estimator import BanzhafEstimator, estimated_interaction
from hbi.games.indices import Index
from hbi.games.token_game import Padding
from hbi.models.base import Encoded, System
from hbi.models.drl import DRL
from hbi.models.hbi import HBI, Side
from hbi.models.token_merge import TokenMerge
from hbi.seeds import spread

SAMPLES = 1000
"""Coalitions that the methods draw which sample."""

Clusters = dict[tuple[Side, Level], Tensor]
"""The cluster that each token of the level below joins, [1,N], by side and level."""


def explain(
    model: System,
    caption: str,
    frames: NDArray[np.uint8],
    seconds: Sequence[float] | None = None,
    pictures: NDArray[np.uint8] | None = None,
    max_words: int = 24,
    max_frames: int = 12,
    estimators: Mapping[Index, BanzhafEstimator] | None = None,
    seed: int = 0,
) -> Explanation:
    """Interactions by every method and values of every player, at every level of ``model``.

    model       HBI with the entity level, or DRL that compares tokens
    frames      [F, 3, S, S] uint8 at the model's size (``hbi.data.decode.decode``)
    seconds     [F] where in the video they are
    pictures    [F, 3, any, any] uint8, the same frames to look at; none: ``frames``
    max_words   tokens that the model is given, and max_frames: padding counts, for both say how many clusters there are
    estimators  learned ones, by the index that they estimate
    seed        of the methods that draw

    Raises InputError where words and frames of the model play no game, the caption is empty or there is no frame.
    """
    check_plays(model)
    if not caption.strip():
        raise InputError("the sentence is empty; give one that the video is to be compared with")
    if not 1 <= len(frames) <= max_frames:
        raise InputError(f"{len(frames)} frames: the model takes 1 to {max_frames}")
    token_ids, text_mask, pieces, cut = pieces_of(caption, max_words)
    padded = np.zeros((max_frames, *frames.shape[1:]), np.uint8)
    padded[: len(frames)] = frames
    video_mask = torch.arange(max_frames)[None] < len(frames)
    device = next(model.parameters()).device
    with _all_levels(model) as clusters, torch.inference_mode():
        text = model.encode_text(token_ids.to(device), text_mask.to(device))
        video = model.encode_video(torch.from_numpy(padded)[None].to(device), video_mask.to(device))
        similarity = model.similarity(text, video).item()
        text, video = text.to("cpu"), video.to("cpu")
        games = _games(model, text, video)
    words = _members("text", len(pieces), clusters, text)
    words["entity"] = [tuple(k for k, other in enumerate(pieces) if other.word == piece.word) for piece in pieces]
    clips = _members("video", len(frames), clusters, video)
    rates: Mapping[Level, float] = model.config.similarity_rates if isinstance(model, HBI) else {"entity": 1.0}
    levels = [
        _level_game(level, game, words[level], clips[level], rates.get(level, 0.0), estimators or {}, seed)
        for level, game in games.items()
    ]
    notes = [cut] if cut else []
    parts = len(pieces) - 1 - pieces[-1].word
    if parts:
        notes.append(
            "words of several tokens are one word at the entity level: interactions and values of its tokens are summed"
        )
    shown = frames if pictures is None else pictures
    times = None if seconds is None else tuple(map(float, seconds))
    return Explanation(caption, tuple(pieces), times, similarity, tuple(levels), tuple(notes), shown)


def check_plays(model: System) -> None:
    """Raises InputError unless words and frames of ``model`` play the game at the entity level."""
    if isinstance(model, HBI) and "entity" in model.config.levels:
        return
    if isinstance(model, DRL) and model.config.interaction != "dp":
        return
    name = getattr(getattr(model, "config", None), "system", type(model).__name__)
    raise InputError(
        f"words and frames of {name} play no game here; take hbi with the entity level, or drl with tokens"
    )


# ---- encoding -------------------------------------------------------------------------------------------------------


@contextmanager
def _all_levels(model: System) -> Iterator[Clusters]:
    """``model`` in training mode, in which it encodes every level it has; notes what its merging joins."""
    clusters: Clusters = {}
    handles = []
    if isinstance(model, HBI):
        merges: tuple[tuple[Side, nn.ModuleDict], ...] = (("text", model.text_merge), ("video", model.video_merge))
        for side, by_level in merges:
            for level in (level for level in LEVELS if level in by_level):
                merge = by_level[level]
                assert isinstance(merge, TokenMerge)
                normed: list[Tensor] = []
                handles.append(merge.norm.register_forward_hook(partial(_note, normed)))
                noted = partial(_note_clusters, clusters, model, side, level, normed)
                handles.append(merge.register_forward_hook(noted))
    training = model.training
    model.train()
    try:
        yield clusters
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()


def _note(into: list[Tensor], module: nn.Module, arguments: Any, output: Tensor) -> None:
    into[:] = [output]


def _note_clusters(
    into: Clusters,
    model: HBI,
    side: Side,
    level: Level,
    normed: Sequence[Tensor],
    merge: TokenMerge,
    arguments: tuple[Any, ...],
    output: Any,
) -> None:
    """Clusters once more what ``merge`` has clustered, with the same noise where there is some."""
    _, mask, noise = arguments
    again = None if noise is None else model._generator(mask.device, "clustering", side, level)
    into[side, level] = merge._cluster(normed[0].float(), mask, again)[0].cpu()


def _games(model: System, text: Encoded, video: Encoded) -> dict[Level, TokenGame]:
    """Of every level, lowest first."""
    if isinstance(model, HBI):
        return {level: model.game(level, text, video) for level in LEVELS if level in model.config.levels}
    assert isinstance(model, DRL)
    cosines = (text["tokens"] @ video["tokens"].mT).float()
    of_words, of_frames = (side["weights"].float().log() for side in (text, video))
    padding: Padding = "released" if model.config.departures.similarity_padding == "released" else "neutral"
    return {"entity": TokenGame(cosines, of_words, of_frames, text["mask"], video["mask"], padding)}


def _members(side: Side, count: int, clusters: Clusters, encoded: Encoded) -> dict[Level, list[Members]]:
    """The tokens of each player of a side at every level, by way of what was merged."""
    found: dict[Level, list[Members]] = {"entity": [(n,) for n in range(count)]}
    below = found["entity"]
    for level in LEVELS[1:]:
        if (side, level) not in clusters:
            break
        joined = clusters[side, level][0].tolist()
        below = [
            tuple(sorted(n for members, cluster in zip(below, joined, strict=False) if cluster == k for n in members))
            for k in range(_clusters(encoded, level, joined))
        ]
        found[level] = below
    return found


def _clusters(encoded: Encoded, level: Level, joined: Sequence[int]) -> int:
    """How many places the level has; of one that is merged but not compared, those that something has joined."""
    mask = encoded.tensors.get(f"{level}/mask")
    return max(joined) + 1 if mask is None else mask.shape[1]


# ---- the games ------------------------------------------------------------------------------------------------------


def _level_game(
    level: Level,
    game: TokenGame,
    words: Sequence[Members],
    frames: Sequence[Members],
    rate: float,
    estimators: Mapping[Index, BanzhafEstimator],
    seed: int,
) -> LevelGame:
    """``words`` and ``frames``: those of each place of the game; places that hold the same word are one player, and
    players stand in the order of what they hold."""
    precise = _in_double_precision(game)
    players, joining = _joined(words, game.text.mask)
    clips, sorting = _joined(frames, game.video.mask)
    interactions: dict[Index, dict[str, Numbers]] = {}
    values: dict[Index, tuple[Numbers, Numbers]] = {}
    for index in get_args(Index):
        found = _interactions(game, precise, index, estimators.get(index), spread(seed, "explanation", level, index))
        interactions[index] = {name: joining @ _array(matrix) @ sorting.T for name, matrix in found.items()}
        of_words, of_frames = value(precise, index)
        values[index] = joining @ _array(of_words), sorting @ _array(of_frames)
    everyone = worth(precise, game.text.mask[:, None], game.video.mask[:, None]).item()
    return LevelGame(level, players, clips, everyone, rate, interactions, values)


def _joined(places: Sequence[Members], mask: Tensor) -> tuple[tuple[Members, ...], Numbers]:
    """The players of one side in order, and which places [players, places] each of them has, as 0 and 1; padding has
    none. Where a place holds nothing it is a player of its own, behind the others."""
    held = {place: places[place] for place in mask[0].nonzero().flatten().tolist()}
    keys = {place: (0, *members) if members else (1, place) for place, members in held.items()}
    ordered = sorted(set(keys.values()))
    joining = np.array([[keys.get(place) == key for place in range(mask.shape[1])] for key in ordered], np.float64)
    return tuple(key[1:] if key[0] == 0 else () for key in ordered), joining


def _interactions(
    game: TokenGame, precise: TokenGame, index: Index, estimator: BanzhafEstimator | None, seed: int
) -> dict[str, Tensor]:
    """[1,T,V] by method, the exact one first."""
    generator = torch.Generator().manual_seed(seed)
    found = {"exact": interaction(precise, index)}
    found["sampled"] = interaction(precise, index, method="sample", samples=SAMPLES, generator=generator)
    if index == "banzhaf":  # the published sampler knows no other
        found["released"] = interaction(game, index, method="released", samples=SAMPLES, generator=generator)
    if estimator is not None:
        found["estimated"] = estimated_interaction(estimator.cpu(), game)
    return found


def _in_double_precision(game: TokenGame) -> TokenGame:
    scores = game.text.scores.double(), game.video.scores.double()
    padding: Padding = "neutral" if game.neutral else "released"
    return TokenGame(game.similarity.double(), *scores, game.text.mask, game.video.mask, padding)


def _array(tensor: Tensor) -> Numbers:
    """Of the only game."""
    return tensor[0].double().numpy()
