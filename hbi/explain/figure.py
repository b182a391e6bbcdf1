"""The games of a pair as a picture: words beside frames, a cell for each two of them, boxes for what was merged.

Blue is positive, orange and hatched is negative, and a cell is the stronger in colour the larger its interaction, so
that it can be read in grey and by colour-blind readers. All sizes are in inches.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hbi.config import LEVELS, Level
from hbi.explain.explanation import Explanation, LevelGame, Members, Numbers
from hbi.games.indices import Index

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POSITIVE, NEGATIVE, INK, GREY = "#0072b2", "#d55e00", "#000000", "#737373"
WIDTH = 7.0
"""Of the figure at most: a page of a paper."""

MOST_WORDS, MOST_FRAMES = 24, 16
"""Players of a level that are drawn; of more, those that interact most."""

HATCHED_FROM = 0.04
"""Share of the largest interaction below which a negative one is too weak in colour to be hatched."""

_LINE, _LETTER, _TITLE, _TIMES, _BAR, _GAP, _PICTURE = 0.135, 0.056, 0.2, 0.12, 0.3, 0.16, 0.6
_SCALE = 0.84
_MOST_LINES = 3
"""Of the label of a phrase."""
_SETTINGS: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "text.parse_math": False,  # a $ in a caption is no formula
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class _Panel:
    """What is drawn of one level: ``words`` and ``frames`` are the players shown, ``pictures`` [V] those of each."""

    title: str
    matrix: Numbers
    labels: list[list[str]]  # a line each
    merged: list[bool]  # of the words: whether there are several
    frames: list[Members]
    pictures: list[list[int]]
    of_words: Numbers
    of_frames: Numbers
    left_out: str


def interaction_figure(
    explanation: Explanation,
    index: Index = "banzhaf",
    method: str = "exact",
    less: tuple[Explanation, str] | None = None,
    levels: Sequence[Level] = LEVELS,
) -> Figure:
    """A matplotlib figure of the interactions at every level, with the frames, the words and the players' own values.

    less    another explanation of the same pair, or the same one, and its method: the difference is drawn instead, at
            the levels where both have the same players
    levels  those that are drawn, where the model has them; raises ValueError where nothing is

    Raises KeyError where ``method`` has not been computed for ``index``.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    games = [game for game in explanation.levels if game.level in levels]
    panels = [panel for game in games if (panel := _panel(explanation, game, index, method, less))]
    if not panels:
        raise ValueError(f"no level with the same players among {', '.join(levels)}")
    columns = max(sum(map(len, panel.pictures)) for panel in panels)
    labels = max(len(line) for panel in panels for lines in panel.labels for line in lines)
    left, right = 0.15 + _LETTER * max(labels, 8), 0.75 if any(len(panel.of_words) for panel in panels) else 0.1
    side = min(_PICTURE, (WIDTH - left - right) / columns)
    headings = max(_LETTER * (1.25 * len(panel.title) + 2 * len(_largest(panel))) + _SCALE for panel in panels)
    width = max(headings + 0.25, left + right + side * columns)
    height = sum(_height(panel, side) for panel in panels) + _GAP * (len(panels) - 1) + 0.05
    with matplotlib.style.context(["default", _SETTINGS]):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.axis("off")
        top = 0.02
        for panel in panels:
            _draw(axes, panel, explanation, left, top, side, width)
            top += _height(panel, side) + _GAP
    return figure


def figure_caption(explanation: Explanation, index: Index, method: str, less: tuple[Explanation, str] | None) -> str:
    """What the figure shows and what its signs mean, for the line below it."""
    name = {"banzhaf": "Banzhaf", "shapley": "Shapley"}[index]
    what = f"{name} interactions of words and frames, {method}"
    if less:
        what += f", less {less[1]}" + ("" if less[0] is explanation else " of the other model")
    told = [f"{what}: “{explanation.caption}”", "blue is positive, orange and hatched negative"]
    if any(game.level != "entity" for game in explanation.levels):
        told.append("boxes hold what was merged")
    if _with_values(explanation, less):
        told.append("bars beside the words and below the frames are their own values, exact")
    panels = [_panel(explanation, game, index, method, less) for game in explanation.levels]
    told += [panel.left_out for panel in panels if panel and panel.left_out]
    missing = [game.level for game, panel in zip(explanation.levels, panels, strict=True) if panel is None]
    if missing:
        told.append(f"at the {' and '.join(missing)} level the two merge differently, so there is no difference")
    return "; ".join([*told, *explanation.notes]) + "."


# ---- what is drawn --------------------------------------------------------------------------------------------------


def _with_values(explanation: Explanation, less: tuple[Explanation, str] | None) -> bool:
    """Two methods of one game share its exact values."""
    return less is None or less[0] is not explanation


def _panel(
    explanation: Explanation, game: LevelGame, index: Index, method: str, less: tuple[Explanation, str] | None
) -> _Panel | None:
    """None of a level whose players the other explanation does not have."""
    matrix, (of_words, of_frames) = game.interactions[index][method], game.values[index]
    if less:
        other = {found.level: found for found in less[0].levels}.get(game.level)
        if other is None or (other.words, other.frames) != (game.words, game.frames):
            return None
        matrix = matrix - other.interactions[index][less[1]]
        of_words, of_frames = (
            own - theirs for own, theirs in zip(game.values[index], other.values[index], strict=True)
        )
        if not _with_values(explanation, less):
            of_words, of_frames = of_words[:0], of_frames[:0]
    rows, columns = _most(np.abs(matrix).sum(1), MOST_WORDS), _most(np.abs(matrix).sum(0), MOST_FRAMES)
    frames = [game.frames[column] for column in columns]
    share = min(1.0, MOST_FRAMES / sum(max(1, len(members)) for members in frames))
    size = " × ".join(_of(len(shown), total) for shown, total in zip((rows, columns), matrix.shape, strict=True))
    shown, similarity = "{} of {} words and {} of {} frames", f"similarity {game.similarity:.3f}"
    left_out = ""
    if (len(rows), len(columns)) != matrix.shape:
        counted = shown.format(len(rows), len(matrix), len(columns), matrix.shape[1])
        left_out = f"{game.level} level: {counted} are drawn, those that interact most"
    entity = game.level == "entity"
    return _Panel(
        title=f"{game.level} level, {size}, " + (_minus(explanation, method, less) if less else similarity),
        matrix=matrix[np.ix_(rows, columns)],
        labels=[_lines(explanation.text_of(game.words[row]), entity) for row in rows],
        merged=[len({explanation.pieces[n].word for n in game.words[row]}) > 1 for row in rows],
        frames=frames,
        pictures=[_evenly(members, max(1, int(share * len(members)))) for members in frames],
        of_words=of_words[rows] if len(of_words) else of_words,
        of_frames=of_frames[columns] if len(of_frames) else of_frames,
        left_out=left_out,
    )


def _minus(explanation: Explanation, method: str, less: tuple[Explanation, str]) -> str:
    """Which difference it is."""
    if less[0] is explanation:
        return f"{method} − {less[1]}"
    return "this model − the other" if method == less[1] else f"{method} − {less[1]} of the other model"


def _of(shown: int, total: int) -> str:
    return str(total) if shown == total else f"{shown} of {total}"


def _most(total: Numbers, count: int) -> list[int]:
    """The places of the ``count`` largest, in their order."""
    return sorted(np.argsort(-total, kind="stable")[:count].tolist())


def _evenly(members: Members, count: int) -> list[int]:
    """As many of them, both ends included; an empty place where there is none."""
    if len(members) <= count:
        return list(members) or [-1]
    return [members[place] for place in np.linspace(0, len(members) - 1, count).round().astype(int)]


def _lines(text: str, single: bool) -> list[str]:
    """A label in lines that fit; a word longer than one is cut."""
    legible = "".join(map(_legible, text))
    if single:
        return [
            textwrap.shorten(legible, 22, placeholder="…") if len(legible) > 22 and " " in legible else _cut(legible)
        ]
    return textwrap.wrap(legible, 24, max_lines=_MOST_LINES, placeholder=" …") or [""]


def _cut(word: str) -> str:
    return word if len(word) <= 22 else f"{word[:21]}…"


def _legible(letter: str) -> str:
    """The letter, or its number where the font has none and would draw a box."""
    return letter if ord(letter) in _letters() else letter.encode("ascii", "backslashreplace").decode()


@cache
def _letters() -> frozenset[int]:
    """What the font has."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap())


# ---- drawing --------------------------------------------------------------------------------------------------------


def _largest(panel: _Panel) -> str:
    return f"{np.abs(panel.matrix).max(initial=0):.2g}"


def _height(panel: _Panel, side: float) -> float:
    bars = _BAR if len(panel.of_frames) else 0
    return _TITLE + _TIMES + side + 0.06 + sum(map(_row_height, panel.labels)) + bars


def _row_height(lines: Sequence[str]) -> float:
    return _LINE * len(lines) + (0.05 if len(lines) > 1 else 0.015)


def _draw(
    axes: Axes, panel: _Panel, explanation: Explanation, left: float, top: float, side: float, width: float
) -> None:
    """From ``top`` down: title and scale, times, pictures, the cells between the words and their values, and the
    values of the frames."""
    largest = float(np.abs(panel.matrix).max(initial=0))
    edges = left + side * np.cumsum([0, *map(len, panel.pictures)])
    heights = list(map(_row_height, panel.labels))
    first = top + _TITLE + _TIMES + side + 0.06
    rows = first + np.cumsum([0, *heights])
    axes.text(0.03, top + 0.09, panel.title, size=8, weight="bold", va="center")
    _scale(axes, largest, width - 0.05, top + 0.09)
    unit = "seconds" if explanation.seconds else "frame"
    axes.text(left - 0.06, top + _TITLE + 0.05, unit, size=6, ha="right", va="center", color=GREY)
    for column, (members, shown) in enumerate(zip(panel.frames, panel.pictures, strict=True)):
        _clip(axes, explanation, members, shown, float(edges[column]), top + _TITLE, side)
    for row, lines in enumerate(panel.labels):
        middle = (rows[row] + rows[row + 1]) / 2
        axes.text(left - 0.06, middle, "\n".join(lines), size=7, ha="right", va="center", linespacing=1.15)
        if panel.merged[row]:
            _box(axes, 0.02, rows[row] + 0.01, left - 0.04, heights[row] - 0.02)
        for column in range(len(panel.frames)):
            place = edges[column], rows[row], edges[column + 1] - edges[column], heights[row]
            _cell(axes, panel.matrix[row, column], largest, *map(float, place))
    _frame(axes, left, first, float(edges[-1]) - left, float(rows[-1]) - first)
    _values(axes, panel, edges, rows)


def _clip(
    axes: Axes, explanation: Explanation, members: Members, shown: Sequence[int], left: float, top: float, side: float
) -> None:
    """The pictures of a player of the video, with its times; in a box where there are several."""
    for place, number in enumerate(shown):
        if number < 0:
            axes.text(left + side / 2, top + _TIMES + side / 2, "empty", size=6, ha="center", va="center", color=GREY)
            continue
        x, y = left + side * place + 0.015, top + _TIMES + 0.015
        picture = explanation.pictures[number].transpose(1, 2, 0)
        axes.imshow(picture, extent=(x, x + side - 0.03, y + side - 0.03, y), zorder=2, aspect="auto")
        if len(shown) == len(members):
            time = f"{explanation.seconds[number]:.4g}" if explanation.seconds else str(number + 1)
            axes.text(x + side / 2 - 0.015, top + 0.05, time, size=6, ha="center", va="center", color=GREY)
    if len(shown) < len(members):
        told = f"{len(shown)} of {len(members)}" + (" frames" if side * len(shown) > 0.8 else "")
        axes.text(left + side * len(shown) / 2, top + 0.05, told, size=6, ha="center", va="center", color=GREY)
    if len(members) > 1:
        _box(axes, left + 0.003, top - 0.01, side * len(shown) - 0.006, _TIMES + side + 0.02)


def _cell(axes: Axes, number: float, largest: float, x: float, y: float, width: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    strength = abs(number) / largest if largest else 0.0
    colour = _mixed(NEGATIVE if number < 0 else POSITIVE, "#ffffff", strength)
    axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="0.85", linewidth=0.3))
    if number < 0 and strength >= HATCHED_FROM:
        lines = _mixed(INK, colour, 0.25 + 0.5 * strength)
        axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=lines, linewidth=0, hatch="//////"))


def _mixed(colour: str, other: str, share: float) -> str:
    """``share`` of ``colour``, the rest of ``other``: opaque, for some printers know no transparency."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = (share * a + (1 - share) * b for a, b in zip(to_rgb(colour), to_rgb(other), strict=True))
    return to_hex((red, green, blue))


def _values(axes: Axes, panel: _Panel, edges: Numbers, rows: Numbers) -> None:
    """Bars of one scale, right of the words and below the frames; a negative one is hatched, and goes the other way."""
    if not len(panel.of_words):
        return
    largest = float(max(np.abs(panel.of_words).max(), np.abs(panel.of_frames).max())) or 1.0
    negative = bool((panel.of_words < 0).any()), bool((panel.of_frames < 0).any())
    length, zero = (0.3 if negative[0] else 0.62), float(edges[-1]) + (0.38 if negative[0] else 0.06)
    axes.plot([zero, zero], [rows[0], rows[-1]], color=GREY, linewidth=0.5)
    for row, number in enumerate(panel.of_words):
        end = length * float(number) / largest
        middle, thick = float(rows[row] + rows[row + 1]) / 2, 0.08
        _bar(axes, number, min(zero, zero + end), middle - thick / 2, abs(end), thick)
    depth, base = (0.12 if negative[1] else 0.24), float(rows[-1]) + (0.15 if negative[1] else 0.03)
    axes.plot([edges[0], edges[-1]], [base, base], color=GREY, linewidth=0.5)
    for column, number in enumerate(panel.of_frames):
        end = depth * float(number) / largest
        middle, thick = float(edges[column] + edges[column + 1]) / 2, min(0.16, float(edges[1] - edges[0]) / 2)
        top = base if negative[1] is False or number < 0 else base - end
        _bar(axes, number, middle - thick / 2, top, thick, abs(end))
    told: dict[str, Any] = {"size": 6, "va": "center", "color": GREY}
    axes.text(zero, float(rows[0]) - 0.07, f"value (≤ {largest:.2g})", ha="center" if negative[0] else "left", **told)
    axes.text(float(edges[0]) - 0.06, float(rows[-1]) + _BAR / 2, "value", ha="right", **told)


def _bar(axes: Axes, number: float, x: float, y: float, width: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    style: dict[str, Any] = {"facecolor": POSITIVE, "edgecolor": POSITIVE, "linewidth": 0.4}
    if number < 0:
        style = {
            "facecolor": _mixed(NEGATIVE, "#ffffff", 0.5),
            "edgecolor": NEGATIVE,
            "linewidth": 0.4,
            "hatch": "//////",
        }
    axes.add_patch(Rectangle((x, y), width, height, **style))


def _scale(axes: Axes, largest: float, right: float, middle: float) -> None:
    """What the colours mean, from the most negative to the most positive, its right end at ``right``."""
    told = f"{largest:.2g}"
    start, steps, step = right - _LETTER * len(told) - _SCALE, 20, 0.04
    for n in range(steps + 1):
        number = (n - steps / 2) / (steps / 2)
        _cell(axes, number, 1.0, start + step * n, middle - 0.045, step, 0.09)
    _frame(axes, start, middle - 0.045, step * (steps + 1), 0.09)
    axes.text(start - 0.03, middle, f"−{told}", size=6, ha="right", va="center")
    axes.text(start + step * (steps + 1) + 0.03, middle, told, size=6, ha="left", va="center")


def _frame(axes: Axes, x: float, y: float, width: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), width, height, facecolor="none", edgecolor=GREY, linewidth=0.6, zorder=3))


def _box(axes: Axes, x: float, y: float, width: float, height: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    style: dict[str, Any] = {
        "boxstyle": "round,pad=0,rounding_size=0.03",
        "facecolor": "none",
        "edgecolor": INK,
        "linewidth": 0.7,
    }
    axes.add_patch(FancyBboxPatch((x, y), width, height, zorder=3, **style))
