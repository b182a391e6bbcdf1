"""What all configurations are made of: typed, immutable, free of torch, so that planning is quick."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from hbi.errors import InputError

Level = Literal["entity", "action", "event"]
LEVELS: tuple[Level, ...] = ("entity", "action", "event")
Rate = Annotated[float, Field(gt=0, le=1)]
Choice = Literal["correct", "released"]
"""The method as its paper defines it, or as its published code computes it (docs/released_vs_corrected.md)."""


class Config(BaseModel):
    """Immutable; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Member = TypeVar("Member", bound=Config)


def member(family: Mapping[str, type[Member]], key: str, kind: str, value: Any) -> Any:
    """Turns a mapping into the member of ``family`` that its ``key`` names; a plain name stands for its defaults."""
    if isinstance(value, Config):
        return value
    if isinstance(value, str):
        value = {key: value}
    if not isinstance(value, Mapping):
        raise ValueError(f"a {kind} is a name or a mapping, not {type(value).__name__}")
    name = str(value.get(key))
    if name not in family:
        raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(sorted(family))}")
    return family[name].model_validate(value)


def plugins(group: str) -> dict[str, Any]:
    """What installed packages offer under the entry points of ``group``, by name; imports those packages alone."""
    found = {}
    for point in entry_points(group=group):
        try:
            found[point.name] = point.load()
        except Exception as error:
            package = point.dist.name if point.dist else point.value
            raise InputError(
                f"plug-in {point.name!r} ({group}) does not load: {error}; repair or uninstall {package}"
            ) from error
    return found


def imported(reference: str) -> Any:
    """The object that "package.module:name" stands for."""
    module, name = reference.split(":")
    return getattr(import_module(module), name)
