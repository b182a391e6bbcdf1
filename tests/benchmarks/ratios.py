"""What pytest-benchmark has measured, as Markdown: times, and their ratios to the reference of each group.

python -m tests.benchmarks.ratios FILE.json [EARLIER.json]

A folder stands for the newest file in it; for EARLIER, for the newest that is older than FILE. A ratio is that of two
medians of one session. Exit code 2: a file is missing or damaged.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from tabulate import tabulate

from hbi.errors import InputError

REFERENCE = "reference"
"""The key of ``extra_info`` that is true for the reference of a group."""
UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}


class Stats(BaseModel):
    """Seconds."""

    median: float = Field(gt=0, allow_inf_nan=False)
    iqr: float = Field(ge=0, allow_inf_nan=False)
    rounds: int


class Result(BaseModel):
    """One benchmark."""

    group: str | None
    name: str
    fullname: str
    param: str | None
    extra_info: dict[str, Any]
    stats: Stats

    @property
    def label(self) -> str:
        function = self.name.partition("[")[0].removeprefix("test_").replace("_", " ")
        return f"{function}: {self.param}" if self.param else function

    @property
    def is_reference(self) -> bool:
        return bool(self.extra_info.get(REFERENCE))


class Processor(BaseModel):
    brand_raw: str = "unknown processor"
    count: int | None = None


class Machine(BaseModel):
    node: str
    cpu: Processor = Processor()
    load: float | None = None
    """Processes that were at work before the session began; none where it does not say."""


class Session(BaseModel):
    """What one run of pytest has left: the part of pytest-benchmark's JSON that is used here."""

    datetime: str
    machine_info: Machine
    benchmarks: list[Result] = Field(min_length=1)

    @property
    def groups(self) -> dict[str, list[Result]]:
        found: dict[str, list[Result]] = {}
        for result in self.benchmarks:
            found.setdefault(result.group or "no group", []).append(result)
        return found

    @property
    def ratios(self) -> dict[str, float]:
        """By full name; of groups that have a reference."""
        return {
            result.fullname: result.stats.median / reference.stats.median
            for results in self.groups.values()
            for reference in results
            if reference.is_reference
            for result in results
        }


def read(path: Path) -> Session:
    """Raises InputError where it cannot be read, or a group has two references."""
    try:
        session = Session.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: not what pytest-benchmark writes: {where or 'all'}: {first['msg']}") from None
    for group, results in session.groups.items():
        references = [result.label for result in results if result.is_reference]
        if len(references) > 1:
            raise InputError(f"{path}: group {group!r} has {len(references)} references: {', '.join(references)}")
    return session


def newest(path: Path, before: Path | None = None) -> Path:
    """A file as it is; of a folder the newest in it, for their names begin with the time. Raises InputError."""
    if not path.is_dir():
        return path
    files = [file for file in path.glob("*.json") if before is None or file.name < before.name]
    if not files:
        raise InputError(f"{path}: no {'earlier ' if before else ''}benchmarks are saved here; see `make benchmark`")
    return max(files, key=lambda file: file.name)


def report(session: Session, earlier: Session | None = None) -> str:
    """A table for each group; with an ``earlier`` session, what has changed since."""
    parts = [_origin(session)]
    if earlier:
        parts.append(f"before: {_origin(earlier)}")
        if not same_machine(session, earlier):
            parts.append("**Different machines: times cannot be compared, and `change` is that of the ratio.**")
        parts += _missing("only before", earlier, session)
        parts += _missing("new", session, earlier)
    for group, results in session.groups.items():
        parts += [f"### {group}", _table([_row(result, session, earlier) for result in results])]
    return "\n\n".join(parts) + "\n"


def same_machine(one: Session, other: Session) -> bool:
    return (one.machine_info.node, one.machine_info.cpu) == (other.machine_info.node, other.machine_info.cpu)


def _origin(session: Session) -> str:
    """Without the machine's name, for tables are published."""
    machine = session.machine_info
    load = "" if machine.load is None else f", load {machine.load:.1f} before it began"
    cores = f"{machine.cpu.count or '?'} cores"
    return f"{session.datetime[:16].replace('T', ' ')} UTC, {machine.cpu.brand_raw}, {cores}{load}"


def _missing(what: str, session: Session, other: Session) -> list[str]:
    """A line on the benchmarks of ``session`` that ``other`` lacks."""
    there = {result.fullname for result in other.benchmarks}
    lacking = [result.fullname for result in session.benchmarks if result.fullname not in there]
    return [f"{what}: {', '.join(lacking)}"] if lacking else []


def _row(result: Result, session: Session, earlier: Session | None) -> dict[str, str]:
    """Cells by column; what there is nothing to say of is left out."""
    stats, ratio = result.stats, session.ratios.get(result.fullname)
    row = {"": result.label, "median": seconds(stats.median)}
    extra = dict(map(_shown, result.extra_info.items()))
    old = next((one for one in earlier.benchmarks if one.fullname == result.fullname), None) if earlier else None
    old_ratio = earlier.ratios.get(result.fullname) if earlier else None
    if earlier and old and same_machine(session, earlier):
        row |= {"before": seconds(old.stats.median), "change": _change(stats.median, old.stats.median)}
    elif ratio and old_ratio:
        row["change"] = _change(ratio, old_ratio)
    if stats.rounds > 1:
        row["IQR"] = seconds(stats.iqr)
    row["rounds"] = str(stats.rounds)
    if ratio:
        row["ratio"] = number(ratio)
    if old_ratio:
        row["ratio before"] = number(old_ratio)
    if old:
        before = dict(map(_shown, old.extra_info.items()))
        extra = {k: v if before.get(k, v) == v else f"{v} (was {before[k]})" for k, v in extra.items()}
    return row | {name: value for name, value in extra.items() if name != REFERENCE}


def _shown(extra: tuple[str, Any]) -> tuple[str, str]:
    """Heading and cell of an entry of ``extra_info``."""
    name, value = extra
    if name.endswith("_bytes"):
        return name.removesuffix("_bytes").replace("_", " "), f"{number(value / 1e6)} MB"
    return name.replace("_", " "), number(value) if isinstance(value, float) else str(value)


def _change(now: float, before: float) -> str:
    return f"{100 * (now / before - 1):+.0f} %"


def seconds(value: float) -> str:
    """Three digits, in the unit that has some before the point."""
    unit = next((unit for unit, size in UNITS.items() if value >= size), "ns")
    return f"{number(value / UNITS[unit])} {unit}"


def number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def _table(rows: Sequence[dict[str, str]]) -> str:
    headings = list(dict.fromkeys(heading for row in rows for heading in row))
    cells = [[row.get(heading, "") for heading in headings] for row in rows]
    align = ["left"] + ["right"] * (len(headings) - 1)
    return tabulate(cells, headings, tablefmt="pipe", disable_numparse=True, colalign=align)


def main() -> None:
    parser = argparse.ArgumentParser(prog="ratios", description="Times and ratios of benchmarks, as Markdown.")
    parser.add_argument("file", type=Path, help="JSON of pytest-benchmark, or a folder of such: its newest")
    parser.add_argument("earlier", type=Path, nargs="?", help="the same, to compare with: the newest before FILE")
    given = parser.parse_args()
    try:
        file = newest(given.file)
        earlier = read(newest(given.earlier, file)) if given.earlier else None
        print(report(read(file), earlier), end="")
    except InputError as error:
        print(f"ratios: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
