"""The executor "inline": one run after the other, in this process."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from slurm.display import Display
from slurm.one_run import Stopped, run_here
from slurm.signals import Signals
from suites.expand import Run


def run_inline(pending: Sequence[Run], runs: Path, display: Display) -> bool:
    """Runs ``pending`` in order; a failed run does not stop the others.

    False: a signal asked to stop; the run under way is saved, and the same command goes on.
    """
    signals = Signals()
    with signals.heard():
        for run in pending:
            if signals.request == "stop":
                return False
            display.start(run)
            try:
                run_here(run, runs, partial(display.event, run), signals.take)
            except Stopped:
                return False
            display.end(run)
    return True
