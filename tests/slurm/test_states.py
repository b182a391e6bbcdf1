"""What a person is told of a run: every word of SLURM, every kind of failure, old records and new ones."""

import gzip
import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm.queue import Job
from slurm.states import SLURM_STATES, State, live, state_of, stuck, why
from tests.results.conftest import build_failure, build_record

WORDS = {
    "waiting": ["PENDING", "EXPEDITING"],
    "starting": ["CONFIGURING", "POWER_UP_NODE", "RUNNING"],  # the last: no process has the run yet
    "running": ["COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED", "UPDATE_DB"],
    "requeued": ["REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"],
    "failed": ["FAILED"],
    "out of memory": ["OUT_OF_MEMORY"],
    "timed out": ["TIMEOUT", "DEADLINE"],
    "pre-empted": ["PREEMPTED"],
    "cancelled": ["CANCELLED", "REVOKED"],
    "node failure": ["NODE_FAIL", "BOOT_FAIL", "LAUNCH_FAILED", "RECONFIG_FAIL"],
    "unknown": ["COMPLETED"],  # but no record
}
"""The states and flags of squeue(1), sacct(1) and SchedMD's page of job state codes, up to SLURM 25.05."""
ALL = [word for words in WORDS.values() for word in words]
LIVE = [*WORDS["waiting"], *WORDS["starting"], *WORDS["running"], *WORDS["requeued"]]
KINDS = ["nan", "bug", "disk", "need", "out of memory", "timed out"]
EARLIER, LATER = "2026-01-02T03:00:00+00:00", "2026-01-02T04:00:00+00:00"
"""Than the end of the records below."""

failures = st.sampled_from(KINDS).map(lambda kind: build_failure("hbi", kind=kind))
jobs = st.builds(Job, number=st.just("7_1"), state=st.sampled_from(ALL), restarts=st.integers(0, 3))


@pytest.mark.parametrize(("state", "word"), [(state, word) for state, words in WORDS.items() for word in words])
def test_every_word_of_slurm(state, word):
    job = Job("7_1", word)
    assert state_of(None, job, under_way=False) == state
    assert live(job) == (word in LIVE)


@pytest.mark.parametrize("page", ["squeue", "sacct"])
def test_the_manuals_of_this_machine_know_no_other_word(page):
    file = Path(f"/usr/share/man/man1/{page}.1.gz")
    if not file.exists():
        pytest.skip(f"no manual of {page} here")
    _, _, behind = gzip.decompress(file.read_bytes()).decode().partition('.SH "JOB STATE CODES"')
    section, _, _ = behind.partition("\n.SH")
    words = re.findall(r"^\\f[B3](?:[A-Z]{1,3} +)?([A-Z_]{5,})\\f", section, re.MULTILINE)
    assert "NODE_FAIL" in words
    assert set(words) <= set(ALL)


def test_nothing_is_mapped_that_no_manual_lists():
    assert sorted(SLURM_STATES) == sorted(ALL)


@given(st.text(max_size=30).filter(lambda word: word not in ALL))
def test_a_word_that_nobody_knows_is_unknown_and_no_job_to_wait_for(word):
    job = Job("7", word)
    assert state_of(None, job, under_way=False) == "unknown"
    assert not live(job)


@given(st.none() | jobs, st.booleans(), st.sampled_from(["", EARLIER, LATER]))
def test_a_complete_record_has_the_last_word(job, under_way, since):
    assert state_of(build_record(), job, under_way, since) == "complete"


@given(failures, st.none() | jobs, st.sampled_from(["", EARLIER]))
def test_a_failed_record_says_how(record, job, since):
    kind = record.failure.kind
    expected = kind if kind in ("out of memory", "timed out") else "failed"
    assert state_of(record, job, under_way=False, since=since) == expected


@given(failures, jobs, st.booleans())
def test_a_record_from_before_the_submission_says_nothing(record, job, under_way):
    assert state_of(record, job, under_way, LATER) == state_of(None, job, under_way, LATER)


@given(st.none() | failures, st.none() | jobs, st.booleans(), st.sampled_from(["", EARLIER, LATER]))
def test_there_is_always_one_of_the_states(record, job, under_way, since):
    assert state_of(record, job, under_way, since) in get_args(State)


def test_a_run_of_no_cluster():
    assert state_of(None, None, under_way=False) == "waiting"
    assert state_of(None, None, under_way=True) == "running"


def test_a_failed_run_that_is_done_again_here_is_running():
    assert state_of(build_failure("hbi"), None, under_way=True) == "running"


def test_a_job_that_waits_again_is_requeued():
    assert state_of(None, Job("7", "PENDING", restarts=1), under_way=False) == "requeued"


@pytest.mark.parametrize("word", ["RUNNING", "COMPLETING", "FAILED", "COMPLETED", "NODE_FAIL", "CANCELLED"])
def test_a_run_that_a_process_holds_is_running_whatever_became_of_its_job(word):
    assert state_of(None, Job("7", word), under_way=True) == "running"


@pytest.mark.parametrize(
    ("exit_", "words"),
    [
        ((0, 9), "killed by signal 9"),
        ((137, 0), "killed by signal 9"),
        ((143, 0), "killed by signal 15"),
        ((1, 0), "exit code 1"),
        ((3, 0), "exit code 3"),
        ((128, 0), "exit code 128"),
        ((255, 0), "exit code 255"),  # of sys.exit(-1), and of programs that cannot start another
    ],
)
def test_how_a_process_has_ended(exit_, words):
    assert why(Job("7_1", "FAILED", exit=exit_)) == f"job 7_1: its process ended without a record ({words})"


def test_a_failed_job_whose_exit_code_is_unknown_is_not_said_to_have_ended_well():
    assert "exit code 0" not in why(Job("7_1", "FAILED", "NonZeroExitCode"))


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (Job("7_1", "NODE_FAIL", nodes="n3", restarts=1), "job 7_1 node fail on n3, once requeued"),
        (Job("7", "RUNNING", nodes="n[1-2]", restarts=3), "job 7 running on n[1-2], 3 times requeued"),
        (Job("7", "PENDING", "Resources"), "job 7 pending: Resources"),
        (Job("7", "COMPLETED", exit=(0, 0)), "job 7 ended without a record"),
        (Job("7_0", "OUT_OF_MEMORY", "OutOfMemory", "n3", exit=(0, 125)), "job 7_0 out of memory on n3: OutOfMemory"),
    ],
)
def test_why(job, told):
    assert why(job) == told


FOR_A_PERSON = [
    *("JobHeldUser", "JobHeldAdmin", "job requeued in held state", "launch failed requeued held"),
    *("DependencyNeverSatisfied", "BadConstraints", "InvalidAccount", "InvalidQOS"),
    *("PartitionTimeLimit", "PartitionNodeLimit"),
]
PASSES = [
    *("", "None", "Resources", "Priority", "Dependency", "BeginTime", "Licenses", "Cleaning", "Prolog", "Reservation"),
    *("JobArrayTaskLimit", "QOSMaxJobsPerUserLimit", "AssocGrpCpuLimit", "ReqNodeNotAvail, UnavailableNodes:n[1-3]"),
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
]


@pytest.mark.parametrize("spelled", ["{}", "({})"])
@pytest.mark.parametrize("blank", [" ", "_"])
def test_what_waits_for_a_person(spelled, blank):
    def told(reason):
        return stuck(Job("7", "PENDING", spelled.format(reason.replace(" ", blank))))

    assert [reason for reason in FOR_A_PERSON if not told(reason)] == []
    assert [reason for reason in PASSES if told(reason)] == []


def test_a_job_that_was_put_back_to_be_held_waits_for_a_person():
    assert stuck(Job("7", "REQUEUE_HOLD"))
