"""The road from committed records to every format of their tables, through the command line.

UPDATE_GOLDEN=1 writes the records of golden/records and the files of golden/tables anew; look at the difference before
you keep it.
"""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from results.record import Failure, Record
from results.store import STORE, read_all
from suites.expand import Run, expand
from suites.load import load_suite
from tests.command_line import call
from tests.results.ranked import answers, leave_run, retrieval

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDS = GOLDEN / "records"
ENDINGS = ("txt", "md", "tex", "csv", "macros.tex", "html")
SUITES = {
    "paper": """\
# Everything that a table of retrieval has: see test_golden_tables.py.

data: msrvtt
seeds: 3
variants:
  - no-hbi
  - hbi
  - entity-only                                     # a seed has failed, another has not run
  - event-only                                      # worse; by another reader, from changed code
  - hbi-shapley: {seeds: [0], label: "100 % & more_of [it]"}
  - hbi-released: {evaluation: {ties: released}}    # cannot be compared
  - hbi-sampled                                     # no run has a record
published: [HBI, "CLIP4Clip, seqTransf", MILES]
""",
    "answers": """\
# A table of question answering.

data: msrvtt-qa
seeds: 2
variants: [no-hbi-qa, hbi-qa, event-only-qa: {seeds: [0]}]
published: [HBI, EMCL-QA]
""",
}
BETTER = {"hbi": 1.6, "event-only": -1.2, "hbi-qa": 1.2}
TIMES = {"started": "2026-01-02T03:04:05+00:00", "finished": "2026-01-02T03:04:35+00:00"}


def write_records() -> None:
    shutil.rmtree(RECORDS, ignore_errors=True)
    RECORDS.mkdir(parents=True)
    for name, text in SUITES.items():
        (RECORDS / f"{name}.yaml").write_text(text, encoding="utf-8")
        generator = np.random.default_rng(0)
        hard = generator.normal(0.9, 1.2, 40)
        for run in wanted(name):
            leave_golden(run, generator, hard)


def leave_golden(run: Run, generator: np.random.Generator, hard: np.ndarray) -> Record | None:
    """Its record, or none; the table's cases are in SUITES."""
    if run.label == "hbi-sampled" or (run.label, run.spec.seed) == ("entity-only", 2):
        return None
    qa = run.spec.data.task == "qa"
    arrays = (answers if qa else retrieval)(generator, hard, BETTER.get(run.label, 0.0))
    record = leave_run(RECORDS, run, arrays, queries=("a" if qa else "b") * 16)
    changes: dict[str, object] = {}
    if (run.label, run.spec.seed) == ("entity-only", 1):
        failure = Failure(kind="nan", message="the loss is not finite at step 12")
        changes = {"outcome": "failed", "failure": failure, "metrics": {}, "ranks": None}
    if run.label == "event-only":
        origin = record.provenance.model_copy(update={"decoder": "pyav 14.0", "dirty_diff": "--- a\n+++ b\n"})
        changes = {"provenance": origin}
    if changes:
        record = leave_run(RECORDS, run, arrays, **changes)
    return record


def wanted(name: str) -> list[Run]:
    return [run for run in expand(load_suite(RECORDS / f"{name}.yaml")) if run.in_tables]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `tables` prints and writes, by the name of the golden file."""
    if os.environ.get("UPDATE_GOLDEN"):
        write_records()
    folder = tmp_path_factory.mktemp("golden")
    shutil.copytree(RECORDS / STORE, folder / "runs" / STORE)
    found = {}
    for name in SUITES:
        shutil.copy(RECORDS / f"{name}.yaml", folder)
        done = call("tables", f"{name}.yaml", cwd=folder)
        assert (done.returncode, done.stderr) == (0, "")
        found[f"{name}.txt"] = "".join(line for line in done.stdout.splitlines(True) if not line.startswith("wrote "))
        for ending in ENDINGS[1:]:
            found[f"{name}.{ending}"] = (folder / "runs" / "tables" / f"{name}.{ending}").read_text(encoding="utf-8")
        page = re.search(r'<div class="table">.*</div>\n', found[f"{name}.html"], re.DOTALL)
        assert page, "the page has no table"
        found[f"{name}.html"] = page[0]  # without the style and the script, which are of all pages
    return found


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", SUITES)
def test_golden(printed: dict[str, str], name: str, ending: str) -> None:
    path = GOLDEN / "tables" / f"{name}.{ending}"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(printed[path.name], encoding="utf-8")
    assert printed[path.name] == path.read_text(encoding="utf-8")


def test_the_records_are_those_of_the_suites(printed: dict[str, str]) -> None:
    """No run of the suites has another id now, and there is no record without a run."""
    records, problems = read_all(RECORDS)
    assert problems == []
    ids = {run.run_id for name in SUITES for run in wanted(name)}
    assert records.keys() <= ids
    assert len(ids - records.keys()) == 4
    assert sum(path.stat().st_size for path in RECORDS.rglob("*") if path.is_file()) < 150_000


def test_again_is_the_same_from_what_is_kept(printed: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(RECORDS / STORE, tmp_path / "runs" / STORE)
    shutil.copy(RECORDS / "paper.yaml", tmp_path)
    first = call("tables", "paper.yaml", cwd=tmp_path)
    assert call("tables", "paper.yaml", cwd=tmp_path).stdout == first.stdout
    assert first.stdout.startswith(printed["paper.txt"])
