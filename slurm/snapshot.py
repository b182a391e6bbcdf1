"""The code that a launch runs: a copy of the sources as they are when it is submitted, whatever is edited meanwhile."""

import hashlib
import os
import secrets
import shutil
from pathlib import Path

from ablations.sources import ORIGIN, SOURCES, origin
from hbi.files import write_atomically

PACKAGES = ("hbi", "ablations", "suites", "slurm", "results")
CODE = "code"


def snapshot(runs: Path) -> Path:
    """Folder with the sources as they are now: tracked files with their changes, and new ones.

    It is named by what is in it, so launches of the same code share it; it is whole or absent.
    """
    files = {name: path.read_bytes() for name, path in _files().items()}  # once: they may be saved meanwhile
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    folder = (runs / CODE / digest.hexdigest()[:16]).absolute()
    if folder.is_dir():
        os.utime(folder)  # in use again, for `clean`
        return folder
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    for name, content in files.items():
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        (aside / name).write_bytes(content)
    write_atomically(aside / ORIGIN, origin().model_dump_json(indent=1))
    try:
        aside.rename(folder)
    except OSError:
        shutil.rmtree(aside)
        if not folder.is_dir():  # else another launcher was quicker
            raise
    return folder


def _files() -> dict[str, Path]:
    """Everything in our packages but what Python and editors make of it, by its path from the root."""
    found = {"run_suite.py": SOURCES / "run_suite.py"}
    for package in PACKAGES:
        for folder, inner, names in os.walk(SOURCES / package):
            inner[:] = sorted(name for name in inner if name != "__pycache__")
            ours = (Path(folder, name) for name in sorted(names) if not name.startswith("."))
            found |= {str(path.relative_to(SOURCES)): path for path in ours}
    return found
