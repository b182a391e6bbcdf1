"""docs/cost.md: its suite loads, its commands run, its numbers are those of the code."""

import re
import shlex
from pathlib import Path

import pytest

from ablations.preflight import check
from hbi.config import BridgeFormerClipConfig, BridgeFormerConfig, CostConfig, HBIConfig, MILESConfig
from hbi.cost.memory import SHARE
from hbi.cost.stages import stages
from hbi.cost.statistics import COPIES, LEVEL
from suites.expand import expand
from suites.load import load_suite
from tests.command_line import call

PAGE = (Path(__file__).parent.parent / "docs" / "cost.md").read_text()
SMALL = (
    "cost={gallery: 8, rounds: 8, seconds: 0.2, scaling: {frames: [2, 4]}}",
    "variants=[no-hbi, hbi]",
    "runtime.device=cpu",
)


def test_the_suite_it_shows_loads(tmp_path):
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "suite.yaml").write_text(text)
    *_, run = expand(load_suite(tmp_path / "suite.yaml"))
    assert isinstance(run.spec.model, CostConfig)


def test_its_commands_run_and_write_what_it_says(tmp_path):
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    told = ""
    for line in block.splitlines():
        _, _, *arguments = shlex.split(line)
        small = [argument for setting in SMALL for argument in ("--set", setting)]
        done = call(*arguments, *small, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        told += done.stdout
    written = {path.name for path in (tmp_path / "runs" / "tables").iterdir()}
    assert {"cost_quickstart.flops.md", "cost_quickstart.latency.tex", "cost_quickstart.cost.csv"} <= written
    assert {"cost_quickstart.scaling.pdf", "cost_quickstart.scaling.svg"} <= written
    assert "Every operation that ran is priced" in told


@pytest.mark.parametrize(
    ("rates", "row"),
    [({"entity": 1.0}, "entity level"), (dict.fromkeys(("entity", "action", "event"), 1.0), "three levels")],
)
def test_the_heads_it_names_are_counted(rates, row):
    (told,) = re.findall(rf"\| HBI, [^|]*{row}[^|]*\| ([\d.]+) GMACs, ([\d.]+) GFLOPs", PAGE)
    found = stages(HBIConfig(encoder="ViT-B-32-quickgelu", similarity_rates=rates), 24, 12, None, (1000, 1000))
    assert told == (f"{found['similarity'].macs / 1e9:.1f}", f"{found['similarity'].total / 1e9:.1f}")


def test_the_cost_of_a_pair_is_counted():
    def of_the_teacher(**teacher):
        found = stages(HBIConfig(encoder="ViT-B-32-quickgelu", teacher=teacher), 24, 12)
        (cost,) = (found[stage] for stage in ("game/entity", "estimator/entity") if stage in found)
        return cost.total / 1e6

    told = re.search(
        r"exact Banzhaf interaction takes ([\d.]+) MFLOPs, Shapley's ([\d.]+), the\s+network that estimates it "
        r"([\d.]+), and 100 coalitions drawn for each cell ([\d.]+), which",
        PAGE,
    )
    assert told
    banzhaf, shapley, network, drawn = map(float, told.groups())
    assert of_the_teacher() == pytest.approx(banzhaf, abs=0.01)
    assert of_the_teacher(index="shapley") == pytest.approx(shapley, abs=0.1)
    assert of_the_teacher(method="estimated") == pytest.approx(network, abs=0.05)
    assert of_the_teacher(method="sampled") == pytest.approx(drawn, abs=0.1)


@pytest.mark.parametrize(
    ("row", "config", "words", "frames", "stage"),
    [
        ("MCQ and MILES, text", BridgeFormerConfig(towers="base"), 32, 4, "encode text"),
        ("MCQ, video", BridgeFormerConfig(towers="base"), 32, 4, "encode video"),
        ("MILES, video", MILESConfig(towers="base"), 32, 4, "encode video"),
        ("MCQ on a CLIP (ViT-B-32), text", BridgeFormerClipConfig(encoder="ViT-B-32"), 77, 8, "encode text"),
        ("MCQ on a CLIP, video", BridgeFormerClipConfig(encoder="ViT-B-32"), 77, 8, "encode video"),
    ],
)
def test_the_towers_it_names_are_counted(row, config, words, frames, stage):
    size, ours = re.search(rf"^\| {re.escape(row)} of (\d+) \w+ \| ([\d.]+) \|", PAGE, re.MULTILINE).groups()
    assert int(size) == (words if stage == "encode text" else frames)
    assert ours == f"{stages(config, words, frames, None)[stage].matmul / 1e9:.3f}"


def test_towers_of_published_size_are_measured_without_any_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (line,) = re.findall(r"^`run (cost --set .*)`\.$", PAGE, re.MULTILINE)
    name, *settings = (word for word in shlex.split(line) if word != "--set")
    suite = Path(__file__).parent.parent / "suites" / f"{name}.yaml"
    for given in ([], settings):
        (run,) = expand(load_suite(suite, given))
        towers = {case.model.towers for case in run.spec.model.cases if hasattr(case.model, "towers")}
        assert (run.spec.files, towers) == ({}, {"base"})
        check([run.spec], tmp_path, lambda *_: None)


def test_its_limits_are_those_of_the_code():
    text = " ".join(PAGE.split())
    assert f"at a level of {100 * LEVEL:g} %" in text
    assert f"all of the interval lies beyond {100 * COPIES:g} %" in text
    assert SHARE == 0.9
    assert "nine tenths of the memory that is available" in text
