"""docs/systems.md: its commands run, its variants are there, its FLOPs are counted."""

import re
import shlex
from pathlib import Path

import pytest

from ablations import registry
from hbi.config import SYSTEMS
from hbi.cost.stages import stages
from tests.command_line import call

PAGE = (Path(__file__).parent.parent / "docs" / "systems.md").read_text()
HEADS = re.findall(
    r"^\| `([\w-]+)`(?:, ([\w-]+))? \| ([\d.]+) \| ([\d.]+) \|$",
    PAGE.partition("<!-- heads: begin -->")[2].partition("<!-- heads: end -->")[0],
    re.MULTILINE,
)


def test_its_commands_run(tmp_path):
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines():
        _, _, *arguments = shlex.split(line, comments=True)
        done = call(*arguments, cwd=tmp_path)
        assert done.returncode == 0, (line, done.stderr)
        assert "runs to do" in done.stdout


def test_its_variants_are_registered():
    rows = re.findall(r"^\| [^|]*\| (`[^|]+) \|", PAGE, re.MULTILINE)
    named = [re.findall(r"`([\w-]+)`", row) for row in rows]
    assert len(named) == 7
    for first, *others in named:
        for name in (first, *(first + other if other.startswith("-") else other for other in others)):
            assert registry.get(name).name == name


@pytest.mark.parametrize(("name", "stage", "gmacs", "gflops"), HEADS, ids=lambda value: value or "similarity")
def test_a_head_is_counted(name, stage, gmacs, gflops):
    options = {**registry.get(name).config["model"], "encoder": "ViT-B-32-quickgelu"}
    found = stages(SYSTEMS[options["system"]].model_validate(options), 32, 12, None, (1000, 1000))
    head = found[stage or "similarity"]
    assert head.complete
    assert (f"{head.macs / 1e9:.2f}", f"{head.total / 1e9:.2f}") == (gmacs, gflops)


def test_every_system_is_in_it():
    for system in SYSTEMS:
        assert f"`{system}`" in PAGE or system in ("estimator", "hbi-qa")
