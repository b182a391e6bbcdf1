"""Runs that answer questions: their records, the checks before them, and what follows from their weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import hbi.data
from ablations.game_methods import compare_on
from ablations.preflight import check
from ablations.trained import given
from ablations.work import Work
from hbi.errors import InputError
from hbi.metrics import registry
from hbi.metrics.registry import KINDS, PluginMetric
from hbi.models import build
from results.queries import read_queries
from results.store import read_ranks, read_record
from suites.expand import expand
from suites.load import load_suite
from suites.spec import RunSpec

SUITE = """
data: {name: shapes-qa, train: 8, val: 3, test: 6, size: 32, max_words: 16, max_frames: 4}
model: {encoder: tiny, temporal_layers: 1, answers: 32, head_width: 16}
training: {epochs: 2, batch_size: 16, lr: 1e-3, coef_lr: 1}
runtime: {threads: 1, device: cpu}
variants: [hbi-qa]
"""


SMALL = "data={name: shapes-qa, train: 8, val: 3, test: 6, size: 32}"


@pytest.fixture(scope="module")
def trained(run_of, done):
    run = run_of()
    return done(run.spec, run.run_id)


def questions_of(place: Path, spec: RunSpec) -> hbi.data.Dataset:
    return hbi.data.load(spec.data, place / "data")


def test_a_record_has_the_accuracies_and_whether_each_question_was_answered_right(place, trained):
    record, folder = trained
    assert record.outcome == "complete", record.failure
    split = questions_of(place, record.spec).splits["test"]
    kinds = {f"accuracy/{question.split()[0]}" for question in split.captions}
    assert record.metrics.keys() == {"accuracy", "accuracy/in_vocabulary", *kinds}
    assert [epoch.metrics.keys() for epoch in record.curve] == [record.metrics.keys()] * 2
    assert all(np.isfinite(epoch.losses["answer/event"]) for epoch in record.curve)
    beside = read_ranks(folder, read_record(folder))
    assert {name: len(values) for name, values in beside.items()} == dict.fromkeys(
        ("correct", "kind", "in_vocabulary", "video"), len(split.captions)
    )
    assert 100 * beside["correct"].mean() == pytest.approx(record.metrics["accuracy"])
    for number, kind in enumerate(KINDS):
        asked = beside["kind"] == number
        assert asked.tolist() == [question.startswith(kind) for question in split.captions]
        if asked.any():
            assert 100 * beside["correct"][asked].mean() == pytest.approx(record.metrics[f"accuracy/{kind}"])
    assert beside["video"].tolist() == list(split.video_of)
    assert read_record(folder).ranks == "ranks.npz"
    assert read_queries(place, record.queries).captions == split.captions


def test_given_weights_answer_as_they_did(place, run_of, done, trained):
    record, folder = trained
    run = run_of(f"checkpoint={folder / 'model.safetensors'}")
    check([run.spec], place / "data", lambda *progress: None)
    again, place_of = done(run.spec, "given")
    assert again.metrics == record.metrics
    assert np.array_equal(*(np.load(path / "ranks.npz")["correct"] for path in (folder, place_of)))


def test_every_question_is_answered_about_its_own_video(place, trained, monkeypatch):
    """In blocks, with every video encoded once, as question by question with its video alone."""
    record, folder = trained
    spec = record.spec.model_copy(update={"checkpoint": str(folder / "model.safetensors")})
    work = Work(spec, given(spec), place / "data", torch.device("cpu"), lambda event: None)
    model, split, (ids, mask) = work.model, work.splits["test"], work.tokens["test"]

    @torch.no_grad()
    def alone(video_of):
        """Logits [N,answers] of every question by itself."""
        model.eval()
        found = []
        for row, column in enumerate(video_of):
            frames, frame_mask = work.clips["test"].read(column)
            text = model.encode_text(ids[row : row + 1], mask[row : row + 1])
            found.append(model.answers(text, model.encode_video(frames[None], frame_mask[None])))
        return torch.cat(found)

    with torch.no_grad():  # so briefly trained it gives one answer to all: without their mean, answers differ
        model.heads["event"].answers.bias -= alone(split.video_of).mean(0) / model.config.answer_rates["event"]
    expected = alone(split.video_of).argmax(-1)
    assert (alone([(column + 1) % 6 for column in split.video_of]).argmax(-1) != expected).any()
    model.train()
    monkeypatch.setattr("ablations.work.BLOCK", 7)
    assert work.predictions("test").tolist() == expected.tolist()
    assert model.training


def test_the_best_epoch_is_chosen_by_accuracy(place, run_of, done):
    run = run_of("training.selection=validation", "training.epochs=3")
    check([run.spec], place / "data", lambda *progress: None)
    record, _ = done(run.spec, run.run_id)
    assert record.outcome == "complete", record.failure
    seen = [epoch.metrics["accuracy"] for epoch in record.curve]
    assert record.selection_split == "val"
    assert record.selected_epoch == 1 + seen.index(max(seen))


def generated(place: Path, spec: RunSpec, **options: object) -> RunSpec:
    """``spec`` with its generated questions through the loader of MSRVTT-QA."""
    root = questions_of(place, spec).splits["train"].videos[0].path.parents[1]
    data = {"name": "msrvtt-qa", "root": str(root), "max_words": 16, "max_frames": 4, **options}
    return RunSpec.model_validate({**spec.model_dump(), "data": data})


def test_questions_outside_the_vocabulary_train_nothing_and_count_as_wrong(place, run_of, done):
    answers = questions_of(place, run_of().spec).vocabulary
    (place / "few.json").write_text(json.dumps({answer: label for label, answer in enumerate(answers[::3])}))
    spec = generated(place, run_of().spec, labels=str(place / "few.json"))
    record, folder = done(spec, "few")
    assert record.outcome == "complete", record.failure
    labels = questions_of(place, spec).labels("test")
    assert 0 < labels.count(-1) < len(labels)
    beside = np.load(folder / "ranks.npz")
    assert not beside["correct"][np.array(labels) < 0].any()
    assert beside["in_vocabulary"].tolist() == [int(label >= 0) for label in labels]
    share = 1 - labels.count(-1) / len(labels)
    assert record.metrics["accuracy"] == pytest.approx(share * record.metrics["accuracy/in_vocabulary"])


def test_weights_that_are_not_finite_answer_nothing(place, run_of, done, trained):
    model = build(trained[0].spec.model, 0)
    with torch.no_grad():
        model.heads["event"].answers.bias[3] = float("nan")
    model.save(place / "nan.safetensors")
    record, _ = done(run_of(f"checkpoint={place / 'nan.safetensors'}").spec, "nan")
    assert (record.outcome, record.failure.kind) == ("failed", "nan")
    assert "answers to questions 1 to" in record.failure.message


def test_a_label_file_that_changes_after_planning_fails_the_run(place, run_of, done):
    file = place / "changing.json"
    spec = generated(place, run_of().spec, labels=str(file)).model_copy(update={"files": {"data.labels": "0" * 64}})
    file.write_text('{"first": 0}')
    record, _ = done(spec, "changed")
    assert record.failure.kind == "input"
    assert "data.labels" in record.failure.message


def test_metrics_of_a_similarity_are_not_asked_for(run_of, done, trained, monkeypatch):
    record, folder = trained
    monkeypatch.setattr(registry, "plugin_metrics", lambda: {"bad": PluginMetric(None, {"x": True})})
    run = run_of(f"checkpoint={folder / 'model.safetensors'}")
    assert done(run.spec, "plug-in")[0].metrics == record.metrics


def test_the_games_of_questions_and_videos_can_be_compared(place, trained, monkeypatch):
    monkeypatch.setattr("ablations.game_methods.SECONDS", 0.0)
    found = list(compare_on(trained[1], place / "data", lambda event: None))
    assert {one.level for one in found} == {"entity", "action", "event"}
    assert {one.method for one in found} >= {"Monte Carlo, 100", "exact"}


@pytest.mark.parametrize(
    ("variant", "overrides", "message"),
    [
        ("hbi-qa", ["keep=[similarity]"], "keep: variant hbi-qa answers questions, so it has no similarity to keep"),
        ("hbi-qa", [SMALL, "model.answers=5"], "model.answers is 5, but shapes-qa has a vocabulary of"),
    ],
)
def test_what_does_not_fit_is_one_line_before_anything_runs(place, variant, overrides, message):
    (place / "other.yaml").write_text(f"data: shapes-qa\nvariants: [{variant}]\n")
    (run,) = expand(load_suite(place / "other.yaml", overrides))
    with pytest.raises(InputError) as caught:
        check([run.spec], place / "data", lambda *progress: None)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
