"""The suites that come with the project, the schema for editors, plug-ins, and what loading a suite imports."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hbi.config import DATASETS, ClipSystemConfig, CostConfig, ModelConfig, SystemConfig, TwoTowerConfig
from hbi.errors import InputError
from suites.expand import expand, in_order
from suites.json_schema import json_schema
from suites.load import load_suite
from suites.sections import addresses

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "suites").glob("*.yaml"))
QUESTIONS = {"qa_quickstart", "msrvtt_qa", "msvd_qa"}
GENERATED = {
    *("quickstart", "qa_quickstart", "cost_quickstart", "systems_quickstart", "pretraining_quickstart"),
    "released_vs_corrected",
}
"""These are of generated data as they are; the others of real data, with the published recipe."""
MAIN = {"msrvtt", "msvd", "lsmdc", "didemo", "activitynet"}
PRETRAINED = {f"zero_shot_{data}" for data in MAIN - {"activitynet"}} | {"fine_tuned_msrvtt", "pretraining_webvid_cc3m"}
"""They take files that are the user's; tests/suites/test_suite_pretrained.py says more of them."""
ABLATIONS = {
    *("components", "levels", "interaction", "samples", "merge_rates", "loss_weights", "words_frames"),
    *("post_processing", "flops", "cost"),
}


def test_there_is_a_suite_for_each_table_and_figure():
    main = {f"main_{data}" for data in MAIN}
    assert {file.stem for file in FILES} == main | ABLATIONS | QUESTIONS | GENERATED | PRETRAINED


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.stem not in GENERATED | PRETRAINED], ids=lambda file: file.stem
)
def test_on_real_data_a_suite_has_the_published_recipe(file):
    for run in in_order(expand(load_suite(file))):
        assert run.spec.data.name in ({"msrvtt-qa", "msvd-qa"} if file.stem in QUESTIONS else MAIN)
        assert file.stem.partition("main_")[2] in ("", run.spec.data.name)
        for encoder in encoders(run.spec):
            assert encoder in ("ViT-B-16-quickgelu" if file.stem in QUESTIONS else "ViT-B-32-quickgelu", "base")
        if isinstance(run.spec.model, SystemConfig):
            assert run.spec.model.pretrained == "openai"
            assert (run.spec.training.lr, run.spec.training.coef_lr) == (1e-4, 1e-3)


def test_main_tables_train_all_systems_alike_unless_asked():
    """The same data in the same order, schedule, epochs and batches; or, where known, what their authors set."""
    same, own = (expand(load_suite(ROOT / "suites" / "main_msrvtt.yaml", given)) for given in ([], ["recipe=own"]))
    alike = [run.spec for run in same if not run.label.endswith("-released") and not run.needed]
    assert len({spec.model.system for spec in alike}) >= 6
    for section in ("data", "training", "evaluation"):
        assert len({getattr(spec, section).model_dump_json() for spec in alike}) == 1
    words = {run.spec.model.system: run.spec.data.max_words for run in own}
    assert (words["hbi"], words["clip4clip"], words["glscl"]) == (24, 32, 32)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_on_generated_data_every_suite_suits_a_laptop(file):
    suite = load_suite(file, [f"data={generated(file)}"])
    for run in in_order(expand(suite)):
        assert run.spec.data.name == generated(file)
        assert set(encoders(run.spec)) <= {"tiny"}
        if isinstance(run.spec.model, SystemConfig):
            assert not run.spec.files
            assert getattr(run.spec.model, "pretrained", None) is None
            assert (run.spec.training.batch_size <= 32, run.spec.runtime.threads) == (True, 1)


def generated(file):
    return "shapes-qa" if file.stem in QUESTIONS else "shapes"


def encoders(spec):
    """The sizes of all models that it makes."""
    models = [case.model for case in spec.model.cases] if isinstance(spec.model, CostConfig) else [spec.model]
    return [size for model in models if (size := encoder(model))]


def encoder(model: ModelConfig) -> str | None:
    if isinstance(model, TwoTowerConfig):
        return model.towers
    return model.encoder if isinstance(model, ClipSystemConfig) else None


PLANS = """
import sys
sys.modules.update(dict.fromkeys(["torch", "open_clip", "mlflow", "decord", "av", "submitit", "matplotlib"]))
import run_suite
for arguments in sys.argv[1:]:
    try:
        run_suite.app(["plan", *arguments.split(), "--json"])
    except SystemExit as end:
        assert not end.code, arguments
"""


def test_every_suite_can_be_planned_without_torch(user_files):
    """Where torch, open_clip and mlflow cannot be imported."""
    asked = [f"{file.stem} {more}" for file in FILES for more in ("", f"--set data={generated(file)}")]
    done = subprocess.run(
        [sys.executable, "-c", PLANS, *asked],
        cwd=user_files, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("{") == len(asked)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("data", DATASETS)
def test_every_suite_expands_on_every_data_set_of_its_task(file, data, user_files):
    named = "{name: pairs, tables: [data/CC3M/train.tsv], test: shapes}" if data == "pairs" else data
    suite = load_suite(file, [f"data={named}", "data.root=/somewhere"])
    if (DATASETS[data].task == "qa") != (file.stem in QUESTIONS):
        with pytest.raises(InputError, match=rf"^--set data={re.escape(named)}: data set {data} has no .*; take "):
            expand(suite)
        return
    found = expand(suite)
    assert suite.name == file.stem
    assert suite.summary
    assert {run.spec.data.name for run in found} == {data}


def test_quickstart():
    found = expand(load_suite(ROOT / "suites" / "quickstart.yaml"))
    assert [(run.label, run.spec.seed) for run in found] == [
        ("no-hbi", 0),
        ("no-hbi", 1),
        ("entity-only", 0),
        ("hbi", 0),
        ("hbi", 1),
        ("hbi-no-banzhaf", 0),
        ("hbi-estimated", 0),
        ("hbi-shapley", 0),
        ("hbi-sampled", 0),
    ]
    spec = found[0].spec
    assert (spec.model.encoder, spec.model.temporal_layers, spec.training.epochs) == ("tiny", 2, 12)
    assert (spec.training.batch_size, spec.training.lr, spec.training.coef_lr) == (25, 1e-3, 1)


def test_on_generated_data_suites_share_their_runs_with_the_quickstart():
    others = {*QUESTIONS, *PRETRAINED, "cost", "cost_quickstart", "pretraining_quickstart"}
    retrieval = [file for file in FILES if file.stem not in others]
    ids = {file.stem: {run.run_id for run in expand(load_suite(file, ["data=shapes"]))} for file in retrieval}
    assert all(ids["quickstart"] & others for others in ids.values())
    ids = {
        stem: {run.run_id for run in expand(load_suite(ROOT / "suites" / f"{stem}.yaml", ["data=shapes-qa"]))}
        for stem in QUESTIONS
    }
    assert all(ids["qa_quickstart"] & others for others in ids.values())


def test_schema_spells_out_every_option():
    schema = json_schema()
    json.dumps(schema)
    definitions = schema["$defs"]
    for address in addresses():
        assert any(address.split(".")[-1] in definition.get("properties", {}) for definition in definitions.values())
    assert schema["required"] == ["variants"]
    assert {"enum": list(DATASETS)} in schema["properties"]["data"]["anyOf"]
    assert definitions["VariantEntry"]["required"] == ["name"]
    references = set(_references(schema))
    assert references <= {f"#/$defs/{name}" for name in definitions}


def _references(schema):
    if isinstance(schema, dict):
        yield from [schema["$ref"]] if "$ref" in schema else []
        for value in schema.values():
            yield from _references(value)
    if isinstance(schema, list):
        for value in schema:
            yield from _references(value)


PLUGIN = """
from typing import Literal
from ablations.registry import register
from hbi.config import DataConfig

class Clips(DataConfig):
    name: Literal["clips"] = "clips"
    length: int = 3

register("narrow", "a small student", model={"system": "hbi", "student_width": 8})
"""

SUITE = "data: {name: clips, length: 4}\nvariants: [hbi, narrow]\n"

SCRIPT = """
import sys
from suites.expand import expand
from suites.load import load_suite
runs = expand(load_suite(sys.argv[1]))
print(*(f"{run.label}:{run.spec.model.student_width}:{run.spec.data.length}" for run in runs))
print(*sorted({"torch", "open_clip", "mlflow", "submitit", "decord", "numpy"} & set(sys.modules)))
"""


def _run(folder, suite):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, suite],
        cwd=ROOT, env={"PYTHONPATH": f"{ROOT}:{folder}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def _install(folder, module):
    (folder / "clips_plugin.py").write_text(module)
    metadata = folder / "clips_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: clips-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[hbi.datasets]\nclips = clips_plugin:Clips\n[hbi.variants]\nclips = clips_plugin\n"
    )


def test_plugins_bring_data_sets_and_variants_and_loading_imports_nothing_heavy(tmp_path):
    _install(tmp_path, PLUGIN)
    (tmp_path / "suite.yaml").write_text(SUITE)
    done = _run(tmp_path, str(tmp_path / "suite.yaml"))
    assert done.stdout.splitlines() == ["hbi:64:4 narrow:8:4", ""], done.stderr


def test_a_broken_plugin_is_named(tmp_path):
    _install(tmp_path, "import nothing_of_that_name")
    done = _run(tmp_path, "suites/quickstart.yaml")
    assert done.stderr.splitlines()[-1].startswith("hbi.errors.InputError: plug-in 'clips' (hbi.")
    assert "repair or uninstall clips-plugin" in done.stderr
