"""What the outside may ask of a run: a checkpoint, or a checkpoint and an end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

Request = Literal["save", "stop", "abandon"]
"""A checkpoint; a checkpoint and an end; an end that writes nothing, for the run is in other hands."""


class Signals:
    """SIGUSR1 asks for a checkpoint, SIGTERM and Ctrl-C for a checkpoint and an end; a second Ctrl-C ends at once.

    SIGUSR2 is SLURM's warning that a job will be pre-empted or is out of time: a checkpoint, an end, and ``warned``.
    """

    def __init__(self) -> None:
        self.request: Request | None = None
        self.warned = False

    def take(self) -> Request | None:
        """The request, if there is one. A wish to stop stays; a wish to save is fulfilled by being taken."""
        request = self.request
        if request == "save":
            self.request = None
        return request

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Inside, the signals are noted; afterwards they mean what they meant before."""
        numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.request == "stop":
            raise KeyboardInterrupt
        self.warned = self.warned or number == signal.SIGUSR2
        if number == signal.SIGUSR1:
            self.request = self.request or "save"
        else:
            self.request = "stop"
