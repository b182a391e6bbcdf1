"""What was submitted is known again by its files, whatever else lies there."""

import json
import time
from datetime import datetime, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slurm import queue
from slurm.cancel import cancel_jobs
from slurm.launches import JOBS, Launch, folders_in_use, jobs_of, new_folder, now, submissions, write_launch
from slurm.status import look
from tests.slurm.conftest import Cluster, wait_until
from tests.slurm.examples import array_of, runs_of, use, without_slurm


def launch(runs, *arrays, name="20260102-030000-aaaa"):
    folder = (runs / JOBS / name).absolute()
    write_launch(folder, Launch(suite="small", arrays=arrays))
    return folder


def test_every_run_of_a_launch_is_known_by_its_array_and_place(tmp_path):
    folder = launch(tmp_path, array_of("a", "b", name="hbi-x-0", number=7), array_of("c", name="hbi-x-1", number=9))
    found = submissions(tmp_path)
    assert {run_id: one.key for run_id, one in found.items()} == {
        "a": ("hbi-x-0", 0),
        "b": ("hbi-x-0", 1),
        "c": ("hbi-x-1", None),  # one job alone is no array
    }
    assert {one.folder for one in found.values()} == {folder}
    assert [found[run].output for run in "abc"] == [
        folder / name for name in ("7_0_0_log.err", "7_1_0_log.err", "9_0_log.err")
    ]


def test_a_launcher_that_was_killed_before_slurm_answered_is_not_forgotten(tmp_path):
    launch(tmp_path, array_of("a", "b", number=None))
    one = submissions(tmp_path)["b"]
    assert one.key == ("hbi-a-0", 1)
    assert one.output is None


def test_folders_of_launches_in_the_same_second_are_others(tmp_path):
    assert len({new_folder(tmp_path) for _ in range(20)}) == 20
    assert new_folder(tmp_path).is_absolute()


def test_the_time_of_a_submission_is_one_that_records_compare_with():
    assert datetime.fromisoformat(now()).utcoffset() == datetime.now(timezone.utc).utcoffset()
    assert len(now()) == len("2026-01-02T03:04:35+00:00")


times = st.integers(0, 5).map(lambda minute: f"2026-01-02T03:0{minute}:00+00:00")
arrays = st.tuples(times, st.lists(st.sampled_from("abcde"), min_size=1, max_size=4, unique=True))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(arrays, max_size=3), max_size=4))
def test_the_last_submission_of_a_run_counts(tmp_path_factory, launches):
    runs = tmp_path_factory.mktemp("runs")
    last: dict[str, tuple[str, str]] = {}
    for number, wanted in enumerate(launches):
        made = []
        for place, (submitted, ids) in enumerate(wanted):
            made.append(array_of(*ids, name=f"hbi-{number}-{place}", submitted=submitted))
            for run_id in ids:
                if run_id not in last or last[run_id][0] <= submitted:
                    last[run_id] = submitted, made[-1].name
        launch(runs, *made, name=f"20260102-03000{number}-aaaa")
    found = {run_id: (one.array.submitted, one.array.name) for run_id, one in submissions(runs).items()}
    assert found == last


DAMAGED = {
    "empty": b"",
    "cut": b'{"suite": "small", "arr',
    "zeros": bytes(100),
    "no text": b"\xff\xfe\x00{",
    "another version": json.dumps({"suite": "small", "arrays": [], "since": 9}).encode(),
    "a list": b"[]",
    "something else": b'{"name": "left-pad"}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_none_of_ours_is_passed_over(tmp_path, content):
    launch(tmp_path, array_of("a"), name="1")
    (launch(tmp_path, name="0") / "launch.json").write_bytes(content)
    (launch(tmp_path, name="2") / "launch.json").write_bytes(content)
    assert list(submissions(tmp_path)) == ["a"]


def test_folders_of_other_executors_are_passed_over(tmp_path):
    launch(tmp_path, array_of("a"))
    (tmp_path / JOBS / "local").mkdir()
    (tmp_path / JOBS / "odd" / "launch.json").mkdir(parents=True)
    assert list(submissions(tmp_path)) == ["a"]
    assert submissions(tmp_path / "nowhere") == {}


def test_where_nothing_was_submitted_nobody_is_asked(tmp_path, monkeypatch):
    without_slurm(monkeypatch, tmp_path)
    assert jobs_of({}) == {}
    assert folders_in_use(tmp_path) == set()


def test_where_slurm_is_silent_every_folder_may_be_in_use(tmp_path, monkeypatch):
    without_slurm(monkeypatch, tmp_path)
    folder = launch(tmp_path, array_of("a"))
    assert folders_in_use(tmp_path) == {folder}
    with pytest.raises(queue.Unreachable):
        jobs_of(submissions(tmp_path))


@pytest.mark.slurm
def test_the_jobs_of_runs_on_a_cluster(cluster: Cluster, tmp_path, monkeypatch):
    use(cluster, monkeypatch)
    submit = ["sbatch", "--parsable", "-o", "/dev/null"]
    held = int(cluster.run(*submit, "-J", "hbi-launch-0", "--hold", "--array=0-1", "--wrap", "true"))
    alone = cluster.run(*submit, "-J", "hbi-launch-1", "--wrap", "exit 3")
    waiting = array_of("a", "b", name="hbi-launch-0", number=held, submitted=now())
    ended = array_of("c", name="hbi-launch-1", number=None, submitted=now())  # of a launcher that was killed
    folder = launch(tmp_path, waiting, name="1")
    launch(tmp_path, ended, array_of("d", name="hbi-launch-2", submitted=now()), name="2")
    try:
        wait_until(lambda: cluster.state(alone) == "FAILED", 20)
        found = jobs_of(submissions(tmp_path))
        assert {run_id: (job.number, job.state) for run_id, job in found.items()} == {
            "a": (f"{held}_0", "PENDING"),
            "b": (f"{held}_1", "PENDING"),
            "c": (alone, "FAILED"),
        }
        assert folders_in_use(tmp_path) == {folder}
    finally:
        cluster.run("scancel", str(held))


@pytest.mark.slurm
@pytest.mark.parametrize("places", [[1], range(20), range(1, 20, 2)], ids=["one", "all", "odd"])
def test_runs_that_were_cancelled_while_they_waited_are_known_as_such(cluster: Cluster, tmp_path, places, monkeypatch):
    """Of jobs that scancel takes out of a waiting array one by one SLURM keeps no trace; and of those that are left as
    places 0-18:2, `squeue --array` (22.05) does not list the last."""
    use(cluster, monkeypatch)
    wanted, name = runs_of(tmp_path, "data: shapes\nseeds: 20\nvariants: [hbi]"), f"hbi-cancelled-{sum(places)}"
    submit = ["sbatch", "--parsable", "-o", "/dev/null", "-J", name, "--hold", "--array=0-19", "--wrap", "true"]
    number = int(cluster.run(*submit))
    launch(tmp_path, array_of(*(run.run_id for run in wanted), name=name, number=number, submitted=now()))
    try:
        steps = look(wanted, {}, tmp_path)
        assert [step.state for step in steps] == ["waiting"] * 20
        assert list(cancel_jobs([steps[place] for place in places], launchers=True))
        time.sleep(1)
        expected = ["cancelled" if place in places else "waiting" for place in range(20)]
        assert [step.state for step in look(wanted, {}, tmp_path)] == expected
    finally:
        cluster.run("scancel", str(number))
