"""A package installed beside this one: its variant, data set and metric, through the command line to a table."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = {
    "blobs.py": '''
        """Data: small generated shapes under another name."""
        from typing import ClassVar, Literal
        from hbi.config import ShapesConfig

        class Blobs(ShapesConfig):
            """Few and small shapes."""
            loader: ClassVar[str] = "blobs:load"
            name: Literal["blobs"] = "blobs"
            train: int = 8
            val: int = 2
            test: int = 6
            size: int = 32

        def load(config, cache, progress):
            from hbi.data import shapes
            return shapes.load(ShapesConfig(**{**config.model_dump(), "name": "shapes"}), cache, progress)
    ''',
    "blobs_variant.py": '''
        from ablations.registry import register

        register("blob", "a narrow temporal transformer", model={"system": "hbi", "teacher": None,
                 "levels": ["entity"], "similarity_rates": {"entity": 1}, "distillation_weight": 0})
    ''',
    "blobs_metric.py": '''
        from hbi.metrics.registry import PluginMetric

        def hubness(similarity, groups):
            best = similarity.argmax(1)
            return {"share": 100 * len(set(best.tolist())) / similarity.shape[1]}

        metric = PluginMetric(hubness, {"share": True})
    ''',
}  # fmt: skip
METADATA = {
    "METADATA": "Metadata-Version: 2.1\nName: blobs\nVersion: 1.0\n",
    "entry_points.txt": "[hbi.datasets]\nblobs = blobs:Blobs\n[hbi.variants]\nblobs = blobs_variant\n"
    "[hbi.metrics]\nhub = blobs_metric:metric\n",
}
SUITE = """
data: {name: blobs, max_words: 16, max_frames: 4}
model: {encoder: tiny, temporal_layers: 1}
training: {epochs: 1, batch_size: 4}
runtime: {threads: 1, device: cpu}
variants: [blob]
metrics: [hub/share, t2v/R@50]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    for name, text in PACKAGE.items():
        lines = text.strip("\n").splitlines()
        (folder / name).write_text("\n".join(line[8:] for line in lines) + "\n")
    information = folder / "blobs-1.0.dist-info"
    information.mkdir()
    for name, text in METADATA.items():
        (information / name).write_text(text)
    (folder / "suite.yaml").write_text(SUITE)
    return folder


def call(folder: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{path or folder}", "COLUMNS": "200"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run(
        [sys.executable, str(ROOT / "run_suite.py"), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("variants", "blob             a narrow temporal transformer"),
        ("datasets", "blobs   Few and small shapes."),
        ("metrics", "hub/share  higher is better"),
    ],
)
def test_what_it_adds_is_listed(folder, what, line):
    shown = call(folder, "list", what)
    assert " ".join(line.split()) in [" ".join(found.split()) for found in shown.stdout.splitlines()], shown.stderr


def test_its_metric_goes_through_a_run_into_the_table(folder):
    done = call(folder, "run", "suite.yaml")
    assert done.returncode == 0, done.stderr
    (record,) = [json.loads(path.read_text()) for path in (folder / "runs" / "store").glob("blob.blobs.*/record.json")]
    assert 0 < record["metrics"]["hub/share"] <= 100
    tables = call(folder, "tables", "suite.yaml")
    assert "hub/share ↑" in tables.stdout
    assert "R@1 " not in tables.stdout
    rows = list(csv.DictReader((folder / "runs" / "tables" / "suite.csv").open()))
    assert [(row["metric"], float(row["mean"])) for row in rows] == [
        ("hub/share", record["metrics"]["hub/share"]),
        ("t2v/R@50", 100.0),
    ]


def test_without_the_package_its_names_are_mistakes_of_the_suite(folder, tmp_path):
    done = call(folder, "plan", "suite.yaml", path=tmp_path)
    assert done.returncode == 2
    for name in ("blobs", "blob", "hub/share"):
        assert f"'{name}'" in done.stderr


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("metric = 1", "is no hbi.metrics.registry.PluginMetric"),
        ("import nowhere", "does not load: No module named 'nowhere'; repair or uninstall blobs"),
    ],
)
def test_a_broken_metric_is_one_line(folder, tmp_path, module, message):
    information = tmp_path / "blobs-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(METADATA["METADATA"])
    (information / "entry_points.txt").write_text("[hbi.metrics]\nhub = blobs_metric:metric\n")
    (tmp_path / "blobs_metric.py").write_text(module + "\n")
    done = call(tmp_path, "list", "metrics")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
