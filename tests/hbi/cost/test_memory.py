"""The peak is what was held at most, also by what was freed again; a call that fails says so in one line.

torch is imported where it is used: the fresh processes import this file, and are done sooner without.
"""

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hbi.cost import memory
from hbi.cost.memory import peak_memory

MB = 2**20
HERE = "tests.hbi.cost.test_memory"


# ---- what is measured -----------------------------------------------------------------------------------------------


def allocate(megabytes: list[int]) -> None:
    """One after the other, each freed before the next."""
    for size in megabytes:
        np.ones(size * MB, np.uint8)


def build(megabytes: int) -> np.ndarray:
    """Small pieces, which are given back to malloc and not to the system, and then what is kept."""
    pieces = [np.ones(64 * 1024, np.uint8) for _ in range(16 * megabytes)]
    last = np.ones(1, np.uint8)  # above them in the heap
    del pieces
    return np.concatenate([np.ones(megabytes * MB, np.uint8), last])


def use(held: np.ndarray) -> None:
    [np.ones(64 * 1024, np.uint8) for _ in range(16 * 80)]
    held.sum()


def fail(message: str) -> None:
    raise ValueError(message)


def leave(code: int) -> None:
    os._exit(code)


def die(number: int) -> None:
    print("about to die", flush=True)
    os.kill(os.getpid(), number)


def sleep(file: str) -> None:
    """Starts a child that would outlive it, and goes on for ever."""
    if os.fork():
        Path(file).write_text(str(os.getpgid(0)))
    time.sleep(600)


def hoard(megabytes: int) -> None:
    """Goes on where no more than ``megabytes`` are free, until there are none left."""
    memory._take_no_more_than(megabytes * MB)
    pieces = []
    while True:
        pieces.append(np.ones(64 * MB, np.uint8))


def hoard_tensors() -> None:
    import torch

    torch.ones(2**50, dtype=torch.uint8)


# ---- on a CPU -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("megabytes", [[200], [50, 200, 10]], ids=["200", "freed in between"])
def test_200_megabytes_are_200_megabytes(megabytes: list[int]) -> None:
    ballast = np.ones(300 * MB, np.uint8)  # of this process, which is not to be seen in the other
    peak = peak_memory(f"{HERE}:allocate", {"megabytes": megabytes})
    assert peak.bytes == pytest.approx(200 * MB, rel=0.03)
    assert peak.method in ("VmHWM", "VmHWM, not reset", "ru_maxrss")
    assert peak.before < 1000 * MB
    del ballast


def test_what_is_prepared_counts_as_held_before() -> None:
    peak = peak_memory(f"{HERE}:use", {"megabytes": 100}, prepare=f"{HERE}:build")
    if peak.method != "VmHWM":
        pytest.skip(f"the high-water mark cannot be reset here ({peak.method})")
    assert peak.before > 100 * MB
    assert peak.bytes == pytest.approx(80 * MB, rel=0.1)


def test_a_call_that_fails_says_so_in_one_line() -> None:
    with pytest.raises(RuntimeError, match=rf"^{HERE}:fail failed: ValueError: no such size$"):
        peak_memory(f"{HERE}:fail", {"message": "no such\nsize"})
    with pytest.raises(RuntimeError, match=rf"^{HERE}:leave failed: exit code 3, no answer$"):
        peak_memory(f"{HERE}:leave", {"code": 3})
    with pytest.raises(RuntimeError, match=rf"^{HERE}:die failed: killed by SIGKILL, for want of memory perhaps$"):
        peak_memory(f"{HERE}:die", {"number": signal.SIGKILL})


def test_a_call_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    file = tmp_path / "group"
    with pytest.raises(TimeoutError, match=rf"^{HERE}:sleep did not end within 5 s$"):
        peak_memory(f"{HERE}:sleep", {"file": str(file)}, deadline=5)
    if not file.exists():
        pytest.skip("the machine is too busy: the deadline came before the call")
    for _ in range(100):  # killed, and then reaped by the system
        try:
            os.killpg(int(file.read_text()), 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a child of the call lives on")


def test_what_does_not_fit_is_found_before_the_machine_runs_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a machine of 600 MB free, in a group of 500."""
    group = tmp_path / "groups" / "job" / "step"
    group.mkdir(parents=True)
    for folder, limit in ((group.parent, str(900 * MB)), (group, "max")):
        (folder / "memory.max").write_text(limit)
        (folder / "memory.current").write_text(str(500 * MB))
        (folder / "memory.stat").write_text(f"file {300 * MB}\nactive_file {60 * MB}\ninactive_file {40 * MB}\n")
    (tmp_path / "meminfo").write_text(f"MemAvailable:   {600 * 1024} kB\n")
    (tmp_path / "cgroup").write_text("0::/job/step\n")
    monkeypatch.setattr(memory, "MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "GROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
    assert memory.available() == 500 * MB
    (tmp_path / "cgroup").write_text("4:memory:/job/step\n")
    assert memory.available() == 600 * MB
    (tmp_path / "meminfo").unlink()
    assert memory.available() is None

    with pytest.raises(MemoryError, match=r"^does not fit in \d+\.\d GB$"):
        peak_memory(f"{HERE}:hoard_tensors")
    with pytest.raises(MemoryError, match=r"^does not fit in \d+\.\d GB$"):
        peak_memory(f"{HERE}:hoard", {"megabytes": 300})


def test_what_waits_may_end_the_process(tmp_path: Path) -> None:
    file = tmp_path / "group"

    def waiting() -> None:
        if file.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        peak_memory(f"{HERE}:sleep", {"file": str(file)}, waiting=waiting, deadline=60)


def test_what_cannot_be_measured_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"cannot be handed to a fresh process: name it, as 'module:function'"):
        peak_memory(lambda: None)
    with pytest.raises(ValueError, match=r"'no_function' is not of the form 'module:function'"):
        peak_memory("no_function")
    with pytest.raises(ValueError, match="measured on cpu and cuda, not on mps"):
        peak_memory(f"{HERE}:allocate", {"megabytes": [1]}, "mps")


def test_says_what_it_read_where_the_mark_cannot_be_reset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "CLEAR", tmp_path)  # a folder cannot be written to
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
    monkeypatch.setattr(memory, "STATUS", status)
    assert memory._start_counting() == (MB, "VmHWM, not reset")
    assert memory.resident_peak() == 2 * MB
    status.unlink()
    before, method = memory._start_counting()
    assert before > MB
    assert method == "ru_maxrss"


# ---- on a GPU -------------------------------------------------------------------------------------------------------


def test_peak_of_the_allocator() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU here")

    def call(megabytes: int) -> None:
        for size in (megabytes, 10):
            torch.ones(size * MB, dtype=torch.uint8, device="cuda")

    held = torch.ones(100 * MB, dtype=torch.uint8, device="cuda")
    peak = peak_memory(call, {"megabytes": 200}, "cuda")
    assert peak.bytes == pytest.approx(200 * MB, rel=0.01)
    assert peak.before >= held.numel()
    assert peak.method == "CUDA allocator"


def test_asks_the_allocator_around_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the allocator, so that these lines run without a GPU."""
    import torch

    held, peak = 100, 0

    def reset(device: object) -> None:
        nonlocal peak
        peak = held

    def call(size: int) -> None:
        nonlocal peak
        peak = max(peak, held + size)

    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: held)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: peak)
    assert peak_memory(call, {"size": 7}, torch.device("cuda", 0)) == memory.Peak(7, 100, "CUDA allocator")

    def too_large() -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=80 * 10**9))
    with pytest.raises(MemoryError, match=r"^does not fit in 80\.0 GB$"):
        peak_memory(too_large, device="cuda")
