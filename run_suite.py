"""The command line of the harness: parses, calls, prints. Everything else is imported when a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from hbi.config import DataConfig
    from hbi.data.prepare import Examined, Prepared
    from results.record import Record
    from slurm.plan import Step
    from suites.expand import Run
    from suites.schema import Suite


class Executor(str, Enum):
    """Where runs run."""

    inline = "inline"
    local = "local"
    slurm = "slurm"


class Failed(str, Enum):
    """Ways in which a run ends without a result."""

    bug = "bug"
    nan = "nan"
    input = "input"
    need = "need"
    disk = "disk"
    killed = "killed"
    timeout = "timeout"
    preempted = "preempted"
    out_of_memory = "out-of-memory"
    node_failure = "node-failure"
    cancelled = "cancelled"

    @property
    def kind(self) -> str:
        """As records and states have it."""
        spelled = {"timeout": "timed out", "preempted": "pre-empted"}
        return spelled.get(self.value, self.value.replace("-", " "))


app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Ablation suites of Hierarchical Banzhaf Interaction and its peers: run, follow, and print their tables.",
    epilog="Exit code: 0 all well, 1 some runs failed, 2 bad input.",
)

SuiteArgument = Annotated[
    str, typer.Argument(help="A suite's file, or its name: quickstart is suites/quickstart.yaml.")
]
SetOption = Annotated[
    Optional[list[str]],  # noqa: UP045  (typer reads this at run time, also on Python 3.10)
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the suite: --set data=msrvtt."),
]
OnlyOption = Annotated[
    Optional[str], typer.Option(metavar="PATTERN", help="Only runs whose label matches: --only 'hbi*'.")  # noqa: UP045
]
ExecutorOption = Annotated[
    Executor, typer.Option(help="inline: here, one by one; local: several processes here; slurm: jobs on a cluster.")
]
ClusterOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="FILE", help="Profile of the cluster (slurm), or the name of one in slurm/clusters."),
]
JobsOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, metavar="N", help="Runs at once (local); by default what the cores carry."),
]
MaxParallelOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, metavar="N", help="Most jobs that run at one time (slurm)."),
]
ClassOption = Annotated[
    Optional[Failed],  # noqa: UP045
    typer.Option("--class", help="Only runs that have ended so."),
]
TrackingOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(envvar="MLFLOW_TRACKING_URI", help="MLflow server; by default runs/mlflow.db."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunsOption = Annotated[Path, typer.Option(metavar="FOLDER", help="Where runs leave their records.")]


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="variants, suites, datasets, encoders or metrics")],
    json_: JsonOption = False,
) -> None:
    """Prints what there is, each with its meaning in a line."""
    from results.listing import aligned, listing

    found = listing(what)
    if json_:
        _print_json(dict(found))
    else:
        typer.echo(aligned(found))


@app.command()
def plan(
    suite: SuiteArgument,
    set_: SetOption = None,
    only: OnlyOption = None,
    runs: RunsOption = Path("runs"),
    cluster: ClusterOption = None,
    max_parallel: MaxParallelOption = None,
    json_: JsonOption = False,
) -> None:
    """Prints what `run` would do: what it runs, what it reuses and why, and about how long that takes."""
    _, steps = _steps(suite, set_, only, runs)
    todo = [step for step in steps if step.starts(retry=False)]
    seconds = [step.seconds for step in todo if step.seconds]
    jobs = None
    if cluster:
        from slurm.outlook import outlook
        from slurm.profile import read_profile

        jobs = outlook([step for step in todo if not step.queued], read_profile(cluster), max_parallel)
    if json_:
        told = {"runs": [_plain(step) for step in steps], "to_do": len(todo), "seconds": sum(seconds)}
        _print_json(told | ({"jobs": asdict(jobs)} if jobs else {}))
        return
    _print_steps(steps, {step.run.run_id: _doing(step) for step in steps})
    estimate = f", about {timedelta(seconds=round(sum(seconds)))} by earlier records" if seconds else ""
    unknown = f" ({len(todo) - len(seconds)} of them never timed)" if seconds and len(seconds) < len(todo) else ""
    typer.echo(f"{len(todo)} of {len(steps)} runs to do{estimate}{unknown}")
    for line in jobs.lines() if jobs else ():
        typer.echo(line)


def _launcher(retry: bool) -> Callable[..., None]:
    """`run` and `retry` take the same options, but that a retry can be of one class alone."""

    def launch(
        suite: SuiteArgument,
        set_: SetOption = None,
        only: OnlyOption = None,
        runs: RunsOption = Path("runs"),
        executor: ExecutorOption = Executor.inline,
        jobs: JobsOption = None,
        cluster: ClusterOption = None,
        max_parallel: MaxParallelOption = None,
        detach: Annotated[
            bool, typer.Option("--detach", help="Return when the jobs are in the queue (slurm).")
        ] = False,
        rehearse: Annotated[
            bool,
            typer.Option("--rehearse", help="A minute of each variant on generated data, apart, to see what is wrong."),
        ] = False,
        tracking_uri: TrackingOption = None,
        class_: ClassOption = None,
    ) -> None:
        from hbi.errors import InputError
        from slurm import dispatch
        from slurm.profile import read_profile

        if (executor is Executor.slurm) != (cluster is not None):
            raise InputError("--executor slurm and --cluster FILE belong together")
        if detach and not cluster:
            raise InputError("--detach is for --executor slurm; the other executors end with their command")
        profile = read_profile(cluster) if cluster else None
        order = dispatch.Order(executor.value, runs, jobs, profile, max_parallel, detach, tracking_uri)
        warn = partial(typer.echo, err=True)
        if rehearse:
            done = dispatch.rehearse(*_expand(suite, set_, only), order, typer.echo, warn)
        else:
            loaded, steps = _steps(suite, set_, only, runs)
            done = dispatch.run(loaded, steps, _picked(retry, class_), order, typer.echo, warn)
        if not done:
            raise typer.Exit(1)

    return launch


def _picked(retry: bool, class_: Failed | None) -> Callable[[Step], bool]:
    """Whether a step is to be run."""
    if class_:
        return lambda step: step.failure == class_.kind
    return lambda step: step.starts(retry)


app.command("run", help="Runs what the suite wants and no record holds yet; again: goes on after any interruption.")(
    _launcher(retry=False)
)
app.command("retry", help="As `run`, and does again what failed by a bug or a NaN.")(_launcher(retry=True))


@app.command()
def sync(
    suite: SuiteArgument,
    set_: SetOption = None,
    only: OnlyOption = None,
    runs: RunsOption = Path("runs"),
    tracking_uri: TrackingOption = None,
) -> None:
    """Copies the records that there are into MLflow; `run` does it at its end."""
    from slurm.dispatch import synchronise

    loaded, steps = _steps(suite, set_, only, runs)
    if not synchronise(loaded, steps, runs, tracking_uri, partial(typer.echo, err=True)):
        raise typer.Exit(1)


@app.command()
def status(
    suite: SuiteArgument,
    set_: SetOption = None,
    only: OnlyOption = None,
    runs: RunsOption = Path("runs"),
    json_: JsonOption = False,
) -> None:
    """Prints the state of every run the suite wants, what it asked for and used, and the size of the folder of runs."""
    from results.disk import size, spelled

    _, steps = _steps(suite, set_, only, runs)
    taken = size(runs)
    if json_:
        _print_json({"runs": [_plain(step) for step in steps], "bytes": taken})
    else:
        _print_steps(steps, {step.run.run_id: step.state for step in steps}, usage=True)
        typer.echo(f"{runs} takes {spelled(taken)}")
    if any(step.failure for step in steps):
        raise typer.Exit(1)


@app.command()
def logs(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, as `status` prints it, or its beginning.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    runs: RunsOption = Path("runs"),
) -> None:
    """Prints what a run has logged, or, before it could log anything, what its job on a cluster has printed."""
    from slurm.logs import lines

    for line in lines(runs, run_id, follow):
        typer.echo(line, nl=False)


@app.command()
def cancel(
    suite: SuiteArgument, set_: SetOption = None, only: OnlyOption = None, runs: RunsOption = Path("runs")
) -> None:
    """Stops the suite's runs that are under way here or on a cluster; each saves its state first."""
    from slurm.cancel import cancel as stop
    from slurm.cancel import cancel_jobs

    _, steps = _steps(suite, set_, only, runs)
    told = [*cancel_jobs(steps, launchers=only is None)]
    told += stop([step.run for step in steps if not step.queued], runs, launchers=only is None)
    for line in told or ["nothing of this suite is under way on this machine"]:
        typer.echo(line)


@app.command()
def clean(
    weights: Annotated[bool, typer.Option("--weights", help="Also the weights of complete runs.")] = False,
    runs: RunsOption = Path("runs"),
) -> None:
    """Removes leftovers of killed writes, damaged checkpoints and folders of ended jobs. Never a record."""
    from results.disk import spelled
    from slurm.clean import clean as remove

    removed, freed = remove(runs, weights)
    typer.echo(f"removed {removed} files, {spelled(freed)}")


@app.command("prepare")
def prepare_(
    data: Annotated[str, typer.Argument(metavar="DATASET", help="A data set's name; or a suite, for all its data.")],
    set_: SetOption = None,
    size: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, metavar="PIXELS", help="Side of the frames; by default 224, or as a suite's encoders."),
    ] = None,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, metavar="N", help="Processes that decode; by default one a core."),
    ] = None,
    limit: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="A video that takes longer is bad.")] = 60.0,
    check: Annotated[
        bool, typer.Option("--check", help="Decode everything, look through the annotations, and keep nothing.")
    ] = False,
    runs: RunsOption = Path("runs"),
    json_: JsonOption = False,
) -> None:
    """Decodes every video once, for all runs to come; or with --check says what is wrong with a data set."""
    from rich.console import Console

    import hbi.data
    from hbi.data.prepare import available_cores, examine, prepare
    from results.preparation import estimate_line, examined_lines, plain, prepared_lines
    from slurm.display import Display

    display = Display(Console(stderr=True), total=0)
    done: list[Prepared | Examined] = []
    for config, pixels in _data(data, set_, size):
        with display.live():
            dataset = hbi.data.load(config, runs / "data", display.counting)
            options = (dataset, config, pixels, runs / "data", workers or available_cores(), limit, display.counting)
            if check:
                examined = examine(*options)
                lines = examined_lines(examined)
                done.append(examined)
            else:
                prepared = prepare(*options, lambda estimate: typer.echo(estimate_line(estimate), err=True))
                lines = prepared_lines(prepared)
                done.append(prepared)
        if not json_:
            typer.echo("\n".join(lines))
    if json_:
        _print_json([plain(one) for one in done])
    if any(one.bad for one in done):
        raise typer.Exit(1)


@app.command()
def tables(
    suite: SuiteArgument,
    set_: SetOption = None,
    only: OnlyOption = None,
    runs: RunsOption = Path("runs"),
    json_: JsonOption = False,
) -> None:
    """Prints the suite's tables and writes them as Markdown, LaTeX and CSV."""
    from rich.console import Console

    from hbi.metrics.registry import columns_of
    from results import cost_tables
    from results.collect import collect
    from results.layout import lay_out
    from results.tables import plain, write_tables
    from results.terminal import terminal

    loaded, wanted = _expand(suite, set_, only)
    records = _records(runs)
    rows = [(run.label, run.run_id) for run in wanted if run.in_tables]
    columns = loaded.metrics or columns_of({run.spec.data.task for run in wanted})
    table = collect(loaded.name, rows, records, columns) if rows else None
    measured = [records[run.run_id] for run in wanted if run.alone and run.run_id in records]
    report = next((record.cost for record in measured if record.cost), None)
    if json_:
        cost = {"cost": report.model_dump(mode="json")} if report else {}
        _print_json((plain(table) if table else {"name": loaded.name}) | cost)
        return
    console = Console()
    shown = [lay_out(table)] if table else []
    shown += cost_tables.layouts(loaded.name, report) if report else []
    width = console.width if console.is_terminal else 120
    for layout in shown:
        typer.echo(terminal(layout, styled=console.is_terminal, width=width))
    written = write_tables(table, runs / "tables") if table else []
    written += cost_tables.write(loaded.name, report, runs / "tables") if report else []
    for path in written:
        typer.echo(f"wrote {path}")
    if not report and any(run.alone for run in wanted):
        typer.echo(_unmeasured(suite, measured), err=True)


def _unmeasured(suite: str, records: list[Record]) -> str:
    """Why there is no table of cost."""
    for record in records:
        if record.failure:
            return f"cost: {record.run_id} has failed ({record.failure.kind}): {record.failure.message}"
    return f"no cost has been measured yet: run_suite.py run {suite} --only cost"


@app.command("evaluate")
def evaluate_(
    file: Annotated[Path, typer.Argument(help="Similarity of captions with videos: npy, or npz with more; see docs.")],
    groups: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="The column of each caption's video (json, csv, npy); default: n for row n."),
    ] = None,
    ties: Annotated[str, typer.Option(help="expected, optimistic or pessimistic rank of what ties.")] = "expected",
    post_processing: Annotated[str, typer.Option(help="none, dsl (dual softmax) or qb-norm (with a bank).")] = "none",
    scale: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Factor on the scores inside the softmax of the post-processing."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Prints the metrics of a saved similarity matrix, for results that come from elsewhere."""
    from results.evaluate import as_table, evaluate
    from results.terminal import terminal

    metrics = evaluate(file, groups, ties, post_processing, scale)
    if json_:
        _print_json({"file": str(file), "ties": ties, "post_processing": post_processing, "metrics": metrics})
    else:
        typer.echo(terminal(as_table(file, metrics, post_processing)), nl=False)


@app.command()
def games(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="A complete run of a variant of hbi, or of estimator.")],
    runs: RunsOption = Path("runs"),
    json_: JsonOption = False,
) -> None:
    """Compares the ways to compute an interaction, on test pairs as the run's trained model sees them."""
    from ablations.game_methods import compare_on
    from ablations.registry import did_you_mean
    from hbi.errors import InputError
    from results.game_methods import game_table
    from results.store import run_folder

    complete = [name for name, record in _records(runs).items() if record.outcome == "complete"]
    if run_id not in complete:
        raise InputError(f"games: no complete run {run_id!r}; {did_you_mean(run_id, complete)}")
    found = list(compare_on(run_folder(runs, run_id), runs / "data", lambda event: None))
    if json_:
        _print_json([asdict(one) for one in found])
    else:
        typer.echo(game_table(found))


def _expand(suite: str, overrides: list[str] | None, only: str | None) -> tuple[Suite, list[Run]]:
    """The suite, and the runs it wants."""
    from suites.expand import expand
    from suites.load import load_suite

    loaded = load_suite(_suite_file(suite), overrides or ())
    return loaded, expand(loaded, only)


def _data(name: str, overrides: list[str] | None, size: int | None) -> list[tuple[DataConfig, int]]:
    """The data set ``name``, or all data of the suite ``name``; each with the side of its frames, in pixels."""
    from hbi.config import SystemConfig, datasets
    from hbi.errors import InputError
    from suites.expand import expand
    from suites.load import suite_on

    if name in datasets():
        return [(expand(suite_on(name, overrides or ()))[0].spec.data, size or 224)]
    found, not_frames = {}, {"max_words", "augmentation", "augment_order"}
    for run in _expand(name, overrides, None)[1]:
        if isinstance(run.spec.model, SystemConfig):
            pixels = size or _image_size(run.spec.model.encoder)
            found[run.spec.data.model_dump_json(exclude=not_frames), pixels] = run.spec.data, pixels
    if not found:
        raise InputError(f"prepare: suite {name} reads no data")
    return list(found.values())


def _image_size(encoder: str) -> int:
    from hbi.models.encoder import encoder_sizes

    return int(encoder_sizes(encoder)["vision_cfg"]["image_size"])


def _suite_file(suite: str) -> Path:
    """A file as it is; a bare name is that of a suite of ours."""
    import suites

    ours = Path(suites.__path__[0], f"{suite}.yaml")
    return ours if Path(suite).name == suite and ours.is_file() and not Path(suite).is_file() else Path(suite)


def _records(runs: Path) -> dict[str, Record]:
    """All readable records; what cannot be read is named and left aside."""
    from results.store import read_all

    records, problems = read_all(runs)
    for problem in problems:
        typer.echo(f"left aside: {problem}", err=True)
    return records


def _steps(suite: str, overrides: list[str] | None, only: str | None, runs: Path) -> tuple[Suite, list[Step]]:
    """The suite, and what it wants against what there is, also on a cluster."""
    from slurm.queue import Unreachable
    from slurm.status import look
    from suites.expand import in_order

    loaded, wanted = _expand(suite, overrides, only)
    wanted, records = in_order(wanted), _records(runs)
    try:
        return loaded, look(wanted, records, runs)
    except Unreachable as error:
        typer.echo(f"SLURM cannot be asked, so what is on the cluster is unknown: {error}", err=True)
        return loaded, look(wanted, records, runs, ask=False)


def _print_steps(steps: list[Step], second: dict[str, str], usage: bool = False) -> None:
    from tabulate import tabulate

    from slurm.usage import HEADINGS, used

    told = {step.run.run_id: used(step) for step in steps} if usage else {}
    shown = [n for n in range(len(HEADINGS)) if any(cells[n] for cells in told.values())]
    rows = [
        (
            *(step.run.label, step.run.spec.seed, second[step.run.run_id]),
            *(told[step.run.run_id][n] for n in shown),
            *(step.why, step.run.run_id),
        )
        for step in steps
    ]
    headings = ["variant", "seed", "", *(HEADINGS[n] for n in shown), "why", "run"]
    typer.echo(tabulate(rows, headings, disable_numparse=True))


def _doing(step: Step) -> str:
    """What `run` does with it."""
    if not step.starts(retry=False):
        return "reuse" if step.state == "complete" else "skip"
    return "wait for" if step.state == "running" or step.queued else "run"


def _plain(step: Step) -> dict[str, Any]:
    return {
        "run": step.run.run_id,
        "label": step.run.label,
        "seed": step.run.spec.seed,
        "state": step.state,
        "why": step.why,
        "starts": step.starts(retry=False),
        "seconds": step.seconds,
        "failure": step.failure,
        "job": asdict(step.job) if step.job else None,
    }


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=1))


def main() -> None:
    """Runs the command line; what the user got wrong is one line a mistake, without a traceback."""
    from hbi.errors import InputError, RunFailure

    try:
        app()
    except (InputError, RunFailure) as error:  # the second: a run that a command builds upon has no usable result
        typer.echo(str(error), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
