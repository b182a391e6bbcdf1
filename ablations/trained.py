"""Models with their weights: what earlier runs have trained, for runs that come after them, and given checkpoints."""

from pathlib import Path

from hbi.config import DiffusionRetConfig, EstimatorConfig, HBIConfig, SystemConfig, TwoTowerConfig
from hbi.errors import InputError, RunFailure
from hbi.models import System, build, released
from hbi.models.clip_system import ClipSystem
from hbi.models.diffusionret import DiffusionRet
from hbi.models.estimator_training import EstimatorTraining
from hbi.models.hbi import HBI
from hbi.models.two_towers import TwoTowers
from hbi.weights import fit, read_weights
from results.record import Record
from results.store import WEIGHTS, read_record
from suites.spec import RunSpec


def untrained(spec: RunSpec, store: Path) -> System:
    """The model of ``spec`` at its start, with what it needs of the run it comes after, found in ``store``.

    Raises RunFailure("need") where that run has no result, InputError where the file it left is missing or unfit.
    """
    config = spec.model
    if isinstance(config, EstimatorConfig):
        return EstimatorTraining(config, spec.seed, source_of(spec, store))
    assert isinstance(config, SystemConfig)
    if spec.after and isinstance(config, HBIConfig) and config.teacher:
        finished(store / spec.after)
        teacher = config.teacher.model_copy(update={"estimator": str(weights_of(store / spec.after))})
        config = config.model_copy(update={"teacher": teacher})
    if spec.after and isinstance(config, (DiffusionRetConfig, TwoTowerConfig)):
        return _second_stage(config, spec.seed, store / spec.after)
    return build(config, spec.seed)


def _second_stage(config: SystemConfig, seed: int, folder: Path) -> System:
    """The model of ``config`` whose first stage the run in ``folder`` has trained."""
    finished(folder)
    model = build(config.without_weights(), seed)
    assert isinstance(model, (DiffusionRet, TwoTowers))
    model.start_from(read_weights(weights_of(folder)), weights_of(folder))
    return model


def source_of(spec: RunSpec, store: Path) -> HBI:
    """The trained model whose games the estimator of ``spec`` learns."""
    assert spec.after is not None
    return player(store / spec.after)


def player(folder: Path) -> HBI:
    """The trained model in ``folder``, which must be one whose words and frames play the game."""
    model = trained(folder)
    if not isinstance(model, HBI) or "entity" not in model.config.levels:
        raise InputError(f"{folder.name}: its words and frames play no game; take a run of hbi with the entity level")
    return model


def trained(folder: Path) -> System:
    """The retrieval system that the run in ``folder`` has trained. Raises as ``untrained`` does."""
    record = finished(folder)
    if not isinstance(record.spec.model, SystemConfig):
        raise InputError(f"{record.run_id} is no retrieval system but {record.spec.model.system}")
    return _with_weights(record.spec.model, record.spec.seed, weights_of(folder))


def evaluated(spec: RunSpec, store: Path) -> System:
    """The model of a run that does not train: with the weights of its checkpoint, or of the run it comes after, found
    in ``store``. Raises as ``given`` and ``trained`` do."""
    if spec.checkpoint:
        return given(spec)
    assert spec.after
    return trained(store / spec.after)


def given(spec: RunSpec) -> System:
    """The model of ``spec`` with the weights of its checkpoint, in the layout that our runs write or the published one.

    Raises InputError where they cannot be read or do not fit.
    """
    assert isinstance(spec.model, SystemConfig)
    assert spec.checkpoint
    return _with_weights(spec.model, spec.seed, Path(spec.checkpoint))


def _with_weights(config: SystemConfig, seed: int, file: Path) -> System:
    model = build(config.without_weights(), seed)  # nothing is downloaded
    state = read_weights(file)
    if isinstance(model, TwoTowers):
        model.start_from(state, file)
    elif isinstance(model, ClipSystem) and released.is_published(state):
        released.fill(model, state, file)
    else:
        fit(model, state, file)
    return model


def weights_of(folder: Path) -> Path:
    """The file that the run in ``folder`` has left for those that come after it."""
    return folder / WEIGHTS


def finished(folder: Path) -> Record:
    """The record in ``folder`` of a complete run with its weights; RunFailure("need") says why there is none."""
    record = read_record(folder)
    if record is None:
        raise RunFailure("need", f"{folder.name}, which has to come first, has no record")
    if record.outcome != "complete":
        why = f": {record.failure.kind}: {record.failure.message}" if record.failure else ""
        raise RunFailure("need", f"{folder.name}, which has to come first, has failed{why}")
    if record.spec.after and not record.spec.trains:
        raise RunFailure("need", f"{folder.name} has no weights: it evaluates those of {record.spec.after}; take that")
    weights = weights_of(folder)
    if not weights.is_file():
        raise RunFailure(
            "need",
            f"{weights}: no such file: the run has kept no weights; remove its folder and it is trained again",
        )
    return record
