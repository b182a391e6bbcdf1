"""Scores found again with the weights of a run: those that it has kept, digit by digit, and the page they make."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ablations.ranking import similarities
from ablations.run import execute
from hbi.config import EvaluationConfig
from hbi.errors import RunFailure
from hbi.metrics.saved import Saved
from results.changed_page import changed_page
from results.compare import Ran, compare_rows
from results.orders import SIMILARITY
from results.store import run_folder
from suites.expand import expand, in_order
from suites.load import load_suite

SUITE = """
data: {name: shapes, train: 12, val: 4, test: 8, size: 32, max_words: 16, max_frames: 4}
model: {encoder: tiny, temporal_layers: 1}
training: {epochs: 1, batch_size: 4, lr: 1e-2, coef_lr: 1}
evaluation: {bank: 5, qb_norm_scale: 7}
runtime: {threads: 1, device: cpu}
keep: [weights, similarity]
grid: {evaluation.post_processing: [none, dsl, qb-norm]}
variants:
  - hbi
  - {name: diffusionret, model: {generation: {t2v_num: 3, v2t_num: 3, diffusion_steps: 5}}}
"""
ROWS = [f"{name} post_processing={how}" for name in ("hbi", "diffusionret") for how in ("none", "dsl", "qb-norm")]


@pytest.fixture(scope="module")
def ran(place: Path) -> Ran:
    """All its runs are complete."""
    suite = load_suite(place / "suite.yaml")
    wanted = expand(suite)
    for run in in_order(wanted):
        record = execute(run.run_id, run.spec, place / "store" / run.run_id, place / "data", lambda event: None)
        assert record.outcome == "complete", record.failure
    return Ran(suite, wanted, place)


def quiet(what: str, done: int, total: int) -> None:
    pass


def content(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.mark.parametrize("row", ROWS)
def test_they_are_those_that_the_run_has_kept(ran: Ran, row: str) -> None:
    run = next(run for run in ran.wanted if run.label == row)
    trained = run_folder(ran.runs, run.spec.after if not run.spec.trains else run.run_id)
    before, threads = content(trained), torch.get_num_threads()
    told = []
    found = similarities(trained, run.spec.evaluation, ran.runs / "data", lambda *progress: told.append(progress))
    kept = np.load(run_folder(ran.runs, run.run_id) / SIMILARITY)
    again = {name: values for name, values in vars(found).items() if values is not None}
    assert again.keys() == set(kept)
    for name, values in again.items():
        assert np.array_equal(values, kept[name]), name
    assert content(trained) == before
    assert torch.get_num_threads() == threads
    encoded = [progress for progress in told if progress[0] == "encoding video"]
    assert encoded[-1][1] == encoded[-1][2] >= 8


def test_without_weights_it_says_what_to_do(ran: Ran, tmp_path: Path) -> None:
    folder = run_folder(ran.runs, ran.wanted[0].run_id)
    alone = tmp_path / folder.name
    alone.mkdir()
    (alone / "record.json").write_bytes((folder / "record.json").read_bytes())
    with pytest.raises(RunFailure, match="the run has kept no weights; remove its folder and it is trained again"):
        similarities(alone, EvaluationConfig(), ran.runs / "data", quiet)


@pytest.mark.parametrize(("a", "b"), [(ROWS[0], ROWS[3]), (ROWS[1], ROWS[2]), (ROWS[4], ROWS[5])])
def test_a_page_is_the_same_by_kept_scores_and_by_weights(
    ran: Ran, a: str, b: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = compare_rows(ran, a, b, 20).pairs[0]
    asked: list[Path] = []

    def again(folder: Path, evaluation: EvaluationConfig) -> Saved:
        asked.append(folder)
        return similarities(folder, evaluation, ran.runs / "data", quiet)

    pages = []
    for by in ("kept", "weights"):
        with monkeypatch.context() as patch:
            if by == "weights":
                patch.setattr("results.orders.SIMILARITY", "not-kept.npz")
            text, missing = changed_page(ran, pair, again, quiet, "now", "compare")
        assert missing == []
        assert "not shown" not in text
        assert "✓ right" in text
        pages.append([line for line in text.splitlines() if "<dt>" not in line])
    assert pages[0] == pages[1]
    assert len(asked) == 2
