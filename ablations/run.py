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

from ablations import memory
from ablations.cost import measured
from ablations.evaluation import Arrays, evaluate, metrics_of
from ablations.provenance import provenance
from ablations.trained import evaluated, finished, untrained
from ablations.work import Work, device_of
from hbi.config import CostConfig
from hbi.data.batches import steps_per_epoch
from hbi.data.video import decoder_version
from hbi.errors import InputError, RunFailure
from hbi.files import sha256
from hbi.metrics.registry import HEADLINES
from hbi.models.estimator_training import EstimatorTraining
from hbi.training.distributed import spawn
from hbi.training.loop import BEST, STATE, Event, Request, Stopped, Task, train
from hbi.training.optimiser import PUBLISHED_EPOCHS
from results.queries import write_queries
from results.record import Epoch, Failure, Record
from results.store import WEIGHTS, write_record
from suites.identity import at
from suites.spec import RunSpec

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
            model = (untrained if spec.trains else evaluated)(spec, folder.parent)
            work = Work(done, model, cache, device, log)
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
    outcome = {"accumulation": accumulation, **outcome, "peak_memory": memory.peak(device)}
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
    plain = spec.model_dump(mode="json")
    for option, digest in spec.files.items():
        path = at(plain, option.split("."))
        try:
            same = sha256(Path(path)) == digest
        except OSError:
            same = False
        if not same:
            raise InputError(f"{option}: {path} is not the file it was when the suite was read; start it again")


def _result(
    work: Work, folder: Path, cache: Path, log: Callable[[Event], None], requested: Callable[[], Request | None]
) -> tuple[dict[str, Any], dict[str, Arrays]]:
    """Trains, unless there are weights, and evaluates: what a record says of that, and what lies beside it."""
    spec = work.spec
    if not spec.trains:
        outcome = _origin(spec, folder.parent)
    else:
        outcome = _train(work, folder, cache, log, requested) if spec.training.epochs else {}
    trained = time.perf_counter()
    metrics, beside = evaluate(work, folder)
    timings = {**outcome.get("timings", {}), "evaluation": time.perf_counter() - trained}
    if "weights" in spec.keep and (spec.trains or spec.checkpoint):  # else they lie with the run it comes after
        work.model.save(folder / WEIGHTS)
    outcome |= {"outcome": "complete", "metrics": metrics, "timings": timings}
    if beside is None:
        return outcome, {}
    split = work.splits["test"]
    videos = [video.id for video in split.videos]
    outcome["queries"] = write_queries(folder.parent.parent, split.captions, videos, split.video_of)
    return outcome, {"ranks": {**beside, "video": np.array(split.video_of, np.int32)}}


def _origin(spec: RunSpec, store: Path) -> dict[str, Any]:
    """What a record says of how another run has trained the weights; nothing of given ones."""
    if spec.checkpoint:
        return {}
    assert spec.after
    return finished(store / spec.after).model_dump(include={"selection_split", "selected_epoch", "accumulation"})


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
        validate=(lambda: metrics_of(work, watched)) if validates else None,
        watched=HEADLINES[work.spec.data.task][0],
        log=log,
        requested=requested,
    )


def _watched(work: Work) -> str:
    """The split that is looked at while training."""
    return "test" if work.spec.training.selection == "test" else "val"


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
