"""Executes one RunSpec: data, training, evaluation, record."""

import errno
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ablations import memory
from ablations.cost import measured
from ablations.game_methods import learned
from ablations.provenance import provenance
from ablations.trained import given, untrained
from ablations.work import Work, device_of
from hbi.config import CostConfig
from hbi.data.batches import steps_per_epoch
from hbi.data.video import decoder_version
from hbi.errors import InputError, RunFailure
from hbi.files import sha256, write_atomically
from hbi.metrics.qa import answered_right, qa_metrics
from hbi.metrics.registry import HEADLINES, plugin_values
from hbi.metrics.retrieval import summarise
from hbi.models.estimator_training import EstimatorTraining
from hbi.training.distributed import spawn
from hbi.training.loop import BEST, STATE, Event, Request, Stopped, Task, train
from hbi.training.optimiser import PUBLISHED_EPOCHS
from results.record import Epoch, Failure, Record
from results.store import WEIGHTS, write_record
from suites.spec import RunSpec

SIMILARITY = "similarity.npz"
"""Where it is kept: the matrix of the test split and the column of each caption's video."""

BROKEN = (
    "uncorrectable ECC",
    "devices are busy or unavailable",
    "CUDA driver",
    "NCCL error",
    "unspecified launch failure",
)
"""What torch says where the machine has failed, not the code."""

THIS_PROCESS = "training and validation, this process"
"""Seconds, where a run was interrupted: of its last turn."""

Arrays = dict[str, NDArray[Any]]
"""What stands in a file beside a record (``results.record.Record.ranks`` and ``samples``)."""


def execute(
    run_id: str,
    spec: RunSpec,
    folder: Path,
    cache: Path,
    log: Callable[[Event], None],
    requested: Callable[[], Request | None] = lambda: None,
    accumulation: int | None = None,
) -> Record:
    """Runs ``spec`` in ``folder``, on from where an earlier call was stopped, and leaves its record there.

    A failure is a record too. ``accumulation``: parts a batch is encoded in, where memory is too short for those of the
    specification. Raises Stopped when asked to stop, with the state saved; OSError when not even the record can be
    written (a full disk).
    """
    started, clock = _now(), time.perf_counter()
    torch.set_num_threads(spec.runtime.threads)
    device = device_of(spec.runtime.device)
    memory.reset_peak(device)
    outcome: dict[str, Any]
    beside: dict[str, Arrays] = {}
    parameters = 0
    try:
        _check_files(spec)
        if isinstance(spec.model, CostConfig):
            outcome, beside = measured(spec.model, spec.seed, device, log, requested)
        else:
            done = with_parts(spec, accumulation)
            work = Work(done, given(spec) if spec.checkpoint else untrained(spec, folder.parent), cache, device, log)
            parameters = sum(weight.numel() for weight in work.model.parameters() if weight.requires_grad)
            outcome, beside = _result(work, folder, cache, log, requested)
    except (Stopped, KeyboardInterrupt):
        raise
    except Exception as error:
        failure = _failure(error)
        log(
            {
                "event": "failed",
                "kind": failure.kind,
                "message": failure.message,
                "trace": traceback.format_exc(),
            }
        )
        outcome, beside = {"outcome": "failed", "failure": failure}, {}
    timings = outcome.setdefault("timings", {})
    here = timings.get(THIS_PROCESS, 0.0)
    timings["total"] = time.perf_counter() - clock + max(0.0, timings.get("training", here) - here)  # earlier turns too
    outcome |= {"accumulation": accumulation, "peak_memory": memory.peak(device)}
    record = _record(run_id, spec, device, parameters, started, **outcome)
    if requested() == "abandon":  # the run is in other hands: theirs is the record
        raise Stopped
    record = write_record(folder, record, **beside)
    if record.outcome == "complete":  # what failed keeps its last good checkpoint
        for file in (STATE, BEST):
            (folder / file).unlink(missing_ok=True)
    return record


def _check_files(spec: RunSpec) -> None:
    """Raises InputError where a file is no longer the one that the run's id stands for."""
    for option, digest in spec.files.items():
        path = _option(spec, option)
        try:
            same = sha256(Path(path)) == digest
        except OSError:
            same = False
        if not same:
            raise InputError(f"{option}: {path} is not the file it was when the suite was read; start it again")


def _option(spec: RunSpec, option: str) -> Any:
    """What ``spec`` has at the dotted option; a number stands for a place in a list."""
    found: Any = spec
    for name in option.split("."):
        found = found[int(name)] if isinstance(found, tuple) else getattr(found, name)
    return found


def _result(
    work: Work, folder: Path, cache: Path, log: Callable[[Event], None], requested: Callable[[], Request | None]
) -> tuple[dict[str, Any], dict[str, Arrays]]:
    """Trains, where no weights are given, and evaluates: what a record says of that, and what lies beside it."""
    outcome = {} if work.spec.checkpoint else _train(work, folder, cache, log, requested)
    trained = time.perf_counter()
    metrics, ranks = _evaluate(work, folder)
    timings = {**outcome.get("timings", {}), "evaluation": time.perf_counter() - trained}
    if "weights" in work.spec.keep:
        work.model.save(folder / WEIGHTS)
    outcome |= {"outcome": "complete", "metrics": metrics, "timings": timings}
    return outcome, {"ranks": ranks} if ranks else {}


def _train(
    work: Work, folder: Path, cache: Path, log: Callable[[Event], None], requested: Callable[[], Request | None]
) -> dict[str, Any]:
    """Trains the model of ``work``; returns what a record says of that."""
    training = work.spec.training
    clock = time.perf_counter()
    with spawn(work.spec.runtime.processes, work.device, follow, work.spec, folder, cache):
        progress = train(_task(work, folder, log, requested))
    return {
        "selection_split": None if training.selection == "last" else _watched(work),
        "selected_epoch": progress.best_epoch or progress.epoch,
        "curve": tuple(Epoch(**point) for point in progress.curve),
        "timings": {
            "training": sum(point["seconds"] for point in progress.curve),
            THIS_PROCESS: time.perf_counter() - clock,
        },
    }


def leave_failure(run_id: str, spec: RunSpec, folder: Path, failure: Failure) -> None:
    """Leaves the record of a run that is given up between its turns."""
    write_record(
        folder, _record(run_id, spec, device_of(spec.runtime.device), 0, _now(), outcome="failed", failure=failure)
    )


def _record(run_id: str, spec: RunSpec, device: torch.device, parameters: int, started: str, **outcome: Any) -> Record:
    origin = provenance(device, spec.runtime.threads, decoder_version(spec.data.reader), parameters)
    return Record(run_id=run_id, spec=spec, provenance=origin, started=started, finished=_now(), **outcome)


def with_parts(spec: RunSpec, accumulation: int | None) -> RunSpec:
    """``spec`` with a batch in so many parts; its own number where none is given."""
    if accumulation is None:
        return spec
    return spec.model_copy(update={"training": spec.training.model_copy(update={"accumulation": accumulation})})


def follow(spec: RunSpec, folder: Path, cache: Path) -> None:
    """What the other processes of a training do, where it has several."""
    torch.set_num_threads(spec.runtime.threads)
    device = device_of(spec.runtime.device)
    work = Work(spec, untrained(spec, folder.parent), cache, device, log=lambda event: None)
    with suppress(Stopped):
        train(_task(work, folder, log=lambda event: None, requested=lambda: None))


def _task(work: Work, folder: Path, log: Callable[[Event], None], requested: Callable[[], Request | None]) -> Task:
    training, watched = work.spec.training, _watched(work)
    validates = watched in work.splits and not isinstance(work.model, EstimatorTraining)
    per_epoch = steps_per_epoch(work.splits["train"], training.batch_size)
    questions = work.spec.model.system == "hbi-qa"
    return Task(
        model=work.model,
        config=training,
        device=work.device,
        folder=folder,
        steps_per_epoch=per_epoch,
        published_steps=per_epoch * (training.epochs if questions else PUBLISHED_EPOCHS),
        batches=work.training_batches,
        validate=(lambda: _metrics(work, watched)) if validates else None,
        watched=HEADLINES[work.spec.data.task][0],
        log=log,
        requested=requested,
    )


def _watched(work: Work) -> str:
    """The split that is looked at while training."""
    return "test" if work.spec.training.selection == "test" else "val"


def _metrics(work: Work, split: str) -> dict[str, float]:
    metrics, _ = _answered(work, split) if work.spec.data.task == "qa" else _ranked(work, split, work.scores(split))
    return metrics


def _evaluate(work: Work, folder: Path) -> tuple[dict[str, float], Arrays | None]:
    """The metrics on the test split, and what they follow from; none of a model that is no system."""
    if isinstance(work.model, EstimatorTraining):
        return learned(work.model, work.pairs("test")), None
    if work.spec.data.task == "qa":
        return _answered(work, "test")
    scores, groups = work.scores("test"), np.asarray(work.splits["test"].video_of)
    if "similarity" in work.spec.keep:
        write_atomically(folder / SIMILARITY, lambda file: np.savez(file, similarity=scores, groups=groups))
    metrics, ranked = _ranked(work, "test", scores)
    return metrics | plugin_values(scores, groups), ranked


def _ranked(work: Work, split: str, scores: NDArray[np.float32]) -> tuple[dict[str, float], Arrays]:
    ranked = work.ranks(split, scores)
    return {f"{way}/{name}": value for way, rank in ranked.items() for name, value in summarise(rank).items()}, ranked


def _answered(work: Work, split: str) -> tuple[dict[str, float], Arrays]:
    predicted, answer = work.predictions(split), work.labels[split].numpy()
    correct = answered_right(predicted, answer).astype(np.uint8)
    return qa_metrics(predicted, answer, work.splits[split].captions), {"correct": correct}


def _failure(error: Exception) -> Failure:
    """The kind of failure decides what `run` does with it next time; see docs."""
    message = (str(error).splitlines() or [type(error).__name__])[0][:500]
    if isinstance(error, RunFailure):
        return Failure(kind=error.kind, message=message)
    if isinstance(error, InputError):
        return Failure(kind="input", message=message)
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)) or "can't allocate memory" in message:  # on a CPU
        return Failure(kind="out of memory", message=message)
    of_the_node = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EREMOTEIO)
    if (isinstance(error, OSError) and error.errno in of_the_node) or any(word in message for word in BROKEN):
        return Failure(kind="node failure", message=message)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Failure(kind="disk", message=f"{message}: make room, then call the same command again")
    return Failure(kind="bug", message=f"{type(error).__name__}: {message}")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
