"""The numbers of one pair: who plays at each level, what was merged into whom, interactions and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hbi.config import Level
from hbi.explain.pieces import Piece, written
from hbi.games.indices import Index

if TYPE_CHECKING:
    import pandas

Numbers = NDArray[np.float64]
Members = tuple[int, ...]


class Pair(NamedTuple):
    """A player of the text, one of the video, and their interaction."""

    word: int
    frame: int
    interaction: float


@dataclass(frozen=True)
class LevelGame:
    """The game of one level, between T players of the text and V of the video.

    words         [T] the pieces that each consists of: those of a word, or of a phrase that was merged; numbers as in
                  ``Explanation.pieces``. None of a cluster that is empty and plays all the same (released padding)
    frames        [V] the frames of each, likewise
    similarity    worth of all players, which is the level's similarity
    rate          weight of the level in the similarity of the pair
    interactions  [T,V] by index and method: "exact", "sampled", "released", "estimated"
    values        [T] and [V] by index, exact: what a player adds to a coalition of the others
    """

    level: Level
    words: tuple[Members, ...]
    frames: tuple[Members, ...]
    similarity: float
    rate: float
    interactions: Mapping[Index, Mapping[str, Numbers]]
    values: Mapping[Index, tuple[Numbers, Numbers]]

    def strongest(self, index: Index, method: str, count: int) -> list[Pair]:
        """The ``count`` pairs whose interaction is largest in modulus, the largest first."""
        found = self.interactions[index][method]
        order = np.argsort(-np.abs(found), axis=None, kind="stable")[:count]
        places = zip(*np.unravel_index(order, found.shape), strict=True)
        return [Pair(int(word), int(frame), float(found[word, frame])) for word, frame in places]


@dataclass(frozen=True)
class Agreement:
    """Of the interactions that a method finds with the exact ones, over all pairs of players of a level."""

    correlation: float | None  # Pearson's; none where one side does not vary
    sign: float  # share of pairs whose sign is right
    mean_absolute_error: float


@dataclass(frozen=True)
class Explanation:
    """What a model makes of one caption and one video, seen as the game of their words and frames.

    pieces      the tokens of the caption, in its order
    seconds     [F] where in the video each frame is; none: not known
    similarity  of the pair, as the model ranks by
    levels      lowest first
    notes       what a reader should know, a sentence each
    pictures    [F, 3, S, S] uint8, the frames to look at
    """

    caption: str
    pieces: tuple[Piece, ...]
    seconds: tuple[float, ...] | None
    similarity: float
    levels: tuple[LevelGame, ...]
    notes: tuple[str, ...]
    pictures: NDArray[np.uint8] = field(repr=False, compare=False)

    def level(self, name: str) -> LevelGame:
        """Raises KeyError where the model has no such level."""
        return {game.level: game for game in self.levels}[name]  # type: ignore[index]

    def text_of(self, members: Sequence[int]) -> str:
        """A player of the text as it is written; a whole word that comes several times is numbered: "a (2)"."""
        return self._words.get(tuple(members)) or written(self.pieces, members) or "(empty)"

    @cached_property
    def _words(self) -> dict[Members, str]:
        """By their pieces, the whole words that need a number, with it."""
        numbers = range(self.pieces[-1].word + 1)
        whole = [tuple(n for n, piece in enumerate(self.pieces) if piece.word == number) for number in numbers]
        texts = [written(self.pieces, members) for members in whole]
        return {
            members: f"{text} ({texts[: place + 1].count(text)})"
            for place, (members, text) in enumerate(zip(whole, texts, strict=True))
            if texts.count(text) > 1
        }

    def time_of(self, members: Sequence[int]) -> str:
        """A player of the video by its times: "1.5 s", "0–2.5 s" where no frame between them is another's, else
        "0, 1.5, 4 s". Without times frames are counted from 1."""
        if not members:
            return "(empty)"
        named = [f"{self.seconds[n]:.4g}" if self.seconds else str(n + 1) for n in members]
        runs: list[list[str]] = []
        for place, name in enumerate(named):
            if place and members[place] == members[place - 1] + 1:
                runs[-1].append(name)
            else:
                runs.append([name])
        told = ", ".join(run[0] if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)
        return f"{told} s" if self.seconds else f"frame {told}"

    def agreement(self, level: LevelGame, index: Index) -> dict[str, Agreement]:
        """Of every method but the exact one."""
        exact = level.interactions[index]["exact"]
        others = {name: found for name, found in level.interactions[index].items() if name != "exact"}
        return {name: _agreement(found, exact) for name, found in others.items()}

    def interactions_frame(self) -> pandas.DataFrame:
        """A row a level, index, method, player of the text and player of the video."""
        import pandas

        rows = [
            (game.level, index, method, self.text_of(word), self.time_of(frame), t, v, found[t, v])
            for game, index, method, found in self._matrices()
            for t, word in enumerate(game.words)
            for v, frame in enumerate(game.frames)
        ]
        columns = ["level", "index", "method", "text", "video", "text player", "video player", "interaction"]
        table: pandas.DataFrame = pandas.DataFrame(rows, columns=columns)
        return table

    def values_frame(self) -> pandas.DataFrame:
        """A row a level, index and player."""
        import pandas

        rows = [
            (game.level, index, side, name(player), number, float(value))
            for game in self.levels
            for index, (of_words, of_frames) in game.values.items()
            for side, players, values, name in (
                ("text", game.words, of_words, self.text_of),
                ("video", game.frames, of_frames, self.time_of),
            )
            for number, (player, value) in enumerate(zip(players, values, strict=True))
        ]
        columns = ["level", "index", "side", "name", "player", "value"]
        table: pandas.DataFrame = pandas.DataFrame(rows, columns=columns)
        return table

    def _matrices(self) -> Iterator[tuple[LevelGame, Index, str, Numbers]]:
        for game in self.levels:
            for index, by_method in game.interactions.items():
                for method, found in by_method.items():
                    yield game, index, method, found

    def plain(self) -> dict[str, Any]:
        """Everything but the pictures, for JSON."""
        return {
            "version": 1,
            "caption": self.caption,
            "similarity": self.similarity,
            "notes": list(self.notes),
            "pieces": [piece._asdict() for piece in self.pieces],
            "seconds": list(self.seconds) if self.seconds else None,
            "frames": len(self.pictures),
            "levels": [self._plain_level(game) for game in self.levels],
        }

    def _plain_level(self, game: LevelGame) -> dict[str, Any]:
        return {
            "level": game.level,
            "similarity": game.similarity,
            "rate": game.rate,
            "words": [{"text": self.text_of(members), "pieces": list(members)} for members in game.words],
            "frames": [{"time": self.time_of(members), "frames": list(members)} for members in game.frames],
            "interactions": {
                index: {method: found.tolist() for method, found in by_method.items()}
                for index, by_method in game.interactions.items()
            },
            "values": {
                index: {"words": words.tolist(), "frames": frames.tolist()}
                for index, (words, frames) in game.values.items()
            },
            "agreement": {
                index: {method: vars(found) for method, found in self.agreement(game, index).items()}
                for index in game.interactions
            },
        }


def _agreement(found: Numbers, exact: Numbers) -> Agreement:
    x, y = found.ravel(), exact.ravel()
    varies = bool(np.ptp(x) > 0 and np.ptp(y) > 0)
    return Agreement(
        correlation=float(np.corrcoef(x, y)[0, 1]) if varies else None,
        sign=float(np.mean(np.sign(x) == np.sign(y))),
        mean_absolute_error=float(np.mean(np.abs(x - y))),
    )
