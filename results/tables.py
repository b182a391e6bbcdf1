"""A table as text: for the terminal, as Markdown, LaTeX (booktabs) and CSV."""

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
from results.layout import Entry, Layout, lay_out
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
    return environment.get_template("table.tex").render(layout=layout)


def comma_separated(table: Table) -> str:
    """One line a row and metric, in full precision; ``values`` has one number a seed, separated by blanks."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["label", "metric", "n", "expected", "mean", "std", "values", "marks"])
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            mean, std = ("" if number is None else repr(number) for number in (cell.mean, cell.standard_deviation))
            values = " ".join(map(repr, cell.values))
            marks = "; ".join(row.marks)
            writer.writerow([row.label, column, len(cell.values), cell.expected, mean, std, values, marks])
    return file.getvalue()


def plain(table: Table) -> dict[str, Any]:
    """The table as data for other programs: every cell with its seeds' values, in full precision."""
    return {
        "name": table.name,
        "rows": [
            {
                "label": row.label,
                "marks": list(row.marks),
                "cells": {
                    column: {
                        "values": list(cell.values),
                        "expected": cell.expected,
                        "mean": cell.mean,
                        "std": cell.standard_deviation,
                    }
                    for column, cell in zip(table.columns, row.cells, strict=True)
                },
            }
            for row in table.rows
        ],
    }


FORMATS: dict[str, Callable[[Table], str]] = {
    "terminal": lambda table: terminal(lay_out(table)),
    "markdown": lambda table: markdown(lay_out(table)),
    "latex": lambda table: latex(lay_out(table)),
    "csv": comma_separated,
}


def render(table: Table, format: str) -> str:
    """``table`` in one of FORMATS. Raises InputError for another."""
    if format not in FORMATS:
        raise InputError(f"unknown table format {format!r}; known: {', '.join(FORMATS)}")
    return FORMATS[format](table)


def write_tables(table: Table, folder: Path) -> list[Path]:
    """Writes NAME.md, NAME.tex and NAME.csv and returns their paths; raises as ``write_texts``."""
    layout = lay_out(table)
    texts = {".md": markdown(layout), ".tex": latex(layout), ".csv": comma_separated(table)}
    return write_texts(texts, table.name, folder)


def write_texts(texts: Mapping[str, str], name: str, folder: Path) -> list[Path]:
    """Writes each text, by the ending of its file, to NAME and that ending, whole or not at all; returns the paths.

    Raises InputError if a table's name cannot name a file, OSError if the disk refuses.
    """
    if not is_plain_name(name):
        raise InputError(f"table name {name!r} cannot name a file: no /, no leading dot, 200 bytes at most")
    paths = {folder / f"{name}{ending}": text for ending, text in texts.items()}
    for path, text in paths.items():
        write_atomically(path, text)
    return list(paths)


def _markdown_entry(entry: Entry) -> str:
    text = {1: f"**{entry.text}**", 2: f"<ins>{entry.text}</ins>"}.get(entry.place, entry.text)
    return text + (f" ± {entry.deviation}" if entry.deviation else "") + _markdown(entry.rest + entry.symbol)


def _markdown(text: str) -> str:
    return "".join("\\" + letter if letter in "\\|*_`<>[]~" else letter for letter in text)


def _tex_entry(entry: Entry) -> str:
    text = {1: rf"\textbf{{{entry.text}}}", 2: rf"\underline{{{entry.text}}}"}.get(entry.place, _tex(entry.text))
    return text + (rf"\,$\pm$\,{entry.deviation}" if entry.deviation else "") + _tex(entry.rest + entry.symbol)


_TEX = {
    **{letter: "\\" + letter for letter in "{}$&#_%"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"[": "{[}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    **{"→": r"$\to$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", "−": "$-$", "–": "--"},
    **{"×": r"$\times$", "∝": r"$\propto$", "∞": r"$\infty$", "µ": r"$\mu$", "°": r"$^\circ$"},
    **{"*": r"\textsuperscript{*}", "†": r"\textsuperscript{\dag}", "‡": r"\textsuperscript{\ddag}"},
    **{"§": r"\textsuperscript{\S}", "¶": r"\textsuperscript{\P}"},
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)
