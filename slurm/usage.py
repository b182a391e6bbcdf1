"""What a run has asked for and used: time, memory, GPUs."""

from datetime import timedelta

from results.disk import spelled
from slurm.plan import Step

HEADINGS = ("node", "time", "asked", "memory", "asked", "GPUs")


def used(step: Step) -> tuple[str, ...]:
    """A cell for each of HEADINGS, empty where nothing is known."""
    record, job = step.record, step.job
    asked = step.submission.array.asked if step.submission else None
    seconds = record.timings.get("total") if record and step.state == "complete" else job.seconds if job else None
    memory = record.peak_memory if record and step.state == "complete" else job.memory if job else None
    return (
        (job.nodes if job and step.queued else record.provenance.host if record and step.state == "complete" else ""),
        "" if seconds is None else str(timedelta(seconds=round(seconds))),
        str(timedelta(minutes=asked.minutes)) if asked else "",
        spelled(memory) if memory else "",
        (asked.memory or "") if asked else "",
        "" if asked is None or not asked.gpus else f"{asked.nodes * asked.gpus} {asked.gpu_type or ''}".strip(),
    )
