"""Where things stand in a suite, and what is reported about them."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hbi.errors import InputError

Path = tuple[str | int, ...]


class Place(NamedTuple):
    """Where something stood: in a file, or (line 0) in an argument such as ``--set seeds=3``."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


class Mistake(NamedTuple):
    """What is wrong, and where."""

    place: Place
    message: str


@dataclass(frozen=True)
class Document:
    """Plain data; for the path of every value, where its key and where the value itself begins."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, tuple[Place, Place]] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def place(self, path: Path, of_key: bool = False) -> Place:
        """The place of ``path``, or of the nearest thing around it that was written down."""
        while path not in self.places and path:
            path, of_key = path[:-1], False
        key, value = self.places.get(path, (Place("suite"), Place("suite")))  # a suite made in Python has no text
        return key if of_key else value


def report(mistakes: list[Mistake], most: int = 30) -> InputError:
    """One error that names every mistake, a line each, in the order of the text."""
    lines = [f"{place}: {message}" for place, message in sorted(dict.fromkeys(mistakes))]
    more = ["and more"] if len(lines) > most else []
    return InputError("\n".join(lines[:most] + more))
