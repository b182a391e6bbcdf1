"""One training on several processes: each encodes its share of a batch, and every one has the whole batch's loss.

Where there is one process alone, every function here does nothing.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hbi.errors import InputError, RunFailure
from hbi.models import Encoded, System

T = TypeVar("T")

_meeting: Any = None
"""Where processes have met that somebody else has started."""

WAIT = timedelta(days=7)
"""Longest wait of a process for the others: the first evaluates alone, and that may take hours. (One that fails, or is
killed, is noticed at once.)"""
MEETING = timedelta(minutes=10)
"""Longest wait of processes that somebody else has started for each other to appear."""
TRAIN = "train"
FAILURE = "failure"
"""Key under which one that fails says why, in the place where they met."""
PATIENCE = 5.0
"""Seconds until a process has said why it fails, or has ended when all is done."""


def world() -> int:
    """Processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process among them, from 0. The first alone logs, evaluates and writes."""
    return dist.get_rank() if dist.is_initialized() else 0


# ---- what a training needs ------------------------------------------------------------------------------------------


def each(pairs: int, processes: int) -> int:
    """Pairs of a batch for each process. Raises InputError where they do not divide."""
    if pairs % processes:
        raise InputError(
            f"training.batch_size {pairs} is not divisible by runtime.processes {processes}; choose another"
        )
    return pairs // processes


def share(pairs: int) -> slice:
    """The part of a batch of ``pairs`` that is this process's to encode."""
    own = each(pairs, world())
    return slice(rank() * own, (rank() + 1) * own)


def gathered(encoded: Encoded) -> Encoded:
    """Those of all processes, in the order of the processes; the gradient of the whole loss flows back into each.

    Every process computes the same loss of what is gathered, so each of them knows its own part of the gradient, and
    nothing is exchanged on the way back. DistributedDataParallel then takes the mean over W processes, of which one
    alone has this part: it counts W times.
    """
    return encoded.map(_gathered) if world() > 1 else encoded


def _gathered(tensor: Tensor) -> Tensor:
    own = tensor.detach().contiguous()
    parts = [torch.empty_like(own) for _ in range(world())]
    dist.all_gather(parts, own)
    if tensor.requires_grad:
        parts[rank()] = tensor.view_as(tensor)  # what else is computed of ``tensor`` does not pass the hook
        parts[rank()].register_hook(lambda gradient: world() * gradient)
    return torch.cat(parts)


def parallel(step: nn.Module) -> nn.Module:
    """``step`` as all processes run it together: equal weights, and after a backward pass equal gradients, their mean.

    A weight without gradient in all of them stays without.
    """
    if world() == 1:
        return step
    # where all weights are used, it would print a long warning that it has looked for others in vain
    step.register_parameter("unused", nn.Parameter(torch.zeros((), device=next(step.parameters()).device)))
    return DistributedDataParallel(step, find_unused_parameters=True)


def unwrapped(step: nn.Module) -> nn.Module:
    """What ``parallel`` was given."""
    return step.module if isinstance(step, DistributedDataParallel) else step


def alone(step: nn.Module) -> AbstractContextManager[None]:
    """Inside, gradients add up in this process alone; the next pass outside takes the mean of the sums."""
    return step.no_sync() if isinstance(step, DistributedDataParallel) else nullcontext()


def scale_as_published(model: System) -> None:
    """Gradients of a model that is to have the published ones: 1/W in front of the gathering, whole behind it.

    There each of W processes takes the gradient of its own part alone for that of the whole batch, and the mean over
    the processes leaves 1/W of it.
    """
    if world() == 1 or model.gathers_whole_gradient:
        return
    for name, parameter in model.named_parameters():
        in_front = name.startswith(model.published_encoders) and parameter is not model.logit_scale
        if in_front and parameter.grad is not None:
            parameter.grad /= world()


def agreed(value: T) -> T:
    """The ``value`` of the first process, on all of them."""
    if world() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


# ---- how the processes come together --------------------------------------------------------------------------------


def initialise(rank: int, world: int, method: str, device: torch.device) -> None:
    """Joins the group of ``world`` processes as number ``rank``; ``device``: the kind that they compute on.

    ``method``: where they meet, an address that all know, as torch's init_method has it (file://, tcp://, env://).
    On GPUs every process of a machine takes one; what is agreed on goes by the CPU, which can wait for long.
    """
    _take_device(rank, device)
    dist.init_process_group(_backend(device), init_method=method, rank=rank, world_size=world, timeout=WAIT)


def _backend(device: torch.device) -> str:
    return "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"


def _take_device(rank: int, device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.set_device(rank % torch.cuda.device_count())


@contextmanager
def spawn(processes: int, device: torch.device, follow: Callable[..., object], *arguments: object) -> Iterator[None]:
    """Inside, this process is the first of ``processes`` on this machine; the others run ``follow(*arguments)``.

    Function and arguments are pickled. The others leave signals to this process, and end with it however it ends.
    Where they are there already (``together``), those do what they were given.
    Raises RunFailure where one of them fails, InputError where there are too few GPUs.
    """
    if processes == 1:
        yield
        return
    if _meeting:
        agreed(TRAIN)
        try:
            yield
        except RuntimeError as error:
            if not isinstance(error, torch.cuda.OutOfMemoryError) and (failure := _said(_meeting)):
                raise failure from error
            raise
        return
    if device.type == "cuda" and torch.cuda.device_count() < processes:
        raise InputError(f"runtime.processes is {processes}, but torch sees {torch.cuda.device_count()} GPUs here")
    children: list[_Child] = []
    over = Event()
    with TemporaryDirectory(prefix="hbi-") as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        try:
            for number in range(1, processes):
                children.append(_start(number, processes, meeting, device, follow, arguments))
            for child in children:
                if failure := _hear(child):
                    raise failure
            initialise(0, processes, meeting, device)
            if device.type == "cuda":
                Thread(target=_stop_waiting_for_the_dead, args=(children, over), daemon=True).start()
            yield
        except RuntimeError:  # such as that of waiting for a process that is no more
            if failure := _failure_of(children):
                raise failure  # noqa: B904 - its cause is what went wrong there
            raise
        finally:
            over.set()
            if dist.is_initialized():
                with suppress(RuntimeError):  # after a failure it may be beyond closing
                    dist.destroy_process_group()
            for child in children:
                child.process.join(PATIENCE)
                child.process.kill()
                child.process.join()
                child.pipe.close()


@contextmanager
def together(rank: int, world: int, host: str, port: int, device: torch.device, local: int = 0) -> Iterator[None]:
    """Inside, this is process ``rank`` of ``world`` that somebody else (srun) has started, on any number of machines.

    ``host``: machine of the first process, where they meet. ``local``: this one's number on its machine, which is that
    of its GPU. A process that fails tells the first, for which ``spawn`` raises its failure.
    """
    global _meeting
    store = _meeting = dist.TCPStore(  # type: ignore[attr-defined]
        host, port, world, is_master=rank == 0, timeout=MEETING
    )
    _take_device(local, device)
    dist.init_process_group(_backend(device), store=store, rank=rank, world_size=world, timeout=WAIT)
    try:
        yield
    except Exception as error:
        if rank:
            store.set(FAILURE, json.dumps([_kind(error), f"process {rank}: {_first_line(error)}"]))
        raise
    finally:
        _meeting = None
        with suppress(RuntimeError):  # after a failure it may be beyond closing
            dist.destroy_process_group()


def attend(follow: Callable[[], object]) -> str:
    """What the processes after the first do inside ``together``: they follow whenever the first one trains.

    Returns the word with which the first has dismissed them.
    """
    while (word := agreed("")) == TRAIN:
        follow()
    return word


def dismiss(word: str) -> None:
    """Ends ``attend`` in the others."""
    agreed(word)


def _said(store: Any) -> RunFailure | None:
    """Another process's failure; it may take a moment to say it."""
    try:
        store.wait([FAILURE], timedelta(seconds=PATIENCE))
        return RunFailure(*json.loads(store.get(FAILURE)))
    except RuntimeError:
        return None


@dataclass(frozen=True)
class _Child:
    rank: int
    process: SpawnProcess
    pipe: "Connection[Any, Any]"
    """It sends nothing but (kind, message, traceback) of its failure, and before that, when it is ready, none."""


def _start(
    rank: int,
    world: int,
    meeting: str,
    device: torch.device,
    follow: Callable[..., object],
    arguments: Sequence[object],
) -> _Child:
    context = get_context("spawn")  # not forked: that process would share this one's threads and GPU
    pipe, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_follower, args=(theirs, rank, world, meeting, device, follow, arguments))
    process.start()
    theirs.close()
    return _Child(rank, process, pipe)


def _follower(
    pipe: "Connection[Any, Any]",
    rank: int,
    world: int,
    meeting: str,
    device: torch.device,
    follow: Callable[..., object],
    arguments: Sequence[object],
) -> None:
    """The life of a process other than the first."""
    Thread(target=_end_with_parent, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    try:
        _take_device(rank, device)
        pipe.send(None)
        initialise(rank, world, meeting, device)
        follow(*arguments)
        dist.destroy_process_group()
    except Exception as error:
        message = f"process {rank}: {_first_line(error)}"
        pipe.send((_kind(error), message, traceback.format_exc()))
        sys.exit(1)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _kind(error: Exception) -> str:
    if isinstance(error, RunFailure):
        return error.kind
    return "out of memory" if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)) else "bug"


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _hear(child: _Child) -> RunFailure | None:
    """Waits for the next thing that ``child`` says: why it fails; none: it is ready, or has ended well."""
    try:
        said = child.pipe.recv()
    except EOFError:
        child.process.join()
        code = child.process.exitcode
        return RunFailure("killed", f"process {child.rank} has ended with exit code {code}") if code else None
    if said is None:
        return None
    kind, message, trace = said
    failure = RunFailure(kind, message)
    failure.__cause__ = RuntimeError(f"in process {child.rank}:\n{trace}")
    return failure


def _failure_of(children: Sequence[_Child]) -> RunFailure | None:
    """Why one of them has failed; none when none has."""
    speaking = wait([child.pipe for child in children], PATIENCE)
    failures = [failure for child in children if child.pipe in speaking and (failure := _hear(child))]
    # where several fail, most of them only because another has left them
    return min(failures, key=lambda failure: failure.kind == "bug", default=None)


def _stop_waiting_for_the_dead(children: Sequence[_Child], over: Event) -> None:
    """NCCL waits for a process that is no more (gloo does not): from here, that raises RuntimeError."""
    while not over.wait(1.0):
        if any(child.process.exitcode for child in children) and dist.group.WORLD:
            dist.group.WORLD.abort()
            return
