"""Files that are whole or absent: written under a temporary name, flushed to the disk, then renamed."""

import hashlib
import io
import os
import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

WRITING = ".*.part"
"""Pattern of the names of files that are being written, or were when their writer was killed."""


def sha256(path: Path) -> str:
    """Of the file's content; read once a process, and again when size or time of change are others."""
    stat = path.stat()
    return _sha256(path.absolute(), stat.st_size, stat.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def write_atomically(path: Path, content: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Writes ``path`` so that a reader, or a crash, sees the old file or the new one and nothing between.

    ``content``: bytes, text (UTF-8), or a function that writes to the open binary file it is given.
    Raises OSError (a full disk, say) with the old file, if any, untouched and no temporary file left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        raw = _File(temporary, "xb")
        with io.BufferedWriter(raw) as file:
            try:
                content(file) if callable(content) else file.write(
                    content.encode() if isinstance(content, str) else content
                )
                file.flush()
            except Exception as error:
                raise raw.refusal or error from None
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


class _File(io.FileIO):
    """Remembers why the disk refused a write: torch.save, for one, reports it as an error of its own."""

    refusal: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.refusal = error
            raise


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
