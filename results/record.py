"""Record: what one finished run leaves behind, on disk as ``record.json`` in the run's folder."""

from typing import Literal

from pydantic import Field

from hbi.config import Config
from hbi.cost.report import CostReport
from suites.spec import RunSpec


class ClusterJob(Config):
    """The SLURM job that made a record."""

    number: str = Field(description="Of the array, or of the job where there is none.")
    task: int | None = Field(None, description="Place in the array.")
    restarts: int = Field(0, description="Times the job had been requeued.")
    cluster: str | None = None
    nodes: str | None = Field(None, description="As SLURM lists them: node[1-2].")


class Provenance(Config):
    """Where a number comes from."""

    commit: str | None = Field(None, description="Git commit of the code; none outside a repository.")
    dirty_diff: str | None = Field(None, description="Changes to tracked files that the commit lacks; none when clean.")
    python: str
    packages: dict[str, str] = Field(description="Versions of the installed packages that matter.")
    host: str
    cpu: str
    gpu: str | None = None
    threads: int
    decoder: str = Field(description="Video reader that decoded the frames, with its version.")
    parameters: int = Field(0, description="Trainable parameters.")
    job: ClusterJob | None = None


class Epoch(Config):
    """One point of the learning curve."""

    epoch: int = Field(description="Counted from 1.")
    step: int = Field(description="Optimiser steps so far.")
    losses: dict[str, float] = Field(description="Mean over the epoch of every named term.")
    metrics: dict[str, float] = Field(default_factory=dict, description="On the selection split, if it was evaluated.")
    learning_rate: float
    logit_scale: float
    seconds: float


class Failure(Config):
    """Why a run has no result."""

    kind: str = Field(description="nan, bug, out of memory, disk ...")
    message: str = Field(description="One line.")


class Record(Config):
    """Complete (``metrics`` and ``ranks``, or ``cost`` and ``samples``) or failed (``failure``)."""

    version: Literal[1] = 1
    run_id: str
    spec: RunSpec
    outcome: Literal["complete", "failed"]
    failure: Failure | None = None
    metrics: dict[str, float] = Field(
        default_factory=dict, description='Such as "t2v/R@1" and "accuracy", percent, and "v2t/MdR", a rank.'
    )
    selection_split: str | None = Field(None, description="Split that chose the epoch; none: the last epoch.")
    selected_epoch: int | None = None
    ranks: str | None = Field(
        None,
        description="File beside the record, what stands behind the metrics query by query: npz with the ranks t2v [N] "
        "and v2t [M] (more where evaluation.ties is released), or, of questions, correct [N]: 1 where right, else 0; "
        "in_vocabulary [N]: 1 where the answer is; kind [N]: place of the first word in hbi.metrics.registry.KINDS, "
        "255 for another. Of either, video [N]: the column of the caption's or the question's video.",
    )
    queries: str | None = Field(
        None,
        description="Digest of the test split's queries in order; their texts and videos are in "
        "runs/queries/DIGEST.json (results.queries).",
    )
    cost: CostReport | None = Field(None, description="What a run has found that measures cost.")
    samples: str | None = Field(
        None,
        description="File beside the record with its raw times: npz, seconds [rounds] by LABEL/CALL, and by "
        "LABEL/CALL at SIZE VALUE for the sizes of the scaling.",
    )
    curve: tuple[Epoch, ...] = ()
    timings: dict[str, float] = Field(default_factory=dict, description="Seconds, by part of the run.")
    accumulation: int | None = Field(
        None,
        description="Parts a step's batch was encoded in, where memory was too short for the specification's number.",
    )
    peak_memory: int | None = Field(None, description="Bytes: of the process on CPU, of the device on GPU.")
    provenance: Provenance
    started: str = Field(description="UTC, ISO 8601.")
    finished: str
