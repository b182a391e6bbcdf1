"""What a measurement ran on, as far as the machine tells."""

import os
from pathlib import Path

import pytest

from hbi.cost import machine
from hbi.cost.machine import PowerState, power_state


def test_clocks_power_and_load_as_far_as_the_machine_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "PROCESSORS", tmp_path)
    monkeypatch.setattr(os, "getloadavg", lambda: (1.5, 2.0, 3.0))
    assert power_state("cpu") == PowerState(load=1.5)
    for core, kilohertz in enumerate((1_400_000, 3_600_000)):
        folder = tmp_path / f"cpu{core}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text("powersave\n")
        (folder / "scaling_cur_freq").write_text(f"{kilohertz}\n")
    assert power_state("cpu") == PowerState(governor="powersave", processor_mhz=(1400, 3600), load=1.5)

    def untold() -> None:
        raise OSError

    monkeypatch.setattr(os, "getloadavg", untold)
    assert power_state("cpu").load is None
