"""One run in this process, under its lock: what every executor comes down to."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hbi.metrics.registry import HEADLINES, headline
from results.record import Record
from results.store import LOG, run_folder, whole_record
from slurm.signals import Request
from slurm.under_way import PROGRESS, GivenUp, ProgressFile, held
from suites.expand import Run

Event = dict[str, Any]


class Stopped(Exception):
    """The run was asked to stop; its state is on disk."""


def run_here(
    run: Run,
    runs: Path,
    show: Callable[[Event], None],
    requested: Callable[[], Request | None],
    launcher: int | None = None,
    accumulation: int | None = None,
    live: Callable[[], AbstractContextManager[Callable[[Event], None]]] = lambda: nullcontext(lambda event: None),
) -> Record | None:
    """Executes ``run`` and returns its record; none where not even that could be written (a full disk).

    A run that another process has under way is waited for, and its record returned. A complete record stays; a failed
    one is replaced. ``launcher``: the process that answers for the whole suite, if not this one. ``accumulation``:
    parts a batch is encoded in, for want of memory. ``live``: inside it, its events go elsewhere too. Raises Stopped.
    """
    from ablations.run import execute
    from hbi.training import loop

    folder = run_folder(runs, run.run_id)
    seen = _outcome(folder)
    with _held(folder, requested, launcher) as lost, ExitStack() as stack:
        existing = whole_record(folder)
        if existing and (existing.outcome == "complete" or _outcome(folder) != seen):  # ended while this one waited
            return existing
        progress = ProgressFile(folder, run.spec.training.epochs)
        shown_elsewhere = stack.enter_context(live())

        def log(event: Event) -> None:
            show(event)
            shown_elsewhere(event)
            with suppress(OSError):  # a full disk: the display has said it, and the log is no result
                write_log(folder, event)
                progress.event(event)

        def asked() -> Request | None:
            return "abandon" if lost() else requested()

        try:
            record = execute(run.run_id, run.spec, folder, runs / "data", log, asked, accumulation)
        except loop.Stopped:
            if not lost():
                log({"event": "stopped", "saved": not run.alone})
            raise Stopped from None
        except OSError as error:
            log({"event": "failed", "kind": "disk", "message": f"the record cannot be written: {error}"})
            return None
        if record.outcome == "complete":
            told = HEADLINES[run.spec.data.task] if run.in_tables else () if run.alone else tuple(record.metrics)
            shown = {name: record.metrics[name] for name in told if name in record.metrics}
            log({"event": "complete", "metrics": shown})
        (folder / PROGRESS).unlink(missing_ok=True)
        return record


@contextmanager
def _held(folder: Path, requested: Callable[[], Request | None], launcher: int | None) -> Iterator[Callable[[], bool]]:
    try:
        with held(folder, lambda: requested() == "stop", launcher) as lost:
            yield lost
    except GivenUp:
        raise Stopped from None


def _outcome(folder: Path) -> tuple[str, str] | None:
    record = whole_record(folder)
    return (record.outcome, record.finished) if record else None


def line_of(event: Event) -> str | None:
    """An event of a run as one line; none for what is too frequent to be printed."""
    match event["event"]:
        case "epoch":
            return (
                f"epoch {event['epoch']:>2}/{event['epochs']}  loss {event['losses']['total']:7.3f}"
                f"{reached(event['metrics'], '5.1f')}  {event['seconds']:.1f} s"
            )
        case "resumed":
            return f"goes on from its checkpoint, in epoch {event['epoch']}"
        case "stopped":
            return "stopped, its state is saved" if event["saved"] else "stopped; it begins anew next time"
        case "failed":
            return f"failed ({event['kind']}): {event['message']}"
        case "complete":
            values = "  ".join(f"{name} {value:.1f}" for name, value in event["metrics"].items())
            return f"complete: {values or '`tables` shows what it has found'}"
    return None


def reached(metrics: Mapping[str, float], width: str) -> str:
    """What is told of an epoch: "  R@1 41.5" or "  accuracy 41.5"; nothing where it was not validated."""
    found = headline(metrics)
    return f"  {found[0].removeprefix('t2v/')} {found[1]:{width}}" if found else ""


def write_log(folder: Path, event: Event) -> None:
    """Appends the event to the run's log, a failure with its traceback."""
    if line := line_of(event):
        stamp = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with (folder / LOG).open("a") as log:
            log.write(f"{stamp}  {line}\n{event.get('trace', '')}")
