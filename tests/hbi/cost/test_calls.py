"""The timed calls are evaluation's own, of the sizes that a case names, and can be made in another process."""

import json

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hbi.config import (
    BridgeFormerClipConfig,
    BridgeFormerConfig,
    CaseConfig,
    CostOptions,
    EstimatorConfig,
    HBIConfig,
    HBIQAConfig,
    MILESConfig,
    TeacherConfig,
)
from hbi.cost.calls import (
    ALL,
    ANSWER,
    ONE,
    QUERY,
    STEP,
    VIDEO,
    arguments,
    as_evaluated,
    items_of,
    prepared,
    system,
    timed,
    timed_call,
)
from hbi.cost.memory import peak_memory
from hbi.errors import InputError
from hbi.training import evaluate
from tests.similarity_matrix import similarity_matrix

CPU = torch.device("cpu")
TINY = HBIConfig(temporal_layers=1)
OPTIONS = CostOptions(gallery=10)
TOWERS = {
    "bridgeformer": BridgeFormerConfig(questions=("noun", "verb"), seen_frames=1),
    "miles": MILESConfig(masking={}),
    "bridgeformer-clip": BridgeFormerClipConfig(),
}


def case_of(model=TINY, **sizes):
    return CaseConfig(**{"label": "a row", "model": model, "words": 8, "frames": 4, "batch": 3} | sizes)


def calls_of(case, options=OPTIONS, device=CPU):
    """By name, each as evaluation makes it."""
    model = system(case, options, device)

    def evaluated(name):
        call = timed_call(name, model, case, options)

        def run():
            with as_evaluated(name, device, options.precision):
                return call()

        return run

    return {name: evaluated(name) for name in timed(case.model)}


def test_of_a_retrieval_system():
    calls = calls_of(case_of())
    assert {name: items_of(name, OPTIONS) for name in calls} == {QUERY: 1, VIDEO: 1, ONE: 10, ALL: 100}
    assert calls[QUERY]()["entity/tokens"].shape == (1, 8, 64)
    assert calls[VIDEO]()["entity/tokens"].shape == (1, 4, 64)
    assert calls[ONE]().shape == (1, 10)
    assert calls[ALL]().shape == (10, 10)
    assert not calls[ALL]().requires_grad
    torch.testing.assert_close(calls[ALL]()[:1], calls[ONE]())


def test_of_a_system_that_answers():
    calls = calls_of(case_of(HBIQAConfig(temporal_layers=1, answers=20, head_width=16)))
    assert {name: items_of(name, OPTIONS) for name in calls} == {QUERY: 1, VIDEO: 1, ANSWER: 1}
    assert calls[ANSWER]().shape == (1, 20)


@pytest.mark.parametrize("model", TOWERS.values(), ids=TOWERS)
def test_of_two_towers(model):
    calls = calls_of(case_of(model))
    assert list(calls) == [QUERY, VIDEO, ONE, ALL]
    assert calls[QUERY]()["vector"].shape == calls[VIDEO]()["vector"].shape == (1, 64)
    torch.testing.assert_close(calls[ALL]()[:1], calls[ONE]())
    assert calls[ALL]().shape == (10, 10)


def test_scores_are_those_of_evaluation(monkeypatch):
    """The features that are scored come from items that evaluation would score alike."""
    case, options = case_of(), CostOptions(gallery=4)
    model = system(case, options, CPU)
    given = {}
    for name in ("encode_text", "encode_video"):
        encode = getattr(model, name)
        monkeypatch.setattr(model, name, lambda *items, e=encode, n=name: given.setdefault(n, items) and e(*items))
    found = timed_call(ALL, model, case, options)()
    monkeypatch.undo()
    expected = similarity_matrix(model, [given["encode_text"]], [given["encode_video"]], CPU, "fp32")
    torch.testing.assert_close(found, torch.from_numpy(expected))


def test_a_case_of_other_sizes_and_frames():
    calls = calls_of(case_of(words=1, frames=1), CostOptions(gallery=1, resolution=64))
    assert calls[ALL]().shape == (1, 1)
    assert calls[VIDEO]()["entity/tokens"].shape == (1, 1, 64)
    with pytest.raises(InputError, match="reaches 77"):
        calls_of(case_of(words=78))
    with pytest.raises(InputError, match=r"^cost: a row is no retrieval system \(estimator\); leave it out$"):
        calls_of(case_of(EstimatorConfig()))
    with pytest.raises(InputError, match=r"^cost: frames of 7 pixels, but a patch of encoder tiny has 8$"):
        calls_of(case_of(), CostOptions(resolution=7))
    assert system(case_of(), CostOptions(resolution=8), CPU).image_size == 8


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_encoders_compute_at_the_precision(precision):
    calls = calls_of(case_of(), CostOptions(gallery=3, precision=precision))
    exact = calls_of(case_of(), CostOptions(gallery=3))
    for name in (QUERY, VIDEO):
        found, expected = calls[name]()["entity/tokens"], exact[name]()["entity/tokens"]
        assert not torch.equal(found, expected)
        torch.testing.assert_close(found, expected, atol=0.05, rtol=0)
    assert calls[ALL]().dtype == torch.float32


class Casts(TorchDispatchMode):
    """Counts conversions of the weights of ``model`` by autocast; embeddings open_clip converts itself, every time."""

    def __init__(self, model):
        super().__init__()
        self.weights = {one.data_ptr() for name, one in model.named_parameters() if "embedding" not in name}
        self.number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._to_copy.default:
            self.number += args[0].data_ptr() in self.weights
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", [QUERY, VIDEO])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_weights_are_cast_once_for_all_calls_of_an_encoder(name, precision):
    case, options = case_of(), CostOptions(precision=precision)
    model = system(case, options, CPU)
    call = timed_call(name, model, case, options)
    with as_evaluated(name, CPU, precision), Casts(model) as casts:
        call()
        once = casts.number
        call()
    assert casts.number == once > 0


def test_calls_cast_as_many_weights_as_evaluation():
    case, options = case_of(), CostOptions(precision="bf16")
    model = system(case, options, CPU)
    with Casts(model) as timed_casts:
        for name in (QUERY, VIDEO):
            with as_evaluated(name, CPU, "bf16"):
                timed_call(name, model, case, options)()
    items = torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.bool)
    pictures = torch.ones(2, 4, 3, 32, 32, dtype=torch.uint8), torch.ones(2, 4, dtype=torch.bool)
    with Casts(model) as casts:
        similarity_matrix(model, [items] * 3, [pictures] * 3, CPU, "bf16")
    assert casts.number == timed_casts.number


def test_how_much_memory_is_free_is_not_asked_while_time_runs(monkeypatch):
    case = case_of()
    model = system(case, OPTIONS, CPU)
    score = [timed_call(name, model, case, OPTIONS) for name in (ONE, ALL)]
    monkeypatch.setattr(evaluate, "free_memory", None)
    assert [call().shape for call in score] == [(1, 10), (10, 10)]


@pytest.mark.parametrize(
    "model",
    [
        TINY,
        HBIConfig(temporal_layers=1, freeze="encoder", teacher=TeacherConfig(method="estimated")),
        HBIQAConfig(temporal_layers=1, answers=20, head_width=16),
        *TOWERS.values(),
    ],
    ids=["hbi", "frozen", "qa", *TOWERS],
)
def test_every_call_can_be_made_from_what_json_carries(model):
    case = case_of(model, label='odd / "label" é')
    for name in (*timed(model), STEP):
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
            assert call()["entity/tokens"].is_cuda
        else:
            assert call().shape[1] == 10
    given = arguments(case_of(), options, STEP, device)
    peak = peak_memory("hbi.cost.calls:run", given, device, prepare="hbi.cost.calls:prepared")
    assert peak.bytes > 0
    assert peak.method == "CUDA allocator"


def test_sizes_of_a_step_are_those_that_can_be_trained():
    with pytest.raises(ValueError, match=r"scaling\.batch: a training step takes 2 pairs or more"):
        CostOptions(scaling={"batch": [1, 2]})
    assert CostOptions(scaling={"batch": [2, 4], "words": [1, 2]}).scaling["batch"] == (2, 4)
