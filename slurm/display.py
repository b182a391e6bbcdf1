"""What a person sees while runs run: live bars on a terminal, one line an epoch elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from slurm.one_run import Event, line_of, reached
from suites.expand import Run

QUIET = 10.0
"""Seconds after which a log that is no terminal gets a line, if nothing else was printed."""


class Display:
    """Follows the runs of a suite, one at a time or several."""

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total = console, total
        self.begun = self.printed = time.monotonic()
        self.shares: dict[str, float] = {}
        """Of every run that has begun, by id: how much of it is done."""
        self.labels: dict[str, str] = {}
        self.reached: dict[str, str] = {}
        self.bars: dict[str, TaskID] = {}
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.whole = self.progress.add_task("", total=1.0, left="", visible=False)

    @contextmanager
    def live(self) -> Iterator[None]:
        """The bars are shown inside."""
        with self.progress:
            yield

    def preparing(self, what: str) -> None:
        """Shows what goes on that cannot be counted."""
        self.progress.update(self.whole, description=what, completed=None, left="", visible=True)

    def counting(self, what: str, done: int, total: int) -> None:
        """Shows what is done one by one before the first run starts, or after the last: "checking video" 3 of 700."""
        now = time.monotonic()
        if done <= 1:
            self.begun = now
        left = _duration((now - self.begun) * (total - done) / max(done, 1))
        self._show(self.whole, f"{what} {done} of {total}", done / total, left)
        if done == total:
            self.begun = now

    def start(self, run: Run) -> None:
        """A run begins."""
        self.shares[run.run_id] = 0.0
        number = len(self.shares)
        self.labels[run.run_id] = f"run {number} of {self.total}  {run.label} seed {run.spec.seed}"
        self.reached[run.run_id] = ""
        self.bars[run.run_id] = self.progress.add_task("", total=1.0, left="")
        self._move(run, "starts")

    def event(self, run: Run, event: Event) -> None:
        """One event of a run under way."""
        match event["event"]:
            case "reading" | "measuring":
                self._move(run, f"{event['what']} {event['done']} of {event['total']}")
            case "step":
                self.shares[run.run_id] = event["step"] / event["steps"]
                self._move(run, f"epoch {event['epoch']}  loss {event['loss']:.3f}{self.reached[run.run_id]}")
            case "epoch":
                self.shares[run.run_id] = event["epoch"] / event["epochs"]
                self.reached[run.run_id] = reached(event["metrics"], ".1f")
        if line := line_of(event):
            self.say(run, f"{line}  {self._left()}" if event["event"] == "epoch" else line)

    def say(self, run: Run, line: str) -> None:
        """Prints a line about a run, above the bars."""
        self._print(f"{self.labels[run.run_id]}  {line}")

    def end(self, run: Run) -> None:
        """The run has a result, or will have none."""
        self.shares[run.run_id] = 1.0
        self.progress.remove_task(self.bars.pop(run.run_id))

    def _move(self, run: Run, what: str) -> None:
        done, left = self._done(), self._left()
        self.progress.update(self.whole, description=f"{done:.0%} of {self.total} runs", completed=done, left=left)
        self.progress.update(self.whole, visible=True)
        self._show(self.bars[run.run_id], f"{self.labels[run.run_id]}  {what}", self.shares[run.run_id], "")

    def _show(self, bar: TaskID, what: str, share: float, left: str) -> None:
        """Moves a bar; in a log, which has none, says a word now and then."""
        self.progress.update(bar, description=what, completed=share, left=left, visible=True)
        if self.progress.disable and time.monotonic() - self.printed > QUIET:
            self._print(f"{what}  {left or self._left()}")

    def _print(self, line: str) -> None:
        self.printed = time.monotonic()
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _done(self) -> float:
        """Share of all runs that is done."""
        return sum(self.shares.values()) / self.total

    def _left(self) -> str:
        """Time left for all runs, were the rest as quick as what is done."""
        done = self._done()
        return _duration((time.monotonic() - self.begun) * (1 - done) / done) if done else ""


def _duration(seconds: float) -> str:
    return f"{timedelta(seconds=round(seconds))} left"
