"""The whole road through the command line: suite → runs → records → MLflow → tables, undisturbed and disturbed."""

import csv
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ablations.sources import origin
from tests.command_line import SUITE, call, place, records, results_of, start, table, wait_for


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = place(tmp_path_factory.mktemp("undisturbed"))
    done = call("run", "small.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    tables = call("tables", "small.yaml", cwd=folder)
    assert tables.returncode == 0, tables.stderr
    return folder, done.stdout, tables.stdout


# ---- undisturbed


def test_progress_says_which_run_of_how_many_epoch_loss_recall_and_time_left(undisturbed):
    _, out, _ = undisturbed
    assert re.search(r"run 2 of 3  no-hbi seed 1  epoch  2/3  loss +\d+\.\d+  R@1 +\d+\.\d  .*\d:\d\d:\d\d left", out)


def test_a_record_holds_everything(undisturbed):
    folder, *_ = undisturbed
    found = records(folder)
    assert len(found) == 3
    for run_id, record in found.items():
        assert record["outcome"] == "complete"
        assert record["spec"]["training"]["epochs"] == len(record["curve"]) == 3
        assert record["peak_memory"] > 1e8
        assert record["timings"]["total"] > 0
        provenance = record["provenance"]
        assert provenance["decoder"].split()[0] in ("decord", "pyav")
        assert provenance["threads"] == 1
        assert provenance["packages"]["torch"]
        run = folder / "runs" / "store" / run_id
        ranks = np.load(run / "ranks.npz", allow_pickle=False)
        assert ranks["t2v"].shape == ranks["v2t"].shape == (12,)
        assert record["metrics"]["t2v/R@10"] == pytest.approx(100 * np.mean(ranks["t2v"] <= 10))
        assert sorted(path.name for path in run.iterdir()) == [
            "lock", "log.txt", "model.safetensors", "ranks.npz", "record.json",
        ]  # fmt: skip


def test_the_table_has_every_row_with_numbers_in_all_formats(undisturbed):
    folder, _, shown = undisturbed
    rows = [line.split() for line in shown.splitlines() if line.startswith(("no-hbi", "hbi"))]
    marked = "*" * bool(origin().dirty_diff)
    assert [row[:2] for row in rows[:2]] == [[f"no-hbi{marked}", "2"], [f"hbi{marked}", "1"]]
    assert "±" in shown
    values = list(csv.DictReader((folder / "runs" / "tables" / "small.csv").open()))
    assert len(values) == 2 * 10
    assert "\\toprule" in (folder / "runs" / "tables" / "small.tex").read_text()
    assert "| no-hbi" in (folder / "runs" / "tables" / "small.md").read_text()
    assert "no-hbi" in (folder / "runs" / "tables" / "small.html").read_text()
    assert "result:small:hbi:t2v/R@1:mean" in (folder / "runs" / "tables" / "small.macros.tex").read_text()


def test_what_is_asked_of_the_table_is_answered(undisturbed):
    """why, compare, report, figures and tables --check, by the records of real runs."""
    folder, *_ = undisturbed
    value = next(float(r["mean"]) for r in csv.DictReader((folder / "runs" / "tables" / "small.csv").open()))
    why = call("why", "small.yaml", "no-hbi", "R@1", "--json", cwd=folder)
    told = json.loads(why.stdout)
    assert told["mean"] == value
    assert [run["seed"] for run in told["runs"]] == [0, 1]
    compared = call("compare", "small.yaml", "no-hbi", "hbi", cwd=folder)
    assert compared.returncode == 0, compared.stderr
    assert "hbi (B) against no-hbi (A)" in compared.stdout
    assert call("compare", "small.yaml", "no-hbi", "hbbi", cwd=folder).returncode == 2
    assert "small.curves.pdf" in call("figures", "small.yaml", cwd=folder).stdout
    report = call("report", "small.yaml", "--to", ".", cwd=folder)
    assert report.returncode == 0, report.stderr
    page = (folder / "small.report.html").read_text()
    assert all(run_id in page for run_id in records(folder))
    assert call("tables", "small.yaml", "--check", cwd=folder).returncode == 0
    shutil.copytree(folder / "runs" / "tables", folder / "paper")
    edited = folder / "paper" / "small.tex"
    edited.write_text(edited.read_text().replace("\\bottomrule", "hbi & 99.9 \\bottomrule"))
    wrong = call("tables", "small.yaml", "--check", "--to", "paper", cwd=folder)
    assert wrong.returncode == 1
    assert "99.9" in wrong.stdout


def test_mlflow_holds_the_same_numbers(undisturbed):
    folder, *_ = undisturbed
    with sqlite3.connect(folder / "runs" / "mlflow.db") as database:
        rows = database.execute(
            "select tags.value, metrics.key, metrics.value from latest_metrics as metrics "
            "join tags on tags.run_uuid = metrics.run_uuid and tags.key = 'run_id'"
        ).fetchall()
    mirrored = {(run_id, key): value for run_id, key, value in rows}
    for run_id, record in records(folder).items():
        for name, value in record["metrics"].items():
            assert mirrored[run_id, name.replace("@", "_at_")] == pytest.approx(value)


def test_again_runs_nothing_and_answers_the_same(undisturbed):
    folder, *_ = undisturbed
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs" / "store").rglob("*")}
    again = call("run", "small.yaml", cwd=folder)
    assert again.returncode == 0
    assert "3 runs, 0 to do, 3 reused" in again.stdout
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "runs" / "store").rglob("*")}
    status = call("status", "small.yaml", cwd=folder)
    assert status.returncode == 0
    assert status.stdout.count("complete") == 3


# ---- disturbed


STAGES = {
    "while the data are generated": "data/.shapes-*.part/videos/*.mp4",
    "in the first run": "store/no-hbi.*/training.pt",
    "between runs": "store/no-hbi.*/record.json",
    "in the last run": "store/hbi.*/training.pt",
    "while records are mirrored": "mlflow.db*",
}


def test_killed_at_every_stage_it_ends_in_the_same_table(undisturbed, tmp_path):
    """One folder, kill -9 at one stage after the other, the same command each time."""
    folder = place(tmp_path / "killed")
    for stage, trace in STAGES.items():
        process = start("run", "small.yaml", cwd=folder)
        wait_for(lambda trace=trace, process=process: any((folder / "runs").glob(trace)) or process.poll() is not None)
        assert process.poll() is None, f"it ended before it could be killed {stage}"
        process.kill()
        process.communicate(timeout=60)
    last = call("run", "small.yaml", cwd=folder)
    assert last.returncode == 0, last.stderr
    assert table(folder) == table(undisturbed[0])
    assert results_of(folder) == results_of(undisturbed[0])
    test_mlflow_holds_the_same_numbers((folder,))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_asked_to_stop_it_saves_and_goes_on_bit_equal(undisturbed, tmp_path, number):
    folder = place(tmp_path / "stopped", data=undisturbed[0])
    process = start("run", "small.yaml", cwd=folder)
    wait_for(lambda: any((folder / "runs" / "store").glob("*/training.pt")))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stopped; the same command goes on" in err
    assert any((folder / "runs" / "store").glob("*/training.pt"))
    last = call("run", "small.yaml", cwd=folder)
    assert last.returncode == 0, last.stderr
    assert "goes on from its checkpoint" in last.stdout
    assert results_of(folder) == results_of(undisturbed[0])


def test_two_launchers_at_once_run_nothing_twice(undisturbed, tmp_path):
    folder = place(tmp_path / "two", data=undisturbed[0])
    both = [start("run", "small.yaml", cwd=folder) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
    for log in (folder / "runs" / "store").glob("*/log.txt"):
        assert log.read_text().count("complete:") == 1
    assert results_of(folder) == results_of(undisturbed[0])


def test_a_run_that_turns_nan_is_recorded_and_the_others_go_on(undisturbed, tmp_path):
    suite = SUITE.replace("no-hbi: {seeds: [0, 1]}", "no-hbi: {training: {lr: 1e30, warmup: 0.0}}")
    folder = place(tmp_path / "nan", suite, undisturbed[0])
    done = call("run", "small.yaml", cwd=folder)
    assert done.returncode == 1
    outcomes = {record["spec"]["variant"]: record for record in records(folder).values()}
    assert outcomes["hbi"]["outcome"] == "complete"
    assert outcomes["no-hbi"]["failure"]["kind"] == "nan"
    assert "not finite at step" in outcomes["no-hbi"]["failure"]["message"]
    assert "Traceback" not in done.stdout + done.stderr
    again = call("run", "small.yaml", cwd=folder)
    assert again.returncode == 1
    assert "skipped, for it would fail again: no-hbi" in again.stdout
    assert "1 to do" in call("retry", "small.yaml", cwd=folder).stdout  # fails again, and says so
    shown = call("tables", "small.yaml", cwd=folder)
    assert shown.returncode == 0
    assert "nan" in shown.stdout


def test_a_full_disk_leaves_no_half_record_and_room_lets_it_finish(undisturbed, tmp_path):
    """The kernel refuses files above a limit, as it would on a full disk; checkpoints are larger, records smaller."""
    folder = place(tmp_path / "full", data=undisturbed[0])

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    done = call("run", "small.yaml", cwd=folder, preexec_fn=limit)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert [record["failure"]["kind"] for record in records(folder).values()] == ["disk"] * 3
    assert not list((folder / "runs" / "store").rglob("*.part"))
    last = call("run", "small.yaml", cwd=folder)
    assert last.returncode == 0, last.stderr
    assert results_of(folder) == results_of(undisturbed[0])


def test_a_damaged_record_is_named_and_made_anew(undisturbed, tmp_path):
    folder = place(tmp_path / "damaged")
    shutil.copytree(undisturbed[0] / "runs", folder / "runs")
    record = next((folder / "runs" / "store").glob("hbi*")) / "record.json"
    record.write_text(record.read_text()[:500])
    assert call("clean", cwd=folder).returncode == 0
    done = call("run", "small.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "left aside" in done.stderr
    assert results_of(folder) == results_of(undisturbed[0])


# ---- several processes


def test_local_processes_give_the_same_records_and_table(undisturbed, tmp_path):
    folder = place(tmp_path / "local", data=undisturbed[0])
    done = call("run", "small.yaml", "--executor", "local", "--jobs", "2", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert re.search(r"run 2 of 3  no-hbi seed 1  epoch  2/3  loss +\d+\.\d+  R@1", done.stdout)
    assert results_of(folder) == results_of(undisturbed[0])
    assert table(folder) == table(undisturbed[0])
    assert not list((folder / "runs" / "jobs").iterdir())


def test_a_killed_worker_is_named_and_the_same_command_finishes_its_run(undisturbed, tmp_path):
    folder = place(tmp_path / "worker", data=undisturbed[0])
    process = start("run", "small.yaml", "--executor", "local", cwd=folder)
    wait_for(lambda: any((folder / "runs" / "store").glob("*/training.pt")))
    owner = next((folder / "runs" / "store").glob("*/training.pt")).with_name("owner.json")
    os.kill(json.loads(owner.read_text())["pid"], signal.SIGKILL)
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "ended without a record" in out
    assert len(records(folder)) == 2
    assert call("run", "small.yaml", "--executor", "local", cwd=folder).returncode == 0
    assert results_of(folder) == results_of(undisturbed[0])


def test_a_killed_launcher_leaves_workers_that_the_next_one_waits_for(undisturbed, tmp_path):
    folder = place(tmp_path / "launcher", data=undisturbed[0])
    process = start("run", "small.yaml", "--executor", "local", "--jobs", "2", cwd=folder)
    wait_for(lambda: len(list((folder / "runs" / "store").glob("*/log.txt"))) == 2)
    process.kill()
    process.communicate(timeout=60)
    again = call("run", "small.yaml", "--executor", "local", "--jobs", "2", cwd=folder)
    assert again.returncode == 0, again.stderr
    for log in (folder / "runs" / "store").glob("*/log.txt"):
        assert log.read_text().count("complete:") == 1
    assert results_of(folder) == results_of(undisturbed[0])


def test_cancel_stops_a_launcher_and_its_workers_which_then_go_on(undisturbed, tmp_path):
    folder = place(tmp_path / "cancel", SUITE.replace("epochs: 3", "epochs: 40"), undisturbed[0])
    process = start("run", "small.yaml", "--executor", "local", "--jobs", "2", cwd=folder)
    wait_for(lambda: len(list((folder / "runs" / "store").glob("no-hbi*/progress.json"))) == 2)
    under_way = json.loads(call("status", "small.yaml", "--json", cwd=folder).stdout)["runs"]
    assert [step["state"] for step in under_way] == ["running", "running", "waiting"]
    assert re.search(r"epoch \d+ of 40, process \d+ on", under_way[0]["why"])
    follower = start("logs", under_way[0]["run"], "-f", cwd=folder)
    done = call("cancel", "small.yaml", cwd=folder)
    assert done.stdout.count("stopped, its state is saved") == 2, done.stdout
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stopped; the same command goes on" in err
    assert "stopped, its state is saved" in follower.communicate(timeout=60)[0]
    assert len(list((folder / "runs" / "store").glob("no-hbi*/training.pt"))) == 2
    assert not records(folder)
    plan = json.loads(call("plan", "small.yaml", "--json", cwd=folder).stdout)
    assert plan["to_do"] == 3
    assert re.search(r"interrupted in epoch \d+ of 40", plan["runs"][0]["why"])
    assert "nothing of this suite is under way" in call("cancel", "small.yaml", cwd=folder).stdout


# ---- looking, and cleaning up


def test_plan_says_what_runs_what_is_reused_and_how_long_it_takes(undisturbed, tmp_path):
    folder, *_ = undisturbed
    changed = call("plan", "small.yaml", "--set", "training.epochs=6", cwd=folder)
    assert changed.returncode == 0
    assert "differs in training.epochs 3 → 6" in changed.stdout
    assert re.search(r"3 of 3 runs to do, about 0:0\d:\d\d by earlier records", changed.stdout)
    same = json.loads(call("plan", "small.yaml", "--json", cwd=folder).stdout)
    assert same["to_do"] == 0
    assert {step["state"] for step in same["runs"]} == {"complete"}


def test_clean_removes_leftovers_and_never_a_record(undisturbed, tmp_path):
    folder = place(tmp_path / "clean")
    shutil.copytree(undisturbed[0] / "runs", folder / "runs")
    run = next((folder / "runs" / "store").glob("hbi*"))
    for name in (".record.json.12ab.part", "training.damaged", "training.pt"):
        (run / name).write_bytes(b"x" * 1000)
    before = results_of(folder)
    assert "removed 3 files, 3.0 kB" in call("clean", cwd=folder).stdout
    assert results_of(folder) == before
    assert len(list((folder / "runs" / "store").glob("*/model.safetensors"))) == 3
    assert "removed 3 files" in call("clean", "--weights", cwd=folder).stdout
    assert results_of(folder) == before


# ---- bad input


def refused(done: subprocess.CompletedProcess[str], folder: Path) -> str:
    """What a bad input must give: exit code 2, one line a mistake, no traceback, nothing run."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("runs/store/*"))
    return done.stderr.strip()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("- hbi", "- hbii"), r"small.yaml:9:5: .*'hbii'.*did you mean 'hbi'"),
        (("name: shapes", "name: shapse"), r"small.yaml:3:\d+: .*shapse.*shapes"),
        (("temporal_layers", "temporal_layer"), r"small.yaml:4:\d+: .*temporal_layer.*temporal_layers"),
        (("epochs: 3", "epochs: three"), r"small.yaml:5:\d+: .*epochs"),
        (("variants:", "variants: ["), r"small.yaml:\d+:\d+: "),
        (("encoder: tiny", "encoder: tinny"), r"unknown encoder 'tinny'; did you mean tiny"),
        (("encoder: tiny", "encoder: tiny, pretrained: nowhere.pt"), r"no such file: nowhere.pt"),
        (("batch_size: 8", "batch_size: 25"), r"batch_size is 25, but shapes has 24 training pairs"),
        (("max_words: 16", "max_words: 78"), r"max_words is 78, but encoder tiny reaches 77 positions"),
        (("{name: shapes, train: 24, val: 6, test: 12, size: 32,", "{name: msrvtt, root: nowhere,"), r"nowhere"),
    ],
    ids=lambda value: value[1][:30] if isinstance(value, tuple) else None,
)
def test_a_mistake_in_the_suite_is_one_line_and_nothing_runs(tmp_path, change, message):
    folder = place(tmp_path / "bad", SUITE.replace(*change))
    line = refused(call("run", "small.yaml", cwd=folder), folder)
    assert re.search(message, line), line
    assert "\n" not in line


def test_an_unknown_option_kind_or_suite_is_named(tmp_path):
    folder = place(tmp_path / "bad")
    assert "did you mean" in refused(call("run", "smal.yaml", cwd=folder), folder)
    assert "did you mean 'variants'" in refused(call("list", "variant", cwd=folder), folder)
    assert "training.epoch" in refused(call("run", "small.yaml", "--set", "training.epoch=2", cwd=folder), folder)


def test_damaged_data_is_found_before_anything_runs(undisturbed, tmp_path):
    """A video that does not decode, and an empty caption, in a copy of the generated set read as MSR-VTT."""
    (generated,) = (undisturbed[0] / "runs" / "data").glob("shapes-*/")
    suite = SUITE.replace("name: shapes, train: 24, val: 6, test: 12, size: 32", "name: msrvtt, root: copy")
    folder = place(tmp_path / "damaged", suite)
    shutil.copytree(generated, folder / "copy")
    video = sorted((folder / "copy" / "videos").glob("*.mp4"))[0]
    video.write_bytes(video.read_bytes()[:200])
    assert str(video.name) in refused(call("run", "small.yaml", cwd=folder), folder)

    shutil.rmtree(folder / "copy")
    shutil.copytree(generated, folder / "copy")
    test_list = folder / "copy" / "anns" / "MSRVTT_JSFUSION_test.csv"
    lines = test_list.read_text().splitlines()
    lines[2] = lines[2].partition(',"')[0] + ","
    test_list.write_text("\n".join(lines) + "\n")
    line = refused(call("run", "small.yaml", cwd=folder), folder)
    assert "MSRVTT_JSFUSION_test.csv:3" in line
    assert "empty" in line
