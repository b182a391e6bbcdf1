"""Who has a run under way: a lock in its folder that dies with its holder, and how far the run is."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ValidationError

from hbi.files import write_atomically

LOCK, PROGRESS = "lock", "progress.json"


class Holder(BaseModel):
    """The process that has a run under way."""

    host: str
    pid: int
    launcher: int
    """The process that answers for the whole suite: an ancestor of ``pid``, or ``pid`` itself."""

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()


class Progress(BaseModel):
    """How far a run is; written now and then, so a little late."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    recall: float | None = None
    """t2v R@1 of the last epoch on the split that is watched, percent."""

    @property
    def share(self) -> float:
        return self.step / self.steps


class GivenUp(Exception):
    """The lock was not to be waited for any longer."""


@contextmanager
def held(folder: Path, give_up: Callable[[], bool], launcher: int | None = None) -> Iterator[None]:
    """Waits for the run's folder and holds it; however the holder dies, the lock dies with it. Raises GivenUp."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as lock:
        while not _taken(lock, fcntl.LOCK_EX):
            if give_up():
                raise GivenUp
            time.sleep(0.1)
        lock.truncate(0)
        signed = Holder(host=socket.gethostname(), pid=os.getpid(), launcher=launcher or os.getpid())
        lock.write(signed.model_dump_json())
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def holder(folder: Path) -> Holder | None:
    """Who has the run under way; none where nobody has."""
    try:
        with (folder / LOCK).open("r+") as lock:
            if not _taken(lock, fcntl.LOCK_SH):
                return Holder.model_validate_json(lock.read())
    except (OSError, ValidationError):
        pass  # never begun, or between taking the lock and signing it
    return None


def _taken(lock: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class ProgressFile:
    """Takes the events of a run and writes its progress, at most once a second."""

    def __init__(self, folder: Path, epochs: int) -> None:
        self.path, self.epochs = folder / PROGRESS, epochs
        self.recall: float | None = None
        self.written = 0.0

    def event(self, event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            self.recall = event["metrics"].get("t2v/R@1")
        if event["event"] == "step" and time.monotonic() - self.written > 1.0:
            self.written = time.monotonic()
            known = {key: event[key] for key in ("epoch", "step", "steps", "loss")}
            write_atomically(self.path, json.dumps({**known, "epochs": self.epochs, "recall": self.recall}))


def progress(folder: Path) -> Progress | None:
    """What was last written; none before the first step, and of a file that cannot be read."""
    try:
        return Progress.model_validate_json((folder / PROGRESS).read_text())
    except (OSError, ValidationError):
        return None
