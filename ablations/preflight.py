"""What must hold before any run of a suite starts; each mistake is one line."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import hbi.data
from hbi.config import ClipSystemConfig, CostConfig, HBIQAConfig, ModelConfig, SystemConfig, TwoTowerConfig
from hbi.data import Dataset, Progress
from hbi.errors import InputError
from suites.spec import RunSpec

TOKENS = ("words", "frames")
"""Sizes that are bounded by an encoder's positions."""


def check(specs: Sequence[RunSpec], cache: Path, progress: Progress, elsewhere: bool = False) -> None:
    """Reads all data, sizes and weights that ``specs`` name; raises InputError with every mistake, one a line.

    ``elsewhere``: the runs compute on other machines than this one. ``progress(what, done, total)`` is called while
    videos are generated or read.
    """
    mistakes = [line for spec in specs if (line := mismatch(spec))]
    _report(mistakes)  # at once, before torch is loaded or a video generated

    from ablations.trained import given  # imports torch
    from hbi.models import build

    datasets: dict[str, Dataset | None] = {}
    built: list[TwoTowerConfig] = []
    for spec in specs:
        key = spec.data.model_dump_json()
        reads = not isinstance(spec.model, CostConfig)
        if reads and key not in datasets:
            try:
                datasets[key] = hbi.data.check(spec.data, cache, progress)
            except InputError as error:
                datasets[key] = None
                mistakes.append(str(error))
        try:
            check_fit(spec, datasets[key] if reads else None, elsewhere)
            if spec.checkpoint:
                given(spec)
            elif not spec.after and (weighted := _weighted(spec.model)) and weighted not in built:
                built.append(weighted)
                build(weighted)  # so that weights that do not fit are found out
        except InputError as error:
            mistakes.append(str(error))
    _report(mistakes)


def _report(mistakes: Sequence[str]) -> None:
    if mistakes:
        raise InputError("\n".join(dict.fromkeys(mistakes)))


def _weighted(model: ModelConfig) -> TwoTowerConfig | None:
    """``model``, where it is of two towers that start from files."""
    return model if isinstance(model, TwoTowerConfig) and model != model.without_weights() else None


def mismatch(spec: RunSpec) -> str | None:
    """Why the variant does not keep what it should, in a line; none where it does."""
    if isinstance(spec.model, SystemConfig) and spec.model.task == "qa" and "similarity" in spec.keep:
        return f"keep: variant {spec.variant} answers questions, so it has no similarity to keep; take it out"
    return None


def check_fit(spec: RunSpec, dataset: Dataset | None, elsewhere: bool = False) -> None:
    """Raises InputError where parts of ``spec`` do not fit each other, the data (none: unreadable) or this machine."""
    import torch

    from hbi.models.encoder import check_weights
    from hbi.training.distributed import each

    if isinstance(spec.model, CostConfig):
        _check_cost(spec.model)
    elif isinstance(spec.model, SystemConfig):  # other runs come after one that is
        _check_reach(spec.model, {f"data.{name}": getattr(spec.data, name) for name in ("max_words", "max_frames")})
        if isinstance(spec.model, ClipSystemConfig) and spec.model.pretrained and not spec.checkpoint:
            check_weights(spec.model.pretrained, spec.model.encoder)
    elif spec.training.selection != "last":
        raise InputError(f"training.selection: {spec.variant} has no metrics to select by; take last")
    if spec.runtime.device == "cuda" and not elsewhere and not torch.cuda.is_available():
        raise InputError("runtime.device is cuda, but torch sees no GPU here; take auto or cpu")
    if dataset is None:
        return
    if isinstance(spec.model, HBIQAConfig) and (needed := len(dataset.vocabulary or ())) > spec.model.answers:
        raise InputError(
            f"model.answers is {spec.model.answers}, but {dataset.name} has a vocabulary of {needed}; make it {needed}"
        )
    if spec.checkpoint or not spec.training.epochs:
        return
    if isinstance(spec.model, SystemConfig) and spec.model.asks and dataset.splits["train"].phrases is None:
        raise InputError(
            f"model.questions: the captions of {dataset.name} have no phrases marked; take shapes, or pairs with the "
            "columns nouns and verbs"
        )
    each(spec.training.batch_size, spec.runtime.processes)
    pairs = len(dataset.splits["train"].captions)
    if spec.training.batch_size > pairs:
        raise InputError(
            f"training.batch_size is {spec.training.batch_size}, but {dataset.name} has {pairs} training pairs"
        )
    if spec.training.selection == "validation" and "val" not in dataset.splits:
        raise InputError(f"training.selection: {dataset.name} has no validation split here; take last, or hold one out")


def _check_cost(config: CostConfig) -> None:
    """Raises InputError where the cost of a case is not known, or its system does not take the sizes."""
    from hbi.cost.calls import model_of
    from hbi.cost.systems import check_reach, sizes_of

    scaled = {f"cost.scaling.{size}": sizes[-1] for size, sizes in config.scaling.items() if size in TOKENS}
    for case in config.cases:
        model = model_of(case)
        sizes = sizes_of(model, resolution=config.resolution)
        check_reach(model, sizes, {"cost.words": case.words, "cost.frames": case.frames, **scaled})


def _check_reach(model: SystemConfig, asked: Mapping[str, int]) -> None:
    """Raises InputError where more tokens are ``asked`` for than the model has positions, or where its towers have not
    the tokens of its vocabulary."""
    from hbi.cost.systems import check_reach, sizes_of
    from hbi.models.towers.sizes import read_sizes, tokens_in

    if isinstance(model, TwoTowerConfig):
        tokens_in(model, read_sizes(model.towers))
    check_reach(model, sizes_of(model), asked)
