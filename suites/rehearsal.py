"""A suite's runs at the smallest scale that still shows whether they start: the same models and resources, generated
data, two steps of training. What a rehearsal finds is a wrong partition, a missing module, too little memory."""

from collections.abc import Sequence
from dataclasses import replace

from hbi.config import CostConfig, DataConfig, ShapesConfig, ShapesQAConfig
from suites.expand import Run
from suites.identity import run_id
from suites.resources import Resources
from suites.spec import RunSpec

MINUTES = 15
"""Time limit of a rehearsed run: most of it is for imports on a cold node."""


def rehearsal(runs: Sequence[Run]) -> list[Run]:
    """One run for each variant and what it asks of the cluster, and those that they need."""
    chosen: dict[tuple[str, str, Resources], Run] = {}
    for run in runs:
        chosen.setdefault((run.spec.variant, run.spec.data.task, run.resources), run)
    return [_small(run) for run in chosen.values()]


def _small(run: Run) -> Run:
    needed = _small(run.needed) if run.needed else None
    spec = run.spec.model_copy(
        update={
            "after": needed.run_id if needed else None,
            "data": _generated(run.spec),
            "files": {option: digest for option, digest in run.spec.files.items() if not option.startswith("data.")},
            "training": run.spec.training.model_copy(
                update={"epochs": min(1, run.spec.training.epochs), "selection": "last", "select_every": None}
            ),
        }
    )
    if isinstance(spec.model, CostConfig):
        spec = spec.model_copy(
            update={"model": spec.model.model_copy(update={"rounds": 1, "gallery": 16, "scaling": {}})}
        )
    resources = run.resources.model_copy(update={"minutes": MINUTES})
    return replace(run, run_id=run_id(spec), spec=spec, needed=needed, resources=resources)


def _generated(spec: RunSpec) -> DataConfig:
    """Read as the suite's data are, and with as many words and frames, for they decide what memory a step takes."""
    shared = {"max_words", "max_frames", "reader", "augmentation", "augment_order"}
    options = {**spec.data.model_dump(include=shared), "train": 2 * spec.training.batch_size, "val": 4, "test": 8}
    return ShapesQAConfig(**options) if spec.data.task == "qa" else ShapesConfig(**options)
