"""What SLURM says of jobs, asked of a real one: how they ended, which they are, and what there is when it is silent."""

import getpass
import time
from pathlib import Path

import pytest

from slurm import queue
from slurm.job import AGAIN
from slurm.states import state_of, why
from slurm.submit import REQUEUE
from tests.slurm.conftest import Cluster, wait_until
from tests.slurm.examples import use, without_slurm

ROOT = Path(__file__).parents[2]
SCRIPT = """#!/bin/bash
case $SLURM_ARRAY_TASK_ID in
0) exit 0 ;;
1) exit 3 ;;
2) kill -9 $$ ;;
3) srun bash -c 'kill -9 $$' ;;
4) sleep 300 ;;
5) [ -n "$SLURM_RESTART_COUNT" ] || { scontrol requeue "${SLURM_ARRAY_JOB_ID}_5"; sleep 300; } ;;
esac
"""
ENDED = ["COMPLETED", "FAILED", "FAILED", "FAILED", "CANCELLED", "COMPLETED"]
PUT_BACK = f"""#!/bin/bash
[ "$SLURM_ARRAY_TASK_ID" = 1 ] && [ -z "$SLURM_RESTART_COUNT" ] || exit 0
(exit {AGAIN})
{REQUEUE}
"""
"""Of the two jobs of an array the last puts itself back into the queue, as a run does that was warned."""
BEFORE = "2020-01-01T00:00:00"
NAME = "hbi-20260102-030405-ab12-1"


def accounting(cluster: Cluster) -> bool:
    return "slurmdbd" in (cluster.prefix / "etc" / "slurm.conf").read_text()


def sbatch(cluster: Cluster, name: str, *options: str, wrap: str = "true") -> str:
    return cluster.run("sbatch", "--parsable", "-J", name, "-o", "/dev/null", *options, "--wrap", wrap)


@pytest.fixture(scope="module")
def array(cluster: Cluster, tmp_path_factory) -> str:
    """Number of an array whose jobs have ended as ENDED says; three others have names that begin as its name does."""
    folder = tmp_path_factory.mktemp("array")
    (folder / "back.sh").write_text(PUT_BACK)
    (folder / "job.sh").write_text(SCRIPT)
    submit = ["sbatch", "--parsable", "-o", "/dev/null"]
    back = cluster.run(*submit, "-J", f"{NAME}1", "--array=0-1", str(folder / "back.sh"))
    number = cluster.run(*submit, "-J", NAME, "--array=0-5", str(folder / "job.sh"))
    sbatch(cluster, f"{NAME}0", wrap="exit 7")
    wait_until(lambda: cluster.state(f"{number}_4") == "RUNNING", 30)
    cluster.run("scancel", f"{number}_4")
    wait_until(lambda: states(cluster, number) == ENDED, 40)
    wait_until(lambda: states(cluster, back) == ["COMPLETED"] * 2, 40)
    if accounting(cluster):  # which hears of it a little later
        told = ["sacct", "-n", "-X", "-P", "-j", number, "-o", "State"]
        wait_until(lambda: sorted(line.split()[0] for line in cluster.run(*told).splitlines()) == sorted(ENDED), 20)
    return number


def states(cluster: Cluster, number: str) -> list[str]:
    lines = cluster.run("squeue", "-h", "-r", "--states=all", f"--jobs={number}", "-o", "%K %T").splitlines()
    return [line.split()[1] for line in sorted(lines)]


# ---- jobs -----------------------------------------------------------------------------------------------------------


@pytest.mark.slurm
def test_how_every_job_of_an_array_has_ended(cluster, array, monkeypatch):
    use(cluster, monkeypatch)
    found = queue.jobs([NAME], BEFORE)
    assert sorted(found) == [(NAME, place) for place in range(6)]
    jobs = [found[NAME, place] for place in range(6)]
    assert [job.state for job in jobs] == ENDED
    assert [job.number for job in jobs] == [f"{array}_{place}" for place in range(6)]
    assert [job.restarts for job in jobs] == [0, 0, 0, 0, 0, 1]
    assert all(job.nodes in ("127.0.0.1", "127.0.0.2") for job in jobs)
    assert all(0 <= job.seconds < 60 for job in jobs)
    told = [state_of(None, job, under_way=False) for job in jobs]
    assert told == ["unknown", "failed", "failed", "failed", "cancelled", "unknown"]
    assert [why(job).partition("record ")[2] for job in jobs[1:4]] == [
        "(exit code 3)",
        "(killed by signal 9)",
        "(killed by signal 9)",  # of which sacct says 9:0: it takes 128 off
    ]


@pytest.mark.slurm
def test_the_last_job_of_an_array_puts_back_itself_alone(cluster, array, monkeypatch):
    """Its SLURM_JOB_ID is the number of the whole array, and to requeue that starts all of its jobs again."""
    use(cluster, monkeypatch)
    found = queue.jobs([f"{NAME}1"], BEFORE)
    assert {place: job.restarts for (_, place), job in found.items()} == {0: 0, 1: 1}


@pytest.mark.slurm
def test_what_the_controller_has_forgotten_comes_from_accounting(cluster, array, monkeypatch):
    if not accounting(cluster):
        pytest.skip("the cluster has no accounting here")
    use(cluster, monkeypatch)
    known = queue.jobs([NAME], BEFORE)
    monkeypatch.setattr(queue, "_queued", lambda names: [])
    forgotten = queue.jobs([NAME], BEFORE)
    for key, job in known.items():
        past = forgotten[key]
        assert (past.number, past.state, past.restarts, past.nodes) == (job.number, job.state, job.restarts, job.nodes)


@pytest.mark.slurm
def test_names_that_begin_alike_are_others(cluster, array, monkeypatch):
    use(cluster, monkeypatch)
    assert sorted(queue.jobs([f"{NAME}0"], BEFORE)) == [(f"{NAME}0", None)]
    assert queue.jobs([NAME[:-1]], BEFORE) == {}
    assert {name for name, _ in queue.jobs([NAME], BEFORE)} == {NAME}


@pytest.mark.slurm
def test_several_arrays_and_a_job_alone_at_once(cluster, array, monkeypatch):
    use(cluster, monkeypatch)
    waiting = sbatch(cluster, "hbi-held", "--hold", "--array=0-2%1")
    try:
        found = queue.jobs([NAME, f"{NAME}0", "hbi-held"], BEFORE)
        assert len(found) == 6 + 1 + 3
        assert [found["hbi-held", place].number for place in range(3)] == [f"{waiting}_{place}" for place in range(3)]
        assert {found["hbi-held", place].state for place in range(3)} == {"PENDING"}
        assert found["hbi-held", 0].reason == "JobHeldUser"
        assert found[f"{NAME}0", None].number.isdigit()
    finally:
        cluster.run("scancel", waiting)


@pytest.mark.slurm
def test_habits_of_a_person_and_an_enclosing_job_change_nothing(cluster, array, monkeypatch):
    use(cluster, monkeypatch)
    plain = queue.jobs([NAME], BEFORE)
    habits = {
        "SQUEUE_STATES": "RUNNING", "SQUEUE_FORMAT": "%i", "SQUEUE_FORMAT2": "JobID", "SQUEUE_SORT": "-i",
        "SACCT_FORMAT": "JobID", "SLURM_TIME_FORMAT": "relative", "SLURM_JOB_ID": "1", "SLURM_BITSTR_LEN": "1",
        "SLURM_JOBID": "1", "SQUEUE_PARTITION": "high", "SINFO_FORMAT": "%n",
    }  # fmt: skip
    for name, value in habits.items():
        monkeypatch.setenv(name, value)
    assert queue.jobs([NAME], BEFORE) == plain
    assert queue.longest("debug") is None


@pytest.mark.slurm
def test_without_accounting_there_is_less_detail(cluster_without_accounting, monkeypatch):
    use(cluster_without_accounting, monkeypatch)
    failed = sbatch(cluster_without_accounting, "hbi-failed", wrap="exit 3")
    waits = sbatch(cluster_without_accounting, "hbi-waits", "--hold")
    wait_until(lambda: cluster_without_accounting.state(failed) == "FAILED", 20)
    found = queue.jobs(["hbi-failed", "hbi-waits"], BEFORE)
    assert {key: job.number for key, job in found.items()} == {("hbi-failed", None): failed, ("hbi-waits", None): waits}
    job = found["hbi-failed", None]
    assert (job.state, state_of(None, job, under_way=False)) == ("FAILED", "failed")
    assert job.nodes in ("127.0.0.1", "127.0.0.2")
    assert "exit code 0" not in why(job)
    assert queue.limits() == {"MaxArraySize": 10001}


# ---- the cluster ----------------------------------------------------------------------------------------------------


@pytest.mark.slurm
def test_limits(cluster, monkeypatch):
    use(cluster, monkeypatch)
    assert queue.limits() == {"MaxArraySize": 10001}
    if not accounting(cluster):
        return
    limit = ["sacctmgr", "-i", "modify", "user", getpass.getuser(), "set"]
    cluster.run(*limit, "MaxSubmitJobs=77")
    try:
        assert queue.limits() == {"MaxArraySize": 10001, "MaxSubmit": 77}
    finally:
        cluster.run(*limit, "MaxSubmitJobs=-1")
    assert queue.limits() == {"MaxArraySize": 10001}


@pytest.mark.slurm
def test_the_longest_time_of_partitions(cluster, monkeypatch):
    use(cluster, monkeypatch)
    cluster.run("scontrol", "create", "PartitionName=short", "Nodes=ALL", "MaxTime=90")
    cluster.run("scontrol", "create", "PartitionName=days", "Nodes=ALL", "MaxTime=2-12:00:00")
    try:
        assert queue.longest("short") == 90
        assert queue.longest("days") == 60 * 60
        assert queue.longest("short,days") == 60 * 60
        assert queue.longest("short,debug") is None
    finally:
        for name in ("short", "days"):
            cluster.run("scontrol", "delete", f"PartitionName={name}")
    with pytest.raises(queue.Unreachable, match="short"):
        queue.longest("short")


@pytest.mark.slurm
def test_hosts(cluster, monkeypatch):
    use(cluster, monkeypatch)
    assert queue.hosts("127.0.0.[1-2]") == ["127.0.0.1", "127.0.0.2"]
    assert queue.hosts("a1,b[09-10]") == ["a1", "b09", "b10"]


@pytest.mark.slurm
def test_what_waits_counts_every_job_of_an_array(cluster, monkeypatch):
    use(cluster, monkeypatch)
    before = queue.waiting()
    number = sbatch(cluster, "hbi-many", "--hold", "--array=0-6")
    try:
        assert queue.waiting() == before + 7
    finally:
        cluster.run("scancel", number)


@pytest.mark.slurm
def test_what_slurm_answers_to_nonsense_is_one_line(cluster, monkeypatch):
    use(cluster, monkeypatch)
    with pytest.raises(queue.Unreachable) as error:
        queue.call("scontrol", "show", "job", "1")
    assert str(error.value).startswith("scontrol: ")
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(queue.Unreachable, match=r"^scancel: "):
        queue.cancel(["no-number"])


# ---- silence --------------------------------------------------------------------------------------------------------


def asked_in_every_way():
    return [
        lambda: queue.jobs(["hbi-a"], BEFORE),
        queue.limits,
        queue.waiting,
        lambda: queue.hosts("n[1-2]"),
        lambda: queue.longest("debug"),
        lambda: queue.cancel(["1"]),
    ]


def test_where_slurm_is_not_installed_a_line_says_so(tmp_path, monkeypatch):
    without_slurm(monkeypatch, tmp_path)
    for ask in asked_in_every_way():
        with pytest.raises(queue.Unreachable, match=r"^\w+: no such program; is this a machine of the cluster\?$"):
            ask()


def test_where_slurm_may_not_be_called_a_line_says_so(tmp_path, monkeypatch):
    without_slurm(monkeypatch, tmp_path)
    (tmp_path / "empty" / "squeue").write_text("#!/bin/sh\n")  # not executable
    with pytest.raises(queue.Unreachable, match=r"^squeue: "):
        queue.waiting()


def test_nothing_to_ask_asks_nobody(tmp_path, monkeypatch):
    without_slurm(monkeypatch, tmp_path)
    assert queue.jobs([], BEFORE) == {}
    queue.cancel([])


def test_a_command_that_hangs_is_ended_at_its_deadline(tmp_path, monkeypatch):
    pid = tmp_path / "pid"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "squeue").write_text(f"#!/bin/sh\necho $$ >{pid}\nexec sleep 60\n")
    (tmp_path / "squeue").chmod(0o755)
    began = time.monotonic()
    with pytest.raises(queue.Unreachable, match=r"^squeue has not answered in 1 seconds$"):
        queue.call("squeue", deadline=1)
    assert time.monotonic() - began < 10
    assert not Path("/proc", pid.read_text().strip()).exists()
