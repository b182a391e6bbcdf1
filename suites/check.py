"""Every mistake in a suite's data, with its place."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from pydantic import ValidationError

from ablations import registry
from ablations.registry import did_you_mean
from hbi.config import Config
from hbi.errors import InputError
from suites.messages import findings, unknown_option
from suites.places import Document, Mistake, Path
from suites.schema import Suite
from suites.sections import SECTIONS, addresses, members, nested, partial

MOST = 100  # mistakes that are looked for: a report shows fewer, and each costs the search for its nearest name

Candidates = dict[str, list[type[Config]]]  # section: the configurations that it may be meant for in this suite


def check(document: Document) -> tuple[Suite | None, list[Mistake]]:
    """The suite that ``document`` describes, None where its frame is wrong, and the mistakes in it."""
    suite: Suite | None = None
    frame: Iterator[Mistake] = iter(())
    try:
        suite = Suite.model_validate(document.data)
    except ValidationError as error:
        frame = (Mistake(document.place(path, key), message) for path, key, message in findings(error, Suite))
    candidates = {section: _candidates(section, document.data) for section in SECTIONS}
    mistakes = chain(
        document.mistakes,
        frame,
        _check_sections(document, candidates),
        _check_recipes(document),
        _check_options(document, candidates),
        _check_zip(document),
    )
    return suite, list(islice(mistakes, MOST))


# ---- sections -------------------------------------------------------------------------------------------------------


def _check_sections(document: Document, candidates: Candidates) -> Iterator[Mistake]:
    for path, holder in [((), document.data), *_entries(document.data)]:
        for section in SECTIONS:
            value = holder.get(section)
            if not isinstance(value, dict):
                continue
            meant, name = candidates[section], value.get("name")
            if section == "data" and name is not None:
                if str(name) not in members("data"):
                    yield Mistake(document.place((*path, section, "name")), _unknown_data_set(name))
                    continue
                meant = [members("data")[str(name)]]
            for inner, key, message in _wrong(meant, value):
                yield Mistake(document.place((*path, section, *inner), key), message)
    if not _data_sets(document.data):
        yield Mistake(document.place(("data",)), f"no data set is named; known: {', '.join(members('data'))}")


def _check_recipes(document: Document) -> Iterator[Mistake]:
    """Recipes are shared between suites, so a recipe may hold options of systems that this suite does not compare."""
    for name, recipe in _mapping(document.data.get("recipes")).items():
        path: Path = ("recipes", name)
        if name not in members("data"):
            yield Mistake(document.place(path, of_key=True), _unknown_data_set(name))
            continue
        yield from _check_recipe(document, path, recipe, name, list(members("model")))
        for system, options in _mapping(_mapping(recipe).get("systems")).items():
            inner = (*path, "systems", system)
            if system in members("model"):
                yield from _check_recipe(document, inner, options, name, [system])
            else:
                wrong = f"unknown system {str(system)!r}; {did_you_mean(str(system), members('model'))}"
                yield Mistake(document.place(inner, of_key=True), wrong)


def _check_recipe(document: Document, path: Path, options: Any, data: str, systems: Sequence[str]) -> Iterator[Mistake]:
    """What stands at ``path`` for the data set ``data``: each option has to fit one of the ``systems``."""
    for section in SECTIONS:
        named = {"data": [data], "model": systems}.get(section, list(members(section)))
        meant = [members(section)[name] for name in named]
        for option, value in _mapping(_mapping(options).get(section)).items():
            for inner, key, message in _wrong(meant, {option: value}):
                yield Mistake(document.place((*path, section, *inner), key), message)


def _unknown_data_set(name: Any) -> str:
    return f"unknown data set {str(name)!r}; {did_you_mean(str(name), members('data'))}"


def _wrong(meant: list[type[Config]], value: Mapping[str, Any]) -> list[tuple[Path, bool, str]]:
    """What is wrong with a section that may be any of those ``meant``: nothing where one fits, else the fewest."""
    attempts = []
    for config in map(partial, meant):
        try:
            config.model_validate(value)
        except ValidationError as error:
            attempts.append(list(islice(findings(error, config), MOST)))
        else:
            return []
    return min(attempts, key=len)


# ---- dotted options -------------------------------------------------------------------------------------------------


def _check_options(document: Document, candidates: Candidates) -> Iterator[Mistake]:
    """The dotted options in grid, zip and exclude: do they exist, do their values fit, is none named twice?"""
    swept: dict[str, str] = {}
    for kind in ("grid", "zip"):
        for key, values in _mapping(document.data.get(kind)).items():
            place = document.place((kind, key), of_key=True)
            if key in ("seed", "seeds", "variant", "variants"):
                yield Mistake(place, f"{key!r} is not swept here; list it under {key.rstrip('s')}s")
            elif key.partition(".")[0] in {*Suite.model_fields} - {*SECTIONS}:
                yield Mistake(place, f"{key!r} is no option of a run, so it is not swept")
            elif key not in addresses():
                yield Mistake(place, unknown_option(key))
            else:
                for other in swept:
                    if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
                        yield Mistake(place, f"{key!r} is also set by {swept[other]}.{other}")
                swept[key] = kind
                for index, value in enumerate(_list(values)):
                    yield from _check_value((kind, key, index), key, value, document, candidates)
    for index, item in enumerate(_list(document.data.get("exclude"))):
        for key, value in _mapping(item).items():
            path: Path = ("exclude", index, key)
            if key in addresses():
                yield from _check_value(path, key, value, document, candidates)
            elif key not in ("seed", "variant"):
                yield Mistake(document.place(path, of_key=True), unknown_option(key))


def _check_value(path: Path, option: str, value: Any, document: Document, candidates: Candidates) -> Iterator[Mistake]:
    """A value given at ``path`` to a dotted option."""
    if option == "data.name":
        if str(value) not in members("data"):
            yield Mistake(document.place(path), _unknown_data_set(value))
        return
    section, *rest = option.split(".")
    for inner, key, message in _wrong(candidates[section], nested(option, value)[section]):
        yield Mistake(document.place((*path, *inner[len(rest) :]), key), message)


def _check_zip(document: Document) -> Iterator[Mistake]:
    lengths = {
        key: len(values) for key, values in _mapping(document.data.get("zip")).items() if isinstance(values, list)
    }
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key} {length}" for key, length in lengths.items())
        yield Mistake(document.place(("zip",), True), f"the lists of zip are of one length; here: {told}")


# ---- what the suite speaks of ---------------------------------------------------------------------------------------


def _candidates(section: str, data: Mapping[str, Any]) -> list[type[Config]]:
    """The configurations that a section of this suite may be meant for."""
    known = members(section)
    named = _data_sets(data) if section == "data" else _systems(data) if section == "model" else []
    return [known[name] for name in named if name in known] or list(known.values())


def _data_sets(data: Mapping[str, Any]) -> list[str]:
    holders = [data, *(entry for _, entry in _entries(data))]
    named = [_mapping(holder.get("data")).get("name") for holder in holders]
    for kind in ("grid", "zip"):
        named += _list(_mapping(data.get(kind)).get("data.name"))
    return list(dict.fromkeys(str(name) for name in named if name is not None))


def _systems(data: Mapping[str, Any]) -> list[str]:
    systems = []
    for _, entry in _entries(data):
        try:
            systems.append(registry.get(str(entry.get("name"))).config["model"]["system"])
        except InputError:
            continue  # reported where the entry is validated
    return list(dict.fromkeys(systems))


def _entries(data: Mapping[str, Any]) -> list[tuple[Path, dict[str, Any]]]:
    entries = enumerate(_list(data.get("variants")))
    return [(("variants", index), entry) for index, entry in entries if isinstance(entry, dict)]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
