"""The executor "slurm": runs as job arrays, followed until they have ended.

The jobs save and requeue themselves (slurm/job.py). What only an onlooker can do is done here: to submit again what was
killed, and to submit the rest where the cluster takes only so many jobs at a time.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hbi.errors import InputError
from results.record import Record
from results.store import run_folder, whole_record
from slurm import queue
from slurm.arrays import groups
from slurm.launches import CANCELLED, Launch, new_folder
from slurm.outlook import largest_array
from slurm.plan import Step
from slurm.profile import Asked, Cluster, asked
from slurm.signals import Signals
from slurm.snapshot import snapshot
from slurm.status import is_complete, look
from slurm.submit import Launcher, Refused, submit
from slurm.under_way import taken
from suites.expand import Run
from suites.resources import Retries
from suites.schema import Suite

AWAY = 600.0
"""Seconds without an answer of SLURM, or of another launcher, before we stop waiting."""
SETTLED = 4
"""Looks after which a job that has ended without a record is taken to leave none: shared folders show files late."""

End = Literal["done", "detached", "stopped", "stuck", "away"]


@dataclass
class Watch:
    """What a command that follows runs remembers between two looks."""

    retries: Retries
    tries: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Submissions again, by run and by how it had ended."""
    ended: Counter[str] = field(default_factory=Counter)
    """Looks at which a run's job had ended without a result, by run id."""
    final: set[str] = field(default_factory=set)
    """Runs that were left as they had ended; what SLURM says later, when it has forgotten why, changes nothing."""
    failed_on: dict[str, set[str]] = field(default_factory=dict)
    """Nodes that failed a run, by run id."""

    def settled(self, step: Step) -> bool:
        """Whether the run has ended, and long enough ago that no record is still on its way."""
        if not step.failed_there or step.queued or step.state == "running":
            self.ended.pop(step.run.run_id, None)
            return False
        if step.record and step.record.failure and step.record.failure.kind == step.failure:
            return True  # it says so itself
        self.ended[step.run.run_id] += 1
        return self.ended[step.run.run_id] > SETTLED

    def again(self, step: Step, complete: set[str]) -> bool:
        """Whether ``step``, which has ended badly, is to be submitted once more; counts it if so."""
        kind = step.failure or ""
        allowed = {
            "timed out": self.retries.timeout,
            "pre-empted": self.retries.requeues,
            "node failure": self.retries.node_failure,
            "out of memory": self.retries.out_of_memory,
            "killed": self.retries.killed,
            "bug": self.retries.bug,
            "nan": self.retries.nan,
            # the run it starts from had failed, and has been done again
            "need": int(step.run.needed is not None and step.run.needed.run_id in complete),
        }
        if step.run.run_id in self.final:
            return False
        if self.tries[step.run.run_id, kind] >= allowed.get(kind, 0):
            if kind != "need":  # that may still be met
                self.final.add(step.run.run_id)
            return False
        self.tries[step.run.run_id, kind] += 1
        nodes = step.job.nodes if step.job else ""
        if kind == "node failure" and nodes and "[" not in nodes:  # of several, nobody says which
            self.failed_on.setdefault(step.run.run_id, set()).add(nodes)
        self.ended.pop(step.run.run_id, None)
        return True


def launcher_for(suite: Suite, cluster: Cluster, runs: Path, tracking_uri: str | None) -> Launcher:
    """What submissions of this command share; takes the snapshot of the sources."""
    return Launcher(
        new_folder(runs), runs, snapshot(runs), cluster, suite.retries, Launch(suite=suite.name), tracking_uri
    )


def run_on_cluster(
    wanted: Sequence[Run],
    starts: Callable[[Step], bool],
    launcher: Launcher,
    show: Callable[[list[Step]], None],
    say: Callable[[str], None],
    detach: bool = False,
    max_parallel: int | None = None,
) -> End:
    """Submits those of ``wanted`` that ``starts`` picks and nobody has under way, and follows all until they have
    ended.

    ``show`` gets every look. Ctrl-C and SIGTERM end the following; the jobs go on. Raises InputError where SLURM cannot
    be asked or refuses the jobs for good.
    """
    watch = Watch(launcher.retries)
    records: dict[str, Record] = {}
    waiting: list[Run] = []
    followed: set[str] | None = None
    heard = time.monotonic()
    steps: list[Step] = []
    ended: list[Step] = []
    signals = Signals()
    with signals.heard():
        while True:
            _refresh(records, wanted, launcher.runs)
            try:
                with _alone(launcher.runs):
                    steps = look(wanted, records, launcher.runs)
                    if followed is None:
                        followed = {step.run.run_id for step in steps if starts(step) or _under_way(step)}
                        waiting = [step.run for step in steps if starts(step)]
                    ended = [step for step in steps if step.run.run_id in followed and watch.settled(step)]
                    held = {run.run_id for run in waiting}
                    again = [step for step in ended if step.run.run_id not in held]
                    waiting += _retried(again, steps, launcher, watch, say)
                    others = {step.run.run_id for step in steps if step.state == "complete" or _under_way(step)}
                    waiting = [run for run in waiting if run.run_id not in others]  # meanwhile, by another launcher
                    if (launcher.folder / CANCELLED).exists():
                        waiting = []
                    if waiting:
                        left = _submitted(waiting, steps, launcher, watch, max_parallel, say)
                        if len(left) < len(waiting):
                            steps = look(wanted, records, launcher.runs)
                        waiting = left
                heard = time.monotonic()
            except queue.Unreachable as error:
                if followed is None or detach:
                    raise InputError(f"SLURM cannot be asked: {error}") from None
                if time.monotonic() - heard > AWAY:
                    say(f"SLURM has not answered for {AWAY / 60:.0f} minutes: {error}")
                    return "away"
            except Refused as error:
                if detach or not any(map(_under_way, steps)):
                    raise InputError(f"SLURM refuses the jobs: {error}") from None
                say(f"SLURM refuses {len(waiting)} runs, which are left: {error}")
                waiting = []
            show(steps)
            if detach:
                if waiting:
                    say(f"{len(waiting)} runs do not fit into the queue yet; the same command submits them later")
                return "detached"
            over = {step.run.run_id for step in ended}
            going = [step for step in steps if step.run.run_id in (followed or ()) and _goes_on(step, over)]
            if not waiting and not going:
                return "done"
            if going and all(step.stuck for step in going):
                for step in going:
                    say(f"{step.run.run_id} waits for something that does not come by itself: {step.why}")
                return "stuck"
            if _pause(launcher.cluster.poll_seconds, signals):
                return "stopped"


def _under_way(step: Step) -> bool:
    return step.queued or step.state == "running"


def _goes_on(step: Step, over: set[str]) -> bool:
    """Whether it is under way, or has ended so lately that its record may yet appear."""
    return _under_way(step) or (step.failed_there and step.run.run_id not in over)


def _refresh(records: dict[str, Record], wanted: Sequence[Run], runs: Path) -> None:
    """Reads the records of those that had none, or a failed one."""
    for run in wanted:
        if not is_complete(records.get(run.run_id)) and (record := whole_record(run_folder(runs, run.run_id))):
            records[run.run_id] = record


def _retried(
    ended: Sequence[Step], steps: Sequence[Step], launcher: Launcher, watch: Watch, say: Callable[[str], None]
) -> Iterator[Run]:
    """Of the runs that have ``ended`` without a result, those that are to be submitted again."""
    complete = {step.run.run_id for step in steps if step.state == "complete"}
    for step in ended:
        run_id = step.run.run_id
        if step.failed_there and watch.again(step, complete):
            if step.failure == "out of memory" and launcher.retries.smaller_batch:
                before = step.record.accumulation if step.record else None
                launcher.accumulation[run_id] = 2 * (before or step.run.spec.training.accumulation)
            say(f"{run_id} is submitted again: {step.why}")
            yield step.run


def _submitted(
    waiting: Sequence[Run],
    steps: Sequence[Step],
    launcher: Launcher,
    watch: Watch,
    max_parallel: int | None,
    say: Callable[[str], None],
) -> list[Run]:
    """Submits as many of ``waiting`` as the queue takes, and returns the others."""
    cluster = launcher.cluster
    launcher.limits = launcher.limits or queue.limits()
    live = {step.run.run_id: step.job for step in steps if step.queued and step.job}
    most = launcher.most if launcher.most is not None else cluster.max_submit or launcher.limits.get("MaxSubmit")
    room = len(waiting) if most is None else max(0, most - queue.waiting())
    largest = largest_array(cluster, launcher.limits)
    if max_parallel:
        running = [(array.at_once or 0, live.keys() & set(array.runs)) for array in launcher.launch.arrays]
        max_parallel -= sum(min(at_once, len(alive)) for at_once, alive in running)
    now = list(waiting[:room])
    if not now or (max_parallel is not None and max_parallel < 1):
        return list(waiting)

    def wish(run: Run) -> Asked:
        return asked(run, cluster, ",".join(sorted(watch.failed_on.get(run.run_id, ()))) or None)

    planned = groups(now, wish, min(largest, len(now)), max_parallel)
    say(f"submitting {len(now)} runs as {len(planned)} {'array' if len(planned) == 1 else 'arrays'}")
    earlier = len(launcher.launch.arrays)
    try:
        submit(launcher, planned, live)
    except Refused as error:
        others = queue.waiting()
        if not error.for_now or (len(now) == 1 and not others):
            raise
        launcher.most = others + len(now) // 2
        say(f"{error}; the rest is submitted when others have ended")
    done = {run_id for array in launcher.launch.arrays[earlier:] for run_id in array.runs}
    return [run for run in waiting if run.run_id not in done]


@contextmanager
def _alone(runs: Path) -> Iterator[None]:
    """Two launchers look and submit one after the other: the second one sees what the first has submitted."""
    runs.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + AWAY
    with (runs / "slurm.lock").open("a") as lock:
        while not taken(lock):
            if time.monotonic() > deadline:
                raise InputError(f"{lock.name}: another launcher has held it for {AWAY / 60:.0f} minutes; is it alive?")
            time.sleep(0.1)
        yield


def _pause(seconds: float, signals: Signals) -> bool:
    """Whether somebody wants the following to end."""
    deadline = time.monotonic() + seconds
    while signals.request != "stop" and time.monotonic() < deadline:
        time.sleep(0.1)
    return signals.request == "stop"
