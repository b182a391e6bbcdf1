"""The games of one caption and one video as files: a figure, a page that works offline, and the numbers."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hbi.files import write_atomically
from results.html import page
from results.numerals import rounded

if TYPE_CHECKING:
    from hbi.explain import Explanation, LevelGame
    from hbi.games.indices import Index

_LETTERS = 40
"""Of a sentence, in the name of its files."""

STRONGEST = 5
"""Pairs of a level that are printed."""


@dataclass(frozen=True)
class Explained:
    """What is shown: the first of ``runs``, and, where there are two, what it is held against.

    number   of the caption in the test split; none: it is not from there
    methods  the one that is shown, and, where there are two, the one that is taken off
    """

    video: str
    number: int | None
    runs: Sequence[tuple[str, Explanation]]
    index: Index
    methods: Sequence[str]
    made: str
    commit: str | None
    command: str

    @property
    def caption(self) -> str:
        return self.runs[0][1].caption

    @property
    def less(self) -> tuple[Explanation, str] | None:
        """What is taken off in the difference."""
        if len(self.runs) == 1 and len(self.methods) == 1:
            return None
        return self.runs[-1][1], self.methods[-1]

    @property
    def name(self) -> str:
        """Of its files: run, query and video, and what is shown where it is not the default, in letters that every
        file system takes."""
        query = f"q{self.number}" if self.number is not None else _plain(self.caption)
        parts = [_plain(self.runs[0][0]), query, _plain(Path(self.video).stem)]
        parts += [self.index] if self.index != "banzhaf" else []
        parts += ["-".join(self.methods)] if list(self.methods) != ["exact"] else []
        parts += [f"less-{_plain(other)}" for other, _ in self.runs[1:]]
        return ".".join(parts)


def write(explained: Explained, folder: Path) -> list[Path]:
    """NAME.pdf, .svg, .png, .html, .json, .interactions.csv and .values.csv; of two methods or runs also the figure
    of their difference, where they have a level in common. Returns the paths; raises OSError if the disk refuses."""
    from hbi.explain.figure import figure_caption, interaction_figure
    from results.figures import Drawn, save

    first, index, method, name = explained.runs[0][1], explained.index, explained.methods[0], explained.name
    figure, caption = interaction_figure(first, index, method), figure_caption(first, index, method, None)
    paths = [*save(Drawn(name, caption, figure), folder), *_difference(explained, folder)]
    tables = {
        "interactions": first.interactions_frame().to_csv(index=False),
        "values": first.values_frame().to_csv(index=False),
    }
    files = {f"{name}.html": html(explained), f"{name}.json": json.dumps(plain(explained), indent=1) + "\n"}
    for file, content in {**files, **{f"{name}.{what}.csv": text for what, text in tables.items()}}.items():
        write_atomically(folder / file, content)
        paths.append(folder / file)
    return paths


def _difference(explained: Explained, folder: Path) -> list[Path]:
    """The figure of it; where there is none, one that an earlier call has left goes."""
    from hbi.explain.figure import figure_caption, interaction_figure
    from results.figures import Drawn, save

    first, index, method, less = explained.runs[0][1], explained.index, explained.methods[0], explained.less
    name, figure = f"{explained.name}.difference", None
    with suppress(ValueError):  # no level has the same players
        figure = interaction_figure(first, index, method, less) if less else None
    if figure is not None:
        return save(Drawn(name, figure_caption(first, index, method, less), figure), folder)
    for ending in ("pdf", "svg", "png"):
        (folder / f"{name}.{ending}").unlink(missing_ok=True)
    return []


def plain(explained: Explained) -> dict[str, Any]:
    """For JSON: everything but the pictures."""
    runs = [{"name": name, **found.plain()} for name, found in explained.runs]
    return {"video": explained.video, "query": explained.number, "runs": runs, "command": explained.command}


def html(explained: Explained) -> str:
    """The page. It runs no script but its own, and asks the network for nothing."""
    first = explained.runs[0][1]
    less = {"run": len(explained.runs) - 1, "method": explained.methods[-1]} if explained.less else None
    shown = {"index": explained.index, "method": explained.methods[0], "level": first.levels[0].level, "less": less}
    data = {
        "runs": [_short({"name": name, **found.plain()}) for name, found in explained.runs],
        "pictures": [_picture(picture) for picture in first.pictures],
        "shown": shown,
    }
    encoded = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return page(
        "explain.html",
        title=f"{explained.caption[:80]}: words and frames",
        explained={
            "caption": explained.caption,
            "video": explained.video,
            "runs": [{"name": name, "similarity": found.similarity} for name, found in explained.runs],
            "made": explained.made,
            "commit": explained.commit,
            "command": explained.command,
        },
        notes=list(dict.fromkeys(note for _, found in explained.runs for note in found.notes)),
        data=Markup(encoded.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")),
    )


def summary(explained: Explained) -> list[str]:
    """What is printed: similarity, strongest pairs of every level, agreement of the methods."""
    index, method = explained.index, explained.methods[0]
    told = [f"“{explained.caption}” with {explained.video}"]
    for name, found in explained.runs:
        told.append(f"similarity {rounded(found.similarity, 4)} by {name}")
        told += [f"note: {note}" for note in found.notes]
        for game in found.levels:
            told += ["", *_level(found, game, index, method)]
    return told


def _level(found: Explanation, game: LevelGame, index: Index, method: str) -> list[str]:
    size = f"{len(game.words)} × {len(game.frames)}"
    pairs = game.strongest(index, method, STRONGEST)
    texts = [found.text_of(game.words[pair.word]) for pair in pairs]
    width = max(map(len, texts), default=0)
    told = [f"{game.level} level, {size}, similarity {rounded(game.similarity, 4)}; strongest by {index}, {method}:"]
    for pair, text in zip(pairs, texts, strict=True):
        told.append(f"  {pair.interaction:+.2e}  {text:{width}}  {found.time_of(game.frames[pair.frame])}")
    for other, agrees in found.agreement(game, index).items():
        correlation = "–" if agrees.correlation is None else f"{agrees.correlation:.4f}"
        told.append(f"  {other} against exact: correlation {correlation}, {100 * agrees.sign:.0f} % of signs right")
    return told


def _picture(frame: Any) -> str:
    """[3, S, S] uint8 as a JPEG in a data URI."""
    from PIL import Image

    image, file = Image.fromarray(frame.transpose(1, 2, 0)), io.BytesIO()
    image.save(file, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _short(value: Any) -> Any:
    """Numbers with six digits: a page is to be read, the JSON beside it has all of them."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _short(one) for key, one in value.items()}
    return [_short(one) for one in value] if isinstance(value, list) else value


def _plain(text: str) -> str:
    """``text`` in letters that every file system takes; where something is lost, with a few digits of its hash."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")
    if len(slug) <= _LETTERS and re.sub(r"[\s-]+", "-", text).strip("-.") == slug:
        return slug
    digits = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:6]
    return f"{slug[:_LETTERS].strip('-.')}-{digits}".strip("-")
