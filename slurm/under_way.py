"""Who has a run under way: a lock in its folder that dies with its holder, and how far the run is.

The lock keeps two processes apart. Where a job is requeued, a ghost of it may live on at a node that SLURM has given
up; so the holder also signs a file. The requeued job signs it over the ghost's name, and who no longer finds its own
name there writes nothing more.
"""

import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel

from hbi.errors import InputError
from hbi.files import write_atomically
from hbi.metrics.registry import headline

LOCK, OWNER, PROGRESS = "lock", "owner.json", "progress.json"


class Holder(BaseModel):
    """The process that has a run under way."""

    host: str
    pid: int
    launcher: int
    """The process that answers for the whole suite: an ancestor of ``pid``, or ``pid`` itself."""
    token: str
    """Of this process and this run alone."""
    job: str | None = None
    """Name and place of the SLURM job that it is; a number could be another's after a failure of the controller."""
    restarts: int = 0
    """Times that job has been requeued."""

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    def follows(self, other: "Holder | None") -> bool:
        """Whether ``other`` is an earlier start of the same job, a ghost."""
        return other is not None and self.job is not None and self.job == other.job and self.restarts > other.restarts


class Progress(BaseModel):
    """How far a run is; written now and then, so a little late."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    watched: float | None = None
    """t2v R@1, or accuracy, of the last epoch on the split that is watched, percent."""
    left: float | None = None
    """Seconds until the last step, at the pace since the process began; none after its first step."""
    doing: str | None = None
    """Of a run that measures cost, which has no epochs: what ``step`` and ``steps`` count."""

    @property
    def told(self) -> str:
        """For a person."""
        return f"{self.doing} {self.step} of {self.steps}" if self.doing else f"epoch {self.epoch} of {self.epochs}"

    @property
    def share(self) -> float:
        return self.step / self.steps


class GivenUp(Exception):
    """The lock was not to be waited for any longer."""


@contextmanager
def held(folder: Path, give_up: Callable[[], bool], launcher: int | None = None) -> Iterator[Callable[[], bool]]:
    """Waits for the run's folder and holds it; however the holder dies, the lock dies with it. Raises GivenUp.

    Yields a function that tells whether the place has been lost to a later start of the same job.
    """
    folder.mkdir(parents=True, exist_ok=True)
    me = _this_process(launcher)
    with (folder / LOCK).open("a") as lock:
        while not taken(lock):
            if me.follows(_owner(folder)):
                _sign(folder, me)
            if give_up():
                raise GivenUp
            time.sleep(0.1)
        _sign(folder, me)

        def lost() -> bool:
            owner = _owner(folder)
            if owner is None:  # a shared folder that does not answer for a moment is no word
                return not (folder / OWNER).exists()
            return owner.token != me.token

        try:
            yield lost
        finally:
            if not lost():
                (folder / OWNER).unlink(missing_ok=True)


def holder(folder: Path) -> Holder | None:
    """Who has the run under way; none where nobody has."""
    with suppress(OSError), (folder / LOCK).open("r+") as lock:  # not there: never begun
        if not taken(lock, fcntl.LOCK_SH):
            return _owner(folder)  # none between taking the lock and signing
    return None


def _this_process(launcher: int | None) -> Holder:
    name, place = os.environ.get("SLURM_JOB_NAME"), os.environ.get("SLURM_ARRAY_TASK_ID", "")
    return Holder(
        host=socket.gethostname(),
        pid=os.getpid(),
        launcher=launcher or os.getpid(),
        token=secrets.token_hex(8),
        job=f"{name}/{place}" if name else None,
        restarts=int(os.environ.get("SLURM_RESTART_COUNT", 0)),
    )


def _owner(folder: Path) -> Holder | None:
    try:
        return Holder.model_validate_json((folder / OWNER).read_text())
    except (OSError, ValueError):
        return None


def _sign(folder: Path, me: Holder) -> None:
    write_atomically(folder / OWNER, me.model_dump_json())


def taken(lock: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    """Whether the lock is ours now; it is until the file is closed."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise InputError(
            f"{lock.name}: this file system knows no locks ({error.strerror}); put the runs elsewhere, or have it "
            "mounted with them (Lustre: flock)"
        ) from error
    return True


class ProgressFile:
    """Takes the events of a run and writes its progress, at most once a second."""

    def __init__(self, folder: Path, epochs: int) -> None:
        self.path, self.epochs = folder / PROGRESS, epochs
        self.watched: float | None = None
        self.written = 0.0
        self.first: tuple[int, float] | None = None
        """The first step of this process, and when it was done."""

    def event(self, event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            found = headline(event["metrics"])
            self.watched = found[1] if found else None
        now = time.monotonic()
        if event["event"] == "step":
            self.first = self.first or (event["step"], now)
            if now - self.written > 1.0:
                self.written = now
                self._write(event, now, *self.first)
        if event["event"] == "measuring" and now - self.written > 1.0:
            self.written = now
            counted = {"step": event["done"], "steps": event["total"], "doing": event["what"]}
            write_atomically(self.path, json.dumps({"epoch": 0, "epochs": 0, "loss": 0.0, **counted}))

    def _write(self, event: dict[str, Any], now: float, first: int, began: float) -> None:
        done = event["step"] - first
        left = (event["steps"] - event["step"]) * (now - began) / done if done else None
        known = {key: event[key] for key in ("epoch", "step", "steps", "loss")}
        known |= {"epochs": self.epochs, "watched": self.watched, "left": left}
        write_atomically(self.path, json.dumps(known))


def progress(folder: Path) -> Progress | None:
    """What was last written; none before the first step, and of a file that cannot be read."""
    try:
        return Progress.model_validate_json((folder / PROGRESS).read_text())
    except (OSError, ValueError):
        return None
