"""suites/pretraining_quickstart.yaml, shorter: what has been pre-trained finds videos that it has not seen."""

import json

from tests.command_line import call

SHORTER = [
    argument
    for setting in ("seeds=[1]", "training.epochs=10", "data.train=250", "data.val=20", "data.test=100")
    for argument in ("--set", setting)
]


def test_pre_training_by_questions_lifts_zero_shot_retrieval_above_a_random_model(tmp_path):
    for row in ("random", "bridgeformer-pretraining"):
        done = call("run", "pretraining_quickstart", *SHORTER, "--only", row, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    table = call("tables", "pretraining_quickstart", *SHORTER, "--json", cwd=tmp_path)
    found = {row["label"]: row["cells"]["t2v/R@10"].get("mean") for row in json.loads(table.stdout)["rows"]}
    assert found["random"] < 25  # 10 by chance
    assert found["bridgeformer-pretraining"] > 35
