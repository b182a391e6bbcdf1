"""The private cluster of slurm/testbed does what the tests of the executor rest on."""

import shutil

import pytest

from tests.slurm.conftest import Cluster, wait_until

pytestmark = pytest.mark.slurm

NODES = ["127.0.0.1", "127.0.0.2"]
PREEMPTED = """#!/bin/bash
echo "start ${SLURM_RESTART_COUNT:-0}"
[ -z "$SLURM_RESTART_COUNT" ] || exit 0
trap 'echo USR2; scontrol requeue "$SLURM_JOB_ID"; exit' USR2
trap 'echo TERM' TERM
for (( i = 0; i < 600; i++ )); do sleep 0.1; done
"""


def test_all_nodes_become_idle(cluster: Cluster):
    def idle():
        return cluster.run("sinfo", "-h", "-N", "-p", "debug", "-o", "%N %t").splitlines()

    wait_until(lambda: idle() == [f"{node} idle" for node in NODES], 20)


def test_srun_reaches_both_nodes(cluster: Cluster):
    names = cluster.run("srun", "-N2", "-n4", "--ntasks-per-node=2", "printenv", "SLURMD_NODENAME").split()
    assert sorted(names) == sorted(NODES * 2)


def test_a_job_sees_the_gpus_it_asked_for_and_no_others(cluster: Cluster):
    shown = ["bash", "-c", "echo gpus: $CUDA_VISIBLE_DEVICES"]
    assert cluster.run("srun", "--gres=gpu:1", *shown) == "gpus: 0"
    assert cluster.run("srun", "--gres=gpu:2", *shown) == "gpus: 0,1"
    with pytest.raises(RuntimeError, match="not available"):
        cluster.run("sbatch", "--gres=gpu:3", "-o", "/dev/null", "--wrap", "true")


def test_sacct_shows_a_finished_job(cluster: Cluster):
    if not shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:/usr/bin"):
        pytest.skip("the cluster has no accounting here")
    job = cluster.run("sbatch", "--parsable", "-o", "/dev/null", "--wrap", "exit 3")
    query = ["sacct", "-n", "-X", "-P", "-j", job, "-o", "JobName,State,ExitCode"]
    wait_until(lambda: cluster.run(*query) == "wrap|FAILED|3:0", 20)


def test_without_accounting_squeue_works_and_sacct_does_not(cluster_without_accounting: Cluster):
    cluster = cluster_without_accounting
    job = cluster.run("sbatch", "--parsable", "-o", "/dev/null", "--wrap", "true")
    wait_until(lambda: cluster.state(job) == "COMPLETED", 20)
    with pytest.raises(RuntimeError, match="accounting storage is disabled"):
        cluster.run("sacct", "-j", job)


def test_jobs_survive_a_restart_of_the_controller(cluster: Cluster, tmp_path):
    """They hold every core, so that up.sh cannot run anything itself; one of them ends meanwhile."""
    file = tmp_path / "go"
    submit = ["sbatch", "--parsable", "-N1", "-n4", "-o", "/dev/null", "--wrap"]
    long = cluster.run(*submit, f"until [ -e {file} ]; do sleep 0.1; done")
    short = cluster.run(*submit, f"sleep 2; touch {tmp_path}/ended")
    wait_until(lambda: [cluster.state(job) for job in (long, short)] == ["RUNNING"] * 2, 20)
    cluster.stop_controller()
    wait_until((tmp_path / "ended").exists, 20)
    cluster.up()
    assert cluster.state(long) == "RUNNING"
    wait_until(lambda: cluster.state(short) == "COMPLETED", 20)
    file.touch()
    wait_until(lambda: cluster.state(long) == "COMPLETED", 20)


def test_a_preempted_job_hears_its_signal_first_and_starts_again(cluster: Cluster, tmp_path):
    script, output = tmp_path / "job.sh", tmp_path / "out"
    script.write_text(PREEMPTED)
    whole = ["sbatch", "--parsable", "-N2", "-n8"]
    signals = ["--signal=B:USR2@60", "--open-mode=append"]
    low = cluster.run(*whole, *signals, "-p", "low", "-o", str(output), str(script))
    wait_until(lambda: output.exists() and output.read_text() == "start 0\n", 20)
    high = cluster.run(*whole, "-p", "high", "-o", "/dev/null", "--wrap", "true")
    wait_until(lambda: cluster.state(high) == "COMPLETED", 20)
    wait_until(lambda: cluster.state(low) == "COMPLETED", 30)
    said = [line for line in output.read_text().splitlines() if not line.startswith("slurmstepd")]
    assert said == ["start 0", "USR2", "start 1"]
