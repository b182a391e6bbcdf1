"""The suites of MCQ and MILES: zero-shot, fine-tuned, pre-trained. Their weights are files that nobody ships."""

from pathlib import Path

import pytest

from hbi.errors import InputError
from results.published import published
from suites.expand import expand, in_order
from suites.load import load_suite
from tests.command_line import call, records

SUITES = Path(__file__).parents[2] / "suites"
ZERO_SHOT = sorted(SUITES.glob("zero_shot_*.yaml"))
FINE_TUNED = SUITES / "fine_tuned_msrvtt.yaml"
PRETRAINING = SUITES / "pretraining_webvid_cc3m.yaml"
SMALL = "{name: shapes, train: 24, val: 4, test: 12, size: 32, max_words: 16, max_frames: 4}"


@pytest.mark.parametrize("file", ZERO_SHOT, ids=lambda file: file.stem)
def test_a_zero_shot_suite_evaluates_published_weights_as_their_authors_do(file, user_files):
    found = {run.label: run.spec for run in expand(load_suite(file))}
    assert list(found) == ["CLIP", "MCQ", "MCQ, CLIP-initialised", "MILES"]
    for spec in found.values():
        assert spec.data.name == file.stem.removeprefix("zero_shot_")
        assert (spec.training.epochs, spec.training.precision) == (0, "fp32")
    assert found["CLIP"].model.pretrained == "openai"
    assert found["MCQ, CLIP-initialised"].model.pretrained == "weights/MCQ_CLIP.pth"
    assert [found[label].model.weights for label in ("MCQ", "MILES")] == ["weights/MCQ.pth", "weights/MILES.pth"]
    for label, frames in (("MCQ", 4), ("MILES", 4), ("MCQ, CLIP-initialised", 8)):
        data = found[label].data
        assert (data.max_frames, data.sampler, data.resize) == (frames, "ranges", "twice")
        assert data.max_words >= 77


def test_fine_tuning_starts_from_the_same_weights_and_trains_all_of_them(user_files):
    found = {run.label: run.spec for run in expand(load_suite(FINE_TUNED))}
    for label in ("MCQ", "MILES"):
        assert found[label].model.weights == f"weights/{label}.pth"
        assert (found[label].training.lr, found[label].training.coef_lr) == (3e-5, 1)
    assert found["MCQ, CLIP-initialised"].model.pretrained == "weights/MCQ_CLIP.pth"
    assert {(spec.training.epochs, spec.training.batch_size) for spec in found.values()} == {(5, 128)}


@pytest.mark.parametrize("file", [*ZERO_SHOT, FINE_TUNED, PRETRAINING], ids=lambda file: file.stem)
def test_its_published_rows_are_of_its_data_set_and_trained_likewise(file, user_files):
    suite = load_suite(file)
    rows = {row.label: row for row in published("msrvtt" if file == PRETRAINING else suite.data["name"])}
    assert {rows[label].training for label in suite.published} == {"fine-tuned" if file == FINE_TUNED else "zero-shot"}


@pytest.mark.parametrize(
    ("file", "missing", "option"),
    [
        (ZERO_SHOT[0], "weights/MILES.pth", "model.weights"),
        (FINE_TUNED, "weights/MCQ_CLIP.pth", "model.pretrained"),
        (PRETRAINING, "data/CC3M/train.tsv", "data.tables.1"),
    ],
    ids=lambda value: getattr(value, "stem", value),
)
def test_a_missing_file_is_one_line(file, missing, option, user_files):
    (user_files / missing).unlink()
    with pytest.raises(InputError, match=rf"^[^\n]*: {option}: no such file: {missing}$"):
        expand(load_suite(file))


def test_pretraining_starts_from_distilbert_and_an_image_transformer(user_files):
    nouns, mcq, miles = in_order(expand(load_suite(PRETRAINING)))
    for run in (nouns, miles):
        assert run.spec.model.text_weights == "weights/distilbert/model.safetensors"
        assert run.spec.model.video_weights == "weights/vit_base_patch16_224_in21k.safetensors"
    assert (mcq.spec.after, mcq.spec.model.text_weights, mcq.spec.model.video_weights) == (nouns.run_id, None, None)
    assert (nouns.spec.model.seen_frames, mcq.spec.model.seen_frames) == (1, None)
    for run in (nouns, mcq, miles):
        assert (run.spec.data.name, run.spec.data.test.name, run.spec.model.towers) == ("pairs", "msrvtt", "base")
        processes = run.spec.runtime.processes
        assert processes > run.resources.nodes > 1
        assert not processes % run.resources.nodes
        assert not run.spec.training.batch_size % processes


def test_a_zero_shot_suite_runs_on_generated_data(tmp_path):
    done = call("run", "zero_shot_msrvtt", "--set", f"data={SMALL}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = records(tmp_path).values()
    assert {record["spec"]["model"]["system"] for record in found} == {
        *("clip4clip", "bridgeformer", "bridgeformer-clip", "miles")
    }
    for record in found:
        assert record["outcome"] == "complete"
        assert record["curve"] == []
        assert 0 <= record["metrics"]["t2v/R@10"] <= 100


def test_pretraining_runs_on_generated_data(tmp_path):
    """Both parts of MCQ's, the second from the weights of the first, and that of MILES; one epoch each."""
    settings = ("--set", f"data={SMALL}", "--set", "training.epochs=1", "--set", "training.batch_size=8")
    done = call("run", "pretraining_webvid_cc3m", *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {record["spec"]["variant"]: record for record in records(tmp_path).values()}
    assert {variant: record["outcome"] for variant, record in found.items()} == dict.fromkeys(
        ("bridgeformer-nouns", "bridgeformer-pretraining", "miles-pretraining"), "complete"
    )
    assert found["bridgeformer-pretraining"]["spec"]["after"] == found["bridgeformer-nouns"]["run_id"]
    assert len(found["miles-pretraining"]["curve"]) == 1
