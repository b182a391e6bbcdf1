"""Suite → runs: every variant at every point of the grid that concerns it, with every seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from ablations import registry
from ablations.registry import did_you_mean
from hbi.config import Config, CostConfig, DataConfig, ModelConfig, SystemConfig, TrainingConfig, datasets
from hbi.errors import InputError
from suites.cost import VARIANT, cost_spec
from suites.given import NoFile, checkpoint_of, digests, options_of, seeds_of
from suites.grid import Point, count, excluded, points, short_names, suffix
from suites.identity import run_id
from suites.places import Mistake, Path, Place, report
from suites.resolve import Settings, fixed_settings, reminder, sections_at
from suites.resources import Resources
from suites.schema import Cost, Suite, VariantEntry
from suites.spec import RunSpec

MAX_RUNS = 100_000


@dataclass(frozen=True)
class Run:
    """A run and the row of the tables it belongs to; under two labels the same run is executed once."""

    label: str
    run_id: str
    spec: RunSpec
    needed: "Run | None" = None
    """The run whose trained model this one starts from, or evaluates."""
    resources: Resources = field(default_factory=Resources)
    """What it asks of a cluster."""

    @property
    def in_tables(self) -> bool:
        """Whether it is a row of the tables; a run that only prepares another is none, nor is one that measures."""
        return isinstance(self.spec.model, SystemConfig)

    @property
    def alone(self) -> bool:
        """Whether other work on the machine would spoil what it finds: it measures times."""
        return isinstance(self.spec.model, CostConfig)


def in_order(runs: Sequence[Run]) -> list[Run]:
    """``runs``, each behind the run it needs; what is needed and not among them is added."""
    asked = {run.run_id: run for run in reversed(runs)}
    ordered: dict[tuple[str, str], Run] = {}

    def add(run: Run) -> None:
        if run.needed:
            add(asked.get(run.needed.run_id, run.needed))
        ordered.setdefault((run.label, run.run_id), run)

    for run in runs:
        add(run)
    return list(ordered.values())


def expand(suite: Suite, only: str | None = None) -> list[Run]:
    """All runs of ``suite``, or those whose label matches the pattern ``only`` (as in a shell) or whose id it is.

    Raises one InputError with everything that is wrong in any of them.
    """
    asked = count(suite) * sum(len(entry.seeds or suite.seeds) for entry in suite.variants)
    if asked > MAX_RUNS:
        raise report([Mistake(suite._document.place(()), f"{asked} runs are asked for; the most is {MAX_RUNS}")])
    runs: dict[tuple[str, str], Run] = {}
    rows: dict[str, object] = {}
    applied: set[str] = set()
    mistakes: list[Mistake] = []
    idle: dict[tuple[Place, str, str], list[str]] = {}
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
            data, model = sections["data"], sections["model"]
            assert isinstance(data, DataConfig)
            if isinstance(model, SystemConfig) and model.task != data.task:
                where = _place_of(suite, index, "data")
                idle.setdefault((where, data.name, model.task), []).append(entry.name)
                continue
            row = sections, checkpoint_of(suite, entry)
            if rows.setdefault(label, row) != row:
                mistakes.append(
                    Mistake(place, f"{label}: other settings have this label already; give this one a label")
                )
            for seed in seeds_of(suite, entry)[: 1 if _evaluates_given(sections) else None]:
                try:
                    run = _run(suite, entry, label, seed, sections, point)
                except NoFile as error:
                    mistakes.append(Mistake(_place_of(suite, index, error.option), str(error)))
                    break
                except (ValueError, InputError) as error:
                    mistakes.append(Mistake(place, f"{label}: {error}"))
                    break
                if not (suite.exclude and excluded(suite, run.spec.model_dump(mode="json"))):
                    runs.setdefault((label, run.run_id), run)
    mistakes += [_nothing_to_do(*where, variants) for where, variants in idle.items()]
    mistakes += _without_effect(suite, applied)
    if not runs and not mistakes:
        mistakes.append(Mistake(suite._document.place(("exclude",)), "every run is excluded"))
    if mistakes:
        raise report(mistakes)
    found = list(runs.values())
    if suite.baseline:
        baseline_of(suite, [run.label for run in found if run.in_tables])
    if suite.cost:
        measuring = _cost_run(suite, suite.cost, found)
        found = [measuring] if suite.cost.alone else [*found, measuring]
    return chosen(found if "weights" in suite.keep else _with_needed_weights(found), only)


def _evaluates_given(sections: Mapping[str, Config]) -> bool:
    """Whether a run evaluates weights that are given, untrained: with every seed it is the same."""
    model, training = sections["model"], sections["training"]
    assert isinstance(training, TrainingConfig)
    return not training.epochs and isinstance(model, SystemConfig) and model.starts_whole


def baseline_of(suite: Suite, labels: Sequence[str]) -> str:
    """The row that tables compare the others with, of the suite's ``labels``: all of them, whatever --only says.

    Raises InputError where the suite names one that is none of them.
    """
    if suite.baseline is None:
        return labels[0]
    if suite.baseline not in labels:
        wrong = f"baseline: no row is called {suite.baseline!r}; {did_you_mean(suite.baseline, labels)}"
        raise report([Mistake(suite._document.place(("baseline",)), wrong)])
    return suite.baseline


def _cost_run(suite: Suite, cost: Cost, runs: Sequence[Run]) -> Run:
    """The run that measures what the rows of ``runs`` cost. Raises InputError where there is none or a file is gone."""
    rows: dict[str, RunSpec] = {}
    for run in runs:
        if run.in_tables:
            rows.setdefault(run.label, run.spec)
    place = suite._document.place(("cost",))
    if VARIANT in rows:
        raise report([Mistake(place, f"a row is called {VARIANT}, as the run that measures; give it another label")])
    if not rows:
        raise report([Mistake(place, "no variant of this suite is a system whose cost could be measured")])
    try:
        spec = cost_spec(cost, rows)
    except (ValueError, NoFile) as error:
        raise report([Mistake(place, str(error))]) from None
    return Run(VARIANT, run_id(spec), spec, resources=suite.resources.model_copy(update={"nodes": None}))


def _run(
    suite: Suite,
    entry: VariantEntry,
    label: str,
    seed: int,
    sections: Mapping[str, Config],
    point: Point,
    waiting: tuple[str, ...] = (),
) -> Run:
    """The run with these settings, and the one it needs: on the same data with the same seed, everything else as the
    suite says it for that variant; or, where it post-processes scores, the one that does not. Raises ValueError or
    InputError where that cannot be."""
    model, data = sections["model"], sections["data"]
    assert isinstance(model, ModelConfig)
    assert isinstance(data, DataConfig)
    plain = _unprocessed(sections)
    if not isinstance(model, SystemConfig):  # it has no scores
        sections = plain
    elif sections != plain and model.task != "retrieval":
        raise ValueError(f"evaluation.post_processing: {entry.name} answers questions, so it has no scores to process")
    checkpoint = checkpoint_of(suite, entry)
    if checkpoint:
        seed = seeds_of(suite, entry)[0]
    if checkpoint and not isinstance(model, SystemConfig):
        raise ValueError(f"checkpoint: {model.system} is no retrieval system; there is nothing to evaluate")
    needed = None
    if sections != plain and not checkpoint:
        needed = _run(suite, entry, f"{entry.name} post_processing=none", seed, plain, point, waiting)
    elif model.needs and not checkpoint:
        if model.needs in waiting:
            raise ValueError(f"{' needs '.join([*waiting, model.needs])}: one of them has to come first")
        entries = [other for other in suite.variants if model.needs in (other.label, other.name)]
        other = entries[0] if entries else VariantEntry(name=registry.get(model.needs).name)
        fixed = fixed_settings(other) | {"data": data.model_dump()}
        cut = {option: point[option] for option in options_of(suite, other, fixed) if option in point}
        theirs = sections_at(suite, fixed, cut, {})
        needed = _run(suite, other, model.needs, seed, _unprocessed(theirs), point, (*waiting, model.needs))
    own = {
        "variant": entry.name,
        "seed": seed,
        "after": needed.run_id if needed else None,
        "checkpoint": checkpoint,
        "files": digests(model, data, checkpoint),
        "keep": suite.keep,
    }
    spec = RunSpec.model_validate({**own, **sections})
    asked = {**suite.resources.model_dump(exclude_unset=True), **entry.resources.model_dump(exclude_unset=True)}
    return Run(label, run_id(spec), spec, needed, Resources(**asked))


def _unprocessed(sections: Mapping[str, Config]) -> Mapping[str, Config]:
    """``sections`` without any post-processing."""
    return {**sections, "evaluation": sections["evaluation"].model_copy(update={"post_processing": "none"})}


def _with_needed_weights(runs: list[Run]) -> list[Run]:
    """``runs``, where those that others need keep their weights whatever the suite says."""
    needed: set[str] = set()

    def kept(run: Run) -> Run:
        before = kept(run.needed) if run.needed else None
        if run.run_id in needed:
            run = replace(run, spec=run.spec.model_copy(update={"keep": (*run.spec.keep, "weights")}))
        return replace(run, needed=before) if before else run

    for run in runs:
        while run.needed:
            run = run.needed
            needed.add(run.run_id)
    return [kept(run) for run in runs]


def _nothing_to_do(place: Place, data: str, task: str, variants: Sequence[str]) -> Mistake:
    """That ``variants`` have another ``task`` than the data set they are on."""
    fitting = [name for name, config in datasets().items() if config.task == task]
    (nearest,) = get_close_matches(data, fitting, n=1, cutoff=0)
    thing, use = {"qa": ("questions", "answer"), "retrieval": ("captions", "rank")}[task]
    told = ", ".join(dict.fromkeys(variants))
    return Mistake(place, f"data set {data} has no {thing} for {told} to {use}; take {nearest}")


def _place_of(suite: Suite, index: int, option: str) -> Place:
    """Where the variant entry ``index``, or else the suite, sets ``option``."""
    path: Path = tuple(option.split("."))
    own = ("variants", index, *path)
    return suite._document.place(own if own in suite._document.places else path)


def _points(suite: Suite, entry: VariantEntry, fixed: Settings) -> dict[str, Point]:
    """The grid's points by label, each cut down to the options that this variant leaves open."""
    names, options = short_names(suite), options_of(suite, entry, fixed)
    cut = ({option: point[option] for option in options} for point in points(suite))
    return {(entry.label or entry.name) + suffix(point, names): point for point in cut}


def _without_effect(suite: Suite, applied: set[str]) -> list[Mistake]:
    return [
        Mistake(suite._document.place((kind, option), of_key=True), f"{option} is open in no variant of this suite")
        for kind, options in (("grid", suite.grid), ("zip", suite.zip))
        for option in options
        if option not in applied
    ]


def chosen(runs: list[Run], only: str | None) -> list[Run]:
    """Those whose label matches ``only``, or whose id it is; all where it is None. Raises InputError where none is."""
    if only is None:
        return runs
    found = [run for run in runs if only in (run.label, run.run_id) or fnmatchcase(run.label, only)]
    if not found:
        labels = dict.fromkeys(run.label for run in runs)
        raise InputError(f"--only {only}: no run is called so; there are: {', '.join(labels)}")
    return found
