"""Suite file → Suite, with its includes and the --set arguments, or one InputError that names every mistake."""

from collections.abc import Sequence
from pathlib import Path

from suites.check import check
from suites.include import laid_on, read
from suites.messages import unknown_option
from suites.places import Document, Mistake, report
from suites.schema import Suite
from suites.sections import UNSWEPT, addresses
from suites.source import parse, parse_override


def load_suite(path: Path | str, overrides: Sequence[str] = ()) -> Suite:
    """The suite in the file ``path``, changed by ``overrides`` (KEY=VALUE, as if the key stood so in the file).

    Keys with fewer dots are laid on first, so data=msrvtt and data.root=... mean the same in either order. Naming
    another data set replaces the whole section: frames, words and sizes chosen for one set give way to the other's
    own defaults, which are its published protocol.
    """
    path = Path(path)
    document = read(path)
    document.data.setdefault("name", path.stem)
    return _loaded(document, overrides)


def suite_on(data: str, overrides: Sequence[str] = ()) -> Suite:
    """A suite of one run on the data set ``data``, for commands that want a data set and take --set arguments."""
    return _loaded(parse(f"{{name: {data}, data: {data}, variants: [no-hbi]}}", data), overrides)


def _loaded(document: Document, overrides: Sequence[str]) -> Suite:
    for argument in sorted(overrides, key=lambda argument: argument.partition("=")[0].count(".")):
        document = laid_on(document, _override(argument))
    suite, mistakes = check(document)
    if mistakes or suite is None:
        raise report(mistakes)
    suite._document = document
    suite._overrides = tuple(overrides)
    return suite


def _override(argument: str) -> Document:
    """The document of one --set argument, empty but for the mistake where it addresses nothing."""
    document = parse_override(argument)
    key = argument.partition("=")[0].strip()
    place = document.place(next(iter(document.places)))
    if key == "include":
        return Document(mistakes=[Mistake(place, "include is read before --set; edit the suite")])
    groups = tuple(f"{group}." for group in ("grid", "zip", *UNSWEPT))
    if key not in Suite.model_fields and key not in addresses() and not key.startswith(groups):
        return Document(mistakes=[Mistake(place, unknown_option(key))])
    return document
