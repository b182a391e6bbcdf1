"""What the readers of annotation files share: checked fields, and errors that name the place."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError

from hbi.config import DataConfig
from hbi.errors import InputError


def _valid_id(id: str) -> str:
    """An id becomes the name of a file, so it must not lead out of the folder."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.@-]*", id):
        raise ValueError(f"{id[:80]!r} is no video id (letters, digits, '_', '-', and inside '.' and '@')")
    return id


def _not_blank(text: str, message: str = "empty") -> str:
    if not text.strip():
        raise ValueError(message)
    return text


VideoId = Annotated[str, AfterValidator(_valid_id)]
Text = Annotated[str, AfterValidator(_not_blank)]
Caption = Annotated[str, AfterValidator(partial(_not_blank, message="empty caption"))]
Parsed = TypeVar("Parsed", bound=BaseModel)
_ID: TypeAdapter[str] = TypeAdapter(VideoId)


def root_of(config: DataConfig, holds: str) -> Path:
    """The folder ``config.root``, which must be there and ``holds`` what the message says."""
    if config.root is None:
        raise InputError(f"data set {config.name}: no root is given; set it to the folder that holds {holds}")
    return existing(Path(config.root), config.name, holds)


def existing(root: Path, name: str, holds: str) -> Path:
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; data set {name} is expected there, with {holds}")
    return root


def content(path: Path, expected: str) -> str:
    """The text of ``path``; InputError where it cannot be read, with what is ``expected`` where it is missing."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {expected}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from error


def lines(path: Path, expected: str) -> Iterator[tuple[int, str]]:
    """The lines of ``path`` that are not blank, with their numbers from 1.

    Cut at the ends of lines alone: splitlines() also cuts at characters that JSON allows inside a string.
    """
    for number, line in enumerate(content(path, expected).split("\n"), start=1):
        if line.strip():
            yield number, line


def listed(path: Path, expected: str) -> list[str]:
    """The ids of a list file, one a line; none twice."""
    numbers: dict[str, int] = {}
    for number, line in lines(path, expected):
        try:
            id = _ID.validate_python(line.strip())
        except ValidationError as error:
            raise InputError(f"{path}:{number}: {first(error)}; correct the line") from error
        if id in numbers:
            raise InputError(f"{path}:{number}: {id} is also on line {numbers[id]}; remove one")
        numbers[id] = number
    if not numbers:
        raise InputError(f"{path}: lists no video")
    return list(numbers)


def parsed(path: Path, model: type[Parsed], expected: str) -> Parsed:
    """The JSON file ``path`` as a ``model``."""
    try:
        return model.model_validate_json(content(path, expected))
    except ValidationError as error:
        raise InputError(f"{path}: {first(error)}; correct the file") from error


def first(error: ValidationError) -> str:
    """The first of pydantic's findings in a few words: "sentences.3.caption: empty (and 2 more)"."""
    first, more = error.errors()[0], error.error_count() - 1
    place = "".join(f"{part}." for part in first["loc"])[:-1]
    message = first["msg"].removeprefix("Value error, ")
    return (f"{place}: " if place else "") + message + (f" (and {more} more)" if more else "")


def refuse_shared(files: Mapping[str, Path], ids: Mapping[str, Iterable[str]]) -> None:
    """Raises InputError where a video is in two splits; ``files`` and ``ids``: those of each split."""
    seen: dict[str, str] = {}
    for split, found in ids.items():
        for id in found:
            if (other := seen.setdefault(id, split)) != split:
                raise InputError(f"{files[split]}: {id} is also in {files[other].name}; remove it from one")


def refuse_without_caption(file: Path, split: str, ids: Iterable[str]) -> None:
    """Raises InputError that names the first of ``ids``, the listed videos of which ``file`` holds no caption."""
    if without := list(ids):
        raise InputError(
            f"{file}: no caption for {without[0]} of split {split} ({len(without)} such videos); complete the file "
            "or take them off the list"
        )
