"""What a run has asked for and used: time, memory, GPUs."""

from datetime import timedelta

from results.disk import spelled
from slurm.plan import Step

HEADINGS = ("node", "time", "asked", "memory", "asked", "GPU memory", "GPUs")


def used(step: Step) -> tuple[str, ...]:
    """A cell for each of HEADINGS, empty where nothing is known."""
    record = step.record if step.record and step.state == "complete" else None
    job, asked = step.job, step.submission.array.asked if step.submission else None
    seconds = record.timings.get("total") if record else job.seconds if job else None
    on_gpu = record is not None and record.provenance.gpu is not None
    memory = job.memory if job else record.peak_memory if record and not on_gpu else None
    return (
        record.provenance.host if record else job.nodes if job and step.queued else "",
        "" if seconds is None else str(timedelta(seconds=round(seconds))),
        str(timedelta(minutes=asked.minutes)) if asked else "",
        spelled(memory) if memory else "",
        (asked.memory or "") if asked else "",
        spelled(record.peak_memory) if record and on_gpu and record.peak_memory else "",
        "" if asked is None or not asked.gpus else f"{asked.nodes * asked.gpus} {asked.gpu_type or ''}".strip(),
    )
