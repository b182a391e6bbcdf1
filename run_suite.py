"""The command line of the harness: parses, calls, prints. Everything else is imported when a command needs it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from ablations.explain import Player
    from hbi.config import DataConfig, EvaluationConfig, SystemConfig
    from hbi.data.prepare import Examined, Prepared
    from hbi.metrics.saved import Saved
    from results.compare import Pair, Ran
    from results.layout import Layout
    from results.record import Record
    from results.suite_tables import SuiteTables
    from slurm.plan import Step
    from suites.expand import Run
    from suites.schema import Suite
    from suites.spec import RunSpec


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


class Device(str, Enum):
    """Where a model computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


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
ToOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--to", metavar="FOLDER", help="Where the files are; by default RUNS/tables."),
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
    from results.planning import suite_resolves

    loaded, steps = _steps(suite, set_, only, runs)
    todo = [step for step in steps if step.starts(retry=False)]
    seconds = [step.seconds for step in todo if step.seconds]
    jobs = None
    if cluster:
        from slurm.outlook import outlook
        from slurm.profile import read_profile

        jobs = outlook([step for step in todo if not step.queued], read_profile(cluster), max_parallel)
    resolves = suite_resolves(loaded, runs, only)
    if json_:
        told = {"runs": [_plain(step) for step in steps], "to_do": len(todo), "seconds": sum(seconds)}
        told["resolves"] = asdict(resolves) if resolves else None
        _print_json(told | ({"jobs": asdict(jobs)} if jobs else {}))
        return
    _print_steps(steps, {step.run.run_id: _doing(step) for step in steps})
    estimate = f", about {timedelta(seconds=round(sum(seconds)))} by earlier records" if seconds else ""
    unknown = f" ({len(todo) - len(seconds)} of them never timed)" if seconds and len(seconds) < len(todo) else ""
    typer.echo(f"{len(todo)} of {len(steps)} runs to do{estimate}{unknown}")
    for line in (*(jobs.lines() if jobs else ()), *(resolves.lines() if resolves else ())):
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
    to: ToOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where a file there no longer follows from the records.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Prints the suite's tables and writes them as Markdown, LaTeX, HTML and CSV."""
    from results import suite_tables
    from results.tables import plain, write_files

    found, folder = _tables(suite, set_, only, runs), to or runs / "tables"
    if check:
        differences = suite_tables.check(found, folder)
        typer.echo("\n".join(differences) or f"the tables of {found.name} in {folder} follow from the records")
        if differences:
            raise typer.Exit(1)
        return
    if json_:
        cost = {"cost": found.cost.model_dump(mode="json")} if found.cost else {}
        _print_json((plain(found.table) if found.table else {"name": found.name}) | cost)
        return
    _print_layouts(found.layouts)
    if not found.recorded:
        typer.echo(f"nothing is written: no run of this suite has a record in {runs} yet; `run` makes them", err=True)
        return
    for path in write_files(found.files, folder):
        typer.echo(f"wrote {path}")
    if found.uncosted:
        typer.echo(found.uncosted, err=True)


@app.command()
def why(
    suite: SuiteArgument,
    row: Annotated[str, typer.Argument(help="Label of a row, or its beginning.")],
    metric: Annotated[str, typer.Argument(help="Its column: t2v/R@1; R@1 is that of text to video.")],
    set_: SetOption = None,
    only: OnlyOption = None,
    runs: RunsOption = Path("runs"),
    json_: JsonOption = False,
) -> None:
    """Prints where a cell of the suite's table comes from: runs, seeds, commits, hosts, values, tests, marks."""
    from hbi.errors import InputError
    from results.why import explain, plain

    found = _tables(suite, set_, only, runs)
    if found.table is None:
        raise InputError(f"why: suite {suite} has no table of results; its numbers are those of one measurement")
    if json_:
        _print_json(plain(found.table, row, metric, found.wanted, runs))
    else:
        _print_layouts([explain(found.table, row, metric, found.wanted, runs)])


@app.command()
def compare(
    suite: SuiteArgument,
    a: Annotated[str, typer.Argument(help="A row of the suite, by its label or its beginning; or another suite.")],
    b: Annotated[Optional[str], typer.Argument(help="The row that is held against it.")] = None,  # noqa: UP045
    top: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, metavar="N", help="Queries of each kind that are listed; by default 10, on a page 20."),
    ] = None,
    page: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="FILE", help="Also write those of two rows as HTML, with pictures of what is ranked first."
        ),
    ] = None,
    set_: SetOption = None,
    only: OnlyOption = None,
    runs: RunsOption = Path("runs"),
    other_runs: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FOLDER", help="Where the other suite's runs are; by default as those of the first."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Compares two rows of a suite, or the equally called rows of two suites: tests, and queries that changed most."""
    from hbi.errors import InputError
    from results.compare import Ran, compare_rows, compare_suites
    from results.compare_layouts import layouts, plain

    first = Ran(*_expand(suite, set_, only), runs)
    if b is None and a in {run.label for run in first.wanted}:
        raise InputError(f"compare: {a} is a row of {suite}; name the row that it is compared with, too")
    if b is None and page:
        raise InputError("compare: a page is of two rows of one suite; name them")
    if page and page.is_dir():
        raise InputError(f"compare: {page} is a folder; name a file for the page")
    listed = (20 if page else 10) if top is None else top
    if b is not None:
        found = compare_rows(first, a, b, listed)
    else:
        found = compare_suites(first, Ran(*_expand(a, set_, only), other_runs or runs), listed)
    if page:
        _write_changed(page, first, found.pairs[0])
    if json_:
        _print_json(plain(found))
    else:
        _print_layouts(layouts(found, _width()))
    if page:
        typer.echo(f"wrote {page}", err=json_)


def _write_changed(file: Path, ran: Ran, pair: Pair) -> None:
    """The page of two rows of a suite; weights are evaluated, with torch, only where a run has kept no scores."""
    import shlex
    from datetime import datetime, timezone

    from rich.console import Console

    from hbi.files import write_atomically
    from results.changed_page import changed_page
    from slurm.display import Display

    display = Display(Console(stderr=True), total=0)

    def again(folder: Path, evaluation: EvaluationConfig) -> Saved:
        from ablations.ranking import similarities

        return similarities(folder, evaluation, ran.runs / "data", display.counting)

    made = datetime.now(timezone.utc).isoformat(timespec="seconds")
    command = shlex.join(["run_suite.py", *sys.argv[1:]])
    with display.live():
        text, missing = changed_page(ran, pair, again, display.counting, made, command)
    for line in missing:
        typer.echo(f"page: {line}", err=True)
    write_atomically(file, text)


@app.command("figures")
def figures_(
    suite: SuiteArgument,
    set_: SetOption = None,
    only: OnlyOption = None,
    runs: RunsOption = Path("runs"),
    to: ToOption = None,
) -> None:
    """Draws the suite's figures: swept options, quality against FLOPs, learning curves, growth of costs."""
    from results.figures import figures, save

    loaded, wanted = _expand(suite, set_, only)
    drawn = figures(loaded, wanted, _records(runs))
    for one in drawn:
        typer.echo(f"{one.name}: {one.caption}")
        for path in save(one, to or runs / "tables"):
            typer.echo(f"wrote {path}")
    if not drawn:
        typer.echo("nothing to draw: no complete run of the suite has a learning curve, a swept option or a cost")


@app.command("report")
def report_(
    suite: SuiteArgument,
    set_: SetOption = None,
    only: OnlyOption = None,
    runs: RunsOption = Path("runs"),
    to: ToOption = None,
) -> None:
    """Writes one HTML file with everything about the suite: tables, figures, runs, provenance. It needs no network."""
    from datetime import datetime, timezone

    from ablations.sources import origin
    from results.figures import figures
    from results.report import Page, PlannedRun, report
    from results.suite_tables import suite_tables
    from results.tables import write_files

    loaded, steps = _steps(suite, set_, only, runs)
    records = {step.run.run_id: step.record for step in steps if step.record}
    tables = suite_tables(loaded, runs, only)
    page = Page(
        suite=loaded.name,
        summary=loaded.summary,
        source=_suite_file(suite).read_text(encoding="utf-8"),
        layouts=tables.layouts,
        figures=[(drawn.caption, drawn.svg) for drawn in figures(loaded, tables.wanted, records)],
        runs=[
            PlannedRun(
                step.run.label,
                step.run.spec.seed,
                step.run.run_id,
                step.state,
                step.why,
                failed=step.failure is not None,
                record=step.record,
            )
            for step in steps
        ],
        problems=tables.problems,
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        commit=origin().commit,
        command=" ".join(["run_suite.py", *sys.argv[1:]]),
    )
    for path in write_files({f"{loaded.name}.report.html": report(page)}, to or runs / "tables"):
        typer.echo(f"wrote {path}")


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


@app.command("features")
def features_(
    source: Annotated[
        Path, typer.Argument(metavar="FOLDER|FILE.txt", help="A folder of videos and images; or captions, one a line.")
    ],
    into: Annotated[
        Path, typer.Argument(metavar="OUT.npy", help="The array, a row each; OUT.tsv and OUT.json come beside it.")
    ],
    run_id: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="RUN", help="A complete run: its weights, its sampling of frames."),
    ] = None,
    variant: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Instead of a run: the variant that --weights are of."),
    ] = None,
    weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Weights of a published checkpoint, or a run's model.safetensors."),
    ] = None,
    set_: SetOption = None,
    frames: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, metavar="N", help="Frames of a video; by default as the run, or data.max_frames."),
    ] = None,
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one.")] = Device.auto,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, metavar="N", help="Processes that decode; by default one a core."),
    ] = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Writes the features of a folder of videos, or of captions: one array, an index, and what made them."""
    from datetime import datetime, timezone

    from rich.console import Console

    from hbi.errors import InputError
    from hbi.files import sha256

    if (run_id is None) != (variant is not None and weights is not None) or (run_id and (variant or weights or set_)):
        raise InputError("features: name a run; or give --variant and --weights, and with these --set")

    from ablations.extract import extract  # here, because they import torch
    from ablations.preflight import check_fit
    from ablations.trained import given
    from hbi.data.prepare import available_cores
    from slurm.display import Display

    spec = _spec_of_run(run_id, runs) if run_id else _spec_of_weights(Path(weights or ""), variant or "", set_)
    spec = spec.model_copy(update={"runtime": spec.runtime.model_copy(update={"device": device.value})})
    if frames:
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"max_frames": frames})})
    check_fit(spec, None)
    model = given(spec)
    made = {
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join(["run_suite.py", *sys.argv[1:]]),
        "run": run_id,
        "variant": spec.variant,
        "model": spec.model.model_dump(mode="json"),
        "weights": spec.checkpoint,
        "weights_sha256": sha256(Path(spec.checkpoint or "")),
    }
    display = Display(Console(stderr=True), total=0)
    with display.live():
        done = extract(
            source,
            into,
            model,
            spec.data,
            spec.training.precision,
            device.value,
            workers or available_cores(),
            made,
            display.counting,
        )
    for suffix in (".npy", ".tsv", ".json"):
        typer.echo(f"wrote {into.with_suffix(suffix)}")
    typer.echo(f"{done.rows} vectors of {done.width} features")
    for reason in done.left_out.values():
        typer.echo(f"left out: {reason}", err=True)
    if done.left_out:
        raise typer.Exit(1)


def _spec_of_run(run_id: str, runs: Path) -> RunSpec:
    """Of a complete run, with the weights that it has left as those that are given."""
    from ablations.registry import did_you_mean
    from ablations.trained import finished, weights_of
    from hbi.config import SystemConfig
    from hbi.errors import InputError
    from results.store import run_folder

    complete = [name for name, record in _records(runs).items() if record.outcome == "complete"]
    if run_id not in complete:
        raise InputError(f"features: no complete run {run_id!r}; {did_you_mean(run_id, complete)}")
    folder = run_folder(runs, run_id)
    spec = finished(folder).spec
    if not isinstance(spec.model, SystemConfig):
        raise InputError(f"features: {run_id} is no retrieval system but {spec.model.system}")
    return spec.model_copy(update={"checkpoint": str(weights_of(folder))})


@app.command("explain")
def explain_(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id or folder, or a file of weights.")],
    query: Annotated[
        str, typer.Option(metavar="TEXT|NUMBER", help="A sentence, or a query of the test split, from 0.")
    ],
    video: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="FILE|ID", help="A video file, or a video of the test split; by default the query's own."),
    ] = None,
    index: Annotated[str, typer.Option(help="banzhaf or shapley; the page has both.")] = "banzhaf",
    method: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="exact, sampled, released or estimated; given twice: also their difference."),
    ] = None,
    against: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="RUN", help="Another run or file of weights, for the difference to it."),
    ] = None,
    variant: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Of a file of weights that has no record beside it; by default hbi."),
    ] = None,
    set_: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of such weights: --set model.encoder=tiny."),
    ] = None,
    runs: RunsOption = Path("runs"),
    to: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--to", metavar="FOLDER", help="Where the files go; by default RUNS/explain."),
    ] = None,
) -> None:
    """Shows which words play with which frames: a figure, a page to explore, and the numbers of one pair."""
    from datetime import datetime, timezone

    from ablations.explain import chosen_index, chosen_methods, explained, pair_of, same_tokens
    from ablations.sources import origin
    from hbi.errors import InputError
    from results.explain_page import Explained, summary, write

    wanted, names = chosen_index(index), [run, *([against] if against else [])]
    players = [_player(name, variant, set_, runs) for name in names]
    if (variant or set_) and not any(Path(name).is_file() for name in names):
        told = " and ".join(f"{name} is a run" for name in names)
        raise InputError(f"explain: {told}, which has its own settings; --variant and --set are for weights")
    if len({player.name for player in players}) < len(players):
        raise InputError(f"explain: --against {against} is {run} itself; name another run")
    methods = chosen_methods(players, wanted, method or ["exact"])
    pair = pair_of(players[0], query, video, runs / "data")
    found = [(player.name, explained(player, pair)) for player in players]
    same_tokens(found)
    page = Explained(
        video=pair.video.id,
        number=pair.number,
        runs=found,
        index=wanted,
        methods=methods,
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        commit=origin().commit,
        command=" ".join(["run_suite.py", *map(shlex.quote, sys.argv[1:])]),
    )
    for line in summary(page):
        typer.echo(line)
    for path in write(page, to or runs / "explain"):
        typer.echo(f"wrote {path}")


def _player(name: str, variant: str | None, overrides: list[str] | None, runs: Path) -> Player:
    """The trained model of a run, by its id, its folder or its weights; or of other weights, or where there are
    settings of any file, with these. Raises InputError where there is none."""
    from ablations.explain import of_run, of_weights
    from ablations.registry import did_you_mean
    from ablations.trained import given
    from hbi.errors import InputError
    from results.store import RECORD, WEIGHTS, run_folder

    file = Path(name)
    complete = [run_id for run_id, record in _records(runs).items() if record.outcome == "complete"]
    folder = run_folder(runs, name) if name in complete else file.parent if file.name == WEIGHTS else file
    if (folder / RECORD).is_file() and not (file.is_file() and (variant or overrides)):
        return of_run(folder)
    if file.is_file():
        spec = _spec_of_weights(file, variant or "hbi", overrides)
        return of_weights(f"{spec.variant}, {file}", given(spec), spec.data, spec.seed, spec.runtime.device)
    near = did_you_mean(name, complete) if complete else f"no run is complete in {runs}"
    raise InputError(f"explain: {name!r} is no complete run and no file of weights; {near}")


def _spec_of_weights(file: Path, variant: str, overrides: list[str] | None) -> RunSpec:
    """Of ``variant`` with the weights in ``file``; words and frames as of MSR-VTT, if nothing else is set."""
    import json

    from ablations.preflight import check_fit
    from ablations.registry import get
    from hbi.errors import InputError
    from suites.expand import expand
    from suites.load import suite_on

    given = [f"variants=[{get(variant).name}]", f"checkpoint={json.dumps(str(file))}", *(overrides or ())]
    wanted = expand(suite_on("msrvtt", given))
    if len(wanted) != 1:
        raise InputError(f"--set asks for {len(wanted)} models; weights are those of one")
    check_fit(wanted[0].spec, None)
    return wanted[0].spec


def _tables(suite: str, overrides: list[str] | None, only: str | None, runs: Path) -> SuiteTables:
    """The suite's tables; records that cannot be read are named and left aside."""
    from results.suite_tables import suite_tables

    found = suite_tables(_loaded(suite, overrides), runs, only)
    for problem in found.problems:
        typer.echo(f"left aside: {problem}", err=True)
    return found


def _expand(suite: str, overrides: list[str] | None, only: str | None) -> tuple[Suite, list[Run]]:
    """The suite, and the runs it wants."""
    from suites.expand import expand

    loaded = _loaded(suite, overrides)
    return loaded, expand(loaded, only)


def _loaded(suite: str, overrides: list[str] | None) -> Suite:
    from suites.load import load_suite

    return load_suite(_suite_file(suite), overrides or ())


def _data(name: str, overrides: list[str] | None, size: int | None) -> list[tuple[DataConfig, int]]:
    """The data set ``name``, or all data of the suite ``name``; each with the side of its frames, in pixels."""
    from hbi.config import SystemConfig, datasets
    from hbi.errors import InputError
    from suites.expand import expand
    from suites.load import suite_on

    if name in datasets():
        return [(expand(suite_on(name, overrides or ()))[0].spec.data, size or 224)]
    found, not_frames = {}, {"max_words", "augmentation", "augment_order", "training_frames"}
    for run in _expand(name, overrides, None)[1]:
        if isinstance(run.spec.model, SystemConfig):
            pixels = size or _image_size(run.spec.model)
            found[run.spec.data.model_dump_json(exclude=not_frames), pixels] = run.spec.data, pixels
    if not found:
        raise InputError(f"prepare: suite {name} reads no data")
    return list(found.values())


def _image_size(model: SystemConfig) -> int:
    from hbi.config import ClipSystemConfig, TwoTowerConfig
    from hbi.models.encoder import encoder_sizes
    from hbi.models.towers.sizes import read_sizes

    if isinstance(model, TwoTowerConfig):
        return read_sizes(model.towers).video.image_size
    assert isinstance(model, ClipSystemConfig)
    return int(encoder_sizes(model.encoder)["vision_cfg"]["image_size"])


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


def _print_layouts(layouts: Sequence[Layout]) -> None:
    from rich.console import Console

    from results.terminal import terminal

    styled = Console().is_terminal
    for layout in layouts:
        typer.echo(terminal(layout, styled=styled, width=_width()))


def _width() -> int:
    """Of the terminal, in columns."""
    from rich.console import Console

    console = Console()
    return console.width if console.is_terminal else 120


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
    except OSError as error:
        if error.filename is None:
            raise
        name = str(error.filename)  # a path that was given, or one made of it
        typer.echo(f"{name if len(name) < 200 else f'{name[:200]}…'}: {error.strerror}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
