"""Executes one RunSpec: data, training, evaluation, record."""

import errno
import time
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as to_safetensors

import hbi.data
from ablations import memory
from ablations.preflight import check_fit
from ablations.provenance import provenance
from hbi.data.batches import steps_per_epoch, text_batches, train_batches, video_batches
from hbi.data.clips import Clips
from hbi.data.tokens import tokenize
from hbi.data.video import decoder_version
from hbi.errors import InputError, RunFailure
from hbi.files import write_atomically
from hbi.metrics.retrieval import ranks, summarise
from hbi.models import System, build
from hbi.seeds import spread
from hbi.training.evaluate import BLOCK, similarity_matrix
from hbi.training.loop import BEST, STATE, Event, Request, Stopped, Task, train
from results.record import Epoch, Failure, Record
from results.store import write_record
from suites.spec import RunSpec

WEIGHTS = "model.safetensors"


def execute(
    run_id: str,
    spec: RunSpec,
    folder: Path,
    cache: Path,
    log: Callable[[Event], None],
    requested: Callable[[], Request | None] = lambda: None,
) -> Record:
    """Runs ``spec`` in ``folder``, from its checkpoint if there is one, and leaves its record there.

    A failure is a record too. Raises Stopped when asked to stop, with the state saved; OSError when not even the record
    can be written (a full disk).
    """
    started, clock = _now(), time.perf_counter()
    torch.set_num_threads(spec.runtime.threads)
    device = _device(spec.runtime.device)
    memory.reset_peak(device)
    outcome: dict[str, Any]
    ranked: dict[str, NDArray[np.float64]] | None = None
    parameters = 0
    try:
        work = _Work(spec, cache, device, log)
        parameters = sum(weight.numel() for weight in work.model.parameters() if weight.requires_grad)
        outcome, ranked = _train_and_evaluate(work, folder, log, requested)
        write_atomically(folder / WEIGHTS, to_safetensors(work.model.state_dict()))
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
        outcome, ranked = {"outcome": "failed", "failure": failure}, None
    outcome.setdefault("timings", {})["total"] = time.perf_counter() - clock
    record = Record(
        run_id=run_id,
        spec=spec,
        ranks="ranks.npz" if ranked else None,
        peak_memory=memory.peak(device),
        provenance=provenance(device, spec.runtime.threads, decoder_version(spec.data.reader), parameters),
        started=started,
        finished=_now(),
        **outcome,
    )
    record = write_record(folder, record, ranked)
    if record.outcome == "complete":  # what failed keeps its last good checkpoint
        for file in (STATE, BEST):
            (folder / file).unlink(missing_ok=True)
    return record


class _Work:
    """What a run needs: the model, and every split as tokens and clips."""

    def __init__(self, spec: RunSpec, cache: Path, device: torch.device, log: Callable[[Event], None]) -> None:
        self.spec, self.device = spec, device
        dataset = hbi.data.load(spec.data, cache, partial(_reading, log))
        check_fit(spec, dataset)
        torch.manual_seed(spread(spec.seed, "training"))
        self.model: System = build(spec.model, spec.seed).to(device)
        if spec.training.activation_checkpointing:
            self.model.recompute_activations()
        self.splits = dataset.splits
        self.tokens = {name: tokenize(split.captions, spec.data.max_words) for name, split in self.splits.items()}
        self.clips = {
            name: Clips(split, spec.data, self.model.image_size, progress=partial(_reading, log))
            for name, split in self.splits.items()
        }

    def scores(self, split: str) -> NDArray[np.float32]:
        """Similarity [N,M] of a split's captions and videos."""
        return similarity_matrix(
            self.model,
            text_batches(self.tokens[split], BLOCK),
            video_batches(self.clips[split], BLOCK, workers=self.spec.runtime.workers),
            self.device,
            self.spec.training.precision,
        )

    def ranks(self, split: str) -> dict[str, NDArray[np.float64]]:
        """Per query, both directions."""
        scores, groups, ties = self.scores(split), self.splits[split].video_of, self.spec.evaluation.ties
        return {"t2v": ranks(scores, "t2v", groups, ties), "v2t": ranks(scores, "v2t", groups, ties)}


def _train_and_evaluate(
    work: _Work, folder: Path, log: Callable[[Event], None], requested: Callable[[], Request | None]
) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    spec, training = work.spec, work.spec.training
    watched = "test" if training.selection == "test" else "val"
    clock = time.perf_counter()
    progress = train(
        Task(
            model=work.model,
            config=training,
            device=work.device,
            folder=folder,
            steps_per_epoch=steps_per_epoch(work.splits["train"], training.batch_size),
            batches=lambda epoch, first: train_batches(
                work.splits["train"],
                work.clips["train"],
                work.tokens["train"],
                training.batch_size,
                spec.seed,
                epoch,
                skip=first,
                workers=spec.runtime.workers,
            ),
            validate=(lambda: _metrics(work.ranks(watched))) if watched in work.splits else None,
            log=log,
            requested=requested,
        )
    )
    trained = time.perf_counter()
    ranked = work.ranks("test")
    return {
        "outcome": "complete",
        "metrics": _metrics(ranked),
        "selection_split": None if training.selection == "last" else watched,
        "selected_epoch": progress.best_epoch or progress.epoch,
        "curve": tuple(Epoch(**point) for point in progress.curve),
        "timings": {
            "training": sum(point["seconds"] for point in progress.curve),
            "training and validation, this process": trained - clock,
            "evaluation": time.perf_counter() - trained,
        },
    }, ranked


def _metrics(ranked: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    return {f"{way}/{name}": value for way, rank in ranked.items() for name, value in summarise(rank).items()}


def _failure(error: Exception) -> Failure:
    """The kind of failure decides what `run` does with it next time; see docs."""
    message = (str(error).splitlines() or [type(error).__name__])[0][:500]
    if isinstance(error, RunFailure):
        return Failure(kind=error.kind, message=message)
    if isinstance(error, InputError):
        return Failure(kind="input", message=message)
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return Failure(kind="out of memory", message=message)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Failure(kind="disk", message=f"{message}: make room, then call the same command again")
    return Failure(kind="bug", message=f"{type(error).__name__}: {message}")


def _reading(log: Callable[[Event], None], what: str, done: int, total: int) -> None:
    log({"event": "reading", "what": what, "done": done, "total": total})


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
