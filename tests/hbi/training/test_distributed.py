"""Two processes (gloo, on the CPU) train as one does: loss, gradients, steps; and what becomes of them on failure."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hbi.config import (
    BridgeFormerConfig,
    DeparturesConfig,
    DiffusionRetConfig,
    GenerationConfig,
    GLSCLConfig,
    HBIConfig,
    HBIQAConfig,
    MILESConfig,
    TrainingConfig,
)
from hbi.data.batches import Batch
from hbi.errors import InputError, RunFailure
from hbi.models import build
from hbi.models.two_towers import TwoTowers
from hbi.training.distributed import agreed, gathered, parallel, rank, share, spawn, world
from hbi.training.loop import Stopped, Task, train
from hbi.training.step import Step, backward
from tests.random_batch import batch_of

CPU = torch.device("cpu")
RELEASED = DeparturesConfig(gathered_gradients="released")
MODELS = {
    "correct": HBIConfig(temporal_layers=1),
    "released": HBIConfig(temporal_layers=1, departures=RELEASED),
    "one encoded tensor made of another": GLSCLConfig(temporal_layers=1, cross_att_layer=1, dropout=0.5),
    "denoisers on a frozen model": DiffusionRetConfig(temporal_layers=1, generation=GenerationConfig(d_temp=1)),
    "questions": HBIQAConfig(temporal_layers=1, answers=5, head_width=8, dropout=0.5),
    "weights that no loss uses": HBIQAConfig(
        temporal_layers=1, answers=5, head_width=8, alignment_weight=0, teacher=None
    ),
}
MODELS |= {
    "multiple choice": BridgeFormerConfig(questions=("noun", "verb"), seen_frames=2),
    "hidden patches": MILESConfig(masking={}),
}
SCALER = torch.amp.GradScaler("cpu", enabled=False)


def own(batch):
    return Batch(*(getattr(batch, name)[share(6)] for name in Batch.__dataclass_fields__))


def loss_and_gradients(config, parts=1):
    """Of the whole batch of 6 pairs, by two steps, for a weight without gradient could disturb the second."""
    model, batch = build(config), batch_of(6)
    if isinstance(model, TwoTowers):
        model.text_tower.eval()  # its dropout is drawn pair by pair
        batch = batch_of(6, vocabulary=100, kinds=len(config.asks))
    step = parallel(Step(model, "fp32"))
    for number in range(2):
        torch.manual_seed(number)
        model.zero_grad()
        losses = backward(step, own(batch), parts, SCALER)
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    return {name: loss.item() for name, loss in losses.items()}, gradients


def task_of(folder, request=None, **training):
    """2 epochs of 2 steps."""

    def batches(epoch, first):
        for step in range(first, 2):
            batch = own(batch_of(6))
            yield replace(batch, token_ids=batch.token_ids.roll(2 * epoch + step, 1))

    asked = iter([None, request])
    return Task(
        model=build(MODELS["questions"]),
        config=TrainingConfig(**{"epochs": 2, "batch_size": 6, "lr": 1e-3, "coef_lr": 1.0, **training}),
        device=CPU,
        folder=folder,
        steps_per_epoch=2,
        published_steps=10,
        batches=batches,
        validate=None,
        watched="accuracy",
        log=lambda event: None,
        requested=lambda: next(asked, None) if rank() == 0 else None,
    )


def trained(folder, **training):
    task = task_of(folder, **training)
    train(task)
    return task.model.state_dict()


def everything(folder):
    """What both processes do; what each has found, and what one alone finds."""
    torch.set_num_threads(1)
    found = {name: loss_and_gradients(config) for name, config in MODELS.items()}
    found |= {f"{name} in parts": loss_and_gradients(config, parts=3) for name, config in MODELS.items()}
    found["gathered"] = gathered(build(MODELS["correct"]).encode_text(*tokens()))["entity/mask"]
    found["trained"] = trained(folder / "trained")
    found["in fp16"] = trained(folder / "fp16", precision="fp16", accumulation=2)
    with pytest.raises(Stopped):
        train(task_of(folder / "stopped", request="stop"))
    found["resumed"] = trained(folder / "stopped")
    found["agreed"] = agreed(f"of {rank()}")
    if world() == 2:
        with pytest.raises(InputError) as refusal:
            train(task_of(folder, batch_size=7))
        found["refusal"] = str(refusal.value)
    return found


def tokens():
    batch = own(batch_of(6))
    return batch.token_ids, batch.text_mask


def second(folder):
    torch.save(everything(folder), folder / "second.pt")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """By "alone", "first" and "second"."""
    together = tmp_path_factory.mktemp("together")
    with spawn(2, CPU, second, together):
        assert world() == 2
        first = everything(together)
    assert world() == 1
    alone = everything(tmp_path_factory.mktemp("alone"))
    return {"alone": alone, "first": first, "second": torch.load(together / "second.pt")}


@pytest.mark.parametrize("parts", ["", " in parts"])
@pytest.mark.parametrize("model", MODELS)
def test_loss_and_gradients_are_those_of_one_process_with_the_whole_batch(found, model, parts):
    losses, gradients = found["alone"][model]
    for process in ("first", "second"):
        theirs, shared = found[process][model + parts]
        assert theirs == pytest.approx(losses, rel=1e-5, abs=1e-7)
        for name, gradient in gradients.items():
            assert (shared[name] is None) == (gradient is None), name
            if gradient is not None:
                halved = (
                    model == "released" and name.startswith(("encoder.", "temporal.")) and "logit_scale" not in name
                )
                expected = gradient / 2 if halved else gradient
                # rounding of float32, relative to the parameter's largest gradient; some are 0 but for rounding
                assert (shared[name] - expected).abs().max() < 1e-6 + 1e-5 * expected.abs().max(), name


def test_some_weights_stay_without_gradient(found):
    _, gradients = found["first"]["weights that no loss uses"]
    assert any(gradient is None for gradient in gradients.values())


@pytest.mark.parametrize("training", ["trained", "in fp16", "resumed"])
def test_a_training_is_that_of_one_process_and_equal_on_both(found, training):
    alone, first, second = (found[process][training] for process in ("alone", "first", "second"))
    for name, weight in alone.items():
        assert torch.equal(first[name], second[name]), name
        if training != "in fp16":
            assert (first[name] - weight).abs().max() < 2e-4, name  # lr is 1e-3; Adam magnifies what is next to 0


def test_a_training_stopped_on_all_goes_on_bit_equal(found):
    for process in ("first", "second"):
        for name, weight in found[process]["trained"].items():
            assert torch.equal(found[process]["resumed"][name], weight), name


def test_what_is_gathered_is_in_the_order_of_the_batch(found):
    assert torch.equal(found["first"]["gathered"], found["alone"]["gathered"])
    assert found["second"]["agreed"] == "of 0"


def test_one_process_alone_has_all_and_asks_nobody():
    assert (world(), rank(), share(7), agreed("save")) == (1, 0, slice(0, 7), "save")


def test_a_batch_that_does_not_divide_is_refused(found):
    for process in ("first", "second"):
        assert found[process]["refusal"].startswith("training.batch_size 7 is not divisible by runtime.processes 2")


def refuse():
    raise RunFailure("nan", "loss total is not finite")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def talk():
    for word in range(10_000):
        agreed(word)


@pytest.mark.parametrize(
    ("follow", "kind", "message"),
    [(refuse, "nan", "process 1: loss total is not finite"), (die, "killed", "process 1 has ended with exit code -9")],
)
def test_one_that_fails_is_a_failure_of_the_run(follow, kind, message):
    with pytest.raises(RunFailure, match=message) as caught, spawn(2, CPU, follow):
        talk()
    assert caught.value.kind == kind
    assert world() == 1


def sleep(file):
    Path(file).write_text(str(os.getpid()))
    time.sleep(600)


LEADER = """
import os, sys, time, torch
from pathlib import Path
from hbi.training.distributed import spawn
from tests.hbi.training.test_distributed import sleep
with spawn(2, torch.device("cpu"), sleep, sys.argv[1]):
    while not (Path(sys.argv[1]).is_file() and Path(sys.argv[1]).read_text()):
        time.sleep(0.1)
    os.kill(os.getpid(), 9)
"""


def test_the_others_end_with_the_first(tmp_path):
    file = tmp_path / "pid"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([sys.executable, "-c", LEADER, str(file)], env=environment, timeout=120)
    other = int(file.read_text())
    for _ in range(50):
        if not Path(f"/proc/{other}").exists() or "Z" in Path(f"/proc/{other}/stat").read_text().split()[2]:
            return
        time.sleep(0.1)
    pytest.fail("it outlives the process that started it")
