"""Text of a suite → Document: plain data with the place of every value. Size and aliases are bounded."""

import pathlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from hbi.config import Config
from hbi.errors import InputError
from suites.messages import findings
from suites.places import Document, Mistake, Path, Place, report
from suites.spelling import spell_out
from suites.yaml_core import MAX_DEPTH, TAG, compose, scalar

Read = TypeVar("Read", bound=Config)

MAX_CHARACTERS = 200_000
MAX_VALUES = 100_000  # counted after aliases are followed: a few lines of them can stand for billions of values


def parse(text: str, source: str, kind: str = "suite") -> Document:
    """The document in the file called ``source``, which is to be a ``kind`` of thing that people write by hand."""
    start = Place(source, 1, 1)
    if len(text) > MAX_CHARACTERS:
        raise report([Mistake(start, f"more than {MAX_CHARACTERS} characters; a {kind} is written by hand")])
    root = compose(text, lambda line, column: Place(source, line + 1, column + 1))
    if root is None:
        needs = "; it needs data and variants" if kind == "suite" else ""
        raise report([Mistake(start, f"the {kind} is empty{needs}")])
    return _document(root, kind, lambda node: Place(source, node.start_mark.line + 1, node.start_mark.column + 1))


def read(path: pathlib.Path, config: type[Read], kind: str) -> tuple[Read, Document]:
    """The ``config`` that the file at ``path`` holds, a ``kind`` of thing, with where everything stands in it.

    For files other than suites, which have includes. Raises InputError, a line each mistake, with file and place.
    """
    try:
        document = parse(path.read_text(encoding="utf-8"), str(path), kind)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}") from None
    mistakes = list(document.mistakes)
    try:
        found = config.model_validate(document.data)
    except ValidationError as error:
        mistakes += [Mistake(document.place(at, of_key), message) for at, of_key, message in findings(error, config)]
    if mistakes:
        raise report(mistakes)
    return found, document


def parse_override(argument: str) -> Document:
    """The document that ``KEY=VALUE`` stands for; every place in it is the argument itself."""
    place = Place(f"--set {argument}")
    key, equals, text = argument.partition("=")
    if not equals or not key.strip():
        raise report([Mistake(place, "write KEY=VALUE, such as training.epochs=1")])
    node = compose(text, lambda line, column: place) or yaml.ScalarNode(TAG + "null", "")
    # the keys of a grid are dotted themselves: grid.model.levels is its key model.levels
    parts = key.strip().split(".", 1 if key.strip().startswith(("grid.", "zip.")) else -1)
    for part in reversed(parts):
        node = yaml.MappingNode(TAG + "map", [(yaml.ScalarNode(TAG + "str", part), node)])
    document = _document(node, "suite", lambda node: place)
    # the groups around the value keep the places they have in the file
    return replace(document, places={path: at for path, at in document.places.items() if len(path) >= len(parts)})


def _document(root: yaml.Node, what: str, place: Callable[[yaml.Node], Place]) -> Document:
    if not isinstance(root, yaml.MappingNode):
        kind = "list" if isinstance(root, yaml.SequenceNode) else "single value"
        raise report([Mistake(place(root), f"a {what} is a mapping (key: value), not a {kind}")])
    spell_out(root)
    document = Document()
    document.data.update(_value(root, (), place(root), place, document))
    return document


def _value(node: yaml.Node, path: Path, key: Place, place: Callable[[yaml.Node], Place], document: Document) -> Any:
    here = place(node)
    document.places[path] = (key, here)
    if len(document.places) > MAX_VALUES or len(path) > MAX_DEPTH:
        raise report([Mistake(here, "aliases that stand for too many values; write the values out")])
    if isinstance(node, yaml.MappingNode):
        return {
            name: _value(value, (*path, name), place(key), place, document)
            for name, key, value in _pairs(node, place, document)
        }
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, i), place(item), place, document) for i, item in enumerate(node.value)]
    try:
        return scalar(node)
    except ValueError as error:
        raise report([Mistake(here, str(error))]) from None


def _pairs(
    node: yaml.MappingNode, place: Callable[[yaml.Node], Place], document: Document
) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            document.mistakes.append(Mistake(place(key), "a key is a word, not a list or a mapping"))
        elif key.value in seen:
            document.mistakes.append(Mistake(place(key), f"the key {key.value!r} stands here twice"))
        else:
            seen.add(key.value)
            yield key.value, key, value
