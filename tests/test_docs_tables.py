"""docs/tables.md: its commands run on committed records, its numbers are those of the code."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from results.resolution import resolvable
from tests.command_line import call

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "tables.md").read_text()
RECORDS = ROOT / "tests" / "golden" / "records"


@pytest.fixture(scope="module")
def paper(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("paper")
    shutil.copytree(RECORDS, folder / "runs")
    return folder


def test_its_commands_run(paper):
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines():
        told = (
            line.replace("SUITE", "runs/paper.yaml").replace("ROW ROW", "no-hbi hbi").replace("ROW METRIC", "hbi R@1")
        )
        _, _, *arguments = shlex.split(told, comments=True)
        done = call(*arguments, cwd=paper)
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout.strip(), line
    assert (paper / "paper" / "paper.tex").is_file()
    assert (paper / "runs" / "tables" / "paper.report.html").is_file()


def test_it_names_the_files_that_are_written(paper):
    call("tables", "runs/paper.yaml", cwd=paper)
    for name in re.findall(r"^\| `SUITE(\.[a-z.]+)`", PAGE, re.MULTILINE):
        assert (paper / "runs" / "tables" / f"paper{name}").is_file(), name


def test_what_can_be_resolved_is_computed():
    part = PAGE.partition("<!-- resolvable: begin -->")[2].partition("<!-- resolvable: end -->")[0]
    rows = re.findall(r"^\| (\d+)[^|]*\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", part, re.MULTILINE)
    assert len(rows) == 5
    for seeds, *points in rows:
        found = [resolvable(1000, int(seeds), level=0.05 / tests) for tests in (1, 3, 6)]
        assert [f"{number:.1f}" for number in found] == points
