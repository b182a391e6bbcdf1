"""Converts MSVD's captions, which are published as a pickle, to the JSON that the loader reads. Once, by hand:

    python -m hbi.data.msvd_captions raw-captions.pkl raw-captions.json [--sha256 DIGEST]

A pickle is a program: loading one runs what its maker chose. This one needs nothing but dictionaries, lists and
text, so every instruction that could import, call, or build anything else is refused before it is loaded, by a
loader that could not do so either. If the file is refused, it is not the published one: do not load it otherwise.
That of EMCL's repository is 1c1dea7d48a60e27e267534f0017b43bc59e938f to `git hash-object raw-captions.pkl`.

raw-captions.pkl     {clip id: [caption, …]}, a caption being a list of words; text, or Python 2's byte strings
raw-captions.json    the same
"""

import argparse
import hashlib
import io
import json
import pickle
import pickletools
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, Field, RootModel, ValidationError

from hbi.data.annotations import VideoId, first
from hbi.errors import InputError
from hbi.files import write_atomically

MAX_BYTES = 2**26
MAX_INSTRUCTIONS = 10**7
"""Both several times those of the published file: 81 thousand captions of 7 words."""
MAX_CHARACTERS = 10**8
"""Of all captions. A list that occurs in many places is written once in a pickle, but each time in JSON."""

_MEMO = {"PUT", "BINPUT", "LONG_BINPUT"}
_PLAIN = _MEMO | {
    *("PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
    *("EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "LIST", "APPEND", "APPENDS"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}


def _not_blank(words: list[str]) -> list[str]:
    if not "".join(words).strip():
        raise ValueError("empty caption")
    return words


Caption = Annotated[list[str], Field(min_length=1), AfterValidator(_not_blank)]


class Captions(RootModel[dict[VideoId, Annotated[list[Caption], Field(min_length=1)]]]):
    """{clip id: [[word, …], …]}."""


def convert(pickle_path: Path, json_path: Path, sha256: str | None = None) -> None:
    """Writes the captions of ``pickle_path`` as JSON; ``sha256``: the digest that the file must have, if given.

    Raises InputError where the file is missing, too large, damaged, another than that of the digest, holds an
    instruction that plain text does not need, or anything but captions; ``json_path`` is then untouched.
    """
    try:
        with pickle_path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{pickle_path}: cannot be read ({error.strerror})") from error
    if len(content) > MAX_BYTES:
        raise InputError(f"{pickle_path}: larger than {MAX_BYTES} bytes; it cannot be MSVD's captions")
    if sha256 and (digest := hashlib.sha256(content).hexdigest()) != sha256.lower():
        raise InputError(f"{pickle_path}: its sha256 is {digest}, not {sha256}; fetch the file again")
    try:
        _refuse_other_instructions(content)
        captions = Captions.model_validate(_as_text(_Plain(io.BytesIO(content), encoding="bytes").load()))
    except ValidationError as error:
        raise InputError(f"{pickle_path}: {first(error)}; it does not hold MSVD's captions") from error
    except (
        pickle.UnpicklingError,
        EOFError,
        LookupError,
        AttributeError,
        OverflowError,
        TypeError,
        ValueError,
    ) as error:
        raise InputError(f"{pickle_path}: {str(error)[:200]}; it is damaged, or not MSVD's captions") from error
    write_atomically(json_path, json.dumps(captions.root, ensure_ascii=False))


class _Plain(pickle.Unpickler):
    """Loads no class and no function, whatever the instructions are."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"asks for {module}.{name}")

    def persistent_load(self, id: Any) -> NoReturn:
        raise pickle.UnpicklingError("asks for an object of elsewhere")


def _refuse_other_instructions(content: bytes) -> None:
    for count, (code, argument, _) in enumerate(pickletools.genops(content)):
        if code.name not in _PLAIN:
            raise ValueError(f"holds the instruction {code.name}, which captions do not need")
        if count >= MAX_INSTRUCTIONS:
            raise ValueError(f"has more than {MAX_INSTRUCTIONS} instructions")
        # a list as long as the number is made to hold it
        if code.name in _MEMO and not 0 <= (argument or 0) <= count:
            raise ValueError(f"numbers its object {count} as {argument}")


def _as_text(loaded: object) -> dict[str, list[list[str]]]:
    """The captions with byte strings decoded; ValueError where anything else is found, or too much."""
    captions: dict[str, list[list[str]]] = {}
    characters = 0
    for id, group in _of(dict, loaded).items():
        captions[_text(id)] = texts = []
        for caption in _of(list, group):
            texts.append([_text(word) for word in _of(list, caption)])
            characters += 1 + sum(len(word) + 1 for word in texts[-1])
            if characters > MAX_CHARACTERS:
                raise ValueError(f"holds more than {MAX_CHARACTERS} characters of captions")
    return captions


def _of(kind: type[Any], value: object) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"holds a {type(value).__name__} where captions have a {kind.__name__}")
    return value


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    text: str = _of(str, value)
    text.encode("utf-8")  # raises for half of a surrogate pair, which JSON could not be read with
    return text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hbi.data.msvd_captions", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("pickle", type=Path, help="raw-captions.pkl")
    parser.add_argument("json", type=Path, help="raw-captions.json, to be written")
    parser.add_argument("--sha256", help="the digest that the pickle must have")
    given = parser.parse_args(arguments)
    try:
        convert(given.pickle, given.json, given.sha256)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
