"""Peak memory of one run, also when a process does several."""

import torch

from hbi.cost.memory import reset_resident_peak, resident_peak


def reset_peak(device: torch.device) -> None:
    """Starts counting anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        reset_resident_peak()  # where it cannot be done, the peak is an upper bound


def peak(device: torch.device) -> int:
    """Bytes since ``reset_peak``: of the device's allocator on a GPU, else of the process's resident set."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else resident_peak()
