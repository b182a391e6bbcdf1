"""A table as text: for the terminal, as Markdown, LaTeX (booktabs) and CSV."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from tabulate import tabulate

from hbi.errors import InputError
from hbi.files import write_atomically
from results.collect import Table
from results.layout import Entry, lay_out
from results.metrics import GROUPS
from results.store import is_plain_name
from results.terminal import terminal


def markdown(table: Table) -> str:
    """A GitHub table, best bold and second underlined, with its footnotes."""
    layout = lay_out(table)
    short = {name: group.short for name, group in GROUPS.items()}
    headings = ["variant", "seeds"]
    headings += [f"{short.get(m.group, '')} {_markdown(m.heading)} {m.arrow}".strip() for m in layout.metrics]
    rows = [
        [_markdown(line.label + line.symbols), line.seeds, *map(_markdown_entry, line.entries)] for line in layout.lines
    ]
    body = tabulate(
        rows,
        headings,
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["left"] + ["right"] * (len(headings) - 1),
    )
    used = dict.fromkeys(m.group for m in layout.metrics if m.group)
    notes = [f"{group.short}: {group.title}" for name, group in GROUPS.items() if name in used]
    notes += [f"{_markdown(symbol)} {_markdown(text)}" for symbol, text in layout.notes]
    return f"**{_markdown(layout.name)}**\n\n{body}\n" + ("\n" + "<br>\n".join(notes) + "\n" if notes else "")


def latex(table: Table) -> str:
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
    return environment.get_template("table.tex").render(layout=lay_out(table))


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
    "terminal": terminal,
    "markdown": markdown,
    "latex": latex,
    "csv": comma_separated,
}


def render(table: Table, format: str) -> str:
    """``table`` in one of FORMATS. Raises InputError for another."""
    if format not in FORMATS:
        raise InputError(f"unknown table format {format!r}; known: {', '.join(FORMATS)}")
    return FORMATS[format](table)


def write_tables(table: Table, folder: Path) -> list[Path]:
    """Writes NAME.md, NAME.tex and NAME.csv, each whole or not at all, and returns their paths.

    Raises InputError if the table's name cannot name a file, OSError if the disk refuses.
    """
    if not is_plain_name(table.name):
        raise InputError(f"table name {table.name!r} cannot name a file: no /, no leading dot, 200 bytes at most")
    paths = []
    for suffix, format in (("md", "markdown"), ("tex", "latex"), ("csv", "csv")):
        paths.append(folder / f"{table.name}.{suffix}")
        write_atomically(paths[-1], render(table, format))
    return paths


def _markdown_entry(entry: Entry) -> str:
    mean = {1: f"**{entry.mean}**", 2: f"<ins>{entry.mean}</ins>"}.get(entry.place, entry.mean)
    return mean + (f" ± {entry.deviation}" if entry.deviation else "") + _markdown(entry.symbol)


def _markdown(text: str) -> str:
    return "".join("\\" + letter if letter in "\\|*_`<>[]~" else letter for letter in text)


def _tex_entry(entry: Entry) -> str:
    mean = {1: rf"\textbf{{{entry.mean}}}", 2: rf"\underline{{{entry.mean}}}"}.get(entry.place, _tex(entry.mean))
    return mean + (rf"\,$\pm$\,{entry.deviation}" if entry.deviation else "") + _tex(entry.symbol)


_TEX = {
    **{letter: "\\" + letter for letter in "{}$&#_%"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"[": "{[}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    **{"→": r"$\to$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", "−": "$-$", "–": "--"},
    **{"*": r"\textsuperscript{*}", "†": r"\textsuperscript{\dag}", "‡": r"\textsuperscript{\ddag}"},
    **{"§": r"\textsuperscript{\S}", "¶": r"\textsuperscript{\P}"},
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)
