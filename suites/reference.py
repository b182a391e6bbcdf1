"""Every key of a suite, from the schema: ``python -m suites.reference`` renews their part of docs/suites.md."""

import inspect
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from hbi.config import Config
from hbi.files import write_atomically
from suites.resources import Resources, Retries
from suites.schema import Cost, Suite, VariantEntry
from suites.sections import SECTIONS, group, members, partial

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "suites.md"
MARK = "<!-- from here on made by `python -m suites.reference` -->\n"

_LIMITS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
    "multipleOf": "multiple of",
}
_SIMPLE = {"string": "text", "boolean": "`true` or `false`", "null": "`null`", "object": "mapping"}


def reference() -> str:
    """Markdown: every key and option with its type, default and meaning."""
    only_here = [name for name in VariantEntry.model_fields if name not in Suite.model_fields or name == "seeds"]
    parts = [
        "## Keys of a suite\n",
        _table(_rows(Suite)),
        "## Keys of an entry of `variants`\n",
        f"`checkpoint` and {_listed((*SECTIONS, 'resources'), 'and')} as above, for this variant alone, and:\n",
        _table(row for row in _rows(VariantEntry) if row[0].strip("`") in only_here),
    ]
    for section in SECTIONS:
        parts.append(f"## Options of `{section}`\n")
        for name, config in members(section).items():
            if len(members(section)) > 1:
                parts.append(f"### `{name}`\n")
            parts += [f"{inspect.getdoc(config)}\n", _table(_rows(partial(config), f"{section}."))]
    others: list[tuple[str, type[Config]]] = [("cost", Cost), ("resources", Resources), ("retries", Retries)]
    for name, config in others:
        parts += [f"## Options of `{name}`\n", f"{inspect.getdoc(config)}\n", _table(_rows(config, f"{name}."))]
    return "\n".join(parts)


def _rows(config: type[Config], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Key, type, default and meaning of every field; those of a group follow it."""
    schema = config.model_json_schema()
    for name, field in config.model_fields.items():
        inner = group(config, name) if prefix else None
        default = field.get_default(call_default_factory=True)
        meaning = (field.description or "").replace("|", "\\|")
        if (inner and default is not None) or isinstance(default, Config):
            shown = "as below"
        elif "default: " in meaning:
            shown = ""
        else:
            shown = "*required*" if default is PydanticUndefined else f"`{json.dumps(default)}`"
        yield f"`{prefix}{name}`", _type(schema["properties"][name]), shown, meaning
        if inner:
            yield from _rows(inner, f"{prefix}{name}.")


def _type(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if choices := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return _listed(choices)
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    kind = schema.get("type", "object" if "$ref" in schema else "any value")
    if isinstance(kind, list):
        return " or ".join(_type({**schema, "type": one}) for one in kind)
    if kind == "array":
        if "prefixItems" in schema:
            return f"list of {len(schema['prefixItems'])}: {_type(schema['prefixItems'][0])}"
        return f"list of: {_type(schema['items'])}" if schema.get("items") else "list"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"mapping to: {_type(schema['additionalProperties'])}"
    if kind in ("integer", "number"):
        limits = [f"{sign} {schema[key]:g}" for key, sign in _LIMITS.items() if key in schema]
        return " ".join(["whole number" if kind == "integer" else "number", ", ".join(limits)]).strip()
    return _SIMPLE.get(kind, str(kind))


def _listed(names: Iterable[object], word: str = "or") -> str:
    *others, last = [f"`{name}`" for name in names]
    return f"{', '.join(others)} {word} {last}" if others else last


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


if __name__ == "__main__":
    written = DOCUMENT.read_text().partition(MARK)[0]
    write_atomically(DOCUMENT, written + MARK + "\n" + reference())
