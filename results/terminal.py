"""A table for the terminal, aligned on the decimal point; column groups are stacked where it is too wide."""

from collections.abc import Sequence

from results.collect import Table
from results.layout import Layout, lay_out

_STYLES = {1: "\x1b[1m", 2: "\x1b[4m"}  # bold, underlined
_RESET = "\x1b[0m"
_GAP = "  "
# What stands left of the column's alignment point, what stands right of it, and the place (1 best, 2 second).
_Part = tuple[str, str, int]


def terminal(table: Table, *, styled: bool = False, width: int = 120) -> str:
    """``table`` as lines of text, at most ``width`` columns wide if it can be.

    ``styled`` marks the best of a column bold and the second underlined, by terminal codes.
    """
    layout = lay_out(table)
    stacked = [list(columns) for _, columns in layout.groups]
    beside = [[column for columns in stacked for column in columns]]
    fits = len(_block(layout, beside[0], styled=False)[0]) <= width
    blocks = [_block(layout, columns, styled) for columns in (beside if fits else stacked)]
    bodies = ["\n".join(line.rstrip() for line in block) for block in blocks]
    notes = "".join(f"\n{symbol} {text}" for symbol, text in layout.notes)
    return f"{layout.name}\n\n" + "\n\n".join(bodies) + (f"\n{notes}" if notes else "") + "\n"


def _block(layout: Layout, columns: Sequence[int], styled: bool) -> list[str]:
    """Title, heading, rule and rows of some of the columns; before styling, all lines are equally wide."""
    label = _aligned("variant", [("", line.label + line.symbols, 0) for line in layout.lines], False, left=True)
    seeds = _aligned("seeds", [(*_cut(line.seeds), 0) for line in layout.lines], False)
    body: dict[int, list[str]] = {}
    for column in columns:
        metric = layout.metrics[column]
        entries = [line.entries[column] for line in layout.lines]
        parts = [(e.mean, (f" ±{e.deviation}" if e.deviation else "") + e.symbol, e.place) for e in entries]
        body[column] = _aligned(f"{metric.heading} {metric.arrow}".rstrip(), parts, styled)
    title = " " * (len(label[0]) + len(_GAP) + len(seeds[0]))
    for group, members in layout.groups:
        shown = [column for column in members if column in body]
        if shown:
            name = f" {group} " if group else ""
            space = sum(len(body[column][0]) for column in shown) + len(_GAP) * (len(shown) - 1)
            if len(name) > space:  # few columns under a long name
                body[shown[0]] = [" " * (len(name) - space) + cell for cell in body[shown[0]]]
            title += _GAP + name.center(max(space, len(name)), "─" if name else " ")
    lines = [_GAP.join(cells) for cells in zip(label, seeds, *body.values(), strict=True)]
    return [title, lines[0], "─" * len(title), *lines[1:]]


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


def _cut(seeds: str) -> tuple[str, str]:
    """ "2/3" aligns on the 2."""
    finished, slash, expected = seeds.partition("/")
    return finished, slash + expected
