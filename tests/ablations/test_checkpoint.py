"""Runs that evaluate given weights, what a run keeps, and files that change behind its back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import hbi.data
from ablations.preflight import check
from ablations.trained import finished
from hbi.errors import InputError, RunFailure
from hbi.metrics import registry
from hbi.metrics.registry import PluginMetric
from results.evaluate import evaluate
from results.queries import read_queries
from results.store import read_ranks

SUITE = """
data: {name: shapes, train: 8, val: 2, test: 6, size: 32, max_words: 16, max_frames: 4}
model: {encoder: tiny, temporal_layers: 1}
training: {epochs: 1, batch_size: 4, lr: 1e-3, coef_lr: 1}
runtime: {threads: 1, device: cpu}
keep: [weights, similarity]
variants: [no-hbi]
"""


@pytest.fixture(scope="module")
def trained(run_of, done):
    run = run_of()
    return done(run.spec, run.run_id)


def test_given_weights_score_as_they_did_and_nothing_is_trained(place, run_of, done, trained):
    record, folder = trained
    state = {f"module.{name}": value for name, value in torch_state(folder / "model.safetensors").items()}
    torch.save({"state_dict": state}, place / "same.pt")
    for file in (folder / "model.safetensors", place / "same.pt"):
        again, place_of = done(run_of(f"checkpoint={file}", "keep=[]").spec, f"again{file.suffix}")
        assert again.outcome == "complete", again.failure
        assert again.metrics == record.metrics
        assert (again.curve, again.selected_epoch, again.selection_split) == ((), None, None)
        assert set(again.timings) == {"evaluation", "total"}
        assert sorted(path.name for path in place_of.iterdir()) == ["ranks.npz", "record.json"]


def torch_state(file: Path):
    from safetensors.torch import load_file

    return load_file(file)


def test_the_similarity_it_keeps_has_the_metrics_of_its_record(trained):
    record, folder = trained
    assert evaluate(folder / "similarity.npz") == record.metrics
    assert {path.name for path in folder.iterdir()} >= {"model.safetensors", "similarity.npz"}


def test_the_queries_behind_the_ranks_are_beside_the_runs(place, trained):
    record, folder = trained
    split = hbi.data.load(record.spec.data, place / "data").splits["test"]
    found = read_queries(place, record.queries)
    assert (found.captions, found.video_of) == (split.captions, split.video_of)
    assert found.videos == tuple(video.id for video in split.videos)
    ranks = read_ranks(folder, record)
    assert ranks["video"].tolist() == list(split.video_of)
    assert ranks["t2v"].dtype == np.float32
    assert 100 * np.mean(ranks["v2t"] <= 1) == pytest.approx(record.metrics["v2t/R@1"])


class Harmful:
    def __reduce__(self):
        return print, ("the file's code has run",)


def bad_files(folder: Path, good: Path) -> dict[str, str]:
    """File name: what is said of it."""
    state = torch_state(good)
    name = next(iter(state))
    torch.save({key: value for key, value in state.items() if key != name}, folder / "less.pt")
    torch.save({**state, "more": state[name]}, folder / "more.pt")
    torch.save({**state, name: torch.zeros(3)}, folder / "shape.pt")
    torch.save([1, 2], folder / "list.pt")
    torch.save({"x": Harmful()}, folder / "harmful.pt")
    (folder / "truncated.safetensors").write_bytes(good.read_bytes()[:-100])
    (folder / "text.pt").write_text("weights")
    return {
        "less.pt": f"less.pt: does not fit the model: missing {name}",
        "more.pt": "more.pt: does not fit the model: unexpected more",
        "shape.pt": rf"shape.pt: does not fit the model: {name} is \[3\], not",
        "list.pt": "list.pt: holds no state dict",
        "harmful.pt": "harmful.pt: not readable as plain weights",
        "truncated.safetensors": "truncated.safetensors: not readable as plain weights",
        "text.pt": "text.pt: not readable as plain weights",
    }


def test_weights_that_do_not_fit_are_one_line_before_anything_runs(place, run_of, trained, capsys):
    for file, message in bad_files(place, trained[1] / "model.safetensors").items():
        run = run_of(f"checkpoint={place / file}")
        with pytest.raises(InputError, match=message) as caught:
            check([run.spec], place / "data", lambda *progress: None)
        assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_a_run_that_has_kept_no_weights_cannot_be_built_upon(trained, tmp_path):
    (tmp_path / "record.json").write_bytes((trained[1] / "record.json").read_bytes())
    with pytest.raises(RunFailure, match="kept no weights; remove its folder and it is trained again"):
        finished(tmp_path)
    assert finished(trained[1]) == trained[0]


def test_a_file_that_changes_after_planning_is_not_evaluated_under_the_old_id(place, run_of, done, trained):
    file = place / "changing.safetensors"
    file.write_bytes((trained[1] / "model.safetensors").read_bytes())
    run = run_of(f"checkpoint={file}")
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\0")
    record, _ = done(run.spec, "changed")
    assert (record.outcome, record.failure.kind) == ("failed", "input")
    assert "is not the file it was when the suite was read" in record.failure.message


def test_plug_in_metrics_are_in_the_record(run_of, done, trained, monkeypatch):
    def shape(similarity, groups):
        assert (similarity.shape, groups.tolist()) == ((6, 6), list(range(6)))
        return {"captions": np.float32(similarity.shape[0])}

    run = run_of(f"checkpoint={trained[1] / 'model.safetensors'}")
    monkeypatch.setattr(registry, "plugin_metrics", lambda: {"shape": PluginMetric(shape, {"captions": True})})
    record, folder = done(run.spec, "plug-in")
    assert record.metrics == trained[0].metrics | {"shape/captions": 6.0}
    assert json.loads((folder / "record.json").read_text())["metrics"]["shape/captions"] == 6

    wrong = PluginMetric(lambda similarity, groups: {"captions": float("nan")}, {"captions": True})
    monkeypatch.setattr(registry, "plugin_metrics", lambda: {"shape": wrong})
    record, _ = done(run.spec, "broken plug-in")
    assert (record.failure.kind, record.failure.message) == ("bug", "plug-in metric 'shape': captions is not finite")
