"""The run that measures what the rows of a suite cost: one for all of them, for times are compared only in turn."""

from collections.abc import Mapping
from typing import TypeVar

from hbi.config import CaseConfig, CostConfig, CostOptions, HBIConfig
from suites.given import digests
from suites.schema import Cost
from suites.spec import RunSpec

VARIANT = "cost"
"""Of the measuring run; also its label."""

Given = TypeVar("Given")


def cost_spec(cost: Cost, rows: Mapping[str, RunSpec]) -> RunSpec:
    """The specification that measures ``rows``, by label.

    Threads and device are the first row's: times are comparable only where rows have them in common.
    """
    first = next(iter(rows.values()))
    options = {name: getattr(cost, name) for name in CostOptions.model_fields}
    model = CostConfig(cases=tuple(_case(cost, label, spec) for label, spec in rows.items()), **options)
    return RunSpec(
        variant=VARIANT,
        seed=first.seed,
        files=digests(model, first.data, checkpoint=None),
        keep=(),
        data=first.data,
        model=model,
        runtime=first.runtime.model_copy(update={"workers": 0, "processes": 1}),
    )


def _case(cost: Cost, label: str, spec: RunSpec) -> CaseConfig:
    """Without weights, for which they are changes no cost."""
    model = spec.model.model_copy(update={"pretrained": None})
    if isinstance(model, HBIConfig) and model.teacher and model.teacher.files:
        model = model.model_copy(update={"teacher": model.teacher.model_copy(update={"estimator": "estimator"})})
    return CaseConfig(
        label=label,
        model=model,
        words=_first(cost.words, spec.data.max_words),
        frames=_first(cost.frames, spec.data.max_frames),
        batch=_first(cost.batch, spec.training.batch_size),
    )


def _first(given: Given | None, otherwise: Given) -> Given:
    return otherwise if given is None else given
