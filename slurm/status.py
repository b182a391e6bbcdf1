"""The runs a suite wants against what there is: records, processes of this machine, jobs on a cluster."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from results.record import Record
from slurm.launches import jobs_of, submissions
from slurm.plan import Step, plan
from suites.expand import Run


def look(wanted: Sequence[Run], records: Mapping[str, Record], runs: Path, ask: bool = True) -> list[Step]:
    """One step for each of ``wanted``; SLURM is asked once, and only where something was submitted that has no result.

    Without ``ask``, what is on a cluster is unknown. Raises queue.Unreachable.
    """
    ids = {run.run_id for run in wanted}
    submitted = {run_id: one for run_id, one in submissions(runs).items() if run_id in ids}
    open_ = {run_id: one for run_id, one in submitted.items() if not is_complete(records.get(run_id))}
    return plan(wanted, records, runs, submitted, jobs_of(open_) if ask else {})


def is_complete(record: Record | None) -> bool:
    return record is not None and record.outcome == "complete"
