"""Optimisers and schedules: the published ones against its numbers and against its formula written out."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hbi.config import TrainingConfig
from hbi.training.optimiser import BertAdam, released_schedule, schedule, share_of_peak

SCHEDULE = Path(__file__).parents[2] / "golden" / "hbi_schedule.json"


@pytest.mark.parametrize(("settings", "points"), json.loads(SCHEDULE.read_text()).items())
def test_the_released_schedule_is_the_published_one(settings, points):
    total, warmup = (float(part.split("=")[1]) for part in settings.split(","))
    for step, share in points:
        assert released_schedule(step / total, warmup) == pytest.approx(share, abs=1e-12)


def test_the_released_schedule_wastes_its_first_step_and_rises_again_after_five_epochs():
    config = TrainingConfig(schedule="released", epochs=10)
    shares = [share_of_peak(config, step, 100, 50) for step in range(100)]
    assert shares[0] == 0
    assert shares[50] == pytest.approx(0, abs=1e-12)
    assert shares[99] > 0.99


def test_the_schedule_spans_the_run():
    shares = [share_of_peak(TrainingConfig(), step, 100, 50) for step in range(100)]
    assert min(shares) > 0
    assert np.argmax(shares) in (9, 10)
    assert schedule(1.0, 0.1) == pytest.approx(0, abs=1e-12)


def formula(weights, gradients, rates, decay):
    """golden/hbi/README.md, G2, in float64, one parameter."""
    p, m, v = weights.astype(np.float64), 0.0, 0.0
    for g, lr in zip(gradients, rates, strict=True):
        m = 0.9 * m + 0.1 * g
        v = 0.98 * v + 0.02 * g**2
        p = p - lr * (m / (np.sqrt(v) + 1e-6) + decay * p)
    return p


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_bertadam_is_its_formula(decay):
    draw = np.random.default_rng(0)
    weights, gradients = draw.normal(size=(3, 4)), draw.normal(size=(6, 3, 4)) * 0.1
    rates = [0.0, 0.01, 0.02, 0.02, 0.01, 0.005]
    parameter, idle = nn.Parameter(torch.tensor(weights, dtype=torch.float32)), nn.Parameter(torch.ones(2))
    adam = BertAdam([{"params": [parameter, idle], "weight_decay": decay}], 1.0, (0.9, 0.98))
    for gradient, rate in zip(gradients, rates, strict=True):
        parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        adam.param_groups[0]["lr"] = rate
        adam.step()
    np.testing.assert_allclose(parameter.detach().numpy(), formula(weights, gradients, rates, decay), rtol=1e-5)
    assert torch.equal(idle, torch.ones(2))  # without gradient it does not even decay


def test_bertadam_goes_on_from_its_saved_state():
    def stepped(steps, adam, parameter):
        for step in steps:
            parameter.grad = torch.full_like(parameter, 0.1 * (step + 1))
            adam.step()

    def fresh():
        parameter = nn.Parameter(torch.ones(3))
        return BertAdam([{"params": [parameter]}], 0.01, (0.9, 0.98)), parameter

    whole, straight = fresh()
    stepped(range(4), whole, straight)
    first, start = fresh()
    stepped(range(2), first, start)
    second, again = fresh()
    with torch.no_grad():
        again.copy_(start)
    second.load_state_dict(first.state_dict())
    stepped(range(2, 4), second, again)
    assert torch.equal(again, straight)
