"""What a run has logged, so far or until it ends."""

import time
from collections.abc import Iterator
from pathlib import Path

from hbi.errors import InputError
from results.store import LOG, STORE
from slurm.under_way import holder


def lines(runs: Path, run_id: str, follow: bool) -> Iterator[str]:
    """Lines of the log of the run whose id begins so; with ``follow`` until nobody has it under way.

    Raises InputError when no run, or more than one, is meant.
    """
    folder = _folder(runs, run_id)
    log = folder / LOG
    position = 0
    while True:
        under_way = holder(folder) is not None  # asked first, so that what it writes last is still read
        if log.exists():
            with log.open() as file:
                file.seek(position)
                yield from file
                position = file.tell()
        if not (follow and under_way):
            return
        time.sleep(0.5)


def _folder(runs: Path, run_id: str) -> Path:
    found = sorted(path for path in (runs / STORE).glob("*/") if path.name.startswith(run_id))
    exact = [path for path in found if path.name == run_id]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        raise InputError(f"logs: no run in {runs} begins with {run_id!r}; `status` prints the ids")
    raise InputError(f"logs: {run_id!r} could be {', '.join(path.name for path in found[:4])}; give more of the id")
