"""The executor "inline": one run after the other, in this process."""

import fcntl
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from results.store import read_record, run_folder
from slurm.display import Display, write_log
from suites.expand import Run


class Signals:
    """SIGUSR1 asks for a checkpoint, SIGTERM and Ctrl-C for a checkpoint and an end; a second Ctrl-C ends at once."""

    def __init__(self) -> None:
        self.request: Literal["save", "stop"] | None = None

    def take(self) -> Literal["save", "stop"] | None:
        """The request, if there is one. A wish to stop stays; a wish to save is fulfilled by being taken."""
        request = self.request
        if request == "save":
            self.request = None
        return request

    @contextmanager
    def heard(self) -> Iterator[None]:
        before = {
            number: signal.signal(number, self._note) for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.request == "stop":
            raise KeyboardInterrupt
        if number == signal.SIGUSR1:
            self.request = self.request or "save"
        else:
            self.request = "stop"


def run_inline(pending: Sequence[Run], runs: Path, display: Display) -> bool:
    """Runs ``pending`` in order; a failed run does not stop the others.

    A run that another launcher has under way is waited for, not repeated. False: a signal asked to stop; the run under
    way is saved, and the same command goes on.
    """
    from ablations.run import execute
    from hbi.training.loop import Stopped

    signals = Signals()
    with signals.heard():
        for run in pending:
            if signals.request == "stop":
                return False
            folder = run_folder(runs, run.run_id)
            display.start(run)
            with _held(folder):
                existing = read_record(folder)
                if existing is not None and existing.outcome == "complete":  # by a launcher beside this one
                    continue
                log = partial(_both, display, folder)
                try:
                    record = execute(run.run_id, run.spec, folder, runs / "data", log, signals.take)
                except Stopped:
                    return False
                except OSError as error:
                    log(
                        {
                            "event": "failed",
                            "kind": "disk",
                            "message": f"the record cannot be written: {error}",
                        }
                    )
                    continue
            if record.outcome == "complete":
                shown = {name: record.metrics[name] for name in ("t2v/R@1", "t2v/R@10", "v2t/R@1")}
                log({"event": "complete", "metrics": shown})
    return True


def _both(display: Display, folder: Path, event: dict[str, Any]) -> None:
    display.event(event)
    with suppress(OSError):  # a full disk: the display has said it, and the log is no result
        write_log(folder, event)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Holds the run's folder against other launchers on this machine; the lock dies with its holder, even by kill -9."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
