"""Suite: what a suite file says, typed. The options inside its sections are those of hbi.config (see sections.py)."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, WithJsonSchema, model_validator

from ablations import registry
from ablations.registry import did_you_mean
from hbi.config import Config, CostOptions
from hbi.errors import InputError
from hbi.metrics.registry import known_metrics
from suites.places import Document
from suites.resources import Resources, Retries
from suites.spec import Kept

Section = dict[str, Any]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a label is one line of printable text")
    return text


def _registered(name: str) -> str:
    try:
        return registry.get(name).name
    except InputError as error:
        raise ValueError(str(error)) from None


def _known_metric(name: str) -> str:
    known = known_metrics()
    if name not in known:
        raise ValueError(f"unknown metric {name!r}; {did_you_mean(name, known)}")
    return name


def _counted(value: Any) -> Any:
    """A count stands for 0, 1, 2 ..."""
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if not 1 <= value <= 10_000:
        raise ValueError("a number of seeds is between 1 and 10000")
    return tuple(range(value))


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
Label = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=2**32)], ...],
    Field(min_length=1),
    BeforeValidator(_counted),
    WithJsonSchema({"type": ["integer", "array"], "minimum": 1, "items": {"type": "integer", "minimum": 0}}),
]
Values = Annotated[list[Any], Field(min_length=1)]


class Options(Config):
    """Options by section."""

    data: Section = Field({}, description="Options of the data set.")
    model: Section = Field({}, description="Options of the model; a variant takes those its system knows.")
    training: Section = Field({}, description="Options of the training.")
    evaluation: Section = Field({}, description="Options of the evaluation.")
    runtime: Section = Field({}, description="Where and with what a run computes.")

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, value: Any) -> Any:
        """A key with nothing behind it (``training:``) is a key left out."""
        return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


class Recipe(Options):
    """Options that the runs on one data set have, where nothing else in the suite says otherwise."""

    systems: dict[str, Options] = Field(
        {},
        description="System: what its authors set otherwise on this data set; taken where the suite has `recipe: own`.",
    )


class _Sections(Options):
    data: Section = Field({}, description="Data set: a name, or a mapping with its name and options.")
    checkpoint: str | None = Field(
        None, description="File of weights that are evaluated as they are, without training (safetensors, state dict)."
    )
    resources: Resources = Field(Resources(), description="What a run asks of a cluster; no part of its id.")


class VariantEntry(_Sections):
    """One item of a suite's variants. Its sections override everything else for this variant."""

    name: Annotated[str, AfterValidator(_registered)] = Field(description="Name of a registered variant.")
    label: Label | None = Field(None, description="Name of its rows in tables; default: the variant's name.")
    seeds: Seeds | None = Field(None, description="Its own seeds; default: those of the suite.")


class Cost(CostOptions):
    """What the suite's rows cost: parameters, FLOPs, latency, memory. All rows are measured in one run of its own. No
    result depends on it, so it is in no other run's id."""

    words: int | None = Field(None, ge=1, description="Tokens of each caption; default: data.max_words of the row.")
    frames: int | None = Field(None, ge=1, description="Frames of each video; default: data.max_frames of the row.")
    batch: int | None = Field(
        None, ge=2, description="Pairs of a training step; default: training.batch_size of the row."
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="Of the encoder's arithmetic (autocast); default: training.precision, where rows agree."
    )
    alone: bool = Field(False, description="The suite measures, and trains nothing.")


class Suite(_Sections):
    """The runs of one comparison: variants × grid × zip × seeds, without what is excluded."""

    name: Name = Field(description="Name of the suite; default: the file's name.")
    summary: str = Field("", description="What the suite shows, in a sentence.")
    include: list[str] = Field([], description="Files, relative to this one, whose keys are this suite's defaults.")
    recipes: dict[str, Recipe] = Field(
        {},
        description="Data set: {data: ..., model: ..., training: ..., evaluation: ..., runtime: ...}, options of the "
        "runs on it; all else in the suite goes over them.",
    )
    recipe: Literal["same", "own"] = Field(
        "same",
        description="same: all systems are trained alike on a data set; own: each as its authors did, where a recipe "
        "says how (recipes.DATASET.systems).",
    )
    seeds: Seeds = Field((0,), description="A list, or how many: 3 stands for 0, 1, 2.")
    variants: Annotated[list[VariantEntry], Field(min_length=1)] = Field(
        description="Items: a name, {name: ..., options}, or {NAME: {options}}."
    )
    grid: dict[str, Values] = Field({}, description="Dotted option: list of values; every combination is run.")
    zip: dict[str, Values] = Field({}, description="Dotted option: list of values; lists advance together.")
    exclude: list[dict[str, Any]] = Field(
        [], description="Runs left out: those in which all of an item's dotted options (or variant, seed) match."
    )

    metrics: Annotated[tuple[Annotated[str, AfterValidator(_known_metric)], ...], Field(min_length=1)] | None = Field(
        None,
        description="Columns of the tables, in order (`run_suite.py list metrics`); default: R@1, R@5, R@10, MdR and "
        "MnR of both directions, or the accuracies where the data are questions.",
    )
    baseline: Label | None = Field(
        None, description="Label of the row that tables compare the others with; default: the first row."
    )
    published: tuple[Label, ...] = Field(
        (),
        description="Labels of published rows that stand under the tables, of results/published/DATASET.yaml.",
    )
    cost: Cost | None = Field(
        None, description="What is measured of the rows' cost; `{}` is all by default; none: nothing."
    )
    retries: Retries = Field(Retries(), description="How often runs that end badly on a cluster are tried again.")
    keep: tuple[Kept, ...] = Field(
        ("weights",),
        description="What stays of a complete run beside its record, ranks and log: weights (model.safetensors), "
        "similarity (similarity.npz, which `evaluate` reads; of retrieval alone).",
    )

    _document: Document = PrivateAttr(default_factory=Document)
    _overrides: tuple[str, ...] = PrivateAttr(())
    """The --set arguments that changed it, as they were given."""
