"""Removes what no record needs. Never a record, never what a run under way may need."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from hbi.files import WRITING
from results.disk import size
from results.store import STORE, WEIGHTS, whole_record
from slurm.under_way import PROGRESS, GivenUp, held, holder


def clean(runs: Path, weights: bool) -> tuple[int, int]:
    """Removes leftovers of killed writes, set-aside damaged checkpoints, checkpoints of complete runs, folders of local
    jobs, and, if asked, the weights of complete runs. Returns how many files or folders, and their bytes."""
    removed = freed = 0
    for folder in sorted((runs / STORE).glob("*/")):
        try:
            with held(folder, give_up=lambda: True):
                for path in list(_needless(folder, weights)):
                    removed, freed = removed + 1, freed + path.stat().st_size
                    path.unlink()
        except GivenUp:  # under way
            continue
    for folder in sorted((runs / "jobs").glob("*/")):
        if not any(holder(runs / STORE / job.stem) for job in folder.glob("*.json")):
            removed, freed = removed + 1, freed + size(folder)
            shutil.rmtree(folder)
    return removed, freed


def _needless(folder: Path, weights: bool) -> Iterator[Path]:
    yield from folder.glob(WRITING)
    yield from folder.glob("*.damaged")
    record = whole_record(folder)
    if record and record.outcome == "complete":
        yield from folder.glob("*.pt")
        yield from folder.glob(PROGRESS)
        if weights:
            yield from folder.glob(WEIGHTS)
