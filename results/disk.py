"""How much the folder of runs takes."""

import os
from pathlib import Path


def size(folder: Path) -> int:
    """Bytes of all files under ``folder``; 0 where it does not exist."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118  (ten thousand of them)
            except OSError:  # just removed by a run
                continue
    return total


def spelled(size: float) -> str:
    """Bytes for people: 1.4 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
