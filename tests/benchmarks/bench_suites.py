"""Expanding 10,000 runs: under 2 seconds. Reading the quickstart in a fresh process: 0.4 seconds. Prints both."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from suites.expand import expand
from suites.load import load_suite

HEAD = "data: shapes\n"
SHARED = (
    HEAD
    + """\
variants: [no-hbi, hbi, hbi-shapley, hbi-no-banzhaf]
seeds: 25
grid:
  training.lr: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4, 7e-4, 8e-4, 9e-4, 1e-3]
  data.max_words: [8, 10, 12, 14, 16, 18, 20, 22, 24, 26]
"""
)
DISTINCT = (
    HEAD
    + """\
variants: [hbi]
grid:
  training.lr: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4, 7e-4, 8e-4, 9e-4, 1e-3]
  model.temporal_layers: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
  model.neighbours: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
  model.teacher.weight: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
"""
)


@pytest.mark.parametrize("text", [SHARED, DISTINCT], ids=["100 points × 25 seeds × 4 variants", "10,000 points"])
def test_expanding_ten_thousand_runs(text: str, tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    started = time.perf_counter()
    suite = load_suite(path)
    loaded = time.perf_counter()
    runs = expand(suite)
    expanded = time.perf_counter()
    print(f"\n{len(runs)} runs: loaded in {loaded - started:.3f} s, expanded in {expanded - loaded:.3f} s")
    assert len(runs) == 10_000
    assert expanded - loaded < 2


FRESH = """
import time
started = time.perf_counter()
from suites.expand import expand
from suites.load import load_suite
expand(load_suite("suites/quickstart.yaml"))
print(time.perf_counter() - started)
"""


def test_reading_the_quickstart_in_a_fresh_process() -> None:
    root = Path(__file__).parents[2]
    took = [
        float(subprocess.run([sys.executable, "-c", FRESH], cwd=root, capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    print(f"\nimport, load and expand: best {min(took):.3f} s, worst {max(took):.3f} s of {len(took)}")
    assert min(took) < 0.4
