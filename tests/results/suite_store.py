"""A suite whose runs have left records with ranks, without running anything."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from results.compare import Ran
from results.queries import write_queries
from results.record import Record
from results.store import run_folder, write_record
from suites.expand import Run, expand
from suites.load import load_suite
from tests.results.conftest import build_record

RETRIEVAL = "data: shapes\nmetrics: [t2v/R@1, t2v/MdR, t2v/MnR, v2t/R@1]\n"


def ran(folder: Path, text: str, name: str = "mine", runs: str = "runs") -> Ran:
    """The suite in ``text``, with its runs under ``folder``/``runs``."""
    file = folder / f"{name}.yaml"
    file.write_text(text)
    suite = load_suite(file)
    return Ran(suite, expand(suite), folder / runs)


def run_of(ran: Ran, label: str, seed: int = 0) -> Run:
    return next(run for run in ran.wanted if run.label == label and run.spec.seed == seed)


def leave(ran: Ran, label: str, seed: int, ranks: Mapping[str, ArrayLike] | None = None, **changes: Any) -> Record:
    """A record of that run: complete, with these arrays beside it and the metrics that follow from them."""
    run = run_of(ran, label, seed)
    arrays = {name: np.asarray(values) for name, values in (ranks or {}).items()}
    changes.setdefault("metrics", metrics_of(arrays))
    record = build_record(run.spec.variant, seed, run_id=run.run_id, spec=run.spec, **changes)
    return write_record(run_folder(ran.runs, run.run_id), record, arrays or None)


def metrics_of(arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
    found: dict[str, float] = {}
    for way in ("t2v", "v2t"):
        if way in arrays:
            found |= {f"{way}/R@{k}": 100 * float(np.mean(arrays[way] <= k)) for k in (1, 5, 10)}
            found |= {f"{way}/MdR": float(np.median(arrays[way])), f"{way}/MnR": float(np.mean(arrays[way]))}
    if "correct" in arrays:
        found["accuracy"] = 100 * float(np.mean(arrays["correct"]))
    return found


def texts(ran: Ran, captions: Sequence[str], videos: Sequence[str] | None = None) -> str:
    """The digest of queries with these texts, one of each video."""
    names = videos or [f"video{number}" for number in range(len(captions))]
    return write_queries(ran.runs, captions, names, range(len(captions)))
