"""Which code runs: its commit, and what was changed since. A snapshot of the sources carries both in a file."""

import subprocess
from pathlib import Path

from hbi.config import Config

SOURCES = Path(__file__).resolve().parent.parent
ORIGIN = "origin.json"
"""In a snapshot: the ``Origin`` of the sources it was taken from."""
LONGEST_DIFF = 200_000
"""Characters of a dirty diff that are kept; what is beyond is counted."""


class Origin(Config):
    """Of the sources; both none outside a repository."""

    commit: str | None = None
    dirty_diff: str | None = None


def origin() -> Origin:
    """Of the code of this process."""
    try:
        return Origin.model_validate_json((SOURCES / ORIGIN).read_text())
    except (OSError, ValueError):  # no snapshot
        return Origin(commit=_git("rev-parse", "HEAD"), dirty_diff=_shortened(_git("diff", "HEAD")))


def _git(*arguments: str) -> str | None:
    """What git says of the sources; none outside a repository, or where nothing is said."""
    command = ["git", "-C", str(SOURCES), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, errors="replace")
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def _shortened(diff: str | None) -> str | None:
    if diff is None or len(diff) <= LONGEST_DIFF:
        return diff
    return f"{diff[:LONGEST_DIFF]}\n[{len(diff) - LONGEST_DIFF} more characters]"
