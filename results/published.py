"""Figures that papers have published, from results/published/*.yaml."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

import results
from hbi.config import Config
from hbi.errors import InputError
from suites.messages import findings
from suites.places import Mistake, report
from suites.source import parse

HEADS = Path(results.__path__[0], "published", "flops.yaml")


class Head(Config):
    """What the similarity head of a system costs, as a paper prints it."""

    system: str = Field(min_length=1)
    gflops: float = Field(gt=0, description="10⁹ FLOPs, as the source calls them.")
    r_at_1: float = Field(ge=0, le=100, description="Text to video, percent, beside it in the source.")
    source: str = Field(min_length=1)
    status: Literal["confirmed", "second-hand"] = Field(description="Read in ``source`` itself, or elsewhere.")


class Heads(Config):
    """A file of them."""

    heads: tuple[Head, ...]


def published_heads(path: Path = HEADS) -> tuple[Head, ...]:
    """In the order of the file. Raises InputError, a line each mistake, with file and key."""
    try:
        document = parse(path.read_text(encoding="utf-8"), str(path), "file of figures")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}") from None
    mistakes = list(document.mistakes)
    try:
        found = Heads.model_validate(document.data)
    except ValidationError as error:
        mistakes += [Mistake(document.place(at, of_key), message) for at, of_key, message in findings(error, Heads)]
    if mistakes:
        raise report(mistakes)
    return found.heads
