"""What the readers of annotation files share: checked fields, and errors that name the place."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationError

from hbi.errors import InputError


def _valid_id(id: str) -> str:
    """An id becomes the name of a file, so it must not lead out of the folder."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", id):
        raise ValueError(f"{id[:80]!r} is no video id (letters, digits, '_', '-' and inner '.')")
    return id


VideoId = Annotated[str, AfterValidator(_valid_id)]


def content(path: Path, expected: str) -> str:
    """The text of ``path``; InputError where it cannot be read, with what is ``expected`` where it is missing."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {expected}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from error


def first(error: ValidationError) -> str:
    """The first of pydantic's findings in a few words: "sentences.3.caption: empty caption (and 2 more)"."""
    first, more = error.errors()[0], error.error_count() - 1
    place = "".join(f"{part}." for part in first["loc"])[:-1]
    message = first["msg"].removeprefix("Value error, ")
    return (f"{place}: " if place else "") + message + (f" (and {more} more)" if more else "")
