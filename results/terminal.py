"""A table for the terminal, aligned on the decimal point; column groups are stacked where it is too wide."""

import textwrap
from collections.abc import Sequence

from results.layout import Layout

_STYLES = {1: "\x1b[1m", 2: "\x1b[4m"}  # bold, underlined
_RESET = "\x1b[0m"
_GAP = "  "
# What stands left of the column's alignment point, what stands right of it, and the place (1 best, 2 second).
_Part = tuple[str, str, int]


def terminal(layout: Layout, *, styled: bool = False, width: int = 120) -> str:
    """``layout`` as lines of text, at most ``width`` columns wide if it can be.

    ``styled`` marks the best of a column bold and the second underlined, by terminal codes.
    """
    blocks = [_block(layout, columns, styled) for columns in _stacked(layout, width)]
    bodies = ["\n".join(line.rstrip() for line in block) for block in blocks]
    notes = "".join("\n" + _note(symbol, text, width) for symbol, text in layout.notes)
    return f"{layout.name}\n\n" + "\n\n".join(bodies) + (f"\n{notes}" if notes else "") + "\n"


def _stacked(layout: Layout, width: int) -> list[list[int]]:
    """The columns of each block: as many groups side by side as fit; one too wide by itself is broken."""
    kept = [column for column in range(len(layout.columns)) if layout.columns[column].kept]
    blocks: list[list[int]] = []

    def fits(columns: list[int]) -> bool:
        return len(_block(layout, columns, styled=False)[0]) <= width

    for _, group in layout.groups:
        columns = [column for column in group if column not in kept]
        for part in [columns] if fits(kept + columns) else [[column] for column in columns]:
            if blocks and fits(blocks[-1] + part):
                blocks[-1] += part
            elif part:
                blocks.append(kept + part)
    return blocks or [kept]


def _block(layout: Layout, columns: Sequence[int], styled: bool) -> list[str]:
    """Title, heading, rule and rows of some of the columns; before styling, all lines are equally wide."""
    label = _aligned(layout.heading, [("", line.label + line.symbols, 0) for line in layout.lines], False, left=True)
    body: dict[int, list[str]] = {}
    for column in columns:
        entries = [line.entries[column] for line in layout.lines]
        parts = [(e.text, (f" ±{e.deviation}" if e.deviation else "") + e.rest + e.symbol, e.place) for e in entries]
        body[column] = _aligned(layout.columns[column].heading, parts, styled)
    title = " " * len(label[0])
    for group, members in layout.groups:
        shown = [column for column in members if column in body]
        if shown:
            name = f"─ {group} ─" if group else ""
            space = sum(len(body[column][0]) for column in shown) + len(_GAP) * (len(shown) - 1)
            if len(name) > space:  # few columns under a long name
                body[shown[0]] = [" " * (len(name) - space) + cell for cell in body[shown[0]]]
            title += _GAP + name.center(max(space, len(name)), "─" if name else " ")
    heading, *lines = [_GAP.join(cells) for cells in zip(label, *body.values(), strict=True)]
    sections = layout.sections or [("", range(0))]
    width = max(len(title), *(len(f"── {section} ─") for section, _ in sections))
    found = [title, heading]
    for section, rows in sections:
        found += [(f"── {section} " if section else "").ljust(width, "─"), *(lines[row] for row in rows)]
    return [line.ljust(width) for line in found]


def _aligned(heading: str, parts: Sequence[_Part], styled: bool, left: bool = False) -> list[str]:
    """The heading and the cells of a column, padded to one width; styles cost no width."""
    before = max((len(part[0]) for part in parts), default=0)
    after = max((len(part[1]) for part in parts), default=0)
    width = max(len(heading), before + after)
    cells = [heading.ljust(width) if left else heading.center(width)]
    for text, rest, place in parts:
        style = _STYLES.get(place, "") if styled else ""
        pad = " " * (before - len(text) + (0 if left else width - before - after))
        cell = pad + (f"{style}{text}{_RESET}" if style else text) + rest.ljust(after)
        cells.append(cell.ljust(width) if left else cell)
    return cells


def _note(symbol: str, text: str, width: int) -> str:
    indent = " " * (len(symbol) + 1 if symbol else 0)
    return textwrap.fill(f"{symbol} {text}".strip(), max(width, 40), subsequent_indent=indent, break_long_words=False)
