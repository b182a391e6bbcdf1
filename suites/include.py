"""A suite file and the files it includes, as one document."""

from pathlib import Path

from ablations.registry import did_you_mean
from hbi.errors import InputError
from suites.places import Document, Mistake, Place, report
from suites.sections import merge
from suites.source import MAX_CHARACTERS, parse

MAX_FILES = 50


def read(path: Path) -> Document:
    """The document at ``path`` laid on those it includes; they lie inside its folder, as do those they include."""
    return _read(path, path.parent.resolve(), [], [])


def laid_on(base: Document, over: Document) -> Document:
    """``over`` merged into ``base``: sections and grids key by key, anything else replaced."""
    data = dict(base.data)
    for key, value in over.data.items():
        data[key] = merge(data[key], value, (key,)) if key in data else value
    return Document(data, {**base.places, **over.places}, base.mistakes + over.mistakes)


def _read(path: Path, folder: Path, chain: list[Path], files: list[Path]) -> Document:
    document = parse(_text(path), str(path))
    files.append(path)
    chain = [*chain, path.resolve()]
    base = Document()
    items = document.data.get("include")
    for index, item in enumerate(items if isinstance(items, list) else []):
        target = path.parent / str(item)
        wrong = _refusal(str(item), target, folder, chain, files)
        if wrong:
            document.mistakes.append(Mistake(document.place(("include", index)), wrong))
        else:
            base = laid_on(base, _read(target, folder, chain, files))
    return laid_on(base, document)


def _refusal(item: str, target: Path, folder: Path, chain: list[Path], files: list[Path]) -> str | None:
    """Why ``target`` is not included, if so."""
    if len(files) >= MAX_FILES:
        return f"more than {MAX_FILES} files are included"
    if "\0" in item or not target.resolve().is_relative_to(folder):
        return f"{item!r} is not inside the suite's folder"
    if target.resolve() in chain:
        return f"{item!r} includes itself"
    if not target.is_file():
        return f"there is no file {item!r}; {_nearest(target)}"
    return None


def _text(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path}: there is no such suite; {_nearest(path)}")
    start = Place(str(path), 1, 1)
    try:
        with path.open("rb") as file:
            content = file.read(4 * MAX_CHARACTERS)  # the most that many characters take; parse refuses more
        return content.decode("utf-8-sig")
    except OSError as error:
        raise report([Mistake(start, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise report([Mistake(Place(str(path), line, 1), "not a text file in UTF-8")]) from None


def _nearest(path: Path) -> str:
    folder = path.parent
    return did_you_mean(path.name, sorted(file.name for file in folder.glob("*.yaml")) if folder.is_dir() else [])
