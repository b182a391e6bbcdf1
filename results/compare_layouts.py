"""What `compare` prints: differences with their tests, verdicts in words, queries that changed most; and as data."""

from dataclasses import asdict
from typing import Any

from results.changed import lay_out_changed
from results.collect import Cell
from results.compare import Compared, Pair, Tested
from results.comparisons import LEVEL
from results.layout import BETTER, MISSING, WORSE, Column, Entry, Layout, Line, column_of, sign, symbol
from results.metrics import GROUPS, metric
from results.numerals import rounded
from results.planning import POWER
from results.wording import between, over, p_text, signed, unit, verdict

_COLUMNS = (
    *(Column(name, "mean ± deviation") for name in ("A", "B")),
    *(Column(name, "B − A") for name in ("difference", "95 % interval", "p", "p, Holm")),
    *(Column(name, "queries") for name in ("all", "only A right", "only B right")),
)


def layouts(compared: Compared, width: int = 120) -> list[Layout]:
    """An overview where there are several pairs; then of each its metrics, and what changed most, cut to ``width``."""
    found = [_overview(compared)] if len(compared.pairs) > 1 or compared.remarks else []
    for pair in compared.pairs:
        found += [_of_pair(pair, compared.tests), *(lay_out_changed(changed, width) for changed in pair.changed)]
    return found


def plain(compared: Compared) -> dict[str, Any]:
    """As data for other programs, in full precision; a and b of a change are by seed."""
    return {
        "level": LEVEL,
        "corrected_for": compared.tests,
        "remarks": list(compared.remarks),
        "pairs": [
            {
                "a": pair.a,
                "b": pair.b,
                "seeds": list(pair.seeds),
                "remarks": [f"{term} {text}".strip() for term, text in pair.remarks],
                "metrics": {one.metric: _plain(one) for one in pair.tested},
                "changed": [asdict(changed) for changed in pair.changed],
            }
            for pair in compared.pairs
        ],
    }


def _plain(one: Tested) -> dict[str, Any]:
    return {
        **{side: {"values": list(cell.values), **cell.numbers} for side, cell in (("a", one.a), ("b", one.b))},
        "comparison": asdict(one.comparison) if one.comparison else None,
        "refused": one.refused or None,
        "p_holm": one.p_holm,
        "resolvable": one.resolvable,
    }


# ---- one pair -------------------------------------------------------------------------------------------------------


def _of_pair(pair: Pair, tests: int) -> Layout:
    symbols: dict[str, str] = {}
    lines = tuple(_line(one, symbols) for one in pair.tested)
    notes = [("A:", pair.a), ("B:", pair.b), *_verdicts(pair), *_of_tests(pair, tests), *pair.remarks]
    notes += [(mark, text) for text, mark in symbols.items()]
    return Layout(f"{pair.b} (B) against {pair.a} (A)", "metric", _COLUMNS, lines, tuple(notes))


def _line(one: Tested, symbols: dict[str, str]) -> Line:
    shown, found = metric(one.metric), one.comparison
    means = (_mean(cell, shown.decimals, symbols) for cell in (one.a, one.b))
    title = GROUPS[shown.group].title if shown.group else ""
    label = f"{shown.heading} {shown.arrow}".rstrip()
    if found is None:
        refused = Entry(MISSING, symbol=symbol(f"not compared: {one.refused}", symbols))
        return Line(label, "", (*means, refused, *[Entry("")] * (len(_COLUMNS) - 3)), title)
    only = [sum(counts) / found.seeds for counts in zip(*found.discordant, strict=True)] or [None, None]
    entries = (
        Entry(signed(found.difference, shown.decimals), symbol=sign(one.comparison, one.p_holm, LEVEL)),
        Entry("", rest=between(found.interval, shown.decimals)),
        *(_p(p) for p in (found.p_value, one.p_holm)),
        Entry(str(found.queries)),
        *(Entry("" if count is None else f"{count:g}" if found.seeds == 1 else rounded(count, 1)) for count in only),
    )
    return Line(label, "", (*means, *entries), title)


def _mean(cell: Cell, decimals: int, symbols: dict[str, str]) -> Entry:
    if cell.mean is None:
        return Entry(MISSING)
    deviation = "" if cell.standard_deviation is None else rounded(cell.standard_deviation, decimals)
    missing = "" if cell.complete else symbol(f"{len(cell.values)} of {cell.expected} seeds", symbols)
    return Entry(rounded(cell.mean, decimals), deviation, symbol=missing)


def _p(p: float | None) -> Entry:
    return Entry("" if p is None else p_text(p).removeprefix("= ").replace("< ", "<"))


def _verdicts(pair: Pair) -> list[tuple[str, str]]:
    """Of each difference that is found; where none is, what could have been."""
    compared = [one for one in pair.tested if one.comparison]
    found = [
        ("", f"{_called(one.metric)}: {verdict(one.comparison, pair.a, pair.b)}, p {p_text(one.p_holm)} (Holm)")
        for one in compared
        if one.comparison and one.p_holm is not None and one.significant
    ]
    if found or not compared:
        return found
    told = "no difference between A and B is significant"
    first = next((one for one in compared if one.resolvable), None)
    if first and first.resolvable:
        size = "more than 100" if first.resolvable > 100 else rounded(first.resolvable, metric(first.metric).decimals)
        told += f"; of {_called(first.metric)} alone, these queries and seeds would show {size} {unit(first.metric)}"
        told += f" with a power of {100 * POWER:g} %"
    return [("", told)]


def _of_tests(pair: Pair, tests: int) -> list[tuple[str, str]]:
    found = [one.comparison for one in pair.tested if one.comparison]
    if not found:
        return []
    several = len(pair.seeds) > 1
    notes = [
        (
            "B − A:",
            f"paired {over(len(pair.seeds))}; {'seeds' if several else 'seed'} {', '.join(map(str, pair.seeds))}",
        ),
        (
            "p:",
            f"of the metric alone, for one named beforehand; Holm: corrected for the {tests} tests here, as {BETTER} "
            f"{WORSE} and the words above; level {100 * LEVEL:g} %",
        ),
    ]
    if any(one.discordant for one in found):
        notes.append(("right:", f"by one of the two alone{', mean over the seeds' if several else ''}"))
    return notes


def _called(name: str) -> str:
    """In a sentence."""
    shown = metric(name)
    return f"{shown.heading}, {GROUPS[shown.group].title}" if shown.group in ("t2v", "v2t") else name


# ---- several pairs --------------------------------------------------------------------------------------------------


def _overview(compared: Compared) -> Layout:
    """The differences of all pairs."""
    names = [one.metric for one in compared.pairs[0].tested]
    lines = tuple(Line(pair.b, "", tuple(map(_difference, pair.tested))) for pair in compared.pairs)
    notes = [("", remark) for remark in compared.remarks]
    notes.append(
        (f"{BETTER} {WORSE}", f"better, worse; level {100 * LEVEL:g} %, corrected for {compared.tests} tests (Holm)")
    )
    notes += [(MISSING, "not compared; why not is told below")] * any(
        not one.comparison for p in compared.pairs for one in p.tested
    )
    return Layout("B − A", "B", tuple(column_of(metric(name)) for name in names), lines, tuple(notes))


def _difference(one: Tested) -> Entry:
    if one.comparison is None:
        return Entry(MISSING)
    difference = signed(one.comparison.difference, metric(one.metric).decimals)
    return Entry(difference, symbol=sign(one.comparison, one.p_holm, LEVEL))
