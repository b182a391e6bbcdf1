"""Training: bit-equal resumption, gradient of the whole batch in parts, precision, schedule, NaN, selection."""

import contextlib
import math
from dataclasses import replace

import pytest
import torch

from hbi.config import HBIConfig, TrainingConfig
from hbi.data.batches import Batch
from hbi.errors import RunFailure
from hbi.models import build
from hbi.training.loop import STATE, Stopped, Task, train
from hbi.training.optimiser import optimiser, schedule
from hbi.training.step import Step, backward
from tests.random_batch import batch_of

STEPS = 3


def model_of(**options):
    return build(HBIConfig(encoder="tiny", temporal_layers=1, **options))


def task_of(folder, request=lambda step: None, metrics=None, spoil=None, **training):
    """2 epochs of 3 steps on random pairs; ``request(step)`` is what the outside wants after that step."""
    steps, epochs = [], []
    model = model_of()

    def batches(epoch, first):
        for step in range(first, STEPS):
            batch = batch_of(6)
            number = epoch * STEPS + step
            if spoil and spoil[0] == number:
                with torch.no_grad():
                    model.get_parameter(spoil[1]).fill_(math.nan)
            yield Batch(batch.token_ids.roll(number, 0), *(getattr(batch, n) for n in list(vars(batch))[1:]))

    def log(event):
        if event["event"] == "step":
            steps.append(event["step"])
        if event["event"] == "epoch":
            epochs.append(event["epoch"])

    values = iter(metrics or [])
    task = Task(
        model=model,
        config=TrainingConfig(**{"epochs": 2, "batch_size": 6, "lr": 1e-3, "coef_lr": 1.0, **training}),
        device=torch.device("cpu"),
        folder=folder,
        steps_per_epoch=STEPS,
        published_steps=5 * STEPS,
        batches=batches,
        validate=(lambda: {"t2v/R@1": next(values)}) if metrics else None,
        watched="t2v/R@1",
        log=log,
        requested=lambda: request(steps[-1] if steps else 0),
    )
    return task, steps


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_equal(ours, theirs):
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    task, _ = task_of(tmp_path_factory.mktemp("undisturbed"))
    progress = train(task)
    return weights(task.model), [{k: v for k, v in point.items() if k != "seconds"} for point in progress.curve]


@pytest.mark.parametrize("stop_after", range(1, 2 * STEPS))
def test_a_stopped_training_goes_on_bit_equal(tmp_path, undisturbed, stop_after):
    task, steps = task_of(tmp_path, lambda step: "stop" if step == stop_after else None)
    with pytest.raises(Stopped):
        train(task)
    assert steps[-1] == stop_after
    again, steps = task_of(tmp_path)
    progress = train(again)
    assert steps[0] == stop_after + 1
    assert_equal(weights(again.model), undisturbed[0])
    assert [{k: v for k, v in point.items() if k != "seconds"} for point in progress.curve] == undisturbed[1]


def test_a_checkpoint_on_request_does_not_disturb(tmp_path, undisturbed):
    saved = []

    def request(step):
        saved.append((tmp_path / STATE).exists())
        return "save" if step == 1 else None

    task, _ = task_of(tmp_path, request)
    train(task)
    assert saved[:2] == [False, True]  # long before the first epoch's end
    assert_equal(weights(task.model), undisturbed[0])


@pytest.mark.parametrize("damage", [b"", b"half a file"])
def test_a_damaged_checkpoint_is_set_aside_and_the_training_starts_anew(tmp_path, undisturbed, damage):
    (tmp_path / STATE).write_bytes(damage)
    task, steps = task_of(tmp_path)
    train(task)
    assert steps[0] == 1
    assert_equal(weights(task.model), undisturbed[0])
    assert list(tmp_path.glob("*.damaged"))


@pytest.mark.parametrize("weight", ["encoder.clip.logit_scale", "temporal.positions"])
def test_nan_ends_the_run_and_keeps_the_last_good_checkpoint(tmp_path, weight):
    task, _ = task_of(tmp_path, spoil=(STEPS + 1, weight))
    with pytest.raises(RunFailure, match="not finite at step 5 of 6") as caught:
        train(task)
    assert caught.value.kind == "nan"
    state = torch.load(tmp_path / STATE, weights_only=True)
    assert state["progress"]["epoch"] == 1
    assert all(tensor.isfinite().all() for tensor in state["model"].values())


def test_selection_on_validation_ends_with_the_best_epochs_weights(tmp_path):
    last, _ = task_of(tmp_path / "last", metrics=[30.0, 20.0])
    one, _ = task_of(tmp_path / "best", metrics=[30.0, 20.0], selection="validation")
    progress = train(one)
    train(last)
    assert progress.best_epoch == 1
    assert any(not torch.equal(a, b) for a, b in zip(one.model.parameters(), last.model.parameters(), strict=True))
    state = torch.load(tmp_path / "best" / "best.pt", weights_only=True)
    assert_equal(weights(one.model), state)


def watching(folder, request=lambda step: None):
    """Selects by a metric that follows from the weights, every 2 of 6 steps; what it saw."""
    task, _ = task_of(folder, request, selection="validation", select_every=2)
    weight, seen = task.model.get_parameter("word_scores.entity.0.weight"), []
    start = weight.detach().clone()

    def look():
        seen.append(-abs((weight.detach() - start).norm().item() - 0.145))  # closest after 4 steps
        return {"t2v/R@1": seen[-1]}

    return replace(task, validate=look), seen


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    task, seen = watching(tmp_path_factory.mktemp("watched"))
    return train(task), weights(task.model), seen


def test_looks_every_n_steps_and_at_the_end_choose_the_weights(tmp_path, watched):
    progress, chosen, seen = watched
    after_2, _, after_4, after_6 = seen  # the one at the end of the first epoch, after 3, is for the curve
    candidates = {2: after_2, 4: after_4, 6: after_6}
    best = max(candidates, key=candidates.get)
    assert (progress.best, progress.best_epoch) == (candidates[best], math.ceil(best / STEPS))
    assert [point["epoch"] for point in progress.curve] == [1, 2]
    until, _ = task_of(tmp_path, lambda step: "stop" if step == best else None)
    with contextlib.suppress(Stopped):
        train(until)
    assert_equal(chosen, weights(until.model))


class Killed(Exception):
    pass


@pytest.mark.parametrize(("how", "step"), [("stop", 2), ("stop", 3), ("stop", 4), ("kill", 5)])
def test_a_selection_goes_on_as_if_nothing_had_happened(tmp_path, watched, how, step):
    def request(now):
        if now == step and how == "kill":
            raise Killed
        return "stop" if now == step else None

    task, seen = watching(tmp_path, request)
    with pytest.raises((Stopped, Killed)):
        train(task)
    again, more = watching(tmp_path)
    progress = train(again)
    expected, chosen, all_seen = watched
    assert (progress.best, progress.best_epoch) == (expected.best, expected.best_epoch)
    assert_equal(weights(again.model), chosen)
    if how == "stop":
        assert seen + more == all_seen  # a stop waits for no look, and none is lost or made twice


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_accumulation_leaves_the_gradient_of_the_whole_batch(parts):
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    whole, in_parts = model_of(), model_of()
    losses = backward(Step(whole, "fp32"), batch_of(6), 1, scaler)
    again = backward(Step(in_parts, "fp32"), batch_of(6), parts, scaler)
    for name, value in losses.items():
        torch.testing.assert_close(again[name], value)
    for (name, ours), theirs in zip(in_parts.named_parameters(), whole.parameters(), strict=True):
        # rounding of float32, relative to the parameter's largest gradient; some gradients are 0 but for rounding
        assert (ours.grad - theirs.grad).abs().max() < 1e-6 + 5e-6 * theirs.grad.abs().max(), name


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_trains_and_keeps_weights_in_fp32(tmp_path, precision):
    task, _ = task_of(tmp_path, precision=precision)
    before = weights(task.model)
    progress = train(task)
    assert all(weight.dtype == torch.float32 for weight in task.model.parameters())
    assert any(not torch.equal(before[name], weight) for name, weight in task.model.state_dict().items())
    assert all(math.isfinite(value) for point in progress.curve for value in point["losses"].values())


def test_warmup_and_cosine_span_the_runs_own_length():
    assert schedule(0.05, 0.1) == 0.5
    assert schedule(0.1, 0.1) == 1.0
    assert schedule(0.55, 0.1) == pytest.approx(0.5)
    assert schedule(1.0, 0.1) == pytest.approx(0.0)
    assert schedule(0.0, 0.0) == 1.0


def test_two_learning_rates_and_no_decay_on_norms_and_biases():
    model = model_of()
    groups = optimiser(model, TrainingConfig(lr=1e-4, coef_lr=1e-3, weight_decay=0.2)).param_groups
    names = {id(weight): name for name, weight in model.named_parameters()}
    assert sum(len(group["params"]) for group in groups) == len(names)
    for group in groups:
        for weight in group["params"]:
            assert group["peak"] == pytest.approx(1e-7 if names[id(weight)].startswith("encoder.clip.") else 1e-4)
            assert group["weight_decay"] == (0.2 if weight.ndim >= 2 else 0.0)
    assert model.logit_scale.ndim == 0


def test_the_logit_scale_is_clamped(tmp_path):
    task, _ = task_of(tmp_path, max_logit_scale=10.0)
    train(task)
    assert task.model.logit_scale.exp() <= 10.0 + 1e-4
