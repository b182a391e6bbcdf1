"""The numbers of a table for the prose of a paper: \\result{SUITE}{LABEL}{METRIC}, never typed in by hand.

    \\input{quickstart.macros}
    R@1 rises to \\result{quickstart}{hbi}{t2v/R@1} (p-value: \\result[p_holm]{quickstart}{hbi}{t2v/R@1}).

In brackets stands what is wanted of a cell, by the names of the CSV file: mean (the default), std, n, lower, upper,
difference, difference_lower, difference_upper, p, p_holm. A number that there is none of stops LaTeX with its name,
so that no sentence goes to print with a hole in it.
"""

import re
from collections import Counter

from results.collect import Cell, Table
from results.metrics import Metric, metric
from results.numerals import rounded

_PREAMBLE = r"""% numbers of suite {name}, data: {origin}
% written by run_suite.py: \result[mean]{{SUITE}}{{LABEL}}{{METRIC}}
\providecommand\result[4][mean]{{\ifcsname result:#2:#3:#4:#1\endcsname\csname result:#2:#3:#4:#1\endcsname\else
  \errmessage{{There is no number result[#1]{{#2}}{{#3}}{{#4}}}}\fi}}
"""
_WANTED = ("mean", "std", "n", "lower", "upper", "difference", "difference_lower", "difference_upper", "p", "p_holm")


def macros(table: Table) -> str:
    """One definition a number; measured rows alone. In names, what could mean something to TeX is a hyphen.

    Rows whose names are then the same have none: a number must not be another row's.
    """
    columns = [metric(name) for name in table.columns]
    names = Counter(_plain(row.label) for row in table.rows)
    lines = []
    for row in table.rows:
        label = _plain(row.label)
        if names[label] > 1:
            lines.append(f"% left out: {names[label]} rows are called {label} here")
            continue
        for column, cell in zip(columns, row.cells, strict=True):
            for wanted, text in _texts(cell, column).items():
                name = f"result:{_plain(table.name)}:{label}:{_plain(column.name)}:{wanted}"
                lines.append(rf"\expandafter\def\csname {name}\endcsname{{{text}}}")
    preamble = _PREAMBLE.format(name=_plain(table.name), origin=_plain(table.origin))
    return preamble + "".join(f"{line}\n" for line in dict.fromkeys(lines))


def _texts(cell: Cell, column: Metric) -> dict[str, str]:
    numbers = cell.numbers
    return {wanted: _text(wanted, float(numbers[wanted]), column) for wanted in _WANTED if wanted in numbers}


def _text(wanted: str, number: float, column: Metric) -> str:
    if wanted == "n":
        return f"{number:.0f}"
    if wanted in ("p", "p_holm"):
        return r"\ensuremath{<}0.001" if number < 0.001 else rounded(number, 3)
    return rounded(number, column.decimals).replace("-", r"\ensuremath{-}")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9 ./@=+,()[\]_-]", "-", " ".join(name.split()))
