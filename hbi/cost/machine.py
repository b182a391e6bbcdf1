"""What a measurement ran on: hardware, its clocks and load at a moment, and the energy of a call.

Free of torch until it is asked, for reports hold Hardware and PowerState, and tables read these without torch.
"""

import importlib
import os
import platform
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PROCESSORS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Hardware:
    """What a time depends on beside the code. Times of different hardware are not compared."""

    processor: str
    cores: int  # that this process may use
    threads: int  # of torch
    torch: str
    gpu: str | None
    driver: str | None  # of the GPU


@dataclass(frozen=True)
class PowerState:
    """Clocks and power at one moment; None where the machine does not tell."""

    governor: str | None = None  # of the processor's clock
    processor_mhz: tuple[float, float] | None = None  # slowest and fastest core
    gpu_mhz: int | None = None
    gpu_memory_mhz: int | None = None
    gpu_watts: float | None = None
    gpu_celsius: int | None = None
    load: float | None = None  # processes that ran or waited to, mean over a minute: other work disturbs times


def hardware(device: "torch.device | str") -> Hardware:
    """Of this process, now."""
    import torch

    device = torch.device(device)
    on_gpu = device.type == "cuda"
    return Hardware(
        processor=processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        gpu=torch.cuda.get_device_name(device) if on_gpu else None,
        driver=_driver() if on_gpu else None,
    )


def power_state(device: "torch.device | str") -> PowerState:
    """Clocks, power and load now: of the processor from Linux's cpufreq, of a GPU from NVML."""
    import torch

    device = torch.device(device)
    governors = sorted(set(_of_all_cores("scaling_governor")))
    kilohertz = [int(value) for value in _of_all_cores("scaling_cur_freq")]
    milliwatts = _ask_nvml(device, "nvmlDeviceGetPowerUsage")
    return PowerState(
        governor=", ".join(governors) or None,
        processor_mhz=(min(kilohertz) / 1000, max(kilohertz) / 1000) if kilohertz else None,
        gpu_mhz=_ask_nvml(device, "nvmlDeviceGetClockInfo", "NVML_CLOCK_SM"),
        gpu_memory_mhz=_ask_nvml(device, "nvmlDeviceGetClockInfo", "NVML_CLOCK_MEM"),
        gpu_watts=None if milliwatts is None else milliwatts / 1000,
        gpu_celsius=_ask_nvml(device, "nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU"),
        load=_load(),
    )


def energy(call: Callable[[], object], device: "torch.device | str", seconds: float = 2.0) -> float | None:
    """Joules of one call, of the whole board, its idle power included; None where NVML does not count them.

    The mean over as many calls as fill ``seconds``, for the counter moves in steps of up to 0.1 s.
    """
    import torch

    device = torch.device(device)
    counter = "nvmlDeviceGetTotalEnergyConsumption"  # in millijoules
    if _ask_nvml(device, counter) is None:
        return None
    with torch.cuda.device(device):
        call()
        torch.cuda.synchronize()
        before, calls, started = _ask_nvml(device, counter), 0, perf_counter()
        while perf_counter() - started < seconds:
            call()
            torch.cuda.synchronize()
            calls += 1
        after = _ask_nvml(device, counter)
    return None if before is None or after is None else (after - before) / 1000 / calls


def processor() -> str:
    """Name of the processor's model."""
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def _load() -> float | None:
    with suppress(OSError, AttributeError):  # not told; no such function on Windows
        return os.getloadavg()[0]
    return None


def _of_all_cores(name: str) -> list[str]:
    values = []
    for path in PROCESSORS.glob(f"cpu[0-9]*/cpufreq/{name}"):
        with suppress(OSError):  # a core that is switched off
            values.append(path.read_text().strip())
    return values


def _ask_nvml(device: "torch.device", question: str, constant: str | None = None) -> int | None:
    """What NVML (package nvidia-ml-py, where installed) says of the GPU; None where it cannot say."""
    if device.type != "cuda":
        return None
    import torch

    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
        # by UUID, for NVML numbers all GPUs of the machine, torch those that CUDA_VISIBLE_DEVICES leaves
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        return int(getattr(nvml, question)(handle, *([getattr(nvml, constant)] if constant else [])))
    except Exception:  # NVML's errors have no common base that is known without the package
        return None


def _driver() -> str | None:
    with suppress(OSError):
        found = re.search(r"\s(\d+\.[\d.]+)\s", Path("/proc/driver/nvidia/version").read_text())
        return found[1] if found else None
    return None
