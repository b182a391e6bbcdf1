"""Removes what no record needs. Never a record, never what a run under way may need."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from hbi.files import WRITING
from results.disk import size
from results.store import STORE, WEIGHTS, whole_record
from slurm.launches import JOBS, LAUNCH, folders_in_use
from slurm.snapshot import CODE
from slurm.under_way import PROGRESS, GivenUp, held, holder

DAY = 86400.0
"""Seconds. Sources that were taken so lately may be those of a launcher that has not submitted its jobs yet."""


def clean(runs: Path, weights: bool) -> tuple[int, int]:
    """Removes leftovers of killed writes, set-aside damaged checkpoints, checkpoints of complete runs, folders of ended
    jobs with the sources they ran, and, if asked, the weights of complete runs. Returns how many files or folders, and
    their bytes."""
    removed = freed = 0
    for folder in sorted((runs / STORE).glob("*/")):
        try:
            with held(folder, give_up=lambda: True):
                for path in list(_needless(folder, weights)):
                    removed, freed = removed + 1, freed + path.stat().st_size
                    path.unlink()
        except GivenUp:  # under way
            continue
    in_use = folders_in_use(runs)
    launches = list((runs / JOBS).glob("*/"))
    needless = [folder for folder in launches if folder.absolute() not in in_use and _over(folder, runs)]
    if needless == launches:
        needless += [folder for folder in (runs / CODE).glob("*/") if time.time() - folder.stat().st_mtime > DAY]
    for folder in needless:
        removed, freed = removed + 1, freed + size(folder)
        shutil.rmtree(folder)
    return removed, freed


def _over(folder: Path, runs: Path) -> bool:
    """Whether all jobs of a launch have ended, as its runs tell: another cluster may have some in its queue."""
    stores = [runs / STORE / job.stem for job in folder.glob("*.json") if job.name != LAUNCH]
    if any(holder(store) for store in stores):
        return False
    return not (folder / LAUNCH).exists() or all(whole_record(store) for store in stores)


def _needless(folder: Path, weights: bool) -> Iterator[Path]:
    yield from folder.glob(WRITING)
    yield from folder.glob("*.damaged")
    record = whole_record(folder)
    if record and record.outcome == "complete":
        yield from folder.glob("*.pt")
        yield from folder.glob(PROGRESS)
        if weights:
            yield from folder.glob(WEIGHTS)
