"""The command line of the harness: parses, calls, prints. Everything else is imported when a command needs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from results.record import Record
    from slurm.display import Display
    from slurm.plan import Step
    from suites.expand import Run
    from suites.schema import Suite

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Ablation suites of Hierarchical Banzhaf Interaction and its peers: run them, follow them, print their tables.",
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
RunsOption = Annotated[Path, typer.Option(metavar="FOLDER", help="Where runs leave their records.")]


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="variants, suites, datasets, encoders or metrics")],
) -> None:
    """Prints what there is, each with its meaning in a line."""
    from results.listing import listing

    for line in listing(what):
        typer.echo(line)


@app.command()
def run(
    suite: SuiteArgument,
    set_: SetOption = None,
    only: OnlyOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Runs what the suite wants and no record holds yet; the same command goes on after any interruption."""
    from rich.console import Console

    from results.mlflow_mirror import MirrorError, mirror
    from slurm.display import Display

    loaded, wanted = _expand(suite, set_, only)
    steps = _plan(wanted, runs)
    pending = [step.run for step in steps if step.runs_now]
    skipped = [step for step in steps if step.state == "failed" and not step.runs_now]
    typer.echo(
        f"suite {loaded.name}: {len(steps)} runs, {len(pending)} to do, "
        f"{sum(step.state == 'complete' for step in steps)} reused from {runs}"
    )
    for step in skipped:
        typer.echo(f"skipped, for it would fail again: {step.run.run_id}: {step.why} (delete its folder to repeat it)")
    stopped = bool(pending) and not _run_pending(pending, runs, Display(Console(), len(pending)))

    records = _records(runs)
    own = [records[run.run_id] for run in wanted if run.run_id in records]
    try:
        mirror(own, loaded.name, runs, os.environ.get("MLFLOW_TRACKING_URI"))
    except MirrorError as error:
        typer.echo(f"MLflow: {error}", err=True)
    missing = len(wanted) - sum(record.outcome == "complete" for record in own)
    if stopped:
        typer.echo("stopped; the same command goes on from here", err=True)
    elif missing:
        typer.echo(f"{missing} of {len(wanted)} runs have no result; see: run_suite.py status {suite}", err=True)
    if missing:
        raise typer.Exit(1)


@app.command()
def status(
    suite: SuiteArgument, set_: SetOption = None, only: OnlyOption = None, runs: RunsOption = Path("runs")
) -> None:
    """Prints the state of every run the suite wants."""
    from tabulate import tabulate

    _, wanted = _expand(suite, set_, only)
    steps = _plan(wanted, runs)
    rows = [(step.run.label, step.run.spec.seed, step.state, step.why, step.run.run_id) for step in steps]
    typer.echo(tabulate(rows, ["variant", "seed", "state", "", "run"], disable_numparse=True))
    if any(step.state == "failed" for step in steps):
        raise typer.Exit(1)


@app.command()
def tables(
    suite: SuiteArgument, set_: SetOption = None, only: OnlyOption = None, runs: RunsOption = Path("runs")
) -> None:
    """Prints the suite's table and writes it as Markdown, LaTeX and CSV."""
    from rich.console import Console

    from results.collect import collect
    from results.tables import write_tables
    from results.terminal import terminal

    loaded, wanted = _expand(suite, set_, only)
    table = collect(loaded.name, [(run.label, run.run_id) for run in wanted], _records(runs))
    console = Console()
    typer.echo(terminal(table, styled=console.is_terminal, width=console.width if console.is_terminal else 120))
    for path in write_tables(table, runs / "tables"):
        typer.echo(f"wrote {path}")


def _expand(suite: str, overrides: list[str] | None, only: str | None) -> tuple[Suite, list[Run]]:
    """The suite, and the runs it wants."""
    from suites.expand import expand
    from suites.load import load_suite

    loaded = load_suite(_suite_file(suite), overrides or ())
    return loaded, expand(loaded, only)


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


def _plan(wanted: list[Run], runs: Path) -> list[Step]:
    from slurm.plan import plan

    return plan(wanted, _records(runs))


def _run_pending(pending: list[Run], runs: Path, display: Display) -> bool:
    """Checks all that the runs need, then runs them here; False when a signal ended it before the last."""
    from ablations.preflight import check
    from slurm.inline import run_inline

    with display.live():
        check([run.spec for run in pending], runs / "data", display.checking)
        return run_inline(pending, runs, display)


def main() -> None:
    """Runs the command line; what the user got wrong is one line a mistake, without a traceback."""
    from hbi.errors import InputError

    try:
        app()
    except InputError as error:
        typer.echo(str(error), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
