"""Who may import whom, and what answers without torch: the rules that keep the folders what they say they are."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("hbi", "ablations", "suites", "results", "slurm", "run_suite")
MAY_IMPORT = {
    "hbi": {"hbi"},
    "ablations": {"hbi", "ablations"},
    "suites": {"hbi", "ablations", "suites"},
    "results": {"hbi", "ablations", "suites", "results"},
    "slurm": {"hbi", "ablations", "suites", "results", "slurm"},
}
UPWARD = {f"ablations/{name}.py" for name in ("run", "work", "trained", "preflight", "provenance")}
"""They execute a RunSpec in a job and write its record: the one way up."""
ONLY_IN = {
    "submitit": "slurm/",
    "matplotlib": ("results/figures/", "hbi/explain/"),
    "mlflow": ("results/mlflow_mirror.py", "results/mlflow_live.py"),
}


def sources():
    return [path for folder in MAY_IMPORT for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path: Path, anywhere: bool) -> set[str]:
    """Top-level packages that ``path`` imports: at its own import, or anywhere in it; not for type checking alone."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if anywhere else iter(tree.body)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    name = str(path.relative_to(ROOT))
    allowed = MAY_IMPORT[name.split("/")[0]] | ({"suites", "results"} if name in UPWARD else set())
    assert imports(path, anywhere=True) & set(OURS) <= allowed
    for package, place in ONLY_IN.items():
        assert package not in imports(path, anywhere=True) or name.startswith(place)


@pytest.mark.parametrize(
    "command",
    [["--help"], ["list", "variants"], ["list", "suites"], ["status", "quickstart"], ["tables", "quickstart"]],
    ids=" ".join,
)
def test_answers_without_torch(command, tmp_path):
    """A process in which torch, open_clip and mlflow cannot be imported still answers."""
    code = f"""
import sys
sys.modules.update(dict.fromkeys(["torch", "open_clip", "mlflow", "decord", "av", "submitit"]))
sys.path.insert(0, {str(ROOT)!r})
sys.argv = ["run_suite.py", *{command!r}]
import run_suite
run_suite.main()
"""
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip()
