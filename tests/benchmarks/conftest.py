"""What all benchmarks share: torch's threads are again as they were, and the JSON says how busy the machine was."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch

LOAD = os.getloadavg()[0]
"""Before anything of ours has run."""


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info["load"] = LOAD
