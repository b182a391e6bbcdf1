"""A teacher by Monte Carlo: its draws follow from the run's seed and the step, whatever happens in between."""

from dataclasses import replace

import pytest
import torch

from hbi.config import TeacherConfig
from hbi.training.loop import Stopped, train
from tests.hbi.training.test_training import assert_equal, model_of, task_of, weights
from tests.random_batch import batch_of

SAMPLED = TeacherConfig(method="sampled", samples=4)


def sampled_task(folder, **more):
    task, _ = task_of(folder, **more)
    return replace(task, model=model_of(teacher=SAMPLED))


def test_a_stopped_training_goes_on_bit_equal(tmp_path):
    undisturbed = sampled_task(tmp_path / "undisturbed")
    train(undisturbed)
    with pytest.raises(Stopped):
        train(sampled_task(tmp_path / "stopped", request=lambda step: "stop" if step == 2 else None))
    torch.rand(7)  # what others draw meanwhile does not matter
    again = sampled_task(tmp_path / "stopped")
    train(again)
    assert_equal(weights(again.model), weights(undisturbed.model))


def test_every_step_draws_anew_and_more_samples_come_closer():
    def loss(step, **teacher):
        model = model_of(levels=("entity",), distillation_weight=0.0, teacher=TeacherConfig(**teacher))
        model.step = step
        return model.losses(batch_of(6))["banzhaf/entity"].item()

    assert loss(0, method="sampled") == loss(0, method="sampled") != loss(1, method="sampled")
    exact = loss(0)
    few, many = (abs(loss(0, method="sampled", samples=n) - exact) for n in (4, 4000))
    assert many < 0.3 * few
