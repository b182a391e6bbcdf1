"""From the text of a suite to its 10,000 runs."""

import pytest

from suites.expand import expand
from suites.load import load_suite

SHARED = """\
data: shapes
variants: [no-hbi, hbi, hbi-shapley, hbi-no-banzhaf]
seeds: 25
grid:
  training.lr: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4, 7e-4, 8e-4, 9e-4, 1e-3]
  data.max_words: [8, 10, 12, 14, 16, 18, 20, 22, 24, 26]
"""
DISTINCT = """\
data: shapes
variants: [hbi]
grid:
  training.lr: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4, 7e-4, 8e-4, 9e-4, 1e-3]
  model.temporal_layers: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
  model.neighbours: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
  model.teacher.weight: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
"""


@pytest.mark.parametrize("text", [SHARED, DISTINCT], ids=["100 points by 25 seeds by 4 variants", "10,000 points"])
def test_expand(benchmark, text, tmp_path):
    benchmark.group = "reading a suite of 10,000 runs"
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    runs = benchmark.pedantic(lambda: expand(load_suite(path)), rounds=3)
    assert len(runs) == 10_000
