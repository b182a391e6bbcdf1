"""What runs ask of a cluster, and what is done with those that end badly there. No part of a run's identity."""

from typing import Annotated

from pydantic import Field

from hbi.config import Config

WORD = r"^[A-Za-z0-9_.,:&|!()\[\]*@=/+-]{1,200}$"
"""What may stand behind ``=`` in an option of sbatch: no blank, no quote, no line break."""
Word = Annotated[str, Field(pattern=WORD)]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]*[KMGT]$")]
Count = Annotated[int, Field(ge=0)]


class Resources(Config):
    """What a run asks of a cluster. Where the suite is silent, what the cluster's profile says."""

    partition: Word | None = Field(None, description="Partition, or several with commas.")
    account: Word | None = Field(None, description="Account that is charged.")
    qos: Word | None = Field(None, description="Quality of service.")
    constraint: Word | None = Field(None, description="Features that the nodes must have.")
    gpus: Count | None = Field(None, description="GPUs of each process; default: 1, or 0 where runtime.device is cpu.")
    gpu_type: Word | None = Field(None, description="Type of the GPUs, as the cluster calls it.")
    cpus: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Cores of each process; default: runtime.threads + runtime.workers."
    )
    memory: Memory | None = Field(None, description="Memory on each node: 500M, 64G.")
    minutes: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Time limit. What is not done by then is saved, and goes on in a new turn; default: 60."
    )
    nodes: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Nodes that the processes of a run (runtime.processes) are spread over; default: 1."
    )


class Retries(Config):
    """How often the command that follows a run submits it again, by how it ended. Nothing is retried for ever."""

    requeues: Count = Field(
        100, description="Times a job may go back into the queue, pre-empted or out of time, with its state saved."
    )
    timeout: Count = Field(2, description="Out of time before its state was saved; it goes on from its last epoch.")
    node_failure: Count = Field(3, description="A node failed; the next try excludes it.")
    killed: Count = Field(1, description="The process was killed, and nobody says why.")
    out_of_memory: Count = Field(0, description="Out of memory.")
    smaller_batch: bool = Field(
        False,
        description="After running out of memory, a batch is encoded in twice as many parts. The loss is still that of "
        "the whole batch; tables mark the row, for it may be rounded differently.",
    )
    bug: Count = Field(0, description="An exception of the code.")
    nan: Count = Field(0, description="A loss that is not finite.")
