"""Runs that come after another, executed: what they take from it, and what happens where it is not there."""

import os

import pytest
import torch
from safetensors import safe_open

from ablations.game_methods import compare_on
from ablations.run import execute
from results.game_methods import game_table
from results.store import read_record
from suites.expand import expand, in_order
from suites.load import load_suite

SUITE = """
data: {name: shapes, train: 16, val: 2, test: 8, size: 32, max_words: 12, max_frames: 4}
model: {encoder: tiny, temporal_layers: 1}
training: {epochs: 1, batch_size: 8}
runtime: {threads: 1, device: cpu}
variants: [hbi-estimated, {name: estimator, training: {epochs: 2}}]
"""


def chain_in(folder):
    (folder / "suite.yaml").write_text(SUITE)
    return in_order(expand(load_suite(folder / "suite.yaml"), only="hbi-estimated"))


def carry_out(run, folder):
    return execute(run.run_id, run.spec, folder / "store" / run.run_id, folder / "data", lambda event: None)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with three complete runs: the source, the estimator that learns from it, the model it teaches."""
    threads = torch.get_num_threads()
    folder = tmp_path_factory.mktemp("after")
    chain = chain_in(folder)
    records = [carry_out(run, folder) for run in chain]
    yield folder, chain, records
    torch.set_num_threads(threads)


def copied(done, tmp_path, number):
    """The folder of the first ``number`` runs, by links."""
    folder, chain, _ = done
    (tmp_path / "store").mkdir()
    (tmp_path / "data").symlink_to(folder / "data")
    for run in chain[:number]:
        (tmp_path / "store" / run.run_id).mkdir()
        for file in (folder / "store" / run.run_id).iterdir():
            os.link(file, tmp_path / "store" / run.run_id / file.name)
    return tmp_path, chain


def test_each_takes_what_the_one_before_has_left(done):
    folder, chain, records = done
    assert [record.outcome for record in records] == ["complete"] * 3, records
    source, estimator, user = records
    assert set(estimator.metrics) == {f"{what}/{level}" for what in ("correlation", "sign") for level in (
        "entity", "action", "event")}  # fmt: skip
    assert estimator.ranks is None
    assert user.metrics.keys() == source.metrics.keys()
    assert user.curve[0].losses["banzhaf/entity"] > 0
    with safe_open(folder / "store" / chain[1].run_id / "model.safetensors", "pt") as file:
        assert file.metadata() == {"index": "banzhaf", "scale": "1000.0"}
        assert not [name for name in file.keys() if name.startswith("source")]  # noqa: SIM118  (no mapping)


def test_the_methods_are_compared_on_what_was_trained(done):
    folder, chain, _ = done
    found = list(compare_on(folder / "store" / chain[2].run_id, folder / "data", lambda event: None))
    assert [one.method for one in found[:7]] == [
        "released sampler, 100", "released sampler, 1000", "Monte Carlo, 10", "Monte Carlo, 100", "Monte Carlo, 1000",
        "learned estimator", "exact",
    ]  # fmt: skip
    assert [one.level for one in found[::7]] == ["entity", "action", "event"]
    errors = {one.method: one.agreement.mean_absolute_error for one in found[:7]}
    assert errors["exact"] < 1e-6 < errors["Monte Carlo, 1000"] < errors["Monte Carlo, 10"]
    assert len(game_table(found).splitlines()) == 2 + len(found)


def test_without_a_result_of_the_one_before_a_run_fails_and_says_why(done, tmp_path):
    folder, chain = copied(done, tmp_path, 1)
    record = carry_out(chain[2], folder)
    assert record.failure.kind == "need"
    assert record.failure.message == f"{chain[1].run_id}, which has to come first, has no record"
    failed = folder / "store" / chain[0].run_id / "model.safetensors"
    failed.unlink()
    record = carry_out(chain[1], folder)
    assert record.failure.kind == "need"
    assert f"{failed}: no such file" in record.failure.message
    record = carry_out(chain[2], folder)
    assert f"{chain[1].run_id}, which has to come first, has failed: need: " in record.failure.message
    assert read_record(folder / "store" / chain[2].run_id) == record


def test_a_missing_or_damaged_estimator_is_named_and_teaches_nothing(done, tmp_path):
    folder, chain = copied(done, tmp_path, 2)
    file = folder / "store" / chain[1].run_id / "model.safetensors"
    content = file.read_bytes()
    file.unlink()
    assert f"{file}: no such file" in carry_out(chain[2], folder).failure.message
    file.write_bytes(content[:200])
    assert f"{file}: not readable" in carry_out(chain[2], folder).failure.message
    file.write_bytes(content)
    assert carry_out(chain[2], folder).metrics == done[2][2].metrics
