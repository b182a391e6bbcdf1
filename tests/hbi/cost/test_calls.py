"""The timed calls are evaluation's own, of the sizes that a case names, and can be made in another process."""

import json

import pytest
import torch

from hbi.config import CaseConfig, CostOptions, EstimatorConfig, HBIConfig, HBIQAConfig, TeacherConfig
from hbi.cost.calls import ALL, ANSWER, ONE, QUERY, STEP, TIMED, VIDEO, arguments, prepared, system, timed_calls
from hbi.cost.memory import peak_memory
from hbi.errors import InputError
from hbi.training.evaluate import similarity_matrix

CPU = torch.device("cpu")
TINY = HBIConfig(temporal_layers=1)
OPTIONS = CostOptions(gallery=10)


def case_of(model=TINY, **sizes):
    return CaseConfig(**{"label": "a row", "model": model, "words": 8, "frames": 4, "batch": 3} | sizes)


def calls_of(case, options=OPTIONS, device=CPU):
    return timed_calls(system(case, options, device), case, options)


def test_of_a_retrieval_system():
    calls = calls_of(case_of())
    assert {name: call.items for name, call in calls.items()} == {QUERY: 1, VIDEO: 1, ONE: 10, ALL: 100}
    assert calls[QUERY].run()["entity/tokens"].shape == (1, 8, 64)
    assert calls[VIDEO].run()["entity/tokens"].shape == (1, 4, 64)
    assert calls[ONE].run().shape == (1, 10)
    assert calls[ALL].run().shape == (10, 10)
    assert not calls[ALL].run().requires_grad
    torch.testing.assert_close(calls[ALL].run()[:1], calls[ONE].run())


def test_of_a_system_that_answers():
    calls = calls_of(case_of(HBIQAConfig(temporal_layers=1, answers=20, head_width=16)))
    assert {name: call.items for name, call in calls.items()} == {QUERY: 1, VIDEO: 1, ANSWER: 1}
    assert calls[ANSWER].run().shape == (1, 20)


def test_scores_are_those_of_evaluation(monkeypatch):
    """The features that are scored come from items that evaluation would score alike."""
    case, options = case_of(), CostOptions(gallery=4)
    model = system(case, options, CPU)
    given = {}
    for name in ("encode_text", "encode_video"):
        encode = getattr(model, name)
        monkeypatch.setattr(model, name, lambda *items, e=encode, n=name: given.setdefault(n, items) and e(*items))
    found = timed_calls(model, case, options)[ALL].run()
    monkeypatch.undo()
    expected = similarity_matrix(model, [given["encode_text"]], [given["encode_video"]], CPU, "fp32")
    torch.testing.assert_close(found, torch.from_numpy(expected))


def test_a_case_of_other_sizes_and_frames():
    calls = calls_of(case_of(words=1, frames=1), CostOptions(gallery=1, resolution=64))
    assert calls[ALL].run().shape == (1, 1)
    assert calls[VIDEO].run()["entity/tokens"].shape == (1, 1, 64)
    with pytest.raises(InputError, match="reaches 77"):
        calls_of(case_of(words=78))
    with pytest.raises(InputError, match=r"^cost: a row is no retrieval system \(estimator\); leave it out$"):
        calls_of(case_of(EstimatorConfig()))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_encoders_compute_at_the_precision(precision):
    calls = calls_of(case_of(), CostOptions(gallery=3, precision=precision))
    exact = calls_of(case_of(), CostOptions(gallery=3))
    for name in (QUERY, VIDEO):
        found, expected = calls[name].run()["entity/tokens"], exact[name].run()["entity/tokens"]
        assert not torch.equal(found, expected)
        torch.testing.assert_close(found, expected, atol=0.05, rtol=0)
    assert calls[ALL].run().dtype == torch.float32


@pytest.mark.parametrize(
    "model",
    [
        TINY,
        HBIConfig(temporal_layers=1, freeze="encoder", teacher=TeacherConfig(method="estimated")),
        HBIQAConfig(temporal_layers=1, answers=20, head_width=16),
    ],
    ids=["hbi", "frozen", "qa"],
)
def test_every_call_can_be_made_from_what_json_carries(model):
    case = case_of(model, label='odd / "label" é')
    names = [name for name in TIMED if name in calls_of(case)]
    for name in (*names, STEP):
        given = json.loads(json.dumps(arguments(case, OPTIONS, name, CPU)))
        prepared(**given)()


def test_the_memory_of_a_training_step_holds_its_gradients():
    case = case_of()
    weights = sum(one.numel() for one in system(case, OPTIONS, CPU).parameters())
    peak = peak_memory("hbi.cost.calls:run", arguments(case, OPTIONS, STEP, CPU), prepare="hbi.cost.calls:prepared")
    assert 4 * weights < peak.bytes < 100 * weights


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_on_a_gpu(precision):
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    options, device = CostOptions(gallery=10, precision=precision), torch.device("cuda")
    for name, call in calls_of(case_of(), options, device).items():
        if name in (QUERY, VIDEO):
            assert call.run()["entity/tokens"].is_cuda
        else:
            assert call.run().shape[1] == 10
    given = arguments(case_of(), options, STEP, device)
    peak = peak_memory("hbi.cost.calls:run", given, device, prepare="hbi.cost.calls:prepared")
    assert peak.bytes > 0
    assert peak.method == "CUDA allocator"
