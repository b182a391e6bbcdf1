"""Tables of what systems cost: FLOPs, time and memory, how they grow, and similarity heads beside published ones."""

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import get_args

from hbi.cost.machine import PowerState
from hbi.cost.report import CaseCost, CostReport, Count, Interval, Latency, Quantile
from hbi.cost.statistics import COPIES, LEVEL
from results.collect import printable
from results.cost_scaling import PARTS, STAGES, Growth, Measure, growths, members, sizes_of
from results.html import html_file
from results.layout import MISSING, Column, Entry, Layout, Line, symbol
from results.numerals import PREFIXES, decimals, exponent, numeral, prefix, rounded, scaled
from results.published import published_heads
from results.tables import latex, markdown

HEAD_GALLERY = 1000
"""Captions, and videos, of the split on which published similarity heads are evaluated."""

MEAN_POOLING = HEAD_GALLERY * HEAD_GALLERY * 512
"""MACs of CLIP4Clip's head without parameters: one vector of ViT-B/32's width for each caption and video."""

_SIZES = {"words": "words", "frames": "frames", "resolution": "pixels", "gallery": "gallery", "batch": "batch"}

_Rows = Iterable[tuple[str, str, Sequence[Entry]]]
"""Section, label and entries of each line; the ``symbol`` of an entry is still the text of its footnote."""

_Part = tuple[Column, list[Entry]]
"""A column with an entry for each row."""


def layouts(name: str, report: CostReport) -> list[Layout]:
    """What there is to show: NAME.flops and NAME.stages and, where the report has them, NAME.latency, NAME.scaling and
    NAME.heads."""
    cases = report.cases.values()
    found = [_flops(f"{name}.flops", report), _stages(f"{name}.stages", report)]
    if any(case.latency or case.memory for case in cases):
        found.append(_latency(f"{name}.latency", report))
    if grown := growths(report):
        found.append(_scaling(f"{name}.scaling", grown, list(report.cases)))
    if heads := {label: case for label, case in report.cases.items() if _is_head(case)}:
        found.append(_heads(f"{name}.heads", heads))
    return found


def files(name: str, report: CostReport) -> dict[str, str]:
    """Every layout as Markdown, LaTeX and HTML, and all numbers as NAME.cost.csv, by the name of the file."""
    found = {f"{name}.cost.csv": comma_separated(report)}
    for layout in layouts(name, report):
        texts = {"md": markdown(layout), "tex": latex(layout), "html": html_file(layout)}
        found |= {f"{layout.name}.{ending}": text for ending, text in texts.items()}
    return found


# ---- FLOPs ----------------------------------------------------------------------------------------------------------


_TERMS = {
    "FLOPs": "floating-point operations, not a rate; 1 MAC = 2 FLOPs, and all other arithmetic counts too",
    "MACs": "multiply-accumulates of matrix products and convolutions alone; papers often print them as FLOPs",
    "temporal": "the transformer over the frames of a video",
    "token merging": "a caption's words and a video's frames into those of the upper levels",
    "similarity": "that of the whole gallery, divided by its number of pairs",
    "re-ranking": "that of the best candidates of the gallery's captions, and of its videos",
    "interactions": "what the teacher computes for a pair, over all levels; in training alone",
    "student": "the network that learns them, over all levels; in training alone",
    "evaluations": "worths of coalitions that its draws stand for, 4 × samples × cells; all by matrix products",
    "training step": "forward and backward pass and AdamW; features of frozen frames are given",
}
"""Meanings of what stands above columns, up to a comma."""


def _flops(name: str, report: CostReport) -> Layout:
    cases = list(report.cases.values())
    parameters = _numbers("parameters", [case.parameters for case in cases])
    for line, case in enumerate(cases):
        if case.trainable != case.parameters:
            parameters[1][line] = replace(parameters[1][line], symbol=f"{scaled(case.trainable)} of them trainable")
    parts = [*_sizes(cases), parameters]
    for title, names in STAGES.items():
        parts += _counts(_titled(title, cases), [_total(case, names) for case in cases])
        if title == "interactions" and any(case.evaluations for case in cases):
            numbers = [sum(case.evaluations.values()) if case.evaluations else None for case in cases]
            parts.append(_numbers("evaluations", numbers, title))
    return _counted(name, report, parts)


def _stages(name: str, report: CostReport) -> Layout:
    """The parts of what ``_flops`` sums up; similarities for one pair, as interactions are."""
    cases = list(report.cases.values())
    parts = _sizes(cases)
    for title, names in PARTS.items():
        totals = [(_total(case, names), case.gallery**2 if title.startswith("similarity") else 1) for case in cases]
        parts += _counts(title, [total and _shared(total, pairs) for total, pairs in totals])
    return _counted(name, report, parts)


def _counted(name: str, report: CostReport, parts: Sequence[_Part]) -> Layout:
    """A line a row, with the terms that it uses."""
    cases = report.cases.values()
    rows = [("", label, entries) for label, *entries in zip(report.cases, *(cells for _, cells in parts), strict=True)]
    used = {title.partition(",")[0] for column, _ in parts for title in (column.group, column.heading)}
    notes = [(f"{term}:", meaning) for term, meaning in _TERMS.items() if term in {*used, "FLOPs", "MACs"}]
    notes.append(("", _common_sizes(cases)))
    if not any(count.unpriced for case in cases for count in case.stages.values()):
        notes.append(("", "Every operation that ran is priced; no FLOPs are missing."))
    return _layout(name, "variant", [column for column, _ in parts], rows, notes, "no such part")


def _counts(group: str, counts: Sequence[Count | None]) -> list[_Part]:
    """FLOPs, and the MACs among them under the same prefix; nothing where no row has them."""
    if not any(counts):
        return []
    unit = prefix([count.flops for count in counts if count], least="")
    flops, macs = [], []
    for count in counts:
        note = f"lower bound: no formula for {', '.join(count.unpriced)}" if count and count.unpriced else ""
        flops.append(_number(count.flops if count else None, unit, note))
        macs.append(_number(count.macs if count else None, unit, note))
    return [(Column(f"{unit}FLOPs", group), flops), (Column(f"{unit}MACs", group), macs)]


def _numbers(heading: str, numbers: Sequence[int | None], group: str = "") -> _Part:
    unit = prefix([number for number in numbers if number], least="")
    return Column(f"{heading}, {unit}" if unit else heading, group), [_number(number, unit) for number in numbers]


def _total(case: CaseCost, names: Sequence[str]) -> Count | None:
    """Of the stages that ``names`` stand for; None where the row has none."""
    counts = [case.stages[stage] for stage in members(case.stages, names)]
    if not counts:
        return None
    unpriced = dict.fromkeys(operation for count in counts for operation in count.unpriced)
    flops, macs = (sum(getattr(count, kind) for count in counts) for kind in ("flops", "macs"))
    return Count(flops=flops, macs=macs, unpriced=tuple(unpriced))


def _shared(count: Count, items: int) -> Count:
    """That of one of so many items."""
    return count.model_copy(update={kind: round(getattr(count, kind) / items) for kind in ("flops", "macs")})


def _titled(title: str, cases: Sequence[CaseCost]) -> str:
    """With the size of the gallery, N, where all have the same."""
    sizes = {str(case.gallery) for case in cases}
    return re.sub(r"\bN\b", sizes.pop(), title) if len(sizes) == 1 else title


# ---- time and memory ------------------------------------------------------------------------------------------------


def _latency(name: str, report: CostReport) -> Layout:
    """A section a call, a line a row."""
    cases = list(report.cases.values())
    calls = list(dict.fromkeys(call for case in cases for call in (*case.latency, *case.memory)))
    times = {call: [case.latency[call] for case in cases if call in case.latency] for call in calls}
    peaks = [peak for case in cases for peak in case.memory.values()]
    methods = sorted({peak.how for peak in peaks if peak.bytes is not None})
    kept = _sizes(cases)
    columns = _of_times([time for found in times.values() for time in found])
    if peaks:
        columns |= _of_peaks([peak.bytes or 0 for peak in peaks], several=len(methods) > 1)
    rows = [
        (
            _of_call(_titled(call, cases), times[call]),
            label,
            [*(entries[line] for _, entries in kept), *(make(case, call) for make in columns.values())],
        )
        for call in calls
        for line, (label, case) in enumerate(report.cases.items())
    ]
    notes = (
        [("peak:", f"most memory beyond what was held before, by {', '.join(methods)}; without AdamW's moments")]
        if methods
        else []
    )
    if any(get(time).interval[1] is None for found in times.values() for time in found for get in _QUANTILES.values()):
        notes.append(("∞:", "too few rounds to bound the interval from above"))
    notes += [("", text) for text in (_common_sizes(cases), *_conditions(report))]
    return _layout(name, "variant", [*(column for column, _ in kept), *columns], rows, notes, "not measured")


_QUANTILES: dict[str, Callable[[Latency], Quantile]] = {
    "p50": lambda time: time.p50,
    "p95": lambda time: time.p95,
    "p99": lambda time: time.p99,
}

_DIFFERENT = f"differs from the first row by more than {100 * COPIES:g} %, {100 * (1 - LEVEL):g} % sure"

_Columns = dict[Column, Callable[[CaseCost, str], Entry]]
"""Columns with what makes their entries, for a row and a call."""


def _of_times(times: Sequence[Latency]) -> _Columns:
    unit = prefix(get(time).value for time in times for get in _QUANTILES.values())

    def of(make: Callable[[Latency], Entry]) -> Callable[[CaseCost, str], Entry]:
        return lambda case, call: make(case.latency[call]) if call in case.latency else Entry(MISSING)

    def ratio(time: Latency) -> Entry:
        return _number(time.against or 1, "", _DIFFERENT if time.different else "")

    def quantile(name: str, get: Callable[[Latency], Quantile]) -> _Columns:
        title = f"{name}, {unit}s"
        return {
            Column("time", title): of(lambda time: _number(get(time).value, unit)),
            Column("95 % interval", title): of(lambda time: _interval(get(time).value, get(time).interval, unit)),
        }

    columns: _Columns = {}
    for name, get in _QUANTILES.items():
        columns |= quantile(name, get)
    columns[Column("items/s")] = of(lambda time: _entry(scaled(time.throughput)))
    against = "by the first row"
    if any(time.against for time in times):
        columns[Column("ratio", against)] = of(ratio)
        columns[Column("99 % interval", against)] = of(lambda time: _interval(time.against, time.against_interval))
    if any(time.joules for time in times):
        joules = prefix(time.joules or 0 for time in times)
        columns[Column(f"{joules}J a call")] = of(lambda time: _number(time.joules, joules))
    return columns


def _of_peaks(numbers: Sequence[int], several: bool) -> _Columns:
    """``several``: they were not all read in the same way."""
    unit = prefix(numbers, least="")

    def peak(case: CaseCost, call: str) -> Entry:
        found = case.memory.get(call)
        if found is None:
            return Entry(MISSING)
        return _number(found.bytes, unit, f"memory: {found.how}" if found.bytes is None or several else "")

    return {Column(f"peak {unit}B"): peak}


def _of_call(call: str, times: Sequence[Latency]) -> str:
    """A call, with the samples that its times are from."""
    if not times:
        return call
    rounds, calls = (sorted({getattr(time, kind) for time in times}) for kind in ("rounds", "calls"))
    each = f" of {calls[-1]} calls" if calls[-1] > 1 else ""
    return f"{call}, {'–'.join(map(str, rounds))} rounds{each}"


def _conditions(report: CostReport) -> list[str]:
    """Under which times were taken."""
    machine, (before, after) = report.hardware, map(_told, report.power)
    gpu = [f"{machine.gpu}, driver {machine.driver or 'unknown'}"] if machine.gpu else []
    counts = {"core": machine.cores, "thread": machine.threads}
    processor = ", ".join([machine.processor, *(f"{n} {word}{'s' * (n != 1)}" for word, n in counts.items())])
    silent = machine.gpu and all(state.gpu_mhz is None for state in report.power)
    return [
        "; ".join([*gpu, processor, f"torch {machine.torch}"]),
        f"{report.precision}; clock {report.clock}",
        f"all times are from one run; in each round every row once, in random order (seed {report.seed})",
        f"before the first round: {before}; after the last: {after}",
        *(["no clocks, power and energy: NVML is not there (pip install nvidia-ml-py)"] if silent else []),
    ]


def _told(state: PowerState) -> str:
    """What a machine tells of its clocks, power and load."""
    slowest, fastest = state.processor_mhz or (0, 0)
    told = {
        f"governor {state.governor}": state.governor,
        f"processor {slowest:.0f}–{fastest:.0f} MHz": state.processor_mhz,
        f"GPU {state.gpu_mhz} MHz": state.gpu_mhz,
        f"its memory {state.gpu_memory_mhz} MHz": state.gpu_memory_mhz,
        f"{state.gpu_watts or 0:.0f} W": state.gpu_watts,
        f"{state.gpu_celsius} °C": state.gpu_celsius,
        f"load {state.load or 0:.2f}": state.load,
    }
    return ", ".join(text for text, value in told.items() if value is not None) or "clocks and load not told"


# ---- growth ---------------------------------------------------------------------------------------------------------


def _scaling(name: str, grown: Sequence[Growth], labels: Sequence[str]) -> Layout:
    """A section a size, a line a row, FLOPs and time of each quantity."""
    found = {(one.size, one.label, one.quantity, one.measure): one for one in grown}
    quantities = [one for one in STAGES if any(one == growth.quantity for growth in grown)]
    quantities += [one for one in dict.fromkeys(growth.quantity for growth in grown) if one not in quantities]
    kinds = [
        (quantity, measure)
        for quantity in quantities
        for measure in get_args(Measure)
        if any((one.quantity, one.measure) == (quantity, measure) for one in grown)
    ]
    rows = []
    for size in sizes_of(grown):
        values = sorted({value for one in grown if one.size == size for value in one.costs})
        for label in labels:
            entries = [_exponent(found.get((size, label, *kind))) for kind in kinds]
            rows.append((f"{size} {', '.join(map(str, values))}", label, entries))
    notes = [
        ("", "Exponents k of cost ∝ size^k; times are medians; the other sizes are those of the other tables."),
        ("±", "95 % interval of the fit; FLOPs are exact, so theirs tells how far they are from a power of the size"),
    ]
    columns = [Column(measure, quantity) for quantity, measure in kinds]
    return _layout(name, "variant", columns, rows, notes, "does not change with it, or was not measured")


def _exponent(one: Growth | None) -> Entry:
    if one is None:
        return Entry(MISSING)
    margin = (one.interval[1] - one.interval[0]) / 2
    return Entry(exponent(one.exponent), deviation=f"{margin:.2f}" if isfinite(margin) else "")


# ---- similarity heads -----------------------------------------------------------------------------------------------


def _is_head(case: CaseCost) -> bool:
    """Whether it scores pairs of the published gallery; a system that answers questions ranks no videos."""
    return case.gallery == HEAD_GALLERY and "answer" not in case.stages


def _heads(name: str, cases: Mapping[str, CaseCost]) -> Layout:
    """Ours, counted, above those that are published."""
    sizes = [_numbers(size, [getattr(case, size) for case in cases.values()]) for size in ("words", "frames")]
    sizes.append(_numbers("parameters", [case.parameters for case in cases.values()]))
    product = Count(flops=2 * MEAN_POOLING, macs=MEAN_POOLING)

    def counted(count: Count | None, note: str = "") -> list[Entry]:
        return [_number(number, "G", note) for number in ((count.flops, count.macs) if count else (None, None))]

    unknown = Entry(MISSING)
    rows = [
        ("counted here", label, [*ours, *counted(_total(case, STAGES["score N × N"])), unknown, unknown])
        for (label, case), *ours in zip(cases.items(), *(cells for _, cells in sizes), strict=True)
    ]
    for head in published_heads():
        ours = counted(product, "not run: one product, 512 wide") if head.system == "CLIP4Clip" else counted(None)
        note = "" if head.status == "confirmed" else head.status
        figures = [_entry(repr(head.gflops), note), _entry(repr(head.r_at_1), note)]
        rows.append((f"published: {head.source}", head.system, [*(unknown for _ in sizes), *ours, *figures]))
    gallery = f"{HEAD_GALLERY} captions × {HEAD_GALLERY} videos"
    columns = [
        *(replace(column, kept=True) for column, _ in sizes),
        *(Column(heading, gallery) for heading in ("GFLOPs", "GMACs")),
        *(Column(heading, "as published") for heading in ("GFLOPs", "R@1, text → video")),
    ]
    notes = [
        ("counted:", "1 MAC = 2 FLOPs, at the words and frames of the row; nothing is fitted to what is published"),
        ("published:", "neither gallery nor convention is stated; of HBI there is no figure"),
        ("parameters:", "of the whole system; heads of another width of encoder are not to be compared"),
        ("", f"CLIP4Clip's 0.5 G fits {HEAD_GALLERY} × {HEAD_GALLERY} × 512 MACs, one FLOP each"),
    ]
    return _layout(name, "head", columns, rows, notes, "not counted, or not published")


# ---- all numbers ----------------------------------------------------------------------------------------------------


def comma_separated(report: CostReport) -> str:
    """One line a row and quantity, in full precision; the ends of intervals of 95 %, of ratios 99 %.

    All times are from one run. ``different``: 1 where all of the interval of the ratio lies further from 1 than copies
    of one model do (hbi.cost.statistics.COPIES); it may be 0 where the interval excludes 1.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["label", "quantity", "unit", "value", "lower", "upper"])
    grown = growths(report)
    for label, case in report.cases.items():
        for quantity, unit, value, interval in (*_of_case(case), *_of_growth(label, report, grown)):
            ends = ("" if end is None or not isfinite(end) else repr(end) for end in interval)
            writer.writerow([label, quantity, unit, repr(value), *ends])
    return file.getvalue()


_Number = tuple[str, str, float, tuple[float | None, float | None]]
"""Quantity, unit, value, and the ends of its interval."""

_EXACT = (None, None)


def _of_case(case: CaseCost) -> Iterator[_Number]:
    for size in _SIZES:
        yield size, _SIZES[size] if size == "resolution" else "", getattr(case, size), _EXACT
    yield "parameters", "", case.parameters, _EXACT
    yield "trainable", "", case.trainable, _EXACT
    for stage, count in case.stages.items():
        yield f"flops/{stage}", "FLOP", count.flops, _EXACT
        yield f"macs/{stage}", "MAC", count.macs, _EXACT
        yield f"unpriced/{stage}", "operations", len(count.unpriced), _EXACT
    for level, number in case.evaluations.items():
        yield f"evaluations/{level}", "", number, _EXACT
    for call, time in case.latency.items():
        for name, quantile in _QUANTILES.items():
            yield f"{name}/{call}", "s", quantile(time).value, quantile(time).interval
        yield f"rounds/{call}", "", time.rounds, _EXACT
        yield f"calls per sample/{call}", "", time.calls, _EXACT
        yield f"throughput/{call}", "items/s", time.throughput, _EXACT
        if time.against is not None:
            yield f"ratio/{call}", "", time.against, time.against_interval or _EXACT
            yield f"different/{call}", "", int(time.different), _EXACT
        if time.joules is not None:
            yield f"energy/{call}", "J", time.joules, _EXACT
    for call, peak in case.memory.items():
        if peak.bytes is not None:
            yield f"memory/{call}", "B", peak.bytes, _EXACT


def _of_growth(label: str, report: CostReport, grown: Sequence[Growth]) -> Iterator[_Number]:
    for point in report.scaling.get(label, ()):
        at = f"at {point.size} {point.value}"
        for stage, flops in point.flops.items():
            yield f"flops/{stage} {at}", "FLOP", flops, _EXACT
        for call, seconds in point.seconds.items():
            yield f"p50/{call} {at}", "s", seconds, _EXACT
    for one in grown:
        if one.label == label:
            yield f"exponent/{one.measure}/{one.quantity} over {one.size}", "", one.exponent, one.interval


# ---- what all tables share ------------------------------------------------------------------------------------------


def _layout(
    name: str, heading: str, columns: Sequence[Column], rows: _Rows, notes: Sequence[tuple[str, str]], missing: str
) -> Layout:
    """With footnotes numbered in reading order, and what is ``missing`` explained where something is."""
    symbols: dict[str, str] = {}
    lines = []
    for section, label, entries in rows:
        marked = [replace(e, symbol=symbol(printable(e.symbol, None), symbols)) if e.symbol else e for e in entries]
        lines.append(Line(printable(label, None), "", tuple(marked), printable(section, None)))
    found = [(mark, text) for text, mark in symbols.items()]
    if any(entry.text == MISSING and not entry.symbol for line in lines for entry in line.entries):
        found.append((MISSING, missing))
    found += [(term, printable(text, None)) for term, text in notes if text]
    return Layout(printable(name, None), heading, tuple(columns), tuple(lines), tuple(found))


def _sizes(cases: Sequence[CaseCost]) -> list[_Part]:
    """Columns of the sizes that rows do not have in common."""
    return [
        (Column(heading, kept=True), [Entry(str(getattr(case, size))) for case in cases])
        for size, heading in _SIZES.items()
        if len({getattr(case, size) for case in cases}) > 1
    ]


def _common_sizes(cases: Collection[CaseCost]) -> str:
    """The sizes that they have in common."""
    told = {
        "words": "a caption of {} words",
        "frames": "a video of {} frames",
        "resolution": "frames of {0} × {0} pixels",
        "gallery": "a gallery of {0} captions × {0} videos",
        "batch": "a training step of {} pairs",
    }
    values = {size: {getattr(case, size) for case in cases} for size in told}
    return ", ".join(text.format(*values[size]) for size, text in told.items() if len(values[size]) == 1)


def _number(number: float | None, unit: str, note: str = "") -> Entry:
    """Under a prefix, aligned on the point."""
    return Entry(MISSING, symbol=note) if number is None else _entry(numeral(number, unit), note)


def _entry(text: str, note: str = "") -> Entry:
    whole = re.match(r"\d*", text)
    cut = whole.end() if whole else 0
    return Entry(text[:cut], rest=text[cut:], symbol=note)


def _interval(value: float | None, interval: Interval | None, unit: str = "") -> Entry:
    """Its ends, to the digit of the ``value``; none for what is compared with itself."""
    if value is None or interval is None:
        return Entry("")
    lower, upper = interval
    digits = decimals(value / PREFIXES[unit])
    low = rounded(lower / PREFIXES[unit], digits)
    return Entry("", rest=f"[{low}, ∞)" if upper is None else f"[{low}, {rounded(upper / PREFIXES[unit], digits)}]")
