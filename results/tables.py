"""A table as text: for the terminal, as Markdown, LaTeX (booktabs), HTML and CSV, and as files."""

import csv
import io
import textwrap
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from tabulate import tabulate

from hbi.errors import InputError
from hbi.files import write_atomically
from results.collect import Table
from results.html import html_file
from results.layout import Entry, Layout, lay_out
from results.macros import macros
from results.store import is_plain_name
from results.terminal import terminal

NOTE_WIDTH = 100
"""Characters of a line of notes in LaTeX, where rows of a tabular do not break by themselves."""


def markdown(layout: Layout) -> str:
    """A GitHub table, best bold and second underlined, with its footnotes."""
    titles = [column.short or (f"{column.group}:" if column.group else "") for column in layout.columns]
    headings = [f"{title} {column.heading}".strip() for title, column in zip(titles, layout.columns, strict=True)]
    rows = []
    for section, members in layout.sections:
        rows += [[f"**{_markdown(section)}**"] + [""] * len(layout.columns)] if section else []
        for line in layout.lines[members.start : members.stop]:
            rows.append([_markdown(line.label + line.symbols), *map(_markdown_entry, line.entries)])
    body = tabulate(
        rows,
        list(map(_markdown, [layout.heading, *headings])),
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["left"] + ["right"] * len(layout.columns),
    )
    shortened = dict.fromkeys((column.short, column.group) for column in layout.columns if column.short)
    notes = [f"{_markdown(short)}: {_markdown(title)}" for short, title in shortened]
    notes += [f"{_markdown(symbol)} {_markdown(text)}".strip() for symbol, text in layout.notes]
    return f"**{_markdown(layout.name)}**\n\n{body}\n" + ("\n" + "<br>\n".join(notes) + "\n" if notes else "")


def latex(layout: Layout) -> str:
    """A booktabs tabular to \\input inside a table; best bold, second underlined, footnotes as last rows."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["tex"] = _tex
    environment.filters["entry"] = _tex_entry
    environment.filters["wrapped"] = partial(textwrap.wrap, width=NOTE_WIDTH, break_long_words=False)
    return environment.get_template("table.tex").render(layout=layout, deviations=_longest_deviations(layout))


_CSV = (
    *("label", "metric", "n", "expected", "mean", "std", "values", "marks"),
    *("lower", "upper", "difference", "difference_lower", "difference_upper", "p", "p_holm", "over"),
    *("origin", "sources", "note", "data"),
)


def comma_separated(table: Table) -> str:
    """One line a row and metric, in full precision; ``values`` has one number a seed, separated by blanks.

    lower, upper       confidence interval of the mean, at 1 − ``table.level``, as all intervals here
    difference …       to the baseline's row, of the seeds that both have; p_holm is corrected over the rows
    over               what was seen to vary: "queries", or "queries and seeds"
    origin             "measured", or "published", with ``sources`` and ``note``
    data               the data set, and what of the suite was changed or left out by the command
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, _CSV, restval="", lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            numbers = cell.numbers
            told = {name: value if isinstance(value, (int, str)) else repr(value) for name, value in numbers.items()}
            values = " ".join(map(repr, cell.values))
            marks = "; ".join(row.marks)
            writer.writerow(
                {
                    "label": row.label,
                    "metric": column,
                    "values": values,
                    "marks": marks,
                    "origin": "measured",
                    **told,
                    "data": table.origin,
                }
            )
    for printed in table.published:
        for column, value in zip(table.columns, printed.values, strict=True):
            if value is not None:
                told = {"label": printed.label, "metric": column, "mean": repr(value), "origin": "published"}
                marks, sources = "; ".join(printed.marks), " ".join(printed.sources)
                writer.writerow({**told, "marks": marks, "sources": sources, "note": printed.note})
    return file.getvalue()


def plain(table: Table) -> dict[str, Any]:
    """The table as data for other programs: every cell with its seeds' values, in full precision."""
    return {
        "name": table.name,
        "data": table.origin,
        "baseline": table.baseline,
        "uncompared": table.uncompared,
        "level": table.level,
        "rows": [
            {
                "label": row.label,
                "marks": list(row.marks),
                "cells": {
                    column: {"mean": None, "std": None, "values": list(cell.values), **cell.numbers}
                    for column, cell in zip(table.columns, row.cells, strict=True)
                },
            }
            for row in table.rows
        ],
        "published": [
            {
                "label": printed.label,
                "marks": list(printed.marks),
                "values": dict(zip(table.columns, printed.values, strict=True)),
                "sources": list(printed.sources),
                "note": printed.note,
            }
            for printed in table.published
        ],
    }


FORMATS: dict[str, Callable[[Table], str]] = {
    "terminal": lambda table: terminal(lay_out(table)),
    "markdown": lambda table: markdown(lay_out(table)),
    "latex": lambda table: latex(lay_out(table)),
    "html": lambda table: html_file(lay_out(table)),
    "csv": comma_separated,
}


def render(table: Table, format: str) -> str:
    """``table`` in one of FORMATS. Raises InputError for another."""
    if format not in FORMATS:
        raise InputError(f"unknown table format {format!r}; known: {', '.join(FORMATS)}")
    return FORMATS[format](table)


def table_files(table: Table) -> dict[str, str]:
    """NAME.md, NAME.tex, NAME.html, NAME.csv and NAME.macros.tex, by the name of the file."""
    layout = lay_out(table)
    texts = {"md": markdown(layout), "tex": latex(layout), "html": html_file(layout)}
    texts |= {"csv": comma_separated(table), "macros.tex": macros(table)}
    return {f"{table.name}.{ending}": text for ending, text in texts.items()}


def write_files(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Writes every text, by the name of its file, whole or not at all; returns the paths.

    Raises InputError for a name that would leave ``folder``, OSError if the disk refuses.
    """
    for name in files:
        if not is_plain_name(name):
            raise InputError(f"table {name!r} cannot name a file: no /, no leading dot, 200 bytes at most")
    for name, text in files.items():
        write_atomically(folder / name, text)
    return [folder / name for name in files]


def _markdown_entry(entry: Entry) -> str:
    text = {1: f"**{entry.text}**", 2: f"<ins>{entry.text}</ins>"}.get(entry.place, entry.text)
    return text + (f" ± {entry.deviation}" if entry.deviation else "") + _markdown(entry.rest + entry.symbol)


def _markdown(text: str) -> str:
    return "".join("\\" + letter if letter in "\\|*_`<>[]~" else letter for letter in text)


def _tex_entry(entry: Entry, longest: str) -> str:
    """``longest`` deviation of its column: what an entry lacks of it stays blank, and marks take no room, so that the
    numbers stand one below the other."""
    text = {1: rf"\textbf{{{entry.text}}}", 2: rf"\underline{{{entry.text}}}"}.get(entry.place, _tex(entry.text))
    if entry.deviation:
        text += rf"\,$\pm$\,{entry.deviation}"
        blank = "0" * (len(longest) - len(entry.deviation))
    else:
        blank = rf"\,$\pm$\,{longest}" if longest and entry.text else ""
    text += _tex(entry.rest) + (rf"\rlap{{{_tex(entry.symbol)}}}" if entry.symbol else "")
    return text + (rf"\hphantom{{{blank}}}" if blank else "")


def _longest_deviations(layout: Layout) -> list[str]:
    """One a column; "" where none has any."""
    columns = range(len(layout.columns))
    return [max((line.entries[n].deviation for line in layout.lines), key=len, default="") for n in columns]


_TEX = {
    **{letter: "\\" + letter for letter in "{}$&#_%"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"[": "{[}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    **{"→": r"$\to$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", "−": "$-$", "–": "--"},
    **{"×": r"$\times$", "∝": r"$\propto$", "∞": r"$\infty$", "µ": r"$\mu$", "°": r"$^\circ$"},
    **{"*": r"\textsuperscript{*}", "†": r"\textsuperscript{\dag}", "‡": r"\textsuperscript{\ddag}"},
    **{"⁺": r"\textsuperscript{+}", "⁻": r"\textsuperscript{$-$}"},
    **{"§": r"\textsuperscript{\S}", "¶": r"\textsuperscript{\P}"},
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)
