"""What `run` and `retry` do: plan, check, execute, mirror, and say what is missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import strftime
from typing import Literal

from rich.console import Console

from results.mlflow_mirror import MirrorError, mirror
from results.store import read_all, run_folder, whole_record
from slurm.display import Display
from slurm.plan import NOT_REPEATED, Step, plan
from slurm.profile import Cluster, asked
from slurm.status import is_complete
from suites.expand import Run, in_order
from suites.rehearsal import rehearsal
from suites.schema import Suite

Say = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """Where and how runs are to run."""

    executor: Literal["inline", "local", "slurm"]
    runs: Path
    jobs: int | None = None
    """Processes at once (local); none: what the cores carry."""
    cluster: Cluster | None = None
    max_parallel: int | None = None
    detach: bool = False
    tracking_uri: str | None = None


def run(suite: Suite, steps: list[Step], starts: Callable[[Step], bool], order: Order, say: Say, warn: Say) -> bool:
    """Executes those of ``steps`` that ``starts`` picks; whether all of ``steps`` have a result then, or are in a
    cluster's queue. Raises InputError with all that is wrong before anything runs."""
    todo = [step for step in steps if starts(step)]
    reused = sum(step.state == "complete" for step in steps)
    say(f"suite {suite.name}: {len(steps)} runs, {len(todo)} to do, {reused} reused from {order.runs}")
    for step in steps:
        if (step.in_vain or step.failure in NOT_REPEATED) and not starts(step):
            say(f"skipped, for it would fail again: {step.run.run_id}: {step.why} (`retry` repeats it)")
    told = _execute(suite, steps, todo, starts, order) if todo else None
    if order.detach and todo:
        say("`status` shows the jobs, the same command follows them, `cancel` stops them")
        return True
    synchronise(suite, steps, order.runs, order.tracking_uri, warn)
    missing = _missing(steps, order.runs)
    if told:
        warn(told)
    elif missing:
        warn(f"{len(missing)} of {len(steps)} runs have no result; `status` of the suite says why")
    return not missing


def rehearse(suite: Suite, wanted: Sequence[Run], order: Order, say: Say, warn: Say) -> bool:
    """Executes small versions of the ``wanted`` runs in a folder of their own; whether all went well."""
    order = Order(**{**vars(order), "runs": order.runs / "rehearsal" / strftime("%Y%m%d-%H%M%S")})
    steps = plan(in_order(rehearsal(wanted)), {}, order.runs)
    say(f"rehearsing {len(steps)} runs of suite {suite.name} in {order.runs}")
    if told := _execute(suite, steps, steps, lambda step: True, order):
        warn(told)
    if order.detach:
        say(f"the jobs are in the queue; see {order.runs}")
        return True
    missing = _missing(steps, order.runs)
    say(f"rehearsed {len(steps)} runs in {order.runs}: {len(steps) - len(missing)} went well")
    for failed in missing:
        warn(f"see: run_suite.py logs {failed.run_id} --runs {order.runs}")
    return not missing


def synchronise(suite: Suite, steps: Sequence[Step], runs: Path, tracking_uri: str | None, warn: Say) -> bool:
    """Mirrors all records of the suite in MLflow; whether that went well."""
    records, problems = read_all(runs)
    for problem in problems:
        warn(f"left aside: {problem}")
    own = [records[step.run.run_id] for step in steps if step.run.run_id in records]
    display = Display(Console(), len(steps))
    try:
        with display.live():
            display.preparing("loading MLflow")
            mirror(own, suite.name, runs, tracking_uri, partial(display.counting, "mirroring record"))
    except MirrorError as error:
        warn(f"{error}; the records are safe, the next `run` mirrors them")
        return False
    return True


def _missing(steps: Sequence[Step], runs: Path) -> list[Run]:
    return [step.run for step in steps if not is_complete(whole_record(run_folder(runs, step.run.run_id)))]


def _execute(
    suite: Suite, steps: Sequence[Step], todo: Sequence[Step], starts: Callable[[Step], bool], order: Order
) -> str | None:
    """Checks all that the runs need, then runs them; what there is to say where that has not come to its end."""
    pending = [step.run for step in todo]
    if order.cluster:
        for one in pending:
            asked(one, order.cluster)  # what does not fit is told before torch is loaded
    display = Display(Console(), len(pending))
    with display.live():
        display.preparing("loading torch and open_clip")
        from ablations.preflight import check

        on_cluster = order.executor == "slurm"
        check([run.spec for run in pending], order.runs / "data", display.counting, elsewhere=on_cluster)
        if order.executor == "inline":
            from slurm.inline import run_inline

            done = run_inline(pending, order.runs, display)
        elif order.executor == "local":
            from slurm.local import default_jobs, run_local

            jobs = order.jobs or default_jobs(pending)
            done = run_local(pending, order.runs, display, jobs, suite.name, order.tracking_uri)
    if order.cluster:
        return _on_cluster(suite, [step.run for step in steps], starts, order, order.cluster)
    return None if done else "stopped; the same command goes on from here"


def _on_cluster(
    suite: Suite, wanted: Sequence[Run], starts: Callable[[Step], bool], order: Order, cluster: Cluster
) -> str | None:
    from slurm.live_table import LiveTable
    from slurm.on_cluster import launcher_for, run_on_cluster

    launcher = launcher_for(suite, cluster, order.runs, order.tracking_uri)
    table = LiveTable(Console())
    with table.shown():
        end = run_on_cluster(wanted, starts, launcher, table.show, table.say, order.detach, order.max_parallel)
    return {
        "stopped": "no longer followed; the jobs go on: the same command follows them again, `cancel` stops them",
        "stuck": "the other jobs wait for a person; `cancel` removes them",
        "away": "no longer followed; the same command follows the jobs again when SLURM answers",
    }.get(end)
