"""Figures that papers have published, each with its source and status, from results/published/*.yaml."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

import results
from ablations.registry import did_you_mean
from hbi.config import Config
from hbi.metrics.registry import COLUMNS, OURS
from suites.places import Mistake, report
from suites.places import Path as Key
from suites.source import read

FOLDER = Path(results.__path__[0], "published")
HEADS = FOLDER / "flops.yaml"
REPRODUCTIONS = FOLDER / "reproductions.yaml"
SLOTS = FOLDER / "hbi_ablations.yaml"

_KIND = "file of figures"

CAPTIONING = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr")
"""The metrics of ``captions``, times 100; no run here has them."""


def _as_many(names: Sequence[str]) -> BeforeValidator:
    """A list of a value for each of ``names``: a column that is left out would shift the others."""

    def check(value: Any, field: ValidationInfo) -> Any:
        if isinstance(value, list) and len(value) != len(names):
            raise ValueError(f"{field.field_name} has {len(value)} values, not {len(names)}: {', '.join(names)}")
        return value

    return BeforeValidator(check)


def _known_metric(name: str) -> str:
    if name not in OURS:
        raise ValueError(f"unknown metric {name!r}; {did_you_mean(name, OURS)}")
    return name


Text = Annotated[str, Field(min_length=1)]
Score = Annotated[float, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=100)]
Rank = Annotated[float, Field(ge=1)]
Retrieval = Annotated[
    tuple[Percent | None, Percent | None, Percent | None, Rank | None, Rank | None],
    _as_many(("R@1", "R@5", "R@10", "MdR", "MnR")),
]
"""As papers print a row; None where they print no value."""


# ---- results of systems ---------------------------------------------------------------------------------------------


class PublishedRow(Config):
    """One system on one data set, as its sources print it."""

    system: Text
    setting: str = Field("", description="Which of the system's models, as its source calls it.")
    run_by: str = Field("", description="The paper that ran the system, where that is not its own.")
    backbone: Literal["CLIP ViT-B/32", "CLIP ViT-B/16", "ViT-B/16"] | None = Field(description="None: not stated.")
    training: Literal["fine-tuned", "zero-shot"] = Field("fine-tuned", description="On the data set; on others alone.")
    train_split: Literal["9k", "7k"] | None = Field(None, description="Of MSR-VTT, where it is stated.")
    post_processing: Literal["none", "QB-Norm", "DSL"] = Field(
        "none", description="Of the similarities, with what is known of other queries: not comparable with none."
    )

    t2v: Retrieval | None = None
    v2t: Retrieval | None = None
    accuracy: Percent | None = Field(None, description="Of all questions.")
    in_vocabulary: Percent | None = Field(None, description="Of those whose answer is in the vocabulary.")
    captions: Annotated[tuple[Score, Score, Score, Score], _as_many(CAPTIONING)] | None = None
    training_hours: float | None = Field(None, gt=0, description="On ``gpus``.")
    gpus: int | None = Field(None, ge=1, description="That it was trained on.")

    sources: tuple[Text, ...] = Field(min_length=1, description="Keys of sources.yaml, or addresses (https://).")
    status: Literal["confirmed", "second-hand", "from memory", "not found"] = Field(
        description="Read in ``sources``; read there as another's; not read at all; looked for there, and no value."
    )
    note: str = Field("", description="What a reader must know; where sources disagree, what the other prints.")

    @property
    def metrics(self) -> dict[str, float]:
        """What is printed, by the names that records use, in the order of a table."""
        none = (None,) * 5
        values = dict(zip(COLUMNS, (*(self.t2v or none), *(self.v2t or none)), strict=True))
        values |= {"accuracy": self.accuracy, "accuracy/in_vocabulary": self.in_vocabulary}
        values |= zip(CAPTIONING, self.captions or (), strict=False)
        return {name: value for name, value in values.items() if value is not None}

    @property
    def label(self) -> str:
        """The system, and what tells its rows apart."""
        parts = [
            self.system,
            self.setting,
            self.backbone if self.backbone != "CLIP ViT-B/32" else None,
            self.training if self.training == "zero-shot" else None,
            "trained on 7k" if self.train_split == "7k" else None,
            self.post_processing if self.post_processing != "none" else None,
            f"run by {self.run_by}" if self.run_by else None,
        ]
        return ", ".join(filter(None, parts))

    @model_validator(mode="after")
    def _values_or_none_found(self) -> "PublishedRow":
        if not self.metrics and self.status != "not found":
            raise ValueError("there is no value; say so by status: not found")
        if self.metrics and self.status == "not found":
            raise ValueError("status is 'not found', yet there are values")
        return self

    @model_validator(mode="after")
    def _recall_grows(self) -> "PublishedRow":
        for way in ("t2v", "v2t"):
            recalls = [value for value in (getattr(self, way) or ())[:3] if value is not None]
            if recalls != sorted(recalls) and not re.search(r"\bsic\b", self.note):
                raise ValueError(f"{way}: R@1 ≤ R@5 ≤ R@10 does not hold; if it is printed so, note it with 'sic'")
        return self


class _Rows(Config):
    rows: tuple[PublishedRow, ...]


class _Sources(Config):
    sources: dict[str, Text]


def published(dataset: str, folder: Path = FOLDER) -> tuple[PublishedRow, ...]:
    """What is published on ``dataset``, in the order of its file; nothing where it has none, as generated data.

    Raises InputError, a line each mistake, with file and key.
    """
    path = folder / f"{dataset}.yaml"
    if not path.is_file():
        return ()
    file, document = read(path, _Rows, _KIND)
    mistakes = [Mistake(document.place(key), message) for key, message in _oddities(file.rows, sources(folder))]
    if mistakes:
        raise report(mistakes)
    return file.rows


def sources(folder: Path = FOLDER) -> dict[str, str]:
    """What the keys stand for that rows name as their sources. Raises as ``published``."""
    return read(folder / "sources.yaml", _Sources, _KIND)[0].sources


def _oddities(rows: tuple[PublishedRow, ...], known: dict[str, str]) -> Iterator[tuple[Key, str]]:
    """What no row tells alone: keys of sources that stand for nothing, rows that cannot be told apart."""
    labels: Counter[str] = Counter()
    for number, row in enumerate(rows):
        for place, source in enumerate(row.sources):
            if source not in known and not source.startswith("https://"):
                yield ("rows", number, "sources", place), f"unknown source {source!r}; {did_you_mean(source, known)}"
        labels[row.label] += 1
        if labels[row.label] == 2:
            yield ("rows", number), f"a second row {row.label!r}; tell it apart by its setting"


# ---- results that others got ----------------------------------------------------------------------------------------


class Reproduction(Config):
    """What others got who ran a system's own code, as they told its authors."""

    system: Text
    setting: str = Field("", description="Which of the system's models.")
    dataset: Text
    metric: Annotated[str, AfterValidator(_known_metric)]
    published: Score = Field(description="What they compare with.")
    found: tuple[Score, ...] = Field(min_length=1, description="Of every run, or what the note says.")
    source: str = Field(pattern="^https://")
    note: str = ""


class _Reproductions(Config):
    reproductions: tuple[Reproduction, ...]


def reproductions(path: Path = REPRODUCTIONS) -> tuple[Reproduction, ...]:
    """In the order of the file. Raises as ``published``."""
    return read(path, _Reproductions, _KIND)[0].reproductions


# ---- tables that could not be obtained ------------------------------------------------------------------------------


class Slot(Config):
    """A published table that could not be obtained. It has no values, and none are guessed."""

    table: Text
    paper: Text
    shows: Text
    why: Text = Field(description="The reason why it is empty.")
    suite: str | None = Field(None, description="The suite here that measures the same.")


class _Slots(Config):
    slots: tuple[Slot, ...]


def empty_slots(path: Path = SLOTS) -> tuple[Slot, ...]:
    """In the order of the file. Raises as ``published``."""
    return read(path, _Slots, _KIND)[0].slots


# ---- FLOPs of similarity heads --------------------------------------------------------------------------------------


class Head(Config):
    """What the similarity head of a system costs, as a paper prints it."""

    system: Text
    gflops: float = Field(gt=0, description="10⁹ FLOPs, as the source calls them.")
    r_at_1: Percent = Field(description="Text to video, percent, beside it in the source.")
    source: Text
    status: Literal["confirmed", "second-hand"] = Field(description="Read in ``source`` itself, or elsewhere.")


class _Heads(Config):
    heads: tuple[Head, ...]


def published_heads(path: Path = HEADS) -> tuple[Head, ...]:
    """In the order of the file. Raises as ``published``."""
    return read(path, _Heads, _KIND)[0].heads
