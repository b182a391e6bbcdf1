"""Records with ranks or answers beside them, as runs would leave them: their metrics follow from what lies there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hbi.metrics.registry import KINDS
from hbi.metrics.retrieval import summarise
from results.collect import Table, collect
from results.comparisons import with_statistics
from results.record import Record
from results.store import run_folder, write_record
from results.summary import read_summaries
from suites.expand import Run
from tests.results.conftest import build_answers, build_record

Arrays = dict[str, NDArray[Any]]


def captions(generator: np.random.Generator, hard: NDArray[np.float64], better: float = 0.0) -> NDArray[np.float64]:
    """Ranks [N]: a query is the harder the larger ``hard`` [N] is, and another training finds it harder or easier."""
    depth = hard - better + generator.normal(0, 0.7, len(hard)) + generator.normal(0, 0.05)
    return np.clip(np.floor(np.exp(depth)), 1, len(hard)).astype(np.float64)


def retrieval(generator: np.random.Generator, hard: NDArray[np.float64], better: float = 0.0) -> Arrays:
    """Ranks of both directions, of one caption a video."""
    ways = {way: captions(generator, hard, better) for way in ("t2v", "v2t")}
    return {**ways, "video": np.arange(len(hard), dtype=np.int32)}


def answers(generator: np.random.Generator, hard: NDArray[np.float64], better: float = 0.0) -> Arrays:
    """[N] questions, five a video, some of them of no kind or out of the vocabulary."""
    fixed = np.random.default_rng(0)
    known = fixed.random(len(hard)) < 0.9
    right = (generator.normal(0, 1, len(hard)) < 0.3 + better - hard) & known
    kind = fixed.choice([0, 1, 2, 3, 255], len(hard)).astype(np.uint8)
    video = np.arange(len(hard), dtype=np.int32) // 5
    return {"correct": right.astype(np.uint8), "in_vocabulary": known.astype(np.uint8), "kind": kind, "video": video}


def metrics_of(arrays: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """What a run says that has these ranks or answers."""
    if "correct" not in arrays:
        ways = {way: summarise(arrays[way]) for way in ("t2v", "v2t")}
        return {f"{way}/{name}": value for way, found in ways.items() for name, value in found.items()}
    right = arrays["correct"] == 1
    parts = {"accuracy": np.full(len(right), True), "accuracy/in_vocabulary": arrays["in_vocabulary"] == 1}
    parts |= {f"accuracy/{kind}": arrays["kind"] == place for place, kind in enumerate(KINDS)}
    return {name: float(100 * right[part].mean()) for name, part in parts.items() if part.any()}


def leave(runs: Path, variant: str, seed: int, arrays: Mapping[str, NDArray[Any]], **changes: Any) -> Record:
    """Writes the record of a run with these ranks or answers, where a run would; ``changes`` replace fields."""
    build = build_answers if "correct" in arrays else build_record
    record = build(variant, seed).model_copy(update={"metrics": metrics_of(arrays), "curve": (), **changes})
    return write_record(run_folder(runs, record.run_id), record, ranks=arrays)


def leave_run(runs: Path, run: Run, arrays: Mapping[str, NDArray[Any]], **changes: Any) -> Record:
    """As ``leave``, of a run that a suite wants."""
    return leave(runs, run.spec.variant, run.spec.seed, arrays, run_id=run.run_id, spec=run.spec, **changes)


def compared(runs: Path, records: Sequence[Record], columns: Sequence[str], baseline: str | None = None) -> Table:
    """The table of ``records``, a row a variant, with its statistics; by default the first row is the baseline."""
    wanted = [(record.spec.variant, record.run_id) for record in records]
    summaries, _ = read_summaries(runs)
    return with_statistics(collect("t", wanted, summaries, columns), summaries, runs, baseline or wanted[0][0])
