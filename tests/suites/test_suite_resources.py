"""`resources` and `retries`: they merge as all options do, and are in no run's id."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suites.load import load_suite
from suites.resources import Resources, Retries

HBI = "data: shapes\nvariants: [hbi]\n"
quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
words = st.sampled_from(["gpu", "gpu,low", "a100&ib", "debug"])
asked = st.fixed_dictionaries(
    {},
    optional={
        "partition": words,
        "account": words,
        "gpus": st.integers(0, 8),
        "cpus": st.integers(1, 64),
        "memory": st.sampled_from(["500M", "64G"]),
        "minutes": st.integers(5, 9999),
        "nodes": st.integers(1, 4),
    },
)


def given_of(run):
    """What the suite says of a run's resources, without what it leaves to the cluster."""
    return run.resources.model_dump(exclude_unset=True)


@quick
@given(base=asked, over=asked, own=asked, set_=asked)
def test_files_arguments_and_variants_go_over_each_other_key_by_key(tmp_path, runs, base, over, own, set_):
    (tmp_path / "base.yaml").write_text(f"resources: {base}")
    text = f"include: [base.yaml]\ndata: shapes\nresources: {over}\nvariants: [hbi: {{resources: {own}}}, no-hbi]"
    hbi, other = runs(text, *(f"resources.{key}={value}" for key, value in set_.items()))
    assert given_of(other) == {**base, **over, **set_}
    assert given_of(hbi) == {**base, **over, **set_, **own}  # the entry of a variant has the last word, as elsewhere


@quick
@given(asked, asked)
def test_no_id_depends_on_them(runs, resources, own):
    plain = [run.run_id for run in runs("data: shapes\nvariants: [hbi-estimated, no-hbi]")]
    text = f"data: shapes\nresources: {resources}\nretries: {{killed: 5}}\n"
    found = runs(f"{text}variants: [hbi-estimated: {{resources: {own}}}, no-hbi]")
    assert [run.run_id for run in found] == plain


def test_whole_groups_as_arguments(runs):
    (run,) = runs(HBI + "resources: {gpus: 2, cpus: 4}", "resources={gpus: 1}")
    assert given_of(run) == {"gpus": 1, "cpus": 4}


def test_nothing_is_said_where_nothing_is_written(runs):
    for text in ("", "resources:", "resources: {}"):
        (run,) = runs(HBI + text)
        assert run.resources == Resources()
        assert given_of(run) == {}


def test_null_takes_back_what_a_cluster_would_give(runs):
    (run,) = runs(HBI + "resources: {gpu_type: null}")
    assert given_of(run) == {"gpu_type": None}


def test_a_run_that_another_needs_asks_for_what_its_own_entry_says(runs):
    text = "data: shapes\nresources: {minutes: 30}\nvariants:\n- hbi-estimated: {resources: {gpus: 4}}\n"
    (run,) = runs(text)
    assert given_of(run) == {"minutes": 30, "gpus": 4}
    assert given_of(run.needed) == {"minutes": 30}
    run, _ = runs(text + "- estimator: {resources: {cpus: 2}}")
    assert given_of(run.needed) == {"minutes": 30, "cpus": 2}


def test_all_points_of_a_grid_ask_for_the_same(runs):
    found = runs("data: shapes\nvariants: [hbi: {resources: {gpus: 2}}]\ngrid: {training.lr: [1, 2]}\nseeds: 2")
    assert [given_of(run) for run in found] == [{"gpus": 2}] * 4


def test_retries(tmp_path):
    (tmp_path / "base.yaml").write_text("retries: {timeout: 7, killed: 7}")
    (tmp_path / "suite.yaml").write_text(HBI + "include: [base.yaml]\nretries: {killed: 0, smaller_batch: true}")
    suite = load_suite(tmp_path / "suite.yaml", ["retries.nan=1"])
    assert suite.retries == Retries(timeout=7, killed=0, smaller_batch=True, nan=1)


ONE_LINE = {
    "key": (HBI + "resources: {gpu: 1}", "suite.yaml:3:13: unknown key 'gpu'; did you mean 'gpus'"),
    "key of a variant": (
        "data: shapes\nvariants:\n- hbi:\n    resources: {minuts: 9}",
        "suite.yaml:4:17: unknown key 'minuts'; did you mean 'minutes'",
    ),
    "type": (HBI + "resources: {gpus: many}", "suite.yaml:3:19: gpus should be a whole number, not 'many'"),
    "range": (HBI + "resources: {cpus: 0}", "suite.yaml:3:19: cpus should be greater than or equal to 1, not '0'"),
    "memory": (HBI + "resources: {memory: 64}", "suite.yaml:3:21: memory should be"),
    "option of sbatch in a word": (
        HBI + 'resources: {partition: "a\\n#SBATCH --uid=0"}',
        "suite.yaml:3:24: partition should match",
    ),
    "no mapping": (HBI + "resources: 2", "suite.yaml:3:12: resources should be a mapping"),
    "retry": (HBI + "retries: {kiled: 1}", "suite.yaml:3:11: unknown key 'kiled'; did you mean 'killed'"),
    "less than no retry": (
        HBI + "retries: {killed: -1}",
        "suite.yaml:3:19: killed should be greater than or equal to 0",
    ),
    "retries of a variant": (
        "data: shapes\nvariants: [hbi: {retries: {killed: 1}}]",
        "suite.yaml:2:18: unknown key 'retries'",
    ),
    "swept": (HBI + "grid: {resources.gpus: [1, 2]}", "suite.yaml:3:8: 'resources.gpus' is no option of a run"),
    "swept together": (HBI + "zip: {resources.gpus: [1, 2]}", "suite.yaml:3:7: 'resources.gpus' is no option of a run"),
    "swept retries": (HBI + "grid: {retries.killed: [1, 2]}", "suite.yaml:3:8: 'retries.killed' is no option of a run"),
    "excluded": (HBI + "exclude: [{resources.gpus: 1}]", "suite.yaml:3:12: unknown option 'resources.gpus'"),
}


@pytest.mark.parametrize(("text", "line"), ONE_LINE.values(), ids=ONE_LINE)
def test_one_clear_line(mistakes, text, line):
    found = mistakes(text)
    assert len(found) == 1, found
    assert found[0].startswith(line)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("resources.gpu=1", "--set resources.gpu=1: unknown key 'gpu'; did you mean 'gpus'"),
        ("resources.gpus=x", "--set resources.gpus=x: gpus should be a whole number, not 'x'"),
        ("resources=3", "--set resources=3: resources should be a mapping"),
        ("resource.gpus=1", "--set resource.gpus=1: unknown option 'resource.gpus'"),
        ("retries.killed=-1", "--set retries.killed=-1: killed should be greater than or equal to 0"),
        ("grid.resources.gpus=[1]", "--set grid.resources.gpus=[1]: 'resources.gpus' is no option of a run"),
    ],
)
def test_arguments_name_themselves(mistakes, override, line):
    found = mistakes(HBI, override)
    assert len(found) == 1, found
    assert found[0].startswith(line)


def test_what_cannot_be_swept_is_not_suggested(mistakes):
    """Nor is the option that comes nearest by its letters one that anybody meant."""
    (line,) = mistakes(HBI + "grid: {resources.gpus: [1, 2]}")
    assert "'resources" not in line.partition("; ")[2]
