"""What `plan` tells of the differences that a suite can find."""

import re
from pathlib import Path

import numpy as np
import pytest

from results.planning import POWER, suite_resolves
from results.resolution import resolvable
from results.suite_tables import suite_tables
from suites.expand import expand
from suites.load import load_suite
from tests.command_line import call
from tests.results.ranked import leave_run, retrieval


def lines(folder: Path, text: str, only: str | None = None) -> list[str]:
    (folder / "small.yaml").write_text(text)
    loaded = load_suite(folder / "small.yaml")
    found = suite_resolves(loaded, folder / "runs", only)
    return list(found.lines()) if found else []


def points(line: str) -> float:
    found = re.search(r"([\d.]+) points", line)
    assert found
    return float(found[1])


def test_the_numbers_are_those_of_the_test_split_and_its_rows(tmp_path: Path) -> None:
    told = lines(tmp_path, "data: msrvtt\nseeds: 3\nvariants: [no-hbi, hbi, entity-only, hbi-shapley]\n")
    assert told == [
        "resolves: a difference to no-hbi in t2v/R@1, found with 80 % power at a level of 5 % / 3 (Holm); "
        "1000 test videos, spread assumed:",
        f"  3 seeds: {resolvable(1000, 3, level=0.05 / 3, power=POWER):.1f} points",
    ]
    (_, line) = lines(tmp_path, "data: {name: shapes, test: 50}\nseeds: 5\nvariants: [no-hbi, hbi]\n")
    assert points(line) == pytest.approx(resolvable(50, 5), abs=0.05)


def test_more_seeds_or_queries_resolve_more(tmp_path: Path) -> None:
    text = "data: {{name: shapes, test: {}}}\nseeds: {}\nvariants: [no-hbi, hbi]\n"
    by_seeds = [points(lines(tmp_path, text.format(1000, seeds))[1]) for seeds in (2, 3, 5, 10)]
    assert by_seeds == sorted(by_seeds, reverse=True)
    assert len(set(by_seeds)) == 4
    by_queries = [points(lines(tmp_path, text.format(queries, 3))[1]) for queries in (50, 200, 1000)]
    assert by_queries == sorted(by_queries, reverse=True)


def test_one_seed_tells_of_the_trained_models_alone(tmp_path: Path) -> None:
    _, line = lines(tmp_path, "data: msrvtt\nvariants: [no-hbi, hbi]\n")
    assert re.fullmatch(r"  1 seed: [\d.]+ points, between these trained models alone", line)


def test_rows_that_share_other_numbers_of_seeds_are_told_apart(tmp_path: Path) -> None:
    text = "data: msrvtt\nvariants: [no-hbi: {seeds: [0, 1, 2]}, hbi: {seeds: [1, 2, 3]}, entity-only: {seeds: [0]}]\n"
    told = lines(tmp_path, text)
    assert [line.split(":")[0].strip() for line in told[1:]] == ["1 seed", "2 seeds"]
    assert lines(tmp_path, "data: msrvtt\nvariants: [no-hbi, hbi: {seeds: [1]}]\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "data: msrvtt\nvariants: [hbi]\n",
        "data: msrvtt\nvariants: [no-hbi, hbi: {data: msvd}]\n",
        "variants: [no-hbi, hbi]\ndata: msrvtt\ncost: {alone: true}\n",
    ],
)
def test_nothing_is_told_where_nothing_can_be(tmp_path: Path, text: str) -> None:
    assert lines(tmp_path, text) == []


def test_questions_are_told_by_their_accuracy(tmp_path: Path) -> None:
    told = lines(tmp_path, "data: msrvtt-qa\nseeds: 2\nvariants: [no-hbi-qa, hbi-qa]\n")
    assert "a difference to no-hbi-qa in accuracy, " in told[0]
    assert len(told) == 2


def test_the_spread_of_earlier_records_is_used(tmp_path: Path) -> None:
    text = "data: {name: shapes, test: 60}\nseeds: 3\nvariants: [no-hbi, hbi]\n"
    assumed = lines(tmp_path, text)
    loaded = load_suite(tmp_path / "small.yaml")
    generator = np.random.default_rng(0)
    for run in expand(loaded):
        leave_run(tmp_path / "runs", run, retrieval(generator, generator.normal(0.9, 1.2, 60)))
    told = lines(tmp_path, text)
    assert "spread of the records so far" in told[0]
    assert told[1] != assumed[1]
    table = suite_tables(loaded, tmp_path / "runs").table
    assert table
    comparison = table.rows[1].cells[0].comparison
    assert comparison
    assert comparison.variation
    assert points(told[1]) == pytest.approx(resolvable(60, 3, [comparison.variation]), abs=0.05)


def test_only_some_rows(tmp_path: Path) -> None:
    text = "data: msrvtt\nseeds: 3\nvariants: [no-hbi, hbi, entity-only]\nbaseline: no-hbi\n"
    assert "5 % / 2 (Holm)" in lines(tmp_path, text)[0]
    assert "level of 5 %;" in lines(tmp_path, text, "*h*")[0]
    assert lines(tmp_path, text, "[he]*") == []  # without the baseline


def test_a_run_that_others_need_is_no_row(tmp_path: Path) -> None:
    """`plan` lists it, but no table does."""
    (tmp_path / "small.yaml").write_text("data: msrvtt\nseeds: 3\nvariants: [hbi-estimated, no-hbi]\n")
    done = call("plan", "small.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "hbi-no-banzhaf" in done.stdout
    assert "resolves: a difference to hbi-estimated in t2v/R@1, found with 80 % power at a level of 5 %;" in done.stdout


def test_a_suite_of_very_many_rows(tmp_path: Path) -> None:
    values = ", ".join(f"{n / 1000}" for n in range(1, 603))
    text = "data: shapes\nseeds: 2\nvariants: [no-hbi, hbi]\ngrid: {model.distillation_weight: [%s]}\n"
    assert "5 % / 602 (Holm)" in lines(tmp_path, text % values)[0]
