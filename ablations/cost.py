"""A run that measures what the rows of a suite cost."""

import time
from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray

from hbi.config import CostConfig
from hbi.cost.profile import profile
from hbi.cost.report import CaseCost, CostReport
from hbi.training.loop import Event, Request, Stopped


def measured(
    config: CostConfig,
    seed: int,
    device: torch.device,
    log: Callable[[Event], None],
    requested: Callable[[], Request | None],
) -> tuple[dict[str, Any], dict[str, dict[str, NDArray[Any]]]]:
    """What a record says of the measurement, and the raw times that lie beside it.

    Raises Stopped when asked to stop; nothing is kept then, for times before and after a break share no drift.
    """
    started = time.perf_counter()

    def progress(what: str, done: int, total: int) -> None:
        log({"event": "measuring", "what": what, "done": done, "total": total})
        if requested() in ("stop", "abandon"):
            raise Stopped

    report, samples = profile(config, device, seed, progress)
    timings = {"measuring": time.perf_counter() - started}
    outcome = {"outcome": "complete", "cost": report, "metrics": numbers(report), "timings": timings}
    return outcome, {"samples": samples}


def numbers(report: CostReport) -> dict[str, float]:
    """The report as "LABEL/QUANTITY": what MLflow plots."""
    return {f"{label}/{name}": value for label, case in report.cases.items() for name, value in _of(case).items()}


def _of(case: CaseCost) -> dict[str, float]:
    found = {"parameters": float(case.parameters)}
    found |= {f"flops/{stage}": float(count.flops) for stage, count in case.stages.items()}
    for call, latency in case.latency.items():
        found |= {f"seconds/p{q}/{call}": getattr(latency, f"p{q}").value for q in (50, 95, 99)}
        found[f"throughput/{call}"] = latency.throughput
    return found | {f"bytes/{call}": float(one.bytes) for call, one in case.memory.items() if one.bytes is not None}
