"""Peak memory of a call: of the allocator on a GPU, of a fresh process on a CPU.

A process that has computed before holds freed memory that it has not given back, and new arrays come to lie in it; so
on a CPU the call is named, "module:function" with arguments that JSON can carry, and made in a process of its own.
"""

import ctypes
import gc
import importlib
import json
import multiprocessing
import os
import re
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch  # not otherwise: what is measured may do without, and a process that imports it starts seconds later

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
KILLED_FIRST = Path("/proc/self/oom_score_adj")
MACHINE, GROUP, GROUPS = Path("/proc/meminfo"), Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
GROUP_FILES = {
    "": ("", "memory.max", "memory.current"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
}
"""Of Linux's control groups, by the controller (version 2 names none): folder, files of the limit and of the use."""

SHARE = 0.9
"""Of the memory that is available, what a call may take: others go on meanwhile."""

TICK = 0.5
"""Seconds between two calls of ``waiting``."""


@dataclass(frozen=True)
class Peak:
    """Bytes that a call held at most, beyond the bytes held ``before`` it.

    method  where they were read: "CUDA allocator", which sees tensors, not the context and the libraries of CUDA; or
            of the process's resident set, to which memory belongs once it is written, "VmHWM" (Linux, reset before
            the call), "VmHWM, not reset" (an upper bound), "ru_maxrss" (elsewhere; a lower bound)
    """

    bytes: int
    before: int
    method: str


def peak_memory(
    function: str | Callable[..., object],
    arguments: Mapping[str, Any] | None = None,
    device: "torch.device | str" = "cpu",
    prepare: str | None = None,
    deadline: float = 600,
    waiting: Callable[[], None] = lambda: None,
) -> Peak:
    """Of ``function(**arguments)``; with ``prepare``, of ``function(prepare(**arguments))``, where ``prepare`` (which
    builds the model, say) has run before, and what it returned counts as held before.

    On CUDA it runs here, and may also be a function itself. On a CPU both are names, "module:function", and run in a
    fresh process with this one's path and folder; what importing their modules takes is held before. It
    gets no more memory than is available, so that what does not fit is found out before the machine runs out of it.
    ``waiting`` is called every now and then meanwhile; what it raises ends the process.

    What does not fit is a MemoryError of one line; a process that fails otherwise, a RuntimeError; and one that takes
    longer than ``deadline`` seconds, a TimeoutError.
    """
    if str(device).startswith("cuda"):
        return _on_a_gpu(function, arguments or {}, prepare, device)
    if str(device) != "cpu":
        raise ValueError(f"peak memory is measured on cpu and cuda, not on {device}")
    if not isinstance(function, str):
        raise ValueError(f"{function!r} cannot be handed to a fresh process: name it, as 'module:function'")
    return _of_a_process(function, arguments or {}, prepare, deadline, waiting)


def _call(
    function: str | Callable[..., object], arguments: Mapping[str, Any], prepare: str | None
) -> Callable[[], object]:
    """The call that is measured; what comes before has been done."""
    run = _named(function) if isinstance(function, str) else function
    if prepare is None:
        return lambda: run(**arguments)
    prepared = _named(prepare)(**arguments)
    return lambda: run(prepared)


def _named(name: str) -> Callable[..., object]:
    """The function that "package.module:function" names."""
    module, _, attribute = name.partition(":")
    found: Callable[..., object] = getattr(importlib.import_module(module), attribute)
    return found


# ---- on a GPU -------------------------------------------------------------------------------------------------------


def _on_a_gpu(
    function: str | Callable[..., object],
    arguments: Mapping[str, Any],
    prepare: str | None,
    device: "torch.device | str",
) -> Peak:
    import torch

    with suppress(torch.cuda.OutOfMemoryError):
        return _of_the_allocator(_call(function, arguments, prepare), device)
    torch.cuda.empty_cache()  # after the error, which holds what the call held, is gone
    total = torch.cuda.get_device_properties(device).total_memory
    raise MemoryError(f"does not fit in {total / 1e9:.1f} GB")


def _of_the_allocator(call: Callable[[], object], device: "torch.device | str") -> Peak:
    import torch

    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return Peak(torch.cuda.max_memory_allocated(device) - before, before, "CUDA allocator")


# ---- on a CPU -------------------------------------------------------------------------------------------------------


def _of_a_process(
    function: str,
    arguments: Mapping[str, Any],
    prepare: str | None,
    deadline: float,
    waiting: Callable[[], None],
) -> Peak:
    modules = []
    for name in (function, prepare or function):
        if not re.fullmatch(r"[\w.]+:\w+", name):
            raise ValueError(f"{name!r} is not of the form 'module:function'")
        modules.append(name.partition(":")[0])
    # Forked from a process that has imported the modules of the first call and done nothing else: as fresh as one that
    # imports them anew, which takes seconds where they import torch.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(modules)
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer.json")
        process = context.Process(target=_measure_here, args=(answer, function, arguments, prepare))
        process.start()
        try:
            in_time = _wait(process, deadline, waiting)
        finally:
            if process.exitcode is None:  # the deadline, Ctrl-C, or what ``waiting`` has raised
                with suppress(OSError):
                    os.killpg(process.pid or 0, signal.SIGKILL)  # with all that it has started
                process.kill()
                process.join()
        if not in_time:
            raise TimeoutError(f"{function} did not end within {deadline:g} s")
        told = json.loads(answer.read_text()) if answer.exists() else {}
        if "bytes" in told:
            return Peak(**told)
        if told.get("limit"):
            raise MemoryError(f"does not fit in {told['limit'] / 1e9:.1f} GB")
        raise RuntimeError(f"{function} failed: {told.get('error') or _end(process.exitcode or 0)}")


def _wait(process: BaseProcess, deadline: float, waiting: Callable[[], None]) -> bool:
    """Whether it has ended within ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while process.exitcode is None and time.monotonic() < end:
        waiting()
        process.join(min(TICK, deadline))
    return process.exitcode is not None


def _end(code: int) -> str:
    """How a process ended that gave no answer."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (", for want of memory perhaps" if name == "SIGKILL" else "")
    return f"exit code {code}, no answer"


def _measure_here(answer: Path, function: str, arguments: Mapping[str, Any], prepare: str | None) -> None:
    """What the fresh process does: writes a Peak, or {"error": one line}, and with it the "limit" of memory, in bytes,
    where that was the reason."""
    os.setsid()  # a group of its own, to be killed with all that it starts
    with suppress(OSError):  # where memory runs out all the same, none of the others is to be killed for it
        KILLED_FIRST.write_text("1000")
    limit = None
    try:
        for name in (function, prepare or function):
            _named(name)  # what its import reserves and never writes would count
        free = available()
        limit = free and int(SHARE * free)
        _take_no_more_than(limit)
        call = _call(function, arguments, prepare)
        before, method = _start_counting()
        call()
        told = asdict(Peak(max(0, resident_peak() - before), before, method))
    except Exception as error:
        told = {"error": " ".join(f"{type(error).__name__}: {error}".split())}
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # torch's is a RuntimeError
            told["limit"] = limit
    answer.write_text(json.dumps(told))


def available() -> int | None:
    """Bytes of memory that are free: of the machine, and of the control groups that this process is in, where there are
    such (a container, a job). None where neither is told."""
    of_machine = _told(MACHINE, "MemAvailable")
    free = [of_machine] if of_machine else []
    with suppress(OSError):
        for line in GROUP.read_text().splitlines():
            _, controller, path = line.split(":", 2)
            if controller in GROUP_FILES:
                folder, limit, use = GROUP_FILES[controller]
                free += _free_in_groups(GROUPS / folder / path.lstrip("/"), limit, use)
    return min(free, default=None)


def _free_in_groups(group: Path, limit: str, use: str) -> list[int]:
    """Of ``group`` and all it is part of."""
    free = []
    for place in (group, *group.parents):
        with suppress(OSError, ValueError):  # no such file; "max", that is no limit
            cached = re.findall(r"^(?:in)?active_file (\d+)$", (place / "memory.stat").read_text(), re.MULTILINE)
            used = int((place / use).read_text()) - sum(map(int, cached))  # a cache makes way
            free.append(max(0, int((place / limit).read_text()) - used))
    return free


def _take_no_more_than(more: int | None) -> None:
    """Where this process asks for so many bytes beyond what it has, an allocation fails; None: no limit."""
    if more is not None:
        most, hard = _status("VmData") + more, resource.getrlimit(resource.RLIMIT_DATA)[1]
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _start_counting() -> tuple[int, str]:
    """The bytes held now, and how the peak over them is found."""
    gc.collect()
    with suppress(AttributeError):  # glibc: gives back what has been freed, or the call would find it and hide in it
        ctypes.CDLL(None).malloc_trim(0)
    method = "VmHWM" if reset_resident_peak() else "VmHWM, not reset"
    return (_status("VmRSS"), method) if _status("VmHWM") else (resident_peak(), "ru_maxrss")


def reset_resident_peak() -> bool:
    """Sets the high-water mark of this process's resident set to what is resident now, and says whether it could; where
    not (other systems than Linux), the peak is that of the process so far."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return False
    return True


def resident_peak() -> int:
    """Most bytes that were resident since ``reset_resident_peak``."""
    # Not ru_maxrss where there is better: on Linux it also knows the process that this one was forked from.
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM") or unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status(name: str) -> int:
    """Bytes of that name in /proc/self/status; 0 where it is not told."""
    return _told(STATUS, name)


def _told(file: Path, name: str) -> int:
    with suppress(OSError):
        found = re.search(rf"^{name}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
        if found:
            return 1024 * int(found[1])
    return 0
