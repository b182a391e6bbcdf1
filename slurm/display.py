"""What a person sees while runs run: one live bar on a terminal, one line an epoch elsewhere, the same in log.txt."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from suites.expand import Run

Event = dict[str, Any]


def line_of(event: Event) -> str | None:
    """An event of a run as one line; none for what is too frequent to be printed."""
    match event["event"]:
        case "epoch":
            recall = event["metrics"].get("t2v/R@1")
            seen = "" if recall is None else f"  R@1 {recall:5.1f}"
            return (
                f"epoch {event['epoch']:>2}/{event['epochs']}  loss {event['losses']['total']:7.3f}{seen}"
                f"  {event['seconds']:.1f} s"
            )
        case "resumed":
            return f"goes on from its checkpoint, in epoch {event['epoch']}"
        case "failed":
            return f"failed ({event['kind']}): {event['message']}"
        case "complete":
            return "complete: " + "  ".join(f"{name} {value:.1f}" for name, value in event["metrics"].items())
    return None


def write_log(folder: Path, event: Event) -> None:
    """Appends the event to the run's log.txt, a failure with its traceback."""
    if line := line_of(event):
        folder.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with (folder / "log.txt").open("a") as log:
            log.write(f"{stamp}  {line}\n{event.get('trace', '')}")


QUIET = 10.0
"""Seconds after which a log that is no terminal gets a line, if nothing else was printed."""


class Display:
    """Follows a suite's runs one after the other."""

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total = console, total
        self.begun = self.printed = time.monotonic()
        self.position, self.label, self.recall = 0, "", ""
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("", total=1.0, left="")

    @contextmanager
    def live(self) -> Iterator[None]:
        """The bar is shown inside."""
        with self.bar:
            yield

    def checking(self, what: str, done: int, total: int) -> None:
        """Shows what is read, or made, before the first run starts."""
        now = time.monotonic()
        if done <= 1:
            self.begun = now
        left = _duration((now - self.begun) * (total - done) / max(done, 1))
        self._show(f"{what} video {done} of {total}", 0.0, left)
        if done == total:
            self.begun = now

    def start(self, run: Run) -> None:
        """The next run begins."""
        self.position += 1
        self.label, self.recall = f"run {self.position} of {self.total}  {run.label} seed {run.spec.seed}", ""
        self._show(f"{self.label}  starts", 0.0, self._left(0.0))

    def event(self, event: Event) -> None:
        """Shows one event of the run under way."""
        match event["event"]:
            case "reading":
                self._show(f"{self.label}  {event['what']} video {event['done']} of {event['total']}", 0.0, "")
            case "step":
                share = event["step"] / event["steps"]
                what = f"{self.label}  epoch {event['epoch']}  loss {event['loss']:.3f}{self.recall}"
                self._show(what, share, self._left(share))
            case "epoch" if "t2v/R@1" in event["metrics"]:
                self.recall = f"  R@1 {event['metrics']['t2v/R@1']:.1f}"
        if line := line_of(event):
            left = "" if event["event"] != "epoch" else f"  {self._left(event['epoch'] / event['epochs'])}"
            self._print(f"{self.label}  {line}{left}")

    def _show(self, what: str, share: float, left: str) -> None:
        """Moves the bar; in a log, which has none, says a word now and then."""
        self.bar.update(self.task, description=what, completed=self._done(share), left=left)
        if self.bar.disable and time.monotonic() - self.printed > QUIET:
            self._print(f"{what}  {left}")

    def _print(self, line: str) -> None:
        self.printed = time.monotonic()
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _done(self, share: float) -> float:
        """Share of all runs, when ``share`` of the run under way is done."""
        return max(self.position - 1 + share, 0.0) / self.total

    def _left(self, share: float) -> str:
        """Time left for all runs, were each to take as long as those so far."""
        done = self._done(share)
        return _duration((time.monotonic() - self.begun) * (1 - done) / done) if done else ""


def _duration(seconds: float) -> str:
    return f"{timedelta(seconds=round(seconds))} left"
