"""Names beside points, so that none covers another."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from results.figures.style import settle

FONT_SIZE = 6

_DISTANCES = (5, 8, 11, 16, 22, 29, 37, 46, 58, 72)
"""Points, from the middle of a marker to its text."""

_ADJACENT = 11
"""From there on a thin line leads from the text to its marker."""

_ANGLES = tuple(2 * pi * n / 16 for n in (0, 8, 1, 15, 7, 9, 2, 14, 6, 10, 3, 13, 5, 11, 4, 12))
"""Beside it first, above and below it last."""

_MARKER = 4.0
"""Half the width of a marker, points."""

Place = tuple[float, float]
"""x and y, as data."""


@dataclass(frozen=True)
class Named:
    """A point with its name."""

    at: Place
    text: str
    colour: str


def place_names(panel: Axes, points: Sequence[Named], lines: Sequence[tuple[Place, Place]]) -> None:
    """Writes each name at the nearest place at which it covers neither a name nor a marker nor, if that can be, one of
    the ``lines``, which are parallel to an axis. Limits and scales of the axes must be final."""
    figure = panel.get_figure()
    assert isinstance(figure, Figure)
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    settle(figure)
    point = figure.dpi / 72
    frame = panel.get_window_extent(renderer)
    drawn = [tuple(map(float, panel.transData.transform(one.at))) for one in points]
    taken = [Bbox.from_extents(x, y, x, y).padded(_MARKER * point) for x, y in drawn]
    soft = [Bbox(panel.transData.transform(line)).padded(0.5 * point) for line in lines]
    for one, (x, y) in zip(points, drawn, strict=True):
        text = panel.text(*one.at, one.text, fontsize=FONT_SIZE)
        size = text.get_window_extent(renderer)
        text.remove()
        faults = []
        for distance in _DISTANCES:
            for preference, angle in enumerate(_ANGLES):
                right = cos(angle) * (distance * point + size.width / 2)
                up = sin(angle) * (distance * point + size.height / 2)
                box = Bbox.from_bounds(x + right - size.width / 2, y + up - size.height / 2, size.width, size.height)
                covered = 100 * box.count_overlaps(taken) + 40 * box.count_overlaps(soft)
                outside = 1000 * (not _holds(frame, box))
                faults.append((covered + outside + distance + 0.3 * preference, distance, right, up, box))
        _, distance, right, up, box = min(faults, key=lambda fault: fault[0])
        panel.annotate(
            one.text,
            one.at,
            (right / point, up / point),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=FONT_SIZE,
            color=one.colour,
            zorder=4,
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "0.6", "shrinkA": 0, "shrinkB": _MARKER}
            if distance >= _ADJACENT
            else None,
        )
        taken.append(box)


def _holds(outer: Bbox, inner: Bbox) -> bool:
    return bool(outer.x0 <= inner.x0 and outer.y0 <= inner.y0 and inner.x1 <= outer.x1 and inner.y1 <= outer.y1)
