"""A run spread over two processes on the CPU: the record of one process, to rounding."""

from pathlib import Path

import pytest
import torch

from ablations.run import execute
from hbi.training.loop import Stopped
from suites.expand import expand
from suites.load import load_suite

SUITE = """
data: {name: shapes, train: 8, val: 4, test: 6, size: 32, max_words: 16, max_frames: 4}
model: {encoder: tiny, temporal_layers: 1}
training: {epochs: 2, batch_size: 4, lr: 1e-3, coef_lr: 1, selection: validation, select_every: 3}
runtime: {threads: 1, device: cpu}
variants: [hbi]
"""


def record_of(folder: Path, *overrides: str, requested=lambda: None):
    (folder / "suite.yaml").write_text(SUITE)
    (run,) = expand(load_suite(folder / "suite.yaml", overrides))
    return execute(run.run_id, run.spec, folder / run.run_id, folder / "data", lambda event: None, requested)


@pytest.fixture(autouse=True)
def _threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_two_processes_leave_the_record_of_one_also_when_stopped(tmp_path):
    one = record_of(tmp_path)
    asked = iter([None, "stop"])
    with pytest.raises(Stopped):
        record_of(tmp_path, "runtime.processes=2", requested=lambda: next(asked))
    two = record_of(tmp_path, "runtime.processes=2")
    assert (one.outcome, two.outcome) == ("complete", "complete"), two.failure
    assert one.run_id != two.run_id
    for ours, theirs in zip(two.curve, one.curve, strict=True):
        assert ours.losses == pytest.approx(theirs.losses, rel=1e-3, abs=1e-5)
    assert two.metrics.keys() == one.metrics.keys()


def test_a_batch_that_they_cannot_share_is_one_line(tmp_path):
    record = record_of(tmp_path, "runtime.processes=2", "training.batch_size=5")
    assert record.failure
    assert record.failure.kind == "input"
    assert record.failure.message == "training.batch_size 5 is not divisible by runtime.processes 2; choose another"
