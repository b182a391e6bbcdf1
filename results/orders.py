"""The order in which a run ranks candidates: the one that its recorded ranks stand for, or why it is unknown.

It comes from the scores that the run has kept (similarity.npz), or that its weights give once more, and is held against
the recorded ranks in either case.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hbi.config import EvaluationConfig
from hbi.errors import InputError, RunFailure
from hbi.metrics.ranking import Candidate, candidates, ranked_by
from hbi.metrics.retrieval import Direction, ranks
from hbi.metrics.saved import SIMILARITY, Saved, read_similarity
from results.collect import printable
from results.store import RecordError, read_own_record, read_ranks, run_folder
from suites.expand import Run

MOST_OTHER = 0.1
"""Share of queries whose rank by the scores may be another than the recorded one, as rounding on another machine makes
it; where there are more, the scores are not those that were ranked."""

Again = Callable[[Path, EvaluationConfig], Saved]
"""The scores of the run in a folder under a protocol, by its weights. Raises InputError or RunFailure without them."""


@dataclass(frozen=True)
class Order:
    """Of one run, by direction; ``told``: where it comes from, or why it is unknown.

    groups  [N]: the column of each caption's video
    scores  [N,M]: what the queries rank by; empty where that is unknown
    other   [N] or [M]: whether a query has another rank by them than the recorded one
    """

    run: Run
    told: str
    groups: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    scores: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    other: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def first(self, way: Direction, query: int, most: int) -> Sequence[Candidate] | None:
        """As ``hbi.metrics.ranking.candidates``; none of a query with another rank than the recorded one."""
        if self.other[way][query]:
            return None
        return candidates(self.scores[way], way, self.groups, query, self.run.spec.evaluation.ties, most)


def order_of(run: Run, runs: Path, ways: Sequence[Direction], again: Again) -> Order:
    """Of the complete ``run`` in the folder ``runs``, whose ranks of each of ``ways`` are recorded."""
    folder = run_folder(runs, run.run_id)
    try:
        if (folder / SIMILARITY).is_file():
            found, told = read_similarity(folder / SIMILARITY), f"by the scores in {folder / SIMILARITY}"
        else:
            found, told = (
                again(_trained(run, runs), run.spec.evaluation),
                "by its weights, evaluated again for this page",
            )
        return _checked(run, folder, ways, found, told)
    except (InputError, RunFailure) as error:
        advice = f"with `keep: [weights, similarity]` in the suite a run leaves {SIMILARITY}, which tells it"
        return Order(run, f"unknown ({printable(str(error), 400)}); {advice}")


def _trained(run: Run, runs: Path) -> Path:
    """The folder with the weights of ``run``: that of the run it evaluates, where it does."""
    evaluates = run.spec.after if run.spec.after and not run.spec.trains else None
    return run_folder(runs, evaluates or run.run_id)


def _checked(run: Run, folder: Path, ways: Sequence[Direction], found: Saved, told: str) -> Order:
    """Raises InputError where ``found`` are not the scores that the recorded ranks stand for."""
    record = read_own_record(folder)
    if record is None:
        raise RecordError(f"{folder}: the record is gone")
    recorded, asked = read_ranks(folder, record), run.spec.evaluation
    groups = np.arange(len(found.similarity)) if found.groups is None else found.groups
    scores: dict[str, NDArray[Any]] = {}
    other: dict[str, NDArray[np.bool_]] = {}
    for way in ways:
        try:
            scores[way] = ranked_by(found, way, asked)
            by_scores = ranks(scores[way], way, groups.tolist(), asked.ties)
        except ValueError as error:
            raise InputError(f"its scores cannot be ranked: {error}") from error
        if by_scores.shape != recorded[way].shape:
            raise InputError(f"its scores give {len(by_scores)} ranks {way}, its record has {len(recorded[way])}")
        other[way] = by_scores != recorded[way]
        if other[way].mean() > MOST_OTHER:
            raise InputError(f"{other[way].sum()} of {len(by_scores)} ranks {way} by its scores are not those recorded")
    count, total = (sum(map(of, other.values())) for of in (np.sum, len))
    differ = f"; {count} of {total} ranks are others than those recorded, as rounding makes them"
    return Order(run, told + (differ if count else ""), groups, scores, other)
