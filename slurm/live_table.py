"""What a person sees while a cluster works: a live table on a terminal, a line a change elsewhere."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hbi.metrics.registry import headline
from slurm.plan import Step

_LIVE = ("running", "starting", "requeued")
_STYLES = {"complete": "green", "running": "bold", "waiting": "dim"}


class LiveTable:
    """Shows one look after the other."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = Live(console=console, auto_refresh=False, transient=True)
        self.told: dict[str, str] = {}
        """What was last printed of each run, where there is no terminal."""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The table stands below what is printed, inside."""
        if self.console.is_terminal:
            with self.live:
                yield
        else:
            yield

    def say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def show(self, steps: list[Step]) -> None:
        if self.console.is_terminal:
            self.live.update(table(steps, self.console.height - 2), refresh=True)
            return
        for number, step in enumerate(steps, start=1):
            line = f"{step.state}{_details(step)}"
            if self.told.get(step.run.run_id) not in (None, line):
                self.say(f"run {number} of {len(steps)}  {step.run.label} seed {step.run.spec.seed}  {line}")
            self.told[step.run.run_id] = line


def table(steps: Sequence[Step], height: int) -> Group:
    """As many runs as fit, those first in which most happens, and how many are in which state."""
    found = Table("variant", "seed", "state", "epoch", "metric", "time left", "node", box=None, pad_edge=False)
    counts = Counter(step.state for step in steps)
    for step in sorted(steps, key=_rank)[: max(1, height - 3)]:
        left = step.now.left if step.now and step.state == "running" else None
        ends = "" if left is None else str(timedelta(seconds=round(left)))
        cells = (step.run.label, str(step.run.spec.seed), step.state, _epoch(step), _metric(step), ends, _node(step))
        found.add_row(*map(Text, cells), style=_STYLES.get(step.state, "" if step.state in _LIVE else "red"))
    total = "  ".join(f"{count} {state}" for state, count in counts.most_common())
    return Group(found, Text(f"{len(steps)} runs: {total}", style="bold"))


def _rank(step: Step) -> int:
    """What goes on, then what went wrong, then what waits, then what is done."""
    order = [*_LIVE, "", "waiting", "complete"]
    return order.index(step.state if step.state in order else "")


def _metric(step: Step) -> str:
    """The last value of what is watched; of a complete run, the result."""
    result = headline(step.record.metrics) if step.record and step.state == "complete" else None
    reached = result[1] if result else step.now.watched if step.now else None
    return "" if reached is None else f"{reached:.1f}"


def _epoch(step: Step) -> str:
    if step.now is None or step.state == "complete":
        return ""
    return step.now.told if step.now.doing else f"{step.now.epoch}/{step.now.epochs}"


def _node(step: Step) -> str:
    return step.job.nodes if step.job and step.queued else ""


def _details(step: Step) -> str:
    """What a line adds to the state."""
    if step.state not in (*_LIVE, "waiting"):
        return f": {step.why}"
    word = "" if step.now and step.now.doing else "epoch "
    epoch = f", {word}{_epoch(step)}" if step.state == "running" and _epoch(step) else ""
    return f"{epoch}{f', on {_node(step)}' if _node(step) else ''}"
