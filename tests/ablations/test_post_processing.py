"""Rows with post-processing: they evaluate what the row without it has trained, and their numbers can be checked."""

import json
from pathlib import Path

import numpy as np
import pytest

import hbi.data
from ablations.preflight import check
from ablations.run import execute
from ablations.trained import finished
from ablations.work import drawn
from hbi.errors import RunFailure
from hbi.metrics import registry
from hbi.metrics.registry import PluginMetric
from results.evaluate import evaluate
from results.queries import read_queries
from results.store import read_ranks, read_record
from suites.expand import expand, in_order
from suites.identity import run_id
from suites.load import load_suite
from suites.spec import RunSpec

SUITE = """
data: {name: shapes, train: 12, val: 4, test: 8, size: 32, max_words: 16, max_frames: 4}
model: {encoder: tiny, temporal_layers: 1}
training: {epochs: 1, batch_size: 4, lr: 1e-3, coef_lr: 1, selection: test}
evaluation: {bank: 5, qb_norm_scale: 7}
runtime: {threads: 1, device: cpu}
keep: [similarity]
variants: [no-hbi]
"""
SWEEP = "grid.evaluation.post_processing=[none, dsl, qb-norm]"


@pytest.fixture(scope="module")
def suite(place, done):
    """Row: the record of its run and the folder, of all three, in the order in which they are launched."""
    found = in_order(expand(load_suite(place / "suite.yaml", [SWEEP])))
    check([run.spec for run in found], place / "data", lambda *progress: None)
    return {run.label.rpartition("=")[2]: done(run.spec, run.run_id) for run in found}


def test_three_rows_train_once(place, suite):
    assert {row: record.outcome for row, (record, _) in suite.items()} == dict.fromkeys(
        ("none", "dsl", "qb-norm"), "complete"
    )
    base, folder = suite["none"]
    for row in ("dsl", "qb-norm"):
        record, place_of = suite[row]
        assert record.spec.after == base.run_id
        assert (record.curve, set(record.timings)) == ((), {"evaluation", "total"})
        assert sorted(path.name for path in place_of.iterdir()) == ["ranks.npz", "record.json", "similarity.npz"]
        with pytest.raises(RunFailure, match=f"{record.run_id} has no weights: it evaluates those of {base.run_id}"):
            finished(place_of)
    assert len(base.curve) == 1
    assert (folder / "model.safetensors").is_file()  # although the suite does not keep them


def test_what_a_row_was_trained_with_is_in_the_records_of_all(suite):
    base = suite["none"][0]
    for record, _ in suite.values():
        assert (record.selection_split, record.selected_epoch) == ("test", base.selected_epoch)
        assert record.queries == base.queries
        assert record.provenance.parameters == base.provenance.parameters


def test_the_numbers_are_those_of_the_kept_matrix(suite):
    base, place_of = suite["none"]
    raw = np.load(place_of / "similarity.npz")["similarity"]
    for row, (record, folder) in suite.items():
        scale = 7 if row == "qb-norm" else None
        assert evaluate(folder / "similarity.npz", post_processing=row, scale=scale) == record.metrics
        kept = np.load(folder / "similarity.npz")
        assert np.array_equal(kept["similarity"], raw)  # whatever is done with it afterwards
        assert evaluate(folder / "similarity.npz") == base.metrics
        assert set(kept) >= {"bank_texts", "bank_videos"} or row != "qb-norm"
    assert np.load(suite["qb-norm"][1] / "similarity.npz")["bank_texts"].shape == (5, 8)
    ranks = {row: read_ranks(folder, record)["t2v"].tolist() for row, (record, folder) in suite.items()}
    assert ranks["dsl"] != ranks["none"]


def test_where_the_weights_are_gone_the_row_says_so_and_nothing_is_trained(place, suite, tmp_path):
    base, folder = suite["none"]
    spec = suite["dsl"][0].spec
    lonely = execute("x", spec, tmp_path / "store" / "x", place / "data", lambda event: None)
    assert lonely.failure.message == f"{base.run_id}, which has to come first, has no record"
    (tmp_path / "store" / base.run_id).mkdir()
    (tmp_path / "store" / base.run_id / "record.json").write_bytes((folder / "record.json").read_bytes())
    lonely = execute("x", spec, tmp_path / "store" / "x", place / "data", lambda event: None)
    assert (lonely.failure.kind, "kept no weights" in lonely.failure.message) == ("need", True)


def test_fewer_parts_for_want_of_memory_are_told_of_every_row(place, run_of, suite):
    """A batch in other parts sums otherwise: a mark in tables, also where only the weights come from there."""
    spec = suite["dsl"][0].spec
    folder = place / "elsewhere" / "store"
    execute(spec.after, suite["none"][0].spec, folder / spec.after, place / "data", lambda event: None, accumulation=2)
    record = execute("x", spec, folder / "x", place / "data", lambda event: None)
    assert (record.accumulation, read_record(folder / spec.after).accumulation) == (2, 2)


def test_given_weights_are_processed_without_another_run(place, run_of, done, suite):
    given = f"checkpoint={suite['none'][1] / 'model.safetensors'}"
    for row in ("dsl", "qb-norm"):
        run = run_of(given, f"evaluation.post_processing={row}")
        assert (run.needed, run.spec.after) == (None, None)
        record, _ = done(run.spec, f"given {row}")
        assert record.metrics == suite[row][0].metrics
        assert record.selection_split is None


def test_plug_in_metrics_are_left_out(run_of, done, suite, monkeypatch):
    constant = PluginMetric(lambda similarity, groups: {"one": 1}, {"one": True})
    monkeypatch.setattr(registry, "plugin_metrics", lambda: {"x": constant})
    given = f"checkpoint={suite['none'][1] / 'model.safetensors'}"
    assert "x/one" in done(run_of(given).spec, "raw")[0].metrics
    assert "x/one" not in done(run_of(given, "evaluation.post_processing=dsl").spec, "processed")[0].metrics


def test_a_row_that_itself_needs_a_run_is_processed_too(place, done):
    text = SUITE.replace("no-hbi", "hbi-estimated").replace("selection: test", "selection: last")
    (place / "estimated.yaml").write_text(text)
    chain = in_order(expand(load_suite(place / "estimated.yaml", ["evaluation.post_processing=dsl"])))
    assert [run.label for run in chain] == [
        "hbi-no-banzhaf", "estimator", "hbi-estimated post_processing=none", "hbi-estimated",
    ]  # fmt: skip
    records = [done(run.spec, run.run_id)[0] for run in chain]
    assert [record.outcome for record in records] == ["complete"] * 4, records
    assert [record.spec.evaluation.post_processing for record in records] == ["none", "none", "none", "dsl"]
    assert [bool(record.curve) for record in records] == [True, True, True, False]


def several_captions(place: Path, spec: RunSpec) -> RunSpec:
    """``spec`` on its generated videos in the layout of MSVD: three captions a video, and two of every third."""
    splits = hbi.data.load(spec.data, place / "data").splits
    root = place / "msvd"
    (root / "videos").mkdir(parents=True)
    captions = {}
    for name, split in splits.items():
        (root / f"{name}_list.txt").write_text("\n".join(f"{name}{n}" for n in range(len(split.videos))))
        for n, (video, caption) in enumerate(zip(split.videos, split.captions, strict=False)):
            (root / "videos" / f"{name}{n}.mp4").symlink_to(video.path)
            words = caption.split()
            captions[f"{name}{n}"] = [words, words[::-1], words[1:]][: 2 if n % 3 == 0 else 3]
    (root / "raw-captions.json").write_text(json.dumps(captions))
    data = {"name": "msvd", "root": str(root), "max_words": 16, "max_frames": 4}
    return RunSpec.model_validate({**spec.model_dump(), "data": data})


def test_several_captions_of_a_video_stay_together(place, suite, done):
    base = several_captions(place, suite["none"][0].spec)
    assert done(base, run_id(base))[0].outcome == "complete"
    for row in ("dsl", "qb-norm"):
        other = several_captions_of(base, suite[row][0].spec)
        record, folder = done(other, run_id(other))
        assert record.outcome == "complete", record.failure
        scale = 7 if row == "qb-norm" else None
        assert evaluate(folder / "similarity.npz", post_processing=row, scale=scale) == record.metrics
        ranks, queries = read_ranks(folder, record), read_queries(place, record.queries)
        assert {name: len(values) for name, values in ranks.items()} == {"t2v": 21, "v2t": 8, "video": 21}
        assert ranks["video"].tolist() == list(queries.video_of) == sorted(queries.video_of)
        assert np.bincount(ranks["video"]).tolist() == [2, 3, 3, 2, 3, 3, 2, 3]
        assert queries.videos[3] == "test3"


def several_captions_of(base: RunSpec, spec: RunSpec) -> RunSpec:
    return base.model_copy(update={"evaluation": spec.evaluation, "after": run_id(base)})


@pytest.mark.parametrize("size", [1, 5, 12, 5000])
def test_a_bank_is_of_pairs_that_the_seed_draws(place, suite, size):
    split = hbi.data.load(suite["none"][0].spec.data, place / "data").splits["train"]
    bank = drawn(split, size, seed=3)
    assert len(bank.captions) == min(size, len(split.captions))
    theirs = set(zip(split.captions, (split.videos[column] for column in split.video_of), strict=True))
    assert set(zip(bank.captions, (bank.videos[column] for column in bank.video_of), strict=True)) <= theirs
    assert len(set(bank.videos)) == len(bank.videos)
    assert bank == drawn(split, size, seed=3)
    assert bank.captions != drawn(split, size, seed=4).captions or size >= len(split.captions)
