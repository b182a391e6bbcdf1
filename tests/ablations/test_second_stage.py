"""DiffusionRet, executed: a first stage, then denoisers on what it has left, and ranks by two matrices."""

import numpy as np
import pytest
from safetensors.torch import load_file

from ablations.evaluation import SIMILARITY
from ablations.run import execute
from ablations.trained import trained
from hbi.metrics.saved import read_similarity
from hbi.models import released
from results.evaluate import evaluate
from suites.expand import expand, in_order
from suites.load import load_suite

SUITE = """
data: {name: shapes, train: 8, val: 2, test: 6, size: 32, max_words: 16, max_frames: 4}
model: {encoder: tiny, temporal_layers: 1}
training: {epochs: 1, batch_size: 4, lr: 1e-3, coef_lr: 1}
runtime: {threads: 1, device: cpu}
keep: [weights, similarity]
variants: [{name: diffusionret, model: {generation: {t2v_num: 3, v2t_num: 3, diffusion_steps: 5}}}]
"""


@pytest.fixture(scope="module")
def stages(place):
    """Both runs with their records."""
    chain = in_order(expand(load_suite(place / "suite.yaml")))
    return [
        (run, execute(run.run_id, run.spec, place / "store" / run.run_id, place / "data", lambda event: None))
        for run in chain
    ]


def test_the_second_stage_adds_denoisers_to_what_the_first_has_trained(place, stages):
    (first, of_first), (second, of_second) = stages
    assert [of_first.outcome, of_second.outcome] == ["complete"] * 2, of_second.failure
    assert first.spec.variant == "diffusionret-discrimination"
    left, taken = (load_file(place / "store" / run.run_id / "model.safetensors") for run in (first, second))
    assert all(np.array_equal(taken[name], weight) for name, weight in left.items())
    assert all(name.startswith("denoisers.") for name in taken.keys() - left.keys())
    assert of_second.curve[0].losses.keys() == {"total", "contrastive", "generation/t2v", "generation/v2t"}
    assert of_second.provenance.parameters < of_first.provenance.parameters


def test_the_scores_that_are_kept_give_the_metrics_of_the_record(place, stages):
    (first, of_first), (second, of_second) = stages
    for run, record in ((first, of_first), (second, of_second)):
        found = evaluate(place / "store" / run.run_id / SIMILARITY)
        assert found == {name: value for name, value in record.metrics.items() if name in found}
    before, after = (read_similarity(place / "store" / run.run_id / SIMILARITY) for run in (first, second))
    assert before.video_to_text is None
    gains = after.similarity - before.similarity, (after.scores("v2t") - before.similarity).T
    for gain in gains:  # a softmax over the three best of each query
        assert ((gain > 1e-4).sum(1) == 3).all()
        np.testing.assert_allclose(gain.sum(1), 1, rtol=1e-4)
    assert not np.array_equal(after.similarity, after.scores("v2t"))


def test_what_both_stages_leave_is_evaluated_in_the_published_layout(place, stages, done):
    second, record = stages[1]
    released.save(trained(place / "store" / second.run_id), place / "both.bin")
    suite = load_suite(place / "suite.yaml", [f"checkpoint={place / 'both.bin'}"])
    (run,) = expand(suite)
    assert run.needed is None
    again, _ = done(run.spec, "again")
    assert again.outcome == "complete", again.failure
    assert again.metrics == record.metrics


def test_what_is_no_first_stage_is_refused(place, done):
    start = "variants=[{name: diffusionret, model: {generation: {start: no-hbi}}}]"
    first, second = in_order(expand(load_suite(place / "suite.yaml", [start])))
    assert done(first.spec, first.run_id)[0].outcome == "complete"
    failure = done(second.spec, second.run_id)[0].failure
    assert failure is not None
    assert failure.kind == "input"
    assert "as the first stage of DiffusionRet: does not fit the model: missing word_scores.0.weight" in failure.message
