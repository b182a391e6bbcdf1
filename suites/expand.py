"""Suite → runs: every variant at every point of the grid that concerns it, with every seed."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from hbi.config import Config
from hbi.errors import InputError
from suites.grid import Point, count, excluded, points, short_names, suffix
from suites.identity import run_id
from suites.places import Mistake, report
from suites.resolve import Settings, fixed_settings, open_options, reminder, sections_at
from suites.schema import Suite, VariantEntry
from suites.spec import RunSpec

MAX_RUNS = 100_000


@dataclass(frozen=True)
class Run:
    """A run and the row of the tables it belongs to; under two labels the same run is executed once."""

    label: str
    run_id: str
    spec: RunSpec


def expand(suite: Suite, only: str | None = None) -> list[Run]:
    """All runs of ``suite``, or those whose label matches the pattern ``only`` (as in a shell) or whose id it is.

    Raises one InputError with everything that is wrong in any of them.
    """
    asked = count(suite) * sum(len(entry.seeds or suite.seeds) for entry in suite.variants)
    if asked > MAX_RUNS:
        raise report([Mistake(suite._document.place(()), f"{asked} runs are asked for; the most is {MAX_RUNS}")])
    runs: dict[tuple[str, str], Run] = {}
    rows: dict[str, dict[str, Config]] = {}
    applied: set[str] = set()
    mistakes: list[Mistake] = []
    for index, entry in enumerate(suite.variants):
        place = suite._document.place(("variants", index))
        fixed = fixed_settings(entry)
        built: dict[str, Config] = {}
        for label, point in _points(suite, entry, fixed).items():
            applied |= set(point)
            try:
                sections = sections_at(suite, fixed, point, built)
            except ValueError as error:
                mistakes.append(Mistake(place, f"{label}: {error}{reminder(entry)}"))
                continue
            if rows.setdefault(label, sections) != sections:
                mistakes.append(
                    Mistake(place, f"{label}: other settings have this label already; give this one a label")
                )
            for seed in entry.seeds or suite.seeds:
                spec = RunSpec.model_validate({"variant": entry.name, "seed": seed, **sections})
                if not (suite.exclude and excluded(suite, spec.model_dump(mode="json"))):
                    run = Run(label, run_id(spec), spec)
                    runs.setdefault((label, run.run_id), run)
    mistakes += _without_effect(suite, applied)
    if not runs and not mistakes:
        mistakes.append(Mistake(suite._document.place(("exclude",)), "every run is excluded"))
    if mistakes:
        raise report(mistakes)
    return _chosen(list(runs.values()), only)


def _points(suite: Suite, entry: VariantEntry, fixed: Settings) -> dict[str, Point]:
    """The grid's points by label, each cut down to the options that this variant leaves open."""
    names, options = short_names(suite), open_options(suite, fixed)
    cut = ({option: point[option] for option in options} for point in points(suite))
    return {(entry.label or entry.name) + suffix(point, names): point for point in cut}


def _without_effect(suite: Suite, applied: set[str]) -> list[Mistake]:
    return [
        Mistake(suite._document.place((kind, option), of_key=True), f"{option} is open in no variant of this suite")
        for kind, options in (("grid", suite.grid), ("zip", suite.zip))
        for option in options
        if option not in applied
    ]


def _chosen(runs: list[Run], only: str | None) -> list[Run]:
    if only is None:
        return runs
    chosen = [run for run in runs if only in (run.label, run.run_id) or fnmatchcase(run.label, only)]
    if not chosen:
        labels = dict.fromkeys(run.label for run in runs)
        raise InputError(f"--only {only}: no run is called so; there are: {', '.join(labels)}")
    return chosen
