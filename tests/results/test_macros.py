"""Numbers of a table for prose: what is defined, and that LaTeX takes it and prints it."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from results.collect import Cell, Row, Table
from results.layout import lay_out
from results.macros import macros
from results.significance import Comparison

DEFINED = re.compile(r"\\expandafter\\def\\csname result:([^:\\]*):([^:\\]*):([^:\\]*):(\w+)\\endcsname\{(.*)\}")
AGAINST = Comparison("t2v/R@1", -1.25, (-2.0, -0.5), 0.00002, "queries", 1, 100)


def defined(table: Table) -> dict[tuple[str, ...], str]:
    """Texts by suite, label, metric and what is wanted."""
    lines = [line for line in macros(table).splitlines() if line.startswith(r"\expandafter")]
    found = {tuple(match.groups()[:4]): match[5] for match in map(DEFINED.fullmatch, lines) if match}
    assert len(found) == len(lines)
    return found


def row(label: str, *values: float, comparison: Comparison | None = None) -> Row:
    p_holm = comparison and comparison.p_value
    return Row(label, (Cell(values, len(values), (1.0, 2.0), comparison, p_holm),))


def table(*rows: Row, name: str = "t") -> Table:
    return Table(name, ("t2v/R@1",), rows)


def test_a_number_reads_as_in_the_table(example: Table, questions: Table) -> None:
    for each in (example, questions):
        found = defined(each)
        assert found
        printed = lay_out(each)
        for line, wanted in zip(printed.lines, each.rows, strict=True):
            label = re.sub(r"[|&%]", "-", wanted.label)
            for column, entry, cell in zip(each.columns, line.entries[1:], wanted.cells, strict=True):
                key = (each.name, label, column)
                assert found.get((*key, "mean"), "–") == entry.text
                assert found.get((*key, "std"), "") == entry.deviation
                assert found.get((*key, "n"), "0") == str(len(cell.values))


def test_what_a_comparison_tells() -> None:
    found = {key[3]: text for key, text in defined(table(row("hbi", 44.0, comparison=AGAINST))).items()}
    assert found == {
        "mean": "44.0",
        "n": "1",
        "lower": "1.0",
        "upper": "2.0",
        "difference": r"\ensuremath{-}1.3",
        "difference_lower": r"\ensuremath{-}2.0",
        "difference_upper": r"\ensuremath{-}0.5",
        "p": r"\ensuremath{<}0.001",
        "p_holm": r"\ensuremath{<}0.001",
    }


NASTY = "a\\b{c}#1%d~e^f$g&h\nλ|[x]_y:z"


def test_names_are_safe_for_tex() -> None:
    found = defined(table(row(NASTY, 1.0), name="my_suite.v2"))
    assert {key[:3] for key in found} == {("my_suite.v2", "a-b-c--1-d-e-f-g-h --[x]_y-z", "t2v/R@1")}


def test_rows_that_cannot_be_told_apart_have_no_number() -> None:
    """Else a paper would print one for the other."""
    found = defined(table(row("w=½", 1.0), row("w=¼", 2.0), row("w_1", 3.0), row("w-1", 4.0)))
    assert {key[1]: text for key, text in found.items() if key[3] == "mean"} == {"w_1": "3.0", "w-1": "4.0"}
    assert "% left out: 2 rows are called w=- here\n" in macros(table(row("w=½", 1.0), row("w=¼", 2.0)))


def test_published_rows_are_not_ours(example: Table) -> None:
    from results.collect import Printed

    published = replace(example, published=(Printed("HBI", (48.6,) * len(example.columns)),))
    assert macros(published) == macros(example)


# ---- compiled


def compiled(folder: Path, body: str, *tables: Table) -> tuple[int, str]:
    """The exit status of LaTeX, and the text of the page or what LaTeX says of its mistake."""
    compiler = shutil.which("pdflatex")
    if compiler is None or shutil.which("pdftotext") is None:
        pytest.skip("pdflatex and pdftotext are not both installed")
    for each in tables:
        (folder / f"{each.name}.macros.tex").write_text(macros(each), encoding="utf-8")
    inputs = "".join(f"\\input{{{each.name}.macros}}\n" for each in tables)
    document = f"\\documentclass{{article}}\n{inputs}\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (folder / "paper.tex").write_text(document, encoding="utf-8")
    command = [compiler, "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode:
        return done.returncode, "".join(done.stdout.splitlines())
    text = subprocess.run(["pdftotext", "paper.pdf", "-"], cwd=folder, capture_output=True, text=True, check=True)
    return 0, text.stdout


def test_latex_prints_the_numbers(example: Table, tmp_path: Path) -> None:
    other = table(row(NASTY, 7.25), row("hbi", 44.0, comparison=AGAINST), name="my_suite")
    label = "a-b-c--1-d-e-f-g-h --[x]_y-z"
    status, text = compiled(
        tmp_path,
        r"\section{Of \result{example}{hbi}{v2t/R@1}}"
        r"First \result{example}{hbi}{t2v/R@1}, deviation \result[std]{example}{hbi}{t2v/R@1},"
        rf" nasty \result{{my_suite}}{{{label}}}{{t2v/R@1}}, p $\result[p_holm]{{my_suite}}{{hbi}}{{t2v/R@1}}$,"
        r" change \result[difference]{my_suite}{hbi}{t2v/R@1}."
        r"\begin{table}\caption{Seen \result{example}{a_b-c - 100-}{t2v/R@1}}\end{table}",
        example,
        other,
    )
    assert status == 0, text
    assert re.search(r"Of 44\.4", text)
    assert re.search(r"First 44\.2, deviation 0\.9, nasty 7\.3, p <\s?0\.001, change −1\.3", text), text
    assert "Seen 43.5" in text


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (r"\result{example}{hbj}{t2v/R@1}", "result[mean]{example}{hbj}{t2v/R@1}"),
        (r"\result[p]{example}{hbi}{t2v/R@1}", "result[p]{example}{hbi}{t2v/R@1}"),
        (r"\result{example}{hbi-sampled}{t2v/R@1}", "result[mean]{example}{hbi-sampled}{t2v/R@1}"),
    ],
)
def test_latex_stops_at_a_number_that_there_is_none_of(example: Table, tmp_path: Path, call: str, name: str) -> None:
    status, text = compiled(tmp_path, f"We find {call}.", example)
    assert status != 0
    assert f"There is no number {name}" in text
