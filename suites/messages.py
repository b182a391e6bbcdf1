"""What pydantic finds wrong, in one line each, with the nearest valid name."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ablations.registry import did_you_mean
from hbi.config import Config
from suites.places import Path
from suites.schema import Suite
from suites.sections import addresses, group

Finding = tuple[Path, bool, str]  # path of the value, whether its key is meant, message


def findings(error: ValidationError, config: type[Config]) -> Iterator[Finding]:
    """All that ``error`` says about data that should be a ``config``."""
    for found in error.errors(include_url=False):
        path = tuple(part for part in found["loc"] if part != "[key]")
        yield path, found["type"] == "extra_forbidden", _message(found, path, config)


def unknown_option(key: str) -> str:
    """The message about a dotted key that is no option."""
    return f"unknown option {key!r}; {_elsewhere(key) or did_you_mean(key, [*addresses(), *Suite.model_fields])}"


def shown(value: Any) -> str:
    """A value as it would stand in a suite, on one line."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _message(found: ErrorDetails, path: Path, config: type[Config]) -> str:
    kind, given = found["type"], found["input"]
    names = [part if part.isprintable() else repr(part) for part in path if isinstance(part, str)] or ["suite"]
    if kind == "extra_forbidden":
        return _unknown_key(names[-1], _keys(config, path[:-1]))
    if kind == "missing":
        return f"{names[-1]} is missing"
    if kind == "value_error":
        return str(found["ctx"]["error"])
    if kind == "too_short":
        return f"{names[-1]} is empty"
    message = f"{names[-1]} {_reworded(found['msg'])}, not {shown(given)!r}"
    if kind == "literal_error" and isinstance(given, str):
        hint = did_you_mean(given, re.findall(r"'([^']*)'", found["ctx"]["expected"]))
        message += f"; {hint}" if hint.startswith("did") else ""
    return message


def _reworded(message: str) -> str:
    for theirs, ours in [
        (r"^(Input|String|List|Tuple) ", ""),
        (r", unable to .*| or instance of .*", ""),
        (r"a valid dictionary", "a mapping (key: value)"),
        (r"a valid (list|tuple)", "a list"),
        (r"a valid integer", "a whole number"),
        (r"a valid ", "a "),
    ]:
        message = re.sub(theirs, ours, message)
    return message


def _unknown_key(key: str, known: Sequence[str]) -> str:
    hint = did_you_mean(key, known)
    return f"unknown key {key!r}; {hint if hint.startswith('did') else _elsewhere(key) or hint}"


def _elsewhere(key: str) -> str | None:
    """The hint for an option under the wrong section, or under none: epochs is training.epochs."""
    same = [address for address in addresses() if address.rpartition(".")[2] == key.rpartition(".")[2]]
    return f"did you mean {' or '.join(map(repr, same))}?" if same else None


def _keys(config: type[Config], path: Path) -> list[str]:
    """The keys that may stand at ``path`` inside ``config``."""
    for part in path:
        if isinstance(part, str):
            config = group(config, part) or config
    return list(config.model_fields)
