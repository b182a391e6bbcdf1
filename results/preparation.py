"""What `prepare` says: its estimate, and what has come of it."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from hbi.data.prepare import Estimate, Examined, Prepared
from results.disk import spelled

SHOWN = 5
"""Bad videos that are named; a file lists them all."""


def estimate_line(estimate: Estimate) -> str:
    """What is still to come."""
    left = timedelta(seconds=round(estimate.seconds))
    return f"{estimate.videos} videos left: about {left}, {spelled(estimate.bytes)} in {estimate.folder}"


def prepared_lines(done: Prepared) -> Iterator[str]:
    """What is to be printed at the end."""
    yield (
        f"{done.name}, {done.size} pixels: {done.decoded} decoded ({spelled(done.bytes)}, "
        f"{timedelta(seconds=round(done.seconds))}), {done.reused} reused, {len(done.bad)} bad · {done.folder}"
    )
    yield from _bad(done.bad, done.listed)


def examined_lines(done: Examined) -> Iterator[str]:
    """What is to be printed after ``--check``."""
    from tabulate import tabulate

    rows = [{key.replace("_", " "): value for key, value in asdict(split).items()} for split in done.splits]
    used = [key for key in rows[0] if any(row[key] is not None for row in rows)]
    yield done.name
    cells = [[_spelled(row[key]) for key in used] for row in rows]
    yield tabulate(cells, used, disable_numparse=True, colalign=["left"] + ["right"] * (len(used) - 1))
    yield from (f"not as published: {line}" for line in done.differences)
    yield from (f"found: {line}" for line in done.findings)
    yield f"{done.videos} videos, {len(done.bad)} bad"
    yield from _bad(done.bad, done.listed)


def plain(done: Prepared | Examined) -> dict[str, Any]:
    """As plain data, for --json."""
    return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(done).items()}


def _bad(bad: dict[str, str], listed: Path) -> Iterator[str]:
    for id in sorted(bad)[:SHOWN]:
        yield f"bad: {id}: {bad[id]}"
    if len(bad) > SHOWN:
        yield f"… and {len(bad) - SHOWN} more, all in {listed}"


def _spelled(value: Any) -> str:
    if isinstance(value, tuple):
        return "–".join(map(str, dict.fromkeys(value)))
    return "" if value is None else str(value)
