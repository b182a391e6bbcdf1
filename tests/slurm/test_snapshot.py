"""The sources that jobs run: those of the submission, whole, once for the same code, and with their origin."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ablations.sources
import slurm.snapshot
from ablations.sources import ORIGIN
from slurm.snapshot import CODE, PACKAGES, snapshot

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """The sources, committed."""
    folder = tmp_path_factory.mktemp("clone") / "tree"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(ROOT / "run_suite.py", folder)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "all")
    return folder


@pytest.fixture
def tree(clone, tmp_path, monkeypatch) -> Path:
    """A copy of the clone, which may be edited, as that of this process."""
    shutil.copytree(clone, tmp_path / "tree")
    for module in (ablations.sources, slurm.snapshot):
        monkeypatch.setattr(module, "SOURCES", tmp_path / "tree")
    return tmp_path / "tree"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and not {".git", "__pycache__"} & {*path.parts}]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != ORIGIN}


def python(code: Path, program: str) -> str:
    """What a program prints that runs the sources in ``code``, as a job does."""
    environment = os.environ | {"PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=code, env=environment, check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def test_a_snapshot_is_the_sources_and_stays_what_they_were(tree, tmp_path):
    before = content(tree)
    code = snapshot(tmp_path / "runs")
    assert content(code) == before
    (tree / "slurm" / "job.py").write_text("raise SystemExit('edited')")
    (tree / "hbi" / "errors.py").unlink()
    assert content(code) == before
    assert python(code, "import slurm.job") == ""


def test_the_same_sources_share_a_folder_and_others_have_their_own(tree, tmp_path):
    first = snapshot(tmp_path / "runs")
    assert snapshot(tmp_path / "runs") == first
    with (tree / "slurm" / "job.py").open("a") as file:
        file.write("# edited\n")
    second = snapshot(tmp_path / "runs")
    assert second != first
    git(tree, "checkout", "-q", ".")
    assert snapshot(tmp_path / "runs") == first
    (tree / "slurm" / "job.py").rename(tree / "slurm" / "task.py")
    assert snapshot(tmp_path / "runs") not in (first, second)


def test_new_modules_and_files_beside_them_are_in_it(tree, tmp_path):
    (tree / "ablations" / "mine").mkdir()
    (tree / "ablations" / "mine" / "__init__.py").write_text("WORDS = ['not added to git']")
    (tree / "hbi" / "models" / "encoders" / "mine.json").write_text("{}")
    code = snapshot(tmp_path / "runs")
    assert python(code, "import ablations.mine as m; print(m.WORDS)") == "['not added to git']"
    assert (code / "hbi" / "models" / "encoders" / "mine.json").exists()


def test_what_python_made_of_the_sources_is_not_in_it(tree, tmp_path):
    first = snapshot(tmp_path / "runs")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(tree / "suites")], check=True)
    assert (tree / "suites" / "__pycache__").is_dir()
    assert snapshot(tmp_path / "runs") == first


def test_what_an_open_editor_leaves_does_no_harm(tree, tmp_path):
    first = snapshot(tmp_path / "runs")
    (tree / "slurm" / ".#job.py").symlink_to("somebody@host.123:456")  # Emacs: its lock, a link to nowhere
    (tree / "slurm" / ".job.py.swp").write_bytes(b"Vim")
    assert snapshot(tmp_path / "runs") == first


def test_a_job_gets_no_module_but_those_of_the_snapshot(tree, tmp_path):
    with (tree / "slurm" / "job.py").open("a") as file:
        file.write("\nWHERE = 'snapshot'\n")
    code = snapshot(tmp_path / "runs")
    with (tree / "slurm" / "job.py").open("a") as file:
        file.write("\nWHERE = 'tree'\n")
    told = python(
        code,
        "import sys, slurm.job, slurm.on_cluster, suites.load, results.store\n"
        f"ours = [module for name, module in sys.modules.items() if name.split('.')[0] in {PACKAGES}]\n"
        "print(slurm.job.WHERE, *sorted({module.__file__ for module in ours if module.__file__}))",
    )
    where, *files = told.split()
    assert where == "snapshot"
    assert len(files) > 20
    assert [file for file in files if not Path(file).is_relative_to(code)] == []


def test_a_snapshot_knows_the_commit_and_the_changes_it_was_taken_from(tree, tmp_path):
    with (tree / "slurm" / "job.py").open("a") as file:
        file.write("# edited for this launch\n")
    code = snapshot(tmp_path / "runs")
    git(tree, "commit", "-qam", "later")
    told = python(code, "from ablations.sources import origin; print(origin().model_dump_json())")
    origin = ablations.sources.Origin.model_validate_json(told)
    assert origin.commit == git(tree, "rev-parse", "HEAD~")
    assert "+# edited for this launch" in origin.dirty_diff


def test_outside_a_repository_there_is_a_snapshot_without_origin(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    shutil.rmtree(tree / ".git")
    code = snapshot(tmp_path / "runs")
    assert python(code, "from ablations.sources import origin; print(origin())") == "commit=None dirty_diff=None"


def test_several_launchers_at_once_end_in_one_folder(tree, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        found = {future.result() for future in [pool.submit(snapshot, tmp_path / "runs") for _ in range(4)]}
    (code,) = found
    assert [path.name for path in (tmp_path / "runs" / CODE).iterdir()] == [code.name]
    assert content(code) == content(tree)


def test_a_launcher_that_is_killed_midway_leaves_nothing_that_counts(tree, tmp_path):
    program = f"""
import os, signal
from pathlib import Path
import slurm.snapshot
written, write = [], Path.write_bytes
def some(path, content):
    written.append(write(path, content))
    if len(written) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
Path.write_bytes = some
slurm.snapshot.snapshot(Path({str(tmp_path / "runs")!r}))
"""
    killed = subprocess.run([sys.executable, "-c", program], cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)})
    assert killed.returncode == -9
    left = list((tmp_path / "runs" / CODE).iterdir())
    assert [path.name[0] for path in left] == ["."]  # `clean` knows it as a leftover
    code = snapshot(tmp_path / "runs")
    assert content(code) == content(tree)


def test_a_folder_that_cannot_be_written_is_told_and_not_taken_for_a_snapshot(tree, tmp_path, monkeypatch):
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        snapshot(tmp_path / "runs")


def test_a_file_that_is_saved_meanwhile_is_not_under_the_name_of_its_older_content(tree, tmp_path, monkeypatch):
    """Else a launch of the older sources, made later, would run the newer ones."""
    job, write = tree / "slurm" / "job.py", Path.write_bytes

    def edited(path: Path, content: bytes) -> int:
        if "# saved" not in job.read_text():
            job.write_text(job.read_text() + "# saved meanwhile\n")
        return write(path, content)

    older = content(tree)
    monkeypatch.setattr(Path, "write_bytes", edited)
    first = snapshot(tmp_path / "runs")
    git(tree, "checkout", "-q", ".")
    monkeypatch.undo()
    for module in (ablations.sources, slurm.snapshot):
        monkeypatch.setattr(module, "SOURCES", tree)
    second = snapshot(tmp_path / "runs")
    assert content(second) == older
    assert first == second or content(first) != older
