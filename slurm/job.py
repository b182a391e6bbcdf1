"""What submitit runs: one run of a suite, handed over as the path of a JSON file."""

from contextlib import suppress
from pathlib import Path

from hbi.config import Config
from slurm.one_run import Stopped, run_here
from slurm.signals import Signals
from suites.expand import Run
from suites.spec import RunSpec


class JobFile(Config):
    """The content of the file."""

    label: str
    run_id: str
    spec: RunSpec
    runs: str
    """Absolute path of the folder that holds the store."""
    launcher: int | None = None
    """Process on the same machine that answers for the whole suite."""


class RunJob:
    """A class of the module, so that a job is pickled as its name and not as code."""

    def __call__(self, path: str) -> None:
        job = JobFile.model_validate_json(Path(path).read_text())
        run = Run(job.label, job.run_id, job.spec)
        signals = Signals()
        with signals.heard(), suppress(Stopped):  # the state is saved, and whoever asked knows
            run_here(run, Path(job.runs), lambda event: None, signals.take, job.launcher)
