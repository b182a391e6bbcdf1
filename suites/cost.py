"""The run that measures what the rows of a suite cost: one for all of them, for times are compared only in turn."""

from collections.abc import Mapping
from operator import attrgetter
from typing import TypeVar

from hbi.config import CaseConfig, CostConfig, CostOptions, HBIConfig, SystemConfig
from suites.given import digests
from suites.schema import Cost
from suites.spec import RunSpec

VARIANT = "cost"
"""Of the measuring run; also its label."""

Given = TypeVar("Given")


def cost_spec(cost: Cost, rows: Mapping[str, RunSpec]) -> RunSpec:
    """The specification that measures ``rows``, by label.

    Raises ValueError where they have not that in common without which times are not comparable.
    """
    first = next(iter(rows.values()))
    precision: object = cost.precision
    if "precision" not in cost.model_fields_set:
        precision = _common("training.precision", rows, "say cost.precision")
    if precision == "released":
        raise ValueError("training.precision is released, which is none of an evaluation; say cost.precision")
    for option in ("runtime.device", "runtime.threads"):
        _common(option, rows, "measure them in suites apart")
    options = {name: getattr(cost, name) for name in CostOptions.model_fields} | {"precision": precision}
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
    model = spec.model.without_weights() if isinstance(spec.model, SystemConfig) else spec.model
    if isinstance(model, HBIConfig) and model.teacher and model.teacher.files:
        model = model.model_copy(update={"teacher": model.teacher.model_copy(update={"estimator": "estimator"})})
    return CaseConfig(
        label=label,
        model=model,
        words=_first(cost.words, spec.data.max_words),
        frames=_first(cost.frames, spec.data.max_frames),
        batch=_first(cost.batch, spec.training.batch_size),
    )


def _common(option: str, rows: Mapping[str, RunSpec], otherwise: str) -> object:
    """What all ``rows`` have at ``option``; ValueError, which says what to do ``otherwise``, where they differ."""
    values: dict[object, str] = {}
    for label, spec in rows.items():
        values.setdefault(attrgetter(option)(spec), label)
    if len(values) > 1:
        told = " and ".join(f"{value} ({label})" for value, label in values.items())
        raise ValueError(f"{option} differs, so times are not comparable: {told}; {otherwise}")
    return next(iter(values))


def _first(given: Given | None, otherwise: Given) -> Given:
    return otherwise if given is None else given
