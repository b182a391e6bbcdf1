"""Scoring a saved similarity matrix: the same numbers as a run's, and one line for whatever is wrong with a file."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hbi.errors import InputError
from hbi.metrics import registry
from hbi.metrics.registry import PluginMetric
from hbi.metrics.retrieval import retrieval_metrics
from results.evaluate import as_table, evaluate
from results.terminal import terminal

ROOT = Path(__file__).parents[2]
rng = np.random.default_rng(0)
SQUARE = rng.normal(size=(8, 8)).astype(np.float32)
WIDE, GROUPS = rng.integers(0, 4, (8, 3)).astype(float), np.array([0, 0, 1, 1, 1, 2, 2, 0])


@pytest.fixture
def saved(tmp_path: Path):
    def saved(**arrays) -> Path:
        np.savez(tmp_path / "scores.npz", **arrays)
        return tmp_path / "scores.npz"

    return saved


def test_npy_and_npz_give_the_metrics_of_the_matrix(saved, tmp_path):
    np.save(tmp_path / "alone.npy", SQUARE)
    assert evaluate(tmp_path / "alone.npy") == evaluate(saved(similarity=SQUARE)) == retrieval_metrics(SQUARE)


@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic"])
def test_groups_come_from_the_npz_or_from_a_file_of_their_own(saved, tmp_path, ties):
    expected = retrieval_metrics(WIDE, GROUPS.tolist(), ties)
    assert evaluate(saved(similarity=WIDE, groups=GROUPS), ties=ties) == expected
    (tmp_path / "groups.json").write_text(json.dumps(GROUPS.tolist()))
    (tmp_path / "groups.csv").write_text("\n".join(map(str, GROUPS)) + "\n")
    np.save(tmp_path / "groups.npy", GROUPS)
    for name in ("groups.json", "groups.csv", "groups.npy"):
        assert evaluate(saved(similarity=WIDE, groups=GROUPS * 0), tmp_path / name, ties) == expected


def test_post_processing_is_done_for_each_direction(saved):
    transposed = evaluate(saved(similarity=SQUARE.T), post_processing="dsl")
    found = evaluate(saved(similarity=SQUARE), post_processing="dsl")
    assert {name: transposed[name.translate(str.maketrans("tv", "vt"))] for name in found} == found
    bank = rng.normal(size=(20, 8))
    both = evaluate(saved(similarity=SQUARE, bank_texts=bank, bank_videos=bank.T), post_processing="qb-norm")
    one = evaluate(saved(similarity=SQUARE, bank_texts=bank), post_processing="qb-norm")
    assert one == {name: value for name, value in both.items() if name.startswith("t2v/")}
    assert evaluate(saved(similarity=SQUARE), post_processing="dsl", scale=1e-9) != found


def test_the_table_says_what_was_done(saved):
    file = saved(similarity=SQUARE)
    shown = terminal(as_table(file, evaluate(file, post_processing="dsl"), "dsl"))
    assert "scores*" in shown
    assert "R@50 ↑" in shown
    assert "* dual softmax over all queries" in shown


def test_plug_in_metrics_are_there_too(saved, monkeypatch):
    spread = PluginMetric(lambda similarity, groups: {"std": similarity.std(), "videos": groups.max()}, {"std": True})
    monkeypatch.setattr(registry, "plugin_metrics", lambda: {"spread": spread})
    with pytest.raises(InputError, match="plug-in metric 'spread' gives std, videos, not std"):
        evaluate(saved(similarity=SQUARE))
    broken = PluginMetric(lambda similarity, groups: {"std": 1 / 0}, {"std": True})
    monkeypatch.setattr(registry, "plugin_metrics", lambda: {"spread": broken})
    with pytest.raises(InputError, match="plug-in metric 'spread': ZeroDivisionError: division by zero"):
        evaluate(saved(similarity=SQUARE))
    good = PluginMetric(lambda similarity, groups: {"std": similarity.std()}, {"std": True})
    monkeypatch.setattr(registry, "plugin_metrics", lambda: {"spread": good})
    assert evaluate(saved(similarity=SQUARE))["spread/std"] == pytest.approx(SQUARE.std(), rel=1e-5)


WITH_NAN = np.where(np.eye(3) > 0, np.nan, 1.0)
BAD = {
    "one axis": ({"similarity": np.zeros(3)}, r"similarity must be a matrix, captions × videos, not \[3\]"),
    "nothing in it": ({"similarity": np.zeros((0, 3))}, r"must be a matrix, captions × videos, not \[0, 3\]"),
    "not square": ({"similarity": np.zeros((3, 2))}, "not square: give the video of each caption in groups"),
    "NaN": ({"similarity": WITH_NAN}, r"similarity \[3, 3\] holds 3 NaN"),
    "objects": ({"similarity": np.array([[None]])}, "holds objects, not numbers"),
    "text": ({"similarity": np.array([["1"]])}, "similarity holds <U1, not numbers"),
    "complex": ({"similarity": np.zeros((2, 2), complex)}, "similarity holds complex128, not numbers"),
    "another key": ({"sims": np.zeros((2, 2))}, "no array 'similarity'; it holds: sims"),
    "no key": ({}, "no array 'similarity'; it holds: nothing"),
    "fractional groups": ({"similarity": np.zeros((2, 1)), "groups": np.zeros(2)}, "a list of whole numbers"),
    "groups out of range": ({"similarity": np.zeros((2, 1)), "groups": [0, 1]}, r"a column in \[0, 1\)"),
    "too few groups": ({"similarity": np.zeros((2, 1)), "groups": [0]}, "for each of the 2 captions"),
    "a video without caption": ({"similarity": np.zeros((2, 2)), "groups": [0, 0]}, "video 1 has no caption"),
}


@pytest.mark.parametrize(("arrays", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_line_that_names_it(saved, arrays, message):
    refused(saved(**arrays), message)


def refused(file: Path, message: str, **options) -> None:
    with pytest.raises(InputError, match=message) as caught:
        evaluate(file, **options)
    assert "\n" not in str(caught.value)
    assert str(options.get("groups", file)) in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, r"qb-norm needs a bank of queries"),
        ({"bank_texts": np.zeros((4, 7))}, r"bank_texts \[4, 7\] does not fit similarity \[8, 8\]"),
        ({"bank_videos": np.zeros((7, 4))}, r"bank_videos \[7, 4\] does not fit"),
        ({"bank_texts": np.full((4, 8), np.inf)}, "qb-norm needs finite scores"),
    ],
)
def test_a_bad_bank_is_one_line(saved, arrays, message):
    refused(saved(similarity=SQUARE, **arrays), message, post_processing="qb-norm")


def test_a_damaged_file_is_one_line(saved, tmp_path):
    refused(tmp_path / "none.npz", "there is no such file")
    refused(tmp_path, "not readable as npy or npz")
    whole = saved(similarity=SQUARE).read_bytes()
    np.save(tmp_path / "alone.npy", SQUARE)
    alone = (tmp_path / "alone.npy").read_bytes()
    for content in (b"", b"text", whole[:100], whole[:-30], alone[:20], alone[:-8], whole.replace(b"<f4", b"<f9")):
        (tmp_path / "damaged").write_bytes(content)
        refused(tmp_path / "damaged", "not readable as npy or npz")
    huge = alone.replace(b"(8, 8), }         ", b"(8, 8999999999), }")
    for content in (huge, alone.replace(b"(8, 8), }", b"(8, 8(((("), alone.replace(b"descr", b"dsecr")):
        (tmp_path / "damaged").write_bytes(content)
        refused(tmp_path / "damaged", "not readable as npy or npz")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g.json", "[0, 1", "not a list of numbers"),
        ("g.json", '{"a": 0}', "a list of whole numbers"),
        ("g.json", "[0, 1.5]", "a list of whole numbers"),
        ("g.json", "[[0], [1, 2]]", "not a list of numbers"),
        ("g.json", "[" * 100_000, "not a list of numbers"),
        ("g.csv", "video7020\n", "not a list of numbers"),
        ("g.csv", "", "a list of whole numbers"),
        ("g.csv", "99999999999999999999999\n", "a list of whole numbers"),
        ("none.csv", None, "there is no such file"),
        ("g.txt", "0\n1\n", "not readable as npy or npz"),
    ],
)
def test_bad_groups_are_one_line(saved, tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    refused(saved(similarity=SQUARE), message, groups=tmp_path / name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"post_processing": "dls"}, "--post-processing: unknown 'dls'; did you mean 'dsl'?"),
        ({"ties": "mean"}, "--ties: unknown 'mean'; known: expected, optimistic, pessimistic"),
        ({"scale": 2.0}, "--scale is a number above 0, and that of --post-processing dsl or qb-norm"),
        ({"post_processing": "dsl", "scale": 0.0}, "--scale is a number above 0"),
    ],
)
def test_an_unknown_choice_is_one_line(saved, options, message):
    with pytest.raises(InputError) as caught:
        evaluate(saved(similarity=SQUARE), **options)
    assert str(caught.value).startswith(message)


def test_through_the_command_line_without_torch(saved):
    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        blocked = "import sys; sys.modules['torch'] = sys.modules['mlflow'] = None; import run_suite; run_suite.main()"
        command = [sys.executable, "-c", blocked, "evaluate", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    file = saved(similarity=WIDE, groups=GROUPS)
    expected = retrieval_metrics(WIDE, GROUPS.tolist(), "optimistic")
    assert json.loads(call(file, "--ties", "optimistic", "--json").stdout)["metrics"] == expected
    assert "R@10 ↑" in call(file).stdout
    bad = call(saved(similarity=WIDE))
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (2, "", 1)
    assert "not square" in bad.stderr
