"""Which options a suite sweeps, and over which rows; free of matplotlib."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from results.figures.rows import specs
from suites.expand import Run
from suites.grid import short_names, suffix
from suites.identity import flat
from suites.schema import Suite

_DERIVED = {"version", "variant", "seed", "after", "files", "keep"}
"""What follows from other options, or tells of no setting."""

_LEAST = 3
"""Values of an option that the suite does not ask for but entries of a variant differ in: two are like a switch."""

_ABSENT = object()

Options = dict[str, Any]  # dotted option: value


@dataclass(frozen=True)
class Sweep:
    """Options that vary together, and the rows over which nothing else does.

    options  the first names the sweep; the others have its value in every row
    along    those that have another value wherever it has, yet not the same
    values   of the sweep, by row
    lines    by label, rows that differ in these options alone, in the order of the suite
    others   rows that the options do not concern
    """

    options: tuple[str, ...]
    along: tuple[str, ...]
    values: Mapping[str, Any]
    lines: Mapping[str, Sequence[str]]
    others: tuple[str, ...]


def sweeps(suite: Suite, runs: Iterable[Run]) -> list[Sweep]:
    """In the order of the suite: its grid and zip, then what entries of one variant differ in. Only of numbers, and of
    lists of them; where a text varies with an option, or none is known, that option is not swept."""
    rows = {label: dict(flat(spec.model_dump(mode="json", exclude=_DERIVED))) for label, spec in specs(runs).items()}
    groups: dict[str, dict[str, Options]] = {}
    for label, spec in specs(runs).items():
        groups.setdefault(spec.variant, {})[label] = rows[label]
    together: dict[str, tuple[str, ...]] = {}
    lines: dict[str, dict[str, list[str]]] = {}
    for variant, group in groups.items():
        varying = _varying(suite, group)
        for options in varying:
            others = [other for set_ in varying if set_ != options for other in set_]
            found = _lines(suite, variant, group, options, others)
            if found:
                lines.setdefault(options[0], {}).update(_distinct(found, lines.get(options[0], {})))
                together[options[0]] = max(together.get(options[0], ()), options, key=len)
    return [_sweep(suite, together[option], rows, lines[option]) for option in _in_order(suite, together)]


def _sweep(
    suite: Suite, options: Sequence[str], rows: Mapping[str, Options], lines: Mapping[str, Sequence[str]]
) -> Sweep:
    drawn = {row: rows[row] for members in lines.values() for row in members}
    values = {label: row[options[0]] for label, row in drawn.items()}
    same = tuple(o for o in options if all(row.get(o) == values[label] for label, row in drawn.items()))
    # not those whose label has a value of the sweep, for which a line has too few
    others = tuple(row for row in rows if row not in drawn and _without(suite, row, options) == row)
    return Sweep(same, tuple(o for o in options if o not in same), values, lines, others)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_numeric(value: Any) -> bool:
    return is_number(value) or (isinstance(value, list) and bool(value) and all(map(is_number, value)))


def _varying(suite: Suite, group: Mapping[str, Options]) -> list[tuple[str, ...]]:
    """The options in which rows of one variant differ, those together that divide the rows in the same way."""
    together: dict[tuple[int, ...], list[str]] = {}
    for option in _in_order(suite, dict.fromkeys(option for row in group.values() for option in row)):
        values = [repr(row.get(option, _ABSENT)) for row in group.values()]
        parts = tuple(values.index(value) for value in values)
        if any(parts):
            together.setdefault(parts, []).append(option)
    return list(map(tuple, together.values()))


def _lines(
    suite: Suite, variant: str, group: Mapping[str, Options], options: Sequence[str], others: Sequence[str]
) -> dict[str, list[str]]:
    """Rows of one variant in which all of ``others`` are the same and ``options`` are not."""
    parts: dict[str, dict[str, str]] = {}
    for label, row in group.items():
        if all(_is_numeric(row.get(option)) for option in options):
            part = parts.setdefault(repr([row.get(other, _ABSENT) for other in others]), {})
            part.setdefault(repr(row[options[0]]), label)  # a row with the same settings again is none of the line
    asked = any(option in suite.grid or option in suite.zip for option in options)
    found: dict[str, list[str]] = {}
    for part in parts.values():
        if len(part) >= (2 if asked else _LEAST):
            rows = list(part.values())
            found |= _distinct({_name(suite, variant, group, rows, options, others): rows}, found)
    return found


def _name(
    suite: Suite,
    variant: str,
    group: Mapping[str, Options],
    rows: Sequence[str],
    options: Sequence[str],
    others: Sequence[str],
) -> str:
    """Of a line: what its rows' labels have in common without the swept options, else the variant and the others."""
    names = {_without(suite, row, options) for row in rows}
    if len(names) == 1:
        return names.pop()
    row = group[rows[0]]
    return variant + suffix({other: row[other] for other in others if other in row}, {o: _short(o) for o in others})


def _without(suite: Suite, label: str, options: Sequence[str]) -> str:
    """The label without its part that tells the value of ``options``."""
    names = short_names(suite)
    for option in options:
        for value in [*suite.grid.get(option, ()), *suite.zip.get(option, ())]:
            part = suffix({option: value}, names)
            if part:
                label = re.sub(rf"{re.escape(part)}(?= |$)", "", label, count=1)
    return label


def _distinct(lines: Mapping[str, list[str]], taken: Mapping[str, object]) -> dict[str, list[str]]:
    """``lines``, where a name that is taken is followed by the first row."""
    return {name if name not in taken else f"{name} ({rows[0]})": rows for name, rows in lines.items()}


def _in_order(suite: Suite, options: Iterable[str]) -> list[str]:
    """Those that the suite asks for first."""
    asked = [*suite.grid, *suite.zip]
    return sorted(options, key=lambda option: asked.index(option) if option in asked else len(asked))


def _short(option: str) -> str:
    return option.partition(".")[2] or option
