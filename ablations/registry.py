"""The registry: every variant under its name, with its meaning in one line and what it changes in the configuration."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hbi.config import SYSTEMS, plugins
from hbi.errors import InputError


@dataclass(frozen=True)
class Variant:
    """``config`` holds what the variant fixes, by section of a RunSpec: {"model": {"levels": ["entity"]}}."""

    name: str
    summary: str
    config: Mapping[str, Any] = field(default_factory=dict)


_variants: dict[str, Variant] = {}


def register(name: str, summary: str, **config: Any) -> Variant:
    """Adds a variant; raises ValueError when its name is taken or unfit for a folder, or when it names no system."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"variant {name!r}: a name is of letters, digits, '.', '_' and '-'")
    if config.get("model", {}).get("system") not in SYSTEMS:
        raise ValueError(f"variant {name!r}: model={{'system': ...}} is one of {', '.join(SYSTEMS)}")
    if name in _variants:
        raise ValueError(f"variant {name!r} is registered twice")
    _variants[name] = Variant(name, summary, config)
    return _variants[name]


def names() -> list[str]:
    """All names, in order of registration: the order of the tables."""
    _load()
    return list(_variants)


def get(name: str) -> Variant:
    """The variant called ``name``; raises InputError with the nearest names otherwise."""
    _load()
    if name not in _variants:
        raise InputError(f"unknown variant {name!r}; {did_you_mean(name, _variants)}")
    return _variants[name]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: those nearest to it, or all that are known."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"known: {', '.join(known[:12])}{' ...' if len(known) > 12 else ''}"


@cache
def _load() -> None:
    from ablations import variants  # noqa: F401  (registers them; here because it imports this module)

    plugins("hbi.variants")  # each entry point is a module that registers its variants when it is imported
