"""The texts behind the ranks: ``runs/queries/DIGEST.json`` holds the queries of one test split, for all its runs.

The file is canonical JSON, and DIGEST the beginning of its sha256: equal digests are equal queries in equal order.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from hbi.config import Config
from hbi.errors import InputError
from hbi.files import write_atomically

QUERIES = "queries"


class Queries(Config):
    """N captions, or questions, about M videos, in the order of the ranks."""

    version: Literal[1] = 1
    captions: tuple[str, ...] = Field(description="[N], as they are in the annotations.")
    videos: tuple[str, ...] = Field(description="[M]: the id of the video of each column.")
    video_of: tuple[int, ...] = Field(description="[N]: the column of each caption's video.")

    @model_validator(mode="after")
    def _fits(self) -> "Queries":
        if len(self.video_of) != len(self.captions):
            raise ValueError(f"{len(self.captions)} captions, but {len(self.video_of)} columns")
        if not all(0 <= column < len(self.videos) for column in self.video_of):
            raise ValueError(f"video_of must hold columns of the {len(self.videos)} videos")
        return self


def write_queries(runs: Path, captions: Sequence[str], videos: Sequence[str], video_of: Sequence[int]) -> str:
    """Writes those of a split, as in Queries, under the folder ``runs`` where they are not yet; their digest.

    Half of a surrogate pair, which annotations may hold and no text can, is written as "?". Raises OSError.
    """
    texts, names = (tuple(text.encode(errors="replace").decode() for text in side) for side in (captions, videos))
    queries = Queries(captions=texts, videos=names, video_of=tuple(video_of))
    content = json.dumps(queries.model_dump(), sort_keys=True, separators=(",", ":")).encode()
    digest = _digest(content)
    if not _file(runs, digest).exists():  # another process may be at it: whichever comes last writes the same
        write_atomically(_file(runs, digest), content)
    return digest


def read_queries(runs: Path, digest: str) -> Queries:
    """Those that a record calls ``digest``. Raises InputError where the file is missing, or not what was written."""
    path = _file(runs, digest)
    try:
        content = path.read_bytes()
        if _digest(content) != digest:
            raise InputError(f"{path}: is not what its name says; remove it, and the next run of this data writes it")
        return Queries.model_validate_json(content)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the next run of this data writes it") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {' '.join(error.errors()[0]['msg'].split())}") from error


def _file(runs: Path, digest: str) -> Path:
    """Raises InputError for a digest that none of ours can be: records may come from strangers."""
    if len(digest) != 16 or not set(digest) <= set("0123456789abcdef"):
        raise InputError(f"queries: {digest!r} is no digest: 16 hex digits")
    return runs / QUERIES / f"{digest}.json"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
