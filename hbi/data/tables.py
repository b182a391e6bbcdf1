"""Tables of captions with the paths of what they describe, as WebVid and CC3M are published:

any name.csv    columns path, caption, nouns, verbs, named by a header; fields in quotation marks may hold commas
any name.tsv    the same, parted by tabs; a quotation mark is a character like any other

The columns path and caption must be there; those beside these four are ignored. ``path`` stays inside its folder.
``nouns`` and ``verbs`` hold spans of the caption as "2:12 31:42": the first character and the one behind the last, from
0. Millions of rows are read in seconds, so columns are checked as a whole, and a line is looked up where one is wrong.
"""

import csv
import io
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hbi.data.dataset import Span
from hbi.errors import InputError
from hbi.files import write_atomically

SPANS = ("nouns", "verbs")

_PARTED_BY: dict[str, tuple[str, Literal[0, 3]]] = {".csv": (",", csv.QUOTE_MINIMAL), ".tsv": ("\t", csv.QUOTE_NONE)}
_PATH = r"(?:[^/\x00-\x1f\x7f]+/)*[^/\x00-\x1f\x7f]+"
_DOTS = r"(?:^|/)\.\.?(?:/|$)"
_SPAN = "[0-9]{1,9}:[0-9]{1,9}"


def read_table(path: Path) -> pd.DataFrame:
    """The four columns of a table as text, in the order of its rows; a column of spans that is not there is empty.

    Raises InputError where the file cannot be read, is no table, or a row is wrong: with the line and the column.
    """
    whole = _whole(path)
    if missing := [name for name in ("path", "caption") if name not in whole]:
        raise InputError(f"{path}:1: no column {missing[0]!r} in the header; the first line must name the columns")
    _, header = next(_rows(path))
    if twice := [name for name in ("path", "caption", *SPANS) if header.count(name) > 1]:
        raise InputError(f"{path}:1: two columns are called {twice[0]!r}; rename one")
    table: pd.DataFrame = pd.DataFrame({name: whole.get(name, "") for name in ("path", "caption", *SPANS)})
    if table.empty:
        raise InputError(f"{path}: lists no pair")
    inside = table["path"].str.fullmatch(_PATH) & ~table["path"].str.contains(_DOTS)
    _refuse(path, table["path"], ~inside, "is no path inside the folder of the data")
    _refuse(path, table["caption"], table["caption"].str.strip() == "", "is an empty caption")
    for name in SPANS:
        column = table[name]
        well_formed = column.str.fullmatch(f"(?:{_SPAN}(?: {_SPAN})*)?")
        _refuse(path, column, ~well_formed, 'is not spans as "2:12 31:42"')
        counts, bounds = _bounds(column)
        row = np.repeat(np.arange(len(table)), counts)
        length = table["caption"].str.len().to_numpy(dtype=np.int64)
        outside = np.zeros(len(table), np.bool_)
        outside[row[(bounds[:, 0] >= bounds[:, 1]) | (bounds[:, 1] > length[row])]] = True
        _refuse(path, column, outside, "holds a span that is not inside the caption")
    return table


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a table that ``read_table`` has read, or one like it.

    Raises InputError where a field has a tab or the end of a line and ``path`` is a .tsv, or the disk refuses.
    """
    delimiter, quoting = _parted_by(path)

    def content(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        quote = '"' if quoting == csv.QUOTE_MINIMAL else None
        writer = csv.writer(text, delimiter=delimiter, quoting=quoting, quotechar=quote, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows(table.itertuples(index=False, name=None))
        text.flush()
        text.detach()

    try:
        write_atomically(path, content)
    except csv.Error as error:
        raise InputError(f"{path}: a field holds a tab or the end of a line; write a .csv") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def spelt(spans: Iterable[Span]) -> str:
    """As a table holds them: "2:12 31:42"."""
    return " ".join(f"{start}:{end}" for start, end in spans)


def spans(column: "pd.Series[str]") -> list[tuple[Span, ...]]:
    """Those of each row of a column of a table."""
    counts, bounds = _bounds(column)
    known: dict[Span, Span] = {}  # most captions have theirs at the places of others'
    found = (known.setdefault(span, span) for span in zip(*bounds.T.tolist(), strict=True))
    return [tuple(islice(found, count)) for count in counts.tolist()]


def line_of(path: Path, row: int) -> int:
    """The line on which a row of a table begins; rows count from 0 behind the header, lines from 1."""
    return next(islice(_rows(path), row + 1, None))[0]


def _bounds(column: "pd.Series[str]") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many spans each row has, and start and end of all [sum, 2]."""
    counts = column.str.count(":").to_numpy(dtype=np.int64)
    numbers = np.fromstring(" ".join(column[counts > 0].tolist()).replace(":", " "), dtype=np.int64, sep=" ")
    return counts, numbers.reshape(-1, 2)


def _refuse(path: Path, column: "pd.Series[str]", wrong: object, reason: str) -> None:
    """Raises InputError that names the first row that is ``wrong``."""
    if rows := np.flatnonzero(np.asarray(wrong)).tolist():
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        value = column.iloc[rows[0]][:80]
        line = line_of(path, rows[0])
        raise InputError(f"{path}:{line}: column {column.name}: {value!r} {reason}{more}; correct the line")


def _whole(path: Path) -> pd.DataFrame:
    delimiter, quoting = _parted_by(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a first row that is too long is cut otherwise
            return pd.read_csv(
                path,
                delimiter=delimiter,
                quoting=quoting,
                index_col=False,
                dtype=str,
                keep_default_na=False,
                encoding="utf-8-sig",
            )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; data.tables names tables with the columns path and caption") from None
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: is empty; the first line must name the columns") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning):
        _refuse_malformed(path)


def _parted_by(path: Path) -> tuple[str, Literal[0, 3]]:
    """The delimiter, and whether fields may be quoted."""
    if path.suffix not in _PARTED_BY:
        raise InputError(f"{path}: is called neither .csv nor .tsv, which tells what parts its columns; rename it")
    return _PARTED_BY[path.suffix]


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, the header first, each with the line it begins on."""
    delimiter, quoting = _parted_by(path)
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True)
        begun = 1
        try:
            for row in reader:
                if len(row) > 1 or "".join(row).strip():
                    yield begun, row
                begun = reader.line_num + 1
        except csv.Error as error:
            raise InputError(f"{path}:{begun}: {error}; correct the line") from error


def _refuse_malformed(path: Path) -> NoReturn:
    """Names the first row that is too long, or has no end."""
    rows = _rows(path)
    _, header = next(rows)
    for line, row in rows:
        if len(row) > len(header):
            raise InputError(f"{path}:{line}: more fields than the header; quote what holds a comma, in a .csv")
    raise InputError(f"{path}: is no table of {len(header)} columns; write it again")
