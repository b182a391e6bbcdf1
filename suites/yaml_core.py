"""YAML text → nodes, by the core schema of YAML 1.2: text, numbers, true/false, null, lists, mappings.

So ``no`` is a word and ``1e-3`` a number (in PyYAML's version 1.1 they are False and a text). Only nodes are made,
never objects; nesting is bounded.
"""

import re
from collections.abc import Callable
from typing import Any

import yaml

from suites.places import Mistake, Place, report

TAG = "tag:yaml.org,2002:"
MAX_DEPTH = 32

_NUMBER = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
_SCALARS: dict[str, tuple[str, list[str], Callable[[str], Any]]] = {  # kind: pattern, first characters, meaning
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""], lambda text: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF"), lambda text: text.lower() == "true"),
    "int": (r"[-+]?[0-9]{1,18}", list("-+0123456789"), int),
    "float": (
        _NUMBER + r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
        lambda text: float(re.sub(r"\.(inf|nan)", r"\1", text.lower())),
    ),
    "str": ("", [], str),
}


class _Refused(Exception):
    """YAML that is well formed but not wanted here: the reason, and the mark where it stands."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (PyYAML's own type)
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _Refused(f"nested more than {MAX_DEPTH} levels deep", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node and node.tag.removeprefix(TAG) not in (*_SCALARS, "map", "seq"):
            tag = node.tag.replace(TAG, "!!")
            raise _Refused(f"the tag {tag} is not used here; write the plain value", node.start_mark)
        return node


for _kind, (_pattern, _first, _) in _SCALARS.items():
    _Loader.add_implicit_resolver(TAG + _kind, re.compile(f"(?:{_pattern})\\Z"), _first)


def compose(text: str, place: Callable[[int, int], Place]) -> yaml.Node | None:
    """The root node, None for an empty text; ``place`` tells where a line and column (from 0) are."""

    def wrong(line: int, column: int, message: str) -> Exception:
        return report([Mistake(place(line, column), message)])

    try:
        return _Loader(text).get_single_node()
    except _Refused as error:
        message, mark = error.args
        raise wrong(mark.line, mark.column, message) from None
    except yaml.reader.ReaderError as error:
        raise wrong(text.count("\n", 0, error.position), 0, "a character that no text file holds") from None
    except yaml.MarkedYAMLError as error:
        message = " ".join(filter(None, [error.problem, error.context])).replace("\n", " ")
        if "'\\t'" in message:
            message = "a tab character; YAML is indented with spaces"
        known = error.problem_mark or error.context_mark
        raise wrong(known.line if known else 0, known.column if known else 0, message) from None


def scalar(node: yaml.Node) -> Any:
    """What a scalar node means; raises ValueError where the text does not fit its tag."""
    kind = node.tag.removeprefix(TAG)
    try:
        return _SCALARS[kind][2](node.value)
    except (KeyError, ValueError):
        raise ValueError(f"{node.value[:40]!r} is no {kind}") from None
