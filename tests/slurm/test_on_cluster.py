"""Suites on a real SLURM: whatever befalls their jobs, nothing is lost or done twice, and the table is the same."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.command_line import ROOT, SUITE, call, finished, place, records, results_of, start, table, wait_for
from tests.results.mlflow_server import free_port, serving

pytestmark = pytest.mark.slurm

EPOCHS = 30
LONG = SUITE.replace("epochs: 3", f"epochs: {EPOCHS}").replace("no-hbi: {seeds: [0, 1]}", "no-hbi")
"""Two runs, each of several seconds: long enough for something to happen to it."""
PROFILE = "{partition: debug, gpus: 0, memory: 1G, minutes: 10, warning_seconds: 10, poll_seconds: 0.5}"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = place(tmp_path_factory.mktemp("undisturbed"), LONG)
    done = call("run", "small.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def prepared(undisturbed, tmp_path):
    """A function that makes a folder with a suite, the generated data and a profile."""

    def prepare(suite: str = LONG, profile: str = PROFILE) -> Path:
        folder = place(tmp_path / "work", suite, undisturbed)
        (folder / "cluster.yaml").write_text(profile)
        return folder

    return prepare


ON_CLUSTER = ("--executor", "slurm", "--cluster", "cluster.yaml")


def launch(cluster, folder: Path, *more: str, command: str = "run", **options) -> subprocess.Popen[str]:
    return start(command, "small.yaml", *ON_CLUSTER, *more, cwd=folder, environment=cluster.environment, **options)


def ask(cluster, folder: Path, command: str, *more: str) -> subprocess.CompletedProcess[str]:
    return call(command, "small.yaml", *more, cwd=folder, environment=cluster.environment)


def states(cluster, folder: Path) -> dict[str, str]:
    """By variant, of suites with one seed."""
    return {step["label"]: step["state"] for step in steps(cluster, folder)}


def steps(cluster, folder: Path) -> list[dict]:
    return json.loads(ask(cluster, folder, "status", "--json").stdout)["runs"]


def training(folder: Path, variant: str = "*", epoch: int = 2) -> Path:
    """The folder of a run of ``variant`` that has come to ``epoch``; waits for it."""

    def reached() -> list[Path]:
        files = (folder / "runs" / "store").glob(f"{variant}.shapes*/progress.json")
        return [file.parent for file in files if json.loads(file.read_text())["epoch"] >= epoch]

    wait_for(reached)
    return reached()[0]


def job_of(cluster, folder: Path, run: Path) -> str:
    (job,) = [step["job"]["number"] for step in steps(cluster, folder) if step["run"] == run.name]
    return job


def log_of(run: Path) -> str:
    return (run / "log.txt").read_text()


def finishes(cluster, folder: Path, undisturbed: Path, command: str = "run", *more: str) -> None:
    """The command ends all of the suite, with the undisturbed results, each run once."""
    done = finished(launch(cluster, folder, *more, command=command))
    assert done.returncode == 0, done.stdout + done.stderr
    agrees(folder, undisturbed)
    assert set(states(cluster, folder).values()) == {"complete"}


def agrees(folder: Path, undisturbed: Path) -> None:
    assert results_of(folder) == results_of(undisturbed)
    assert table(folder) == table(undisturbed)
    for run in (folder / "runs" / "store").glob("*/"):
        assert log_of(run).count("complete:") == 1


# ---- undisturbed


def test_twelve_runs_two_at_a_time_in_an_array_for_each_resource_set(cluster, tmp_path, undisturbed):
    suite = SUITE.replace("epochs: 3", "epochs: 1").replace("{seeds: [0, 1]}", "{resources: {cpus: 2}}")
    suite = suite + "  - entity-only\nseeds: 4\n"
    folder, alone = place(tmp_path / "cluster", suite, undisturbed), place(tmp_path / "alone", suite, undisturbed)
    (folder / "cluster.yaml").write_text(PROFILE)
    assert "12 jobs in 2 arrays" in ask(cluster, folder, "plan", "--cluster", "cluster.yaml").stdout
    done = finished(launch(cluster, folder, "--max-parallel", "2"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "submitting 12 runs as 2 arrays" in done.stdout
    found = records(folder)
    assert len(found) == 12
    assert {record["outcome"] for record in found.values()} == {"complete"}
    jobs = [record["provenance"]["job"] for record in found.values()]
    assert len({(job["number"], job["task"]) for job in jobs}) == 12
    assert len({job["number"] for job in jobs}) == 2
    assert {job["restarts"] for job in jobs} == {0}
    spans = [[datetime.fromisoformat(record[end]) for end in ("started", "finished")] for record in found.values()]
    for moment, _ in spans:
        assert sum(begin <= moment < end for begin, end in spans) <= 2
    assert call("run", "small.yaml", cwd=alone).returncode == 0
    assert results_of(folder) == results_of(alone)
    assert table(folder) == table(alone)
    shown = ask(cluster, folder, "status").stdout
    assert re.search(r"time +asked +memory +asked", shown)
    assert "0:10:00" in shown


def test_a_run_waits_for_the_one_it_needs(cluster, prepared):
    suite = SUITE.replace("epochs: 3", "epochs: 1").replace("  - no-hbi: {seeds: [0, 1]}\n  - hbi", "  - hbi-estimated")
    folder = prepared(suite)
    done = finished(launch(cluster, folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as 3 arrays" in done.stdout
    ended = {record["spec"]["variant"]: record["finished"] for record in records(folder).values()}
    assert ended["hbi-no-banzhaf"] <= ended["estimator"] <= ended["hbi-estimated"]


def test_two_tasks_on_two_nodes_train_one_run_together(cluster, prepared, tmp_path, undisturbed):
    suite = SUITE.replace("threads: 1", "threads: 1, processes: 2") + "resources: {nodes: 2}\n"
    suite = suite.replace("  - no-hbi: {seeds: [0, 1]}\n", "")
    folder = prepared(suite)
    done = finished(launch(cluster, folder))
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = records(folder).values()
    assert record["provenance"]["job"]["nodes"] == "127.0.0.[1-2]"
    alone = place(tmp_path / "alone", suite, undisturbed)
    assert call("run", "small.yaml", cwd=alone).returncode == 0  # two processes on this machine
    assert results_of(folder) == results_of(alone)


# ---- disturbed


def test_a_cancelled_task_goes_on_where_it_was(cluster, prepared, undisturbed):
    folder = prepared()
    process = launch(cluster, folder)
    run = training(folder, "hbi")
    cluster.run("scancel", job_of(cluster, folder, run))
    done = finished(process)
    assert done.returncode == 1
    assert states(cluster, folder) == {"no-hbi": "complete", "hbi": "cancelled"}
    finishes(cluster, folder, undisturbed)
    assert "stopped, its state is saved" in log_of(run)
    assert "goes on from its checkpoint" in log_of(run)


def test_a_killed_process_is_named_and_goes_on(cluster, prepared, undisturbed):
    folder = prepared(LONG + "retries: {killed: 0}\n")
    process = launch(cluster, folder)
    run = training(folder, "hbi")
    os.kill(json.loads((run / "owner.json").read_text())["pid"], signal.SIGKILL)
    done = finished(process)
    assert done.returncode == 1
    assert states(cluster, folder) == {"no-hbi": "complete", "hbi": "failed"}
    assert "killed by signal 9" in ask(cluster, folder, "status").stdout
    finishes(cluster, folder, undisturbed, "retry", "--class", "killed")
    assert "goes on from its checkpoint" in log_of(run)


def test_a_run_out_of_time_goes_back_into_the_queue_and_on(cluster, prepared, tmp_path):
    suite = LONG.replace(f"epochs: {EPOCHS}", "epochs: 110").replace("  - no-hbi\n", "")
    folder = prepared(suite, PROFILE.replace("minutes: 10", "minutes: 1").replace("g_seconds: 10", "g_seconds: 50"))
    done = finished(launch(cluster, folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "requeued" in done.stdout
    (record,) = records(folder).values()
    assert record["provenance"]["job"]["restarts"] >= 1
    alone = place(tmp_path / "alone", suite, folder)
    assert call("run", "small.yaml", cwd=alone).returncode == 0
    assert results_of(folder) == results_of(alone)


def test_a_run_that_is_out_of_time_too_often_says_so(cluster, prepared, undisturbed):
    folder = prepared(LONG.replace("  - no-hbi\n", "") + "retries: {requeues: 0, timeout: 0}\n")
    process = launch(cluster, folder)
    run = training(folder)
    cluster.run("scancel", "--signal=USR2", job_of(cluster, folder, run))
    done = finished(process)
    assert done.returncode == 1
    assert states(cluster, folder) == {"hbi": "timed out"}
    assert "retries.requeues" in ask(cluster, folder, "status").stdout
    done = finished(launch(cluster, folder, "--class", "timeout", command="retry"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "goes on from its checkpoint" in log_of(run)


def test_a_pre_empted_run_goes_on_at_its_step(cluster, prepared, undisturbed):
    folder = prepared(profile=PROFILE.replace("debug", "low"))
    process = launch(cluster, folder)
    training(folder)
    cluster.run("srun", "--partition=high", "--nodes=2", "--ntasks=2", "--exclusive", "sleep", "3", timeout=120)
    done = finished(process)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "requeued" in done.stdout
    agrees(folder, undisturbed)
    for record in records(folder).values():
        if record["provenance"]["job"]["restarts"]:
            log = log_of(folder / "runs" / "store" / record["run_id"])
            assert log.count("stopped, its state is saved") == log.count("goes on from its checkpoint") == 1
    assert any(record["provenance"]["job"]["restarts"] for record in records(folder).values())


def test_the_controller_may_be_away(cluster, prepared, undisturbed):
    folder = prepared()
    process = launch(cluster, folder)
    training(folder)
    cluster.stop_controller()
    time.sleep(12)  # longer than one question takes to fail
    cluster.up()
    done = finished(process)
    assert done.returncode == 0, done.stdout + done.stderr
    agrees(folder, undisturbed)


PLUGIN = """
import resource
from pathlib import Path

import numpy as np

from hbi.metrics.registry import PluginMetric


def measure(similarity, groups):
    said = Path("{folder}/disturb").read_text() if Path("{folder}/disturb").exists() else ""
    if said == "exception":
        raise LookupError("nobody thought of this")
    if said == "memory":
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + 100_000_000,) * 2)
        np.ones(1_000_000_000)
    return {{"share": 1.0}}


metric = PluginMetric(measure, {{"share": True}})
"""


def disturbing(cluster, folder: Path) -> dict[str, str]:
    """An environment with a metric that fails as the file ``disturb`` says."""
    package = folder / "plugin"
    (package / "disturb-1.0.dist-info").mkdir(parents=True)
    (package / "disturb_metric.py").write_text(PLUGIN.format(folder=folder))
    (package / "disturb-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: disturb\nVersion: 1.0\n")
    (package / "disturb-1.0.dist-info" / "entry_points.txt").write_text("[hbi.metrics]\nx = disturb_metric:metric\n")
    return cluster.environment | {"PYTHONPATH": str(package)}


@pytest.mark.parametrize(
    ("what", "state", "told"),
    [
        ("exception", "failed", "LookupError: nobody thought of this"),
        ("memory", "out of memory", "Unable to allocate"),
    ],
)
def test_a_task_that_fails_by_itself(cluster, prepared, undisturbed, what, state, told):
    folder = prepared()
    environment = disturbing(cluster, folder)
    (folder / "disturb").write_text(what)
    done = finished(start("run", "small.yaml", *ON_CLUSTER, cwd=folder, environment=environment))
    assert done.returncode == 1
    assert set(states(cluster, folder).values()) == {state}
    assert told in ask(cluster, folder, "status").stdout
    (folder / "disturb").unlink()
    done = finished(start("retry", "small.yaml", *ON_CLUSTER, cwd=folder, environment=environment))
    assert done.returncode == 0, done.stdout + done.stderr
    for run_id, (metrics, *others) in results_of(undisturbed).items():
        ours, *same = results_of(folder)[run_id]
        assert (ours | {"x/share": 1.0}, same) == (ours, others)
        assert metrics.items() <= ours.items()


def test_a_smaller_batch_where_the_suite_allows_it(cluster, prepared):
    folder = prepared(SUITE + "retries: {out_of_memory: 1, smaller_batch: true}\n")
    environment = disturbing(cluster, folder)
    (folder / "disturb").write_text("memory")
    process = start("run", "small.yaml", *ON_CLUSTER, "--only", "hbi", cwd=folder, environment=environment)
    wait_for(lambda: any(record["outcome"] == "failed" for record in records(folder).values()))
    (folder / "disturb").unlink()
    done = finished(process)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is submitted again: out of memory" in done.stdout
    (record,) = records(folder).values()
    assert record["accumulation"] == 2
    assert record["spec"]["training"]["accumulation"] == 1
    assert "encoded in 2 parts" in call("tables", "small.yaml", "--only", "hbi", cwd=folder).stdout


def test_without_accounting(cluster_without_accounting, prepared, undisturbed):
    folder, cluster = prepared(), cluster_without_accounting
    process = launch(cluster, folder)
    run = training(folder, "hbi")
    os.kill(json.loads((run / "owner.json").read_text())["pid"], signal.SIGKILL)
    done = finished(process)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"hbi\S+ is submitted again: .*its process ended without a record", done.stdout)
    agrees(folder, undisturbed)


# ---- launchers


def test_two_launchers_at_once_run_nothing_twice(cluster, prepared, undisturbed):
    folder = prepared()
    both = [launch(cluster, folder) for _ in range(2)]
    outs = [finished(process) for process in both]
    assert [done.returncode for done in outs] == [0, 0], outs
    assert sum("submitting 2 runs" in done.stdout for done in outs) == 1
    agrees(folder, undisturbed)


def test_a_launcher_that_is_gone_is_replaced_by_the_next_one(cluster, prepared, undisturbed):
    folder = prepared()
    process = launch(cluster, folder)
    training(folder)
    process.kill()
    process.communicate(timeout=60)
    done = finished(launch(cluster, folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "submitting" not in done.stdout
    agrees(folder, undisturbed)


def test_detached_watched_and_cancelled(cluster, prepared, undisturbed):
    folder = prepared()
    done = finished(launch(cluster, folder, "--detach", "--max-parallel", "1"))
    assert done.returncode == 0, done.stdout + done.stderr
    run = training(folder)
    assert states(cluster, folder) == {"no-hbi": "running", "hbi": "waiting"}
    follower = start("logs", run.name, "-f", cwd=folder, environment=cluster.environment)
    assert "2 jobs cancelled" in ask(cluster, folder, "cancel").stdout
    assert "stopped, its state is saved" in finished(follower).stdout
    wait_for(lambda: set(states(cluster, folder).values()) == {"cancelled"})
    finishes(cluster, folder, undisturbed)


def test_the_code_that_runs_is_the_code_that_was_submitted(cluster, prepared, undisturbed):
    folder = prepared()
    sources = folder / "sources"
    sources.mkdir()
    for name in ("hbi", "ablations", "suites", "slurm", "results"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run_suite.py", sources)
    done = finished(launch(cluster, folder, "--detach", "--max-parallel", "1", root=sources))
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("hbi/games/__init__.py", "ablations/run.py", "slurm/job.py"):
        (sources / name).write_text("raise RuntimeError('edited meanwhile')")
    assert call("clean", cwd=folder, environment=cluster.environment).returncode == 0  # leaves what jobs still need
    finishes(cluster, folder, undisturbed)


def test_a_rehearsal_finds_what_is_wrong_before_the_jobs_do(cluster, prepared):
    folder = prepared(LONG.replace("  - hbi", "  - hbi: {seeds: 50}"))
    done = finished(launch(cluster, folder, "--rehearse"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"rehearsed 2 runs in runs/rehearsal/\S+: 2 went well", done.stdout)
    assert not list((folder / "runs").glob("store/*"))
    (folder / "cluster.yaml").write_text(PROFILE[:-1] + ", setup: [module load nothing, 'false || exit 3']}")
    done = finished(launch(cluster, folder, "--rehearse"))
    assert done.returncode == 1
    assert "0 went well" in done.stdout
    shown = re.search(r"run_suite.py (logs \S+ --runs \S+)", done.stderr)[1]
    told = call(*shown.split(), cwd=folder, environment=cluster.environment)
    assert "module: command not found" in told.stdout


def test_more_runs_than_the_queue_takes(cluster, prepared, undisturbed):
    folder = prepared(SUITE.replace("epochs: 3", "epochs: 1"), PROFILE[:-1] + ", max_submit: 2}")
    planned = ask(cluster, folder, "plan", "--cluster", "cluster.yaml").stdout
    assert "submit limit: 2 jobs at a time" in planned
    done = finished(launch(cluster, folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"submitting \d runs", done.stdout) == ["submitting 2 runs", "submitting 1 runs"]
    assert len(records(folder)) == 3


def test_a_job_that_only_a_person_can_free_does_not_hold_the_command(cluster, prepared):
    folder = prepared(SUITE.replace("epochs: 3", "epochs: 1"))
    process = launch(cluster, folder, "--max-parallel", "1")
    wait_for(lambda: cluster.run("squeue", "--noheader"))
    waiting = [step for step in steps(cluster, folder) if step["label"] == "hbi"]
    cluster.run("scontrol", "hold", waiting[0]["job"]["number"])
    done = finished(process)
    assert done.returncode == 1
    assert "waits for something that does not come by itself" in done.stdout
    assert len(records(folder)) == 2
    assert "1 job cancelled" in ask(cluster, folder, "cancel").stdout


def test_a_node_that_fails(cluster, prepared, undisturbed):
    folder = prepared()
    process = launch(cluster, folder)
    run = training(folder, "hbi")
    (node,) = {step["job"]["nodes"] for step in steps(cluster, folder) if step["run"] == run.name}
    cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        done = finished(process)
    finally:
        with suppress(RuntimeError):  # it may have come back by itself
            cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
    assert done.returncode == 0, done.stdout + done.stderr
    agrees(folder, undisturbed)


def test_losses_appear_in_a_tracking_server_while_a_job_trains(cluster, prepared, tmp_path):
    folder, port = prepared(), free_port()
    (tmp_path / "server").mkdir()
    uri = f"http://127.0.0.1:{port}"
    with serving(tmp_path / "server", port):
        process = launch(cluster, folder, "--only", "hbi", "--tracking-uri", uri)
        run = training(folder)
        client = MlflowClient(uri)

        def losses() -> list[float]:
            experiment = client.get_experiment_by_name("small")
            found = client.search_runs([experiment.experiment_id]) if experiment else []
            return [run.data.metrics["loss/total"] for run in found if "loss/total" in run.data.metrics]

        wait_for(losses)
        assert not (run / "record.json").exists()
        done = finished(process)
        assert done.returncode == 0, done.stdout + done.stderr
        (mirrored,) = client.search_runs([client.get_experiment_by_name("small").experiment_id])
        (record,) = records(folder).values()
        assert mirrored.data.metrics["t2v/R_at_1"] == record["metrics"]["t2v/R@1"]


def commands_of(document: str) -> list[str]:
    text = (ROOT / document).read_text()
    lines = re.findall(r"^(?: {4})?python (run_suite.py run|run_suite.py plan)(.*)$", text, re.MULTILINE)
    found = [(command + rest).partition("#")[0].strip() for command, rest in lines]
    return [command for command in found if "--cluster" in command]


def test_the_commands_of_the_documents(cluster, prepared):
    folder = prepared(SUITE.replace("epochs: 3", "epochs: 1").replace("{seeds: [0, 1]}", ""))
    shutil.copy(folder / "small.yaml", folder / "mysuite.yaml")
    shutil.copy(folder / "cluster.yaml", folder / "mycluster.yaml")
    shown = [*commands_of("docs/clusters.md"), *commands_of("README.md")]
    assert len(shown) == 6
    smaller = {"quickstart": "quickstart --only no-hbi --set training.epochs=1 --set data.train=25 --set data.test=20"}
    for command in dict.fromkeys(shown):
        _, *arguments = [smaller.get(word, word) for word in command.split()]
        done = call(*" ".join(arguments).split(), cwd=folder, environment=cluster.environment)
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def test_a_gpu_that_torch_does_not_see_is_not_replaced_by_the_cpu(cluster, prepared):
    """The cluster gives false GPUs."""
    suite = SUITE.replace("epochs: 3", "epochs: 1").replace(", device: cpu", "") + "retries: {killed: 0}\n"
    folder = prepared(suite, PROFILE.replace("gpus: 0", "gpus: 1"))
    done = finished(launch(cluster, folder, "--only", "hbi"))
    assert done.returncode == 1
    assert re.search(r"asked +GPUs", ask(cluster, folder, "status").stdout)
    (run,) = [step["run"] for step in steps(cluster, folder) if step["label"] == "hbi"]
    assert "the job has GPUs (0), but torch" in call("logs", run, cwd=folder, environment=cluster.environment).stdout


def test_a_limit_that_only_sbatch_knows(cluster, prepared):
    """Of a QOS: submitting stops at it, and goes on when others have ended."""
    if "slurmdbd" not in (cluster.prefix / "etc" / "slurm.conf").read_text():
        pytest.skip("the cluster has no accounting here")
    cluster.run("sacctmgr", "-i", "modify", "qos", "normal", "set", "MaxSubmitJobsPerUser=2")
    try:
        folder = prepared(SUITE.replace("epochs: 3", "epochs: 1"))
        done = finished(launch(cluster, folder))
    finally:
        cluster.run("sacctmgr", "-i", "modify", "qos", "normal", "set", "MaxSubmitJobsPerUser=-1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the rest is submitted when others have ended" in done.stdout
    assert len(records(folder)) == 3


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (PROFILE.replace("debug", "nowhere"), "nowhere|partition"),
        (PROFILE.replace("memory: 1G", "memory: 900G"), "memory|node configuration"),
        (PROFILE[:-1] + ", options: {array: 1-3}}", "cluster.yaml:1:.*array is set by the harness"),
    ],
)
def test_what_slurm_or_we_refuse_is_one_line(cluster, prepared, profile, message):
    folder = prepared(profile=profile)
    done = finished(launch(cluster, folder))
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search(message, done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1
    assert not cluster.run("squeue", "--noheader")


def test_three_hundred_jobs(cluster, prepared, capsys):
    folder = prepared(SUITE.replace("no-hbi: {seeds: [0, 1]}", "no-hbi: {seeds: 299}"))
    began = time.monotonic()
    done = finished(launch(cluster, folder, "--detach", "--max-parallel", "1"))
    submitted = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    began = time.monotonic()
    found = steps(cluster, folder)
    told = time.monotonic() - began
    assert sum(step["state"] == "waiting" and step["job"] is not None for step in found) >= 298
    assert "300 jobs cancelled" in ask(cluster, folder, "cancel").stdout
    wait_for(lambda: not cluster.run("squeue", "--noheader"))
    # the accounting tells of the one that was running a moment after the queue is empty
    wait_for(lambda: sum(step["state"] == "cancelled" for step in steps(cluster, folder)) == 300)
    with capsys.disabled():
        print(f"\n300 jobs: submitted in {submitted:.1f} s (30), their states in {told:.2f} s (2)")
