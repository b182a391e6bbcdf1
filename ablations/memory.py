"""Peak memory of one run, also when a process does several."""

import resource
from contextlib import suppress
from pathlib import Path

import torch


def reset_peak(device: torch.device) -> None:
    """Starts counting anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):  # without it the peak is that of the process so far, an upper bound
        Path("/proc/self/clear_refs").write_text("5")  # Linux: resets the high-water mark of the resident set


def peak(device: torch.device) -> int:
    """Bytes since ``reset_peak``: of the device's allocator on a GPU, else of the process's resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
