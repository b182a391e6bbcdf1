"""`plan --cluster`: what a suite would mean for a cluster, before anything is submitted."""

import pytest

from slurm.outlook import outlook
from slurm.plan import plan
from slurm.profile import Cluster as Profile
from suites.expand import in_order
from tests.results.conftest import build_record
from tests.slurm.conftest import Cluster
from tests.slurm.examples import runs_of, use, without_slurm

SUITE = "data: shapes\nseeds: 4\nvariants: [no-hbi, hbi: {resources: {gpu_type: h100}}]\nruntime: {threads: 2}"
GPUS = Profile(gpus=2, partition="gpu", minutes=30)
CORES = Profile(gpus=0, minutes=30)


@pytest.fixture
def told(tmp_path, monkeypatch):
    """What is told of a suite, where SLURM is not installed; ``seconds``: how long runs of its kinds took before."""
    without_slurm(monkeypatch, tmp_path)

    def told(text: str = SUITE, cluster: Profile = GPUS, max_parallel: int | None = None, seconds: float | None = None):
        return outlook(steps(tmp_path, text, seconds), cluster, max_parallel).lines()

    return told


def steps(folder, text, seconds=None):
    """All are to be done; with ``seconds`` every variant has a record of another seed, which took so long."""
    wanted = in_order(runs_of(folder, text))
    specs = {run.spec.variant: run.spec.model_copy(update={"seed": 99}) for run in wanted}
    timings = {} if seconds is None else {"total": seconds}
    known = {name: build_record(name, 99, spec=spec, timings=timings) for name, spec in specs.items()}
    return plan(wanted, known if seconds else {}, folder)


UNKNOWN = "limits of the cluster: unknown (scontrol: no such program; is this a machine of the cluster?)"


def test_jobs_arrays_and_what_they_ask_for(told):
    assert told() == [
        "8 jobs in 2 arrays",
        "  4 jobs: 2 GPUs, 1 × 2 cores, 30 minutes, partition gpu",
        "  4 jobs: 2 h100 GPUs, 1 × 2 cores, 30 minutes, partition gpu",
        UNKNOWN,
    ]


def test_hours_are_those_of_all_gpus_of_all_runs(told):
    assert told(seconds=900.0)[0] == "8 jobs in 2 arrays, about 4.0 GPU-hours by earlier records"  # 8 × 2 × 1/4


def test_where_no_gpu_is_asked_for_hours_are_those_of_cores(told):
    text = "data: shapes\nseeds: 4\nvariants: [hbi]\nruntime: {processes: 2, threads: 3}\nresources: {nodes: 2}"
    assert told(text, CORES, seconds=600.0) == [
        "4 jobs in 1 array, about 4.0 core-hours by earlier records",  # 4 × 2 × 3 × 1/6
        "  4 jobs: 1 × 3 cores, 30 minutes, nodes 2",
        UNKNOWN,
    ]


def test_one_job_is_not_called_jobs(told):
    assert told("data: shapes\nvariants: [hbi]")[:2] == [
        "1 job in 1 array",
        "  1 job: 2 GPUs, 1 × 2 cores, 30 minutes, partition gpu",
    ]


def test_a_limit_of_jobs_at_one_time_is_shared(told):
    assert [line.split(":")[0] for line in told(max_parallel=4)[1:3]] == ["  4 jobs, 2 at a time"] * 2


def test_runs_that_need_others_are_arrays_of_their_own(told):
    text = "data: shapes\nseeds: 3\nvariants: [hbi-estimated]"
    assert [line.split(":")[0] for line in told(text)[:4]] == ["9 jobs in 3 arrays", *["  3 jobs"] * 3]


def test_limits_that_would_be_met(told):
    small = GPUS.model_copy(update={"max_array_size": 3, "max_submit": 5})
    found = told(cluster=small, seconds=4000.0)
    assert [line.split()[0] for line in found[1:5]] == ["3", "1", "3", "1"]
    assert found[5:] == [
        "time limit: 30 minutes, so 3 turns a run by earlier records",
        "submit limit: 5 jobs at a time; the rest is submitted when others have ended",
        "array size: 3 jobs, so larger sets are split",
        UNKNOWN,
    ]


def test_nothing_to_do(told, tmp_path):
    assert outlook([], GPUS, None).lines() == ["0 jobs in 0 arrays", UNKNOWN]
    assert outlook([], GPUS, 4).lines() == ["0 jobs in 0 arrays", UNKNOWN]


@pytest.mark.slurm
def test_limits_of_a_real_cluster(cluster: Cluster, tmp_path, monkeypatch):
    use(cluster, monkeypatch)
    assert outlook(steps(tmp_path, SUITE), GPUS, None).limits == []
    cluster.run("scontrol", "create", "PartitionName=brief", "Nodes=ALL", "MaxTime=20")
    try:
        (line,) = outlook(steps(tmp_path, SUITE), GPUS.model_copy(update={"partition": "brief"}), None).limits
        assert line == "time limit of brief: 20 minutes, less than the 30 asked for"
    finally:
        cluster.run("scontrol", "delete", "PartitionName=brief")
