import csv
import io
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hbi.errors import InputError
from results.collect import Cell, Printed, Row, Table
from results.layout import lay_out
from results.significance import Comparison
from results.tables import FORMATS, markdown, render, table_files, terminal, write_files

GOLDEN = Path(__file__).parents[1] / "golden" / "tables"
COLUMNS = ("t2v/R@1", "t2v/MdR", "novel")
FILES = {"terminal": "txt", "markdown": "md", "latex": "tex", "csv": "csv"}


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("name", ["example", "questions"])
def test_golden(request: pytest.FixtureRequest, name: str, format: str) -> None:
    """UPDATE_GOLDEN=1 rewrites the files; look at the difference before you keep it."""
    path = GOLDEN / f"{name}.{FILES[format]}"
    text = render(request.getfixturevalue(name), format)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def table_of(*rows: tuple[float | None, ...]) -> Table:
    """A row a tuple, a column a number; None is a missing seed."""
    cells = [tuple(Cell(() if number is None else (number,), 1) for number in row) for row in rows]
    return Table("t", COLUMNS, tuple(Row(f"row {i}", cells[i]) for i in range(len(rows))))


def places(table: Table) -> list[list[int]]:
    return [[entry.place for entry in line.entries[1:]] for line in lay_out(table).lines]


def test_best_and_second() -> None:
    table = table_of((10.0, 3.0, 1.0), (30.0, 1.0, 2.0), (20.0, 2.0, 3.0))
    assert places(table) == [[0, 0, 0], [1, 1, 0], [2, 2, 0]]


def test_ties_as_printed_are_all_marked() -> None:
    table = table_of((30.04, 1.0, 0.0), (29.96, 1.0, 0.0), (20.0, 1.0, 0.0), (20.0, 1.0, 0.0), (9.0, 1.0, 0.0))
    assert [row[0] for row in places(table)] == [1, 1, 2, 2, 0]
    assert [row[1] for row in places(table)] == [1] * 5


def test_incomplete_cells_do_not_compete() -> None:
    table = table_of((30.0, 1.0, 0.0), (None, None, 0.0), (20.0, 2.0, 0.0))
    half = replace(table, rows=(*table.rows, Row("half", tuple(Cell((99.0,), 2) for _ in COLUMNS))))
    assert [row[0] for row in places(half)] == [1, 0, 2, 0]
    assert [row[0] for row in places(table_of((30.0, 1.0, 0.0), (None, 2.0, 0.0)))] == [0, 0]


@pytest.mark.parametrize(("number", "text"), [(44.15, "44.2"), (32.25, "32.3"), (0.05, "0.1"), (100.0, "100.0")])
def test_halves_are_rounded_up(number: float, text: str) -> None:
    assert lay_out(table_of((number, 1.0, 1.0))).lines[0].entries[1].text == text


def test_footnote_symbols_do_not_run_out(example: Table) -> None:
    rows = tuple(Row(f"row {i}", (Cell((1.0,), i + 2),)) for i in range(12))
    notes = lay_out(Table("t", ("t2v/R@1",), rows)).notes
    assert len({symbol for symbol, _ in notes}) == 12
    assert notes[5] == ("**", "1 of 7 seeds")


def test_terminal_is_aligned_and_fits(example: Table) -> None:
    text = terminal(lay_out(example))
    assert max(map(len, text.splitlines())) <= 120
    assert "\x1b" not in text
    narrow = replace(example, rows=example.rows[:2])
    wide = terminal(lay_out(narrow)).splitlines()
    assert sum("text → video" in line and "video → text" in line for line in wide) == 1
    assert len({line.rindex(".") for line in wide if line.startswith(("no-hbi", "entity-only"))}) == 1


def test_a_group_name_longer_than_its_columns_widens_them() -> None:
    table = Table("t", ("t2v/R@1", "v2t/R@50", "novel"), (Row("hbi", (Cell((1.0,), 1),) * 3),))
    title, heading, rule, row = terminal(lay_out(table)).splitlines()[2:]
    assert len(title) <= len(heading) == len(rule) == len(row)
    assert title.index("text → video") < heading.index("R@1") < title.index("video → text") < heading.index("R@50")


def test_styles_change_nothing_but_the_style(example: Table) -> None:
    styled = terminal(lay_out(example), styled=True)
    assert "\x1b[1m44.2\x1b[0m ±0.9" in styled
    assert "\x1b[4m43.5\x1b[0m" in styled
    assert re.sub(r"\x1b\[\dm", "", styled) == terminal(lay_out(example))


def test_markdown_has_one_cell_a_column(example: Table) -> None:
    lines = [line for line in markdown(lay_out(example)).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {13}


def test_csv_keeps_full_precision(example: Table) -> None:
    rows = list(csv.DictReader(io.StringIO(render(example, "csv"))))
    assert len(rows) == len(example.rows) * len(example.columns)
    for row, cell in zip(rows, (cell for line in example.rows for cell in line.cells), strict=True):
        assert tuple(map(float, row["values"].split())) == cell.values
        assert (float(row["mean"]) if row["mean"] else None) == cell.mean
        assert (int(row["n"]), int(row["expected"])) == (len(cell.values), cell.expected)


NASTY = Row("[a] {b} \\input{/etc/passwd} $x$ #1 ~^_% <c>|d|", (Cell((1.0,), 1),) * 10, ("50% & more",))


def test_latex_structure(example: Table) -> None:
    text = render(replace(example, rows=(*example.rows, NASTY)), "latex")
    assert re.sub(r"\\.", "", text).count("{") == re.sub(r"\\.", "", text).count("}")
    rows = text.partition("\\midrule")[2].partition("\\bottomrule")[0].strip().splitlines()
    assert len(rows) == len(example.rows) + 1
    assert all(row.endswith(r"\\") and len(re.findall(r"(?<!\\)&", row)) == 11 for row in rows)
    assert r"\textbackslash{}input\{/etc/passwd\} \$x\$ \#1 \textasciitilde{}" in rows[-1]
    assert rows[-1].startswith("{[}a]")  # after \\ a bare [ would be read as its argument


def compiled(table: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What LaTeX says of a page with ``table``."""
    compiler = shutil.which("tectonic") or shutil.which("pdflatex")
    if compiler is None:
        pytest.skip("neither tectonic nor pdflatex is installed")
    preamble = "\\documentclass{article}\n\\usepackage{booktabs}\n"
    document = f"{preamble}\\begin{{document}}\n{table}\\end{{document}}\n"
    (folder / "table.tex").write_text(document, encoding="utf-8")
    command = [compiler, "table.tex"] if "tectonic" in compiler else [compiler, "-halt-on-error", "table.tex"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_latex_compiles(example: Table, tmp_path: Path) -> None:
    printed = Printed("[x] of % _", (None,) * 10, ("looked for \\input{x} & not found",))
    nasty = replace(example, rows=(*example.rows, NASTY), published=(printed,), uncompared="^_^ ~ # {}")
    result = compiled(render(nasty, "latex"), tmp_path)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]


@pytest.mark.parametrize("name", ["paper", "answers", "questions", "cost.latency", "cost.scaling"])
def test_golden_latex_compiles(name: str, tmp_path: Path) -> None:
    """Published rows, sections, marks of better and worse, columns with and without deviations."""
    result = compiled((GOLDEN / f"{name}.tex").read_text(encoding="utf-8"), tmp_path)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert "Misplaced" not in result.stdout


def test_latex_numbers_stand_one_below_the_other() -> None:
    """Marks take no room, and what lacks a deviation gets as much blank as the longest of its column."""
    rows = (Row("a", (Cell((10.0, 40.0), 2),)), Row("b", (Cell((4.0, 5.0), 3),)), Row("c", (Cell((7.0,), 1),)))
    lines = render(Table("t", ("t2v/R@1",), rows), "latex").splitlines()
    assert [line.split(" & ")[2] for line in lines if line[:2] in ("a ", "b ", "c ")] == [
        r"\textbf{25.0}\,$\pm$\,21.2 \\",
        r"4.5\,$\pm$\,0.7\rlap{\textsuperscript{*}}\hphantom{0} \\",
        r"\underline{7.0}\hphantom{\,$\pm$\,21.2} \\",
    ]


# ---- comparisons and published rows in print


def against(p: float, difference: float = 5.0, seeds: int = 3) -> Cell:
    comparison = Comparison("t2v/R@1", difference, (1.0, 9.0), p, "queries", seeds, 100)
    return Cell((40.0,) * seeds, seeds, comparison=comparison, p_holm=p)


def compared(*cells: Cell) -> Table:
    rows = (Row("base", (Cell((35.0,), 1),)), *(Row(f"row {n}", (cell,)) for n, cell in enumerate(cells)))
    return Table("t", ("t2v/R@1",), rows, baseline="base")


def notes(table: Table) -> list[str]:
    return [f"{symbol} {text}".strip() for symbol, text in lay_out(table).notes if symbol != "±"]


PAIRED = "paired over queries"
HOLM = "level 5 %, corrected for the rows of a column (Holm)"


def test_marks_of_better_and_worse() -> None:
    table = compared(against(0.05), against(0.05, -5.0), against(0.051), replace(against(0.001), p_holm=None))
    assert [line.entries[1].symbol for line in lay_out(table).lines] == ["", "⁺", "⁻", "", ""]
    assert notes(table) == [f"⁺ ⁻ better, worse than base: {PAIRED} and the seeds that both have; {HOLM}"]
    corrected = replace(against(0.01), p_holm=0.06)
    assert lay_out(compared(corrected)).lines[1].entries[1].symbol == ""
    nothing = f"no difference to base is significant: {PAIRED} and the seeds that both have; {HOLM}"
    assert notes(compared(against(0.06))) == [nothing]


def test_what_one_seed_can_tell_is_said_where_it_is_told() -> None:
    alone = "by one seed: it holds for these trained models alone"
    assert notes(compared(against(0.01, seeds=1))) == [f"⁺ ⁻ better, worse than base: {PAIRED}, {alone}; {HOLM}"]
    mixed = compared(against(0.01, seeds=1), against(0.01), against(0.9, seeds=1))
    assert [line.entries[1].symbol for line in lay_out(mixed).lines] == ["", "⁺*", "⁺", ""]
    assert notes(mixed)[0] == f"* {alone}"


def test_what_is_not_compared() -> None:
    table = replace(compared(Cell((40.0,), 1)), uncompared="base has no result")
    assert notes(table) == ["nothing is compared: base has no result"]
    assert notes(compared(Cell((40.0,), 1))) == []


def test_published_rows_stand_below_without_places() -> None:
    table = table_of((30.0, 1.0, 1.0), (20.0, 2.0, 2.0))
    table = replace(table, published=(Printed("paper", (99.0, None, None)), Printed("slot", (None,) * 3, ("why",))))
    layout = lay_out(table)
    assert [title for title, _ in layout.sections] == ["measured here", "as published"]
    assert [[entry.text for entry in line.entries] for line in layout.lines[2:]] == [
        ["", "99.0", "", ""],
        ["", "–", "–", "–"],
    ]
    assert places(table) == [[1, 1, 0], [2, 2, 0], [0, 0, 0], [0, 0, 0]]
    assert [line.symbols for line in layout.lines[2:]] == ["", "*"]


def test_two_marks_are_not_read_as_one() -> None:
    rows = [Row(f"row {n}", (Cell((1.0,), 1),), (f"reason {n}",)) for n in range(7)]
    rows.append(Row("last", (Cell((1.0,), 1),), ("reason 0", "reason 5", "reason 1")))
    symbols = [line.symbols for line in lay_out(Table("t", ("t2v/R@1",), tuple(rows))).lines]
    assert symbols == ["*", "†", "‡", "§", "¶", "**", "††", "*,**,†"]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_the_terminal_is_never_wider_than_asked_for(example: Table, questions: Table, width: int) -> None:
    """Groups of columns that are too wide by themselves are broken; nothing is lost."""
    for table in (example, questions):
        text = terminal(lay_out(table), width=width)
        assert max(map(len, text.splitlines())) <= width
        assert text.count("↑") + text.count("↓") == len(table.columns)
        for line in lay_out(table).lines:
            for entry in line.entries:
                assert entry.text in text


def test_write_tables(example: Table, tmp_path: Path) -> None:
    paths = write_files(table_files(example), tmp_path / "tables")
    assert [path.name for path in paths] == [
        f"example.{ending}" for ending in ("md", "tex", "html", "csv", "macros.tex")
    ]
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == sorted(p.name for p in paths)
    with pytest.raises(InputError, match="cannot name a file"):
        write_files(table_files(replace(example, name="../example")), tmp_path / "tables")
    with pytest.raises(InputError, match="known: terminal, markdown"):
        render(example, "word")


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_table_is_no_error(format: str) -> None:
    assert render(Table("t", COLUMNS, ()), format)
