"""The comparison behind `run` and `status`: the runs a suite wants against the records that exist."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from results.record import Record
from suites.expand import Run

State = Literal["complete", "failed", "waiting"]
NOT_RETRIED = ("nan", "bug")
"""Failures that the same code would only repeat."""


@dataclass(frozen=True)
class Step:
    """One run of the suite and what stands in its place on disk."""

    run: Run
    state: State
    why: str
    """For a person: "2 of 12 epochs done", "nan: loss is not finite at step 31" …"""

    @property
    def runs_now(self) -> bool:
        """Whether `run` starts it."""
        return self.state == "waiting" or (self.state == "failed" and self.why.split(":")[0] not in NOT_RETRIED)


def plan(wanted: Sequence[Run], records: Mapping[str, Record]) -> list[Step]:
    """One step for each wanted run, in order."""
    return [_step(run, records.get(run.run_id)) for run in wanted]


def _step(run: Run, record: Record | None) -> Step:
    if record is None:
        return Step(run, "waiting", "no record yet")
    if record.outcome == "complete":
        return Step(run, "complete", f"recorded {record.finished}")
    failure = record.failure
    return Step(run, "failed", f"{failure.kind}: {failure.message}" if failure else "unknown: no reason recorded")
