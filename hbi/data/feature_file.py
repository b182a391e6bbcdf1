"""Vectors in files, a row each, as one array that need not fit into memory:

NAME.npy    [M, D] float32; np.load("NAME.npy", mmap_mode="r") reads no more of it than is used
NAME.tsv    what each row is of: a line a row below a header, its first column the row, from 0. Parted by tabs; a
            quotation mark is a character like any other
NAME.json   an ``Extracted``. It is taken away first and written last: where it is, the three belong together
"""

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from hbi.data.tables import write_table
from hbi.errors import InputError
from hbi.files import write_atomically

UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""What no line of an index can hold: control characters, and bytes of a file's name that are no UTF-8."""

Lines = list[tuple[object, ...]]
Blocks = Generator[tuple[Lines, NDArray[np.float32]], None, None]
"""The lines of the index for some rows, without their number, and the rows themselves [B, D]."""


class Extracted(BaseModel):
    """What has been written, and what made it."""

    rows: int
    width: int = Field(description="Of a row: D.")
    left_out: dict[str, str] = Field(description="What has no row: why.")
    made: dict[str, Any] = Field(description="Model, weights, sampling, code: as the caller tells it.")


def write_features(
    into: Path, columns: Sequence[str], blocks: Blocks, left_out: Mapping[str, str], made: Mapping[str, Any]
) -> Extracted:
    """Writes ``into``, which is NAME.npy, and what stands beside it; ``columns``: of the index, but for the row.

    ``left_out`` is read when the blocks are at their end. Killed before that, nothing has changed. Raises InputError
    where there is no row, or the files cannot be written.
    """
    if into.suffix != ".npy" or into.is_dir():
        raise InputError(f"{into}: the features are written to a file; call it NAME.npy")
    told = into.with_suffix(".json")
    lines: Lines = []
    width = 0

    def array(file: BinaryIO) -> None:
        nonlocal width
        with closing(blocks):
            for of_block, rows in blocks:
                if not lines:
                    width = rows.shape[1]
                    _header(file, 0, width)
                lines.extend(of_block)
                file.write(np.ascontiguousarray(rows, "<f4").tobytes())
        if not lines:
            some = " · ".join([*left_out.values()][:5])
            raise InputError(f"{into}: not written, for none of {len(left_out)} files can be used: {some}")
        file.seek(0)
        _header(file, len(lines), width)
        told.unlink(missing_ok=True)

    try:
        write_atomically(into, array)
        table = pd.DataFrame([(row, *line) for row, line in enumerate(lines)], columns=["row", *columns])
        write_table(into.with_suffix(".tsv"), table)
        extracted = Extracted(rows=len(lines), width=width, left_out=dict(left_out), made=dict(made))
        write_atomically(told, extracted.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise InputError(f"{into}: cannot be written ({error.strerror})") from error
    return extracted


def _header(file: BinaryIO, rows: int, width: int) -> None:
    """Of the .npy format, which leaves room for any number of rows: written again, it is as long."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, width)})
