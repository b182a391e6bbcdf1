"""A run that measures cost: executed like any other, with its report and raw times in its record."""

import json

import numpy as np
import pytest

from ablations.preflight import check
from ablations.run import execute
from hbi.errors import InputError
from hbi.models.encoder import encoder_sizes
from hbi.training.loop import Stopped
from results.store import read_record, read_samples
from suites.expand import expand
from suites.load import load_suite

SUITE = """
data: {name: shapes, max_words: 8, max_frames: 4}
model: {encoder: tiny, temporal_layers: 1}
training: {batch_size: 4}
runtime: {threads: 1, device: cpu}
cost: {alone: true, gallery: 12, rounds: 9, seconds: 1, scaling: {frames: [2, 4]}}
variants:
  - no-hbi
  - {name: hbi, label: "hbi/1.5 | all"}
"""


@pytest.fixture(scope="module")
def measured(run_of, done):
    return done(run_of().spec, "measured")


def test_its_record_holds_every_row_and_the_raw_times(measured):
    record, folder = measured
    assert record.outcome == "complete", record.failure
    assert list(record.cost.cases) == ["no-hbi", "hbi/1.5 | all"]
    for label, case in record.cost.cases.items():
        assert (case.words, case.frames, case.gallery, case.batch) == (8, 4, 12, 4)
        assert set(case.latency) == {"encode one query", "encode one video", "score 1 × N", "score N × N"}
        samples = read_samples(folder, record)
        for call, latency in case.latency.items():
            times = samples[f"{label}/{call}"]
            assert times.shape == (latency.rounds,)
            assert latency.p50.value == np.median(times)
        assert record.metrics[f"{label}/parameters"] == case.parameters
        assert not any(count.unpriced for count in case.stages.values())
    assert read_record(folder) == record


def test_the_game_costs_in_training_alone(measured):
    without, with_game = measured[0].cost.cases.values()
    assert with_game.stages["training step"].flops > without.stages["training step"].flops
    assert with_game.stages["similarity"].flops == without.stages["similarity"].flops
    assert "game/entity" in with_game.stages
    assert "game/entity" not in without.stages


def test_it_reads_no_data(measured, place):
    assert not (place / "data").exists()


def test_it_stops_when_asked_and_leaves_no_record(run_of, place):
    with pytest.raises(Stopped):
        execute(
            "stopped", run_of().spec, place / "store" / "stopped", place / "data", lambda event: None, lambda: "stop"
        )
    assert read_record(place / "store" / "stopped") is None


@pytest.mark.parametrize("override", ["cost.words=78", "cost.scaling={frames: [4, 999]}"])
def test_more_tokens_than_the_encoder_has_positions_are_told_before_anything_runs(place, override):
    (run,) = expand(load_suite(place / "suite.yaml", [override]))
    with pytest.raises(InputError, match=r"no-hbi.*reaches \d+ positions|cost\..* positions"):
        check([run.spec], place / "data", lambda *_: None)


def test_frames_smaller_than_a_patch_are_told_before_anything_runs(place):
    (run,) = expand(load_suite(place / "suite.yaml", ["cost.resolution=4"]))
    with pytest.raises(InputError, match=r"^cost: frames of 4 pixels, but a patch of encoder tiny has \d+$"):
        check([run.spec], place / "data", lambda *_: None)


def test_an_encoder_of_a_file_of_sizes(place, tmp_path):
    file = tmp_path / "small.v1.json"
    file.write_text(json.dumps(encoder_sizes("tiny")))
    text = ("cost.scaling={}", "cost.rounds=8", f"model.encoder={file}", "variants=[no-hbi]")
    (run,) = expand(load_suite(place / "suite.yaml", text))
    record = execute("file", run.spec, place / "store" / "file", place / "data", lambda event: None)
    assert record.outcome == "complete", record.failure
    file.write_text("{}")
    record = execute("file", run.spec, place / "store" / "changed", place / "data", lambda event: None)
    assert record.failure.kind == "input"
    assert "not the file it was" in record.failure.message
