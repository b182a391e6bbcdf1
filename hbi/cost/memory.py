"""Peak memory of a call: of the allocator on a GPU, of a fresh process on a CPU.

A process that has computed before holds freed memory that it has not given back, and new arrays come to lie in it; so
on a CPU the call is named, "module:function" with arguments that JSON can carry, and made in a process of its own.
"""

import ctypes
import gc
import importlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch  # not otherwise: what is measured may do without, and a process that imports it starts 3 s later

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


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
) -> Peak:
    """Of ``function(**arguments)``; with ``prepare``, of ``function(prepare(**arguments))``, where ``prepare`` (which
    builds the model, say) has run before, and what it returned counts as held before.

    On CUDA it runs here, and may also be a function itself. On a CPU both are names, "module:function", and run in a
    fresh process with this one's path, folder and environment; what importing their modules takes is held before. A
    process that fails is a RuntimeError of one line; one that takes longer than ``deadline`` seconds, a TimeoutError.
    """
    if str(device).startswith("cuda"):
        return _of_the_allocator(_call(function, arguments or {}, prepare), device)
    if str(device) != "cpu":
        raise ValueError(f"peak memory is measured on cpu and cuda, not on {device}")
    if not isinstance(function, str):
        raise ValueError(f"{function!r} cannot be handed to a fresh process: name it, as 'module:function'")
    return _of_a_process(function, arguments or {}, prepare, deadline)


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


def _of_the_allocator(call: Callable[[], object], device: "torch.device | str") -> Peak:
    import torch

    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return Peak(torch.cuda.max_memory_allocated(device) - before, before, "CUDA allocator")


# ---- on a CPU -------------------------------------------------------------------------------------------------------


def _of_a_process(function: str, arguments: Mapping[str, Any], prepare: str | None, deadline: float) -> Peak:
    for name in (function, prepare or function):
        if not re.fullmatch(r"[\w.]+:\w+", name):
            raise ValueError(f"{name!r} is not of the form 'module:function'")
    with tempfile.TemporaryDirectory() as folder:
        answer, errors = Path(folder, "answer.json"), Path(folder, "errors.txt")
        command = [sys.executable, "-c", "from hbi.cost.memory import _measure_here; _measure_here()"]
        command += [str(answer), json.dumps([function, arguments, prepare])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
            )
            try:
                code = process.wait(deadline)
            except subprocess.TimeoutExpired:
                raise TimeoutError(f"{function} did not end within {deadline:g} s") from None
            finally:
                if process.poll() is None:  # the deadline, or Ctrl-C here
                    os.killpg(process.pid, signal.SIGKILL)  # with all that it has started
                    process.wait()
        told = json.loads(answer.read_text()) if answer.exists() else {}
        if "bytes" in told:
            return Peak(**told)
        raise RuntimeError(f"{function} failed: {told.get('error') or _end(code, errors.read_text(errors='replace'))}")


def _end(code: int, errors: str) -> str:
    """How a process ended that gave no answer."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (", for want of memory perhaps" if name == "SIGKILL" else "")
    last_line = errors.strip().rpartition("\n")[2]
    return f"exit code {code}, no answer" + (f" ({last_line})" if last_line else "")


def _measure_here() -> None:
    """What the fresh process does: reads [function, arguments, prepare], writes a Peak or {"error": one line}."""
    answer, (function, arguments, prepare) = Path(sys.argv[1]), json.loads(sys.argv[2])
    try:
        call = _call(function, arguments, prepare)
        before, method = _start_counting()
        call()
        told = asdict(Peak(max(0, _peak() - before), before, method))
    except Exception as error:
        told = {"error": " ".join(f"{type(error).__name__}: {error}".split())}
    answer.write_text(json.dumps(told))


def _start_counting() -> tuple[int, str]:
    """The bytes held now, and how the peak over them is found."""
    gc.collect()
    with suppress(AttributeError):  # glibc: gives back what has been freed, or the call would find it and hide in it
        ctypes.CDLL(None).malloc_trim(0)
    try:
        CLEAR.write_text("5")  # sets the high-water mark of the resident set to what is resident now
        method = "VmHWM"
    except OSError:
        method = "VmHWM, not reset"
    return (_status("VmRSS"), method) if _status("VmHWM") else (_peak(), "ru_maxrss")


def _peak() -> int:
    # Not ru_maxrss where there is better: on Linux it also knows the process that this one was forked from.
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM") or unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status(name: str) -> int:
    """Bytes of that name in /proc/self/status; 0 where it is not told."""
    with suppress(OSError):
        found = re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
        if found:
            return 1024 * int(found[1])
    return 0
