"""Runs and weights explain captions and videos; what cannot be had is one line."""

import shutil
from pathlib import Path

import pytest

import hbi.data
from ablations.explain import chosen_index, chosen_methods, explained, of_run, of_weights, pair_of, same_tokens
from ablations.trained import given, trained
from hbi.data.shapes_video import encode
from hbi.data.video import VideoError
from hbi.errors import InputError, RunFailure
from hbi.models import released

SUITE = """
data: {name: shapes, train: 8, val: 2, test: 6, size: 32, max_words: 16, max_frames: 4}
model: {encoder: tiny, temporal_layers: 1}
training: {epochs: 1, batch_size: 4, lr: 1e-3, coef_lr: 1}
runtime: {threads: 1, device: cpu}
keep: [weights, similarity]
variants: [hbi]
"""


@pytest.fixture(scope="module")
def trained_run(run_of, done):
    return done(run_of().spec, "hbi")


@pytest.fixture(scope="module")
def player(trained_run):
    return of_run(trained_run[1])


@pytest.fixture(scope="module")
def split(trained_run, place):
    return hbi.data.load(trained_run[0].spec.data, place / "data").splits["test"]


def test_a_numbered_query_is_scored_as_the_run_has_scored_it(player, trained_run, place, split):
    import numpy as np

    similarity = np.load(trained_run[1] / "similarity.npz")["similarity"]
    for number, video in ((2, None), (4, split.videos[1].id)):
        pair = pair_of(player, str(number), video, place / "data")
        column = split.video_of[number] if video is None else 1
        assert (pair.caption, pair.video.id) == (split.captions[number], split.videos[column].id)
        found = explained(player, pair)
        assert found.similarity == pytest.approx(similarity[number, column], abs=1e-5)
        assert len(found.pictures) == len(found.seconds) <= 4
        assert found.pictures.shape[1:] == (3, 144, 144)


def test_a_sentence_and_a_file_need_no_data_set(player, tmp_path, split):
    pair = pair_of(player, "a red circle", str(split.videos[0].path), tmp_path / "nowhere")
    assert pair.video.id == split.videos[0].path.name
    found = explained(player, pair)
    assert found.seconds[0] == 0
    assert list(found.seconds) == sorted({round(2 * time) / 2 for time in found.seconds})  # two frames a second
    assert not (tmp_path / "nowhere").exists()


def test_a_video_of_one_frame(player, tmp_path, split):
    import numpy as np

    file = tmp_path / "one.mp4"
    encode(np.full((1, 32, 32, 3), 90, np.uint8), file)
    found = explained(player, pair_of(player, "a red circle", str(file), tmp_path))
    assert [len(game.frames) for game in found.levels] == [1, 1, 1]


def test_weights_in_either_layout_explain_as_their_run_does(player, trained_run, run_of, place, split):
    file, published = place / "weights.safetensors", place / "published.bin"
    shutil.copy(trained_run[1] / "model.safetensors", file)
    released.save(trained(trained_run[1]), published)
    wanted = explained(player, pair_of(player, "2", None, place / "data")).plain()
    for weights in (file, published):
        spec = run_of(f"checkpoint={weights}").spec
        other = of_weights("given", given(spec), spec.data, spec.seed, "cpu")
        assert explained(other, pair_of(other, "2", None, place / "data")).plain() == wanted


def test_an_estimator_is_there_for_its_own_run_and_for_what_it_has_taught(run_of, done, place):
    first, _ = done(run_of("variants=[hbi-no-banzhaf]").spec, run_of("variants=[hbi-no-banzhaf]").run_id)
    assert first.outcome == "complete"
    from suites.expand import expand, in_order
    from suites.load import load_suite

    wanted = in_order(expand(load_suite(place / "suite.yaml", ["variants=[hbi-estimated]"])))
    for run in wanted:
        record, folder = done(run.spec, run.run_id)
        assert record.outcome == "complete", record.failure
        if run.label != "hbi-no-banzhaf":
            player = of_run(folder)
            assert set(player.estimators) == {"banzhaf"}
            found = explained(player, pair_of(player, "0", None, place / "data"))
            assert "estimated" in found.level("event").interactions["banzhaf"]
            assert chosen_methods([player], "banzhaf", ["estimated"]) == ["estimated"]
    with pytest.raises(InputError, match="has none for shapley; there are exact, sampled"):
        chosen_methods([player], "shapley", ["estimated"])


@pytest.mark.parametrize(
    ("query", "video", "message"),
    [
        ("6", None, "--query 6: the test split of shapes has 6 queries, from 0"),
        ("-1", None, "--query -1: a query's number counts from 0"),
        ("", "clip.mp4", "--query is empty"),
        (" ", None, "--query is empty"),
        ("a dog", None, "--video is missing"),
        ("a dog", "no/such.mp4", "--video no/such.mp4: no such file"),
        ("a dog", "clip.mp4", "--video clip.mp4: no such file"),
        ("a dog", "video1", "--video video1: no file, and no video of the test split; did you mean 'video1"),
        ("0", "video1", "no video of the test split"),
    ],
)
def test_a_query_or_a_video_that_is_not_there(player, place, query, video, message):
    with pytest.raises(InputError) as caught:
        pair_of(player, query, video, place / "data")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_video(player, tmp_path, split):
    bad = {"text.mp4": b"no video at all", "empty.mp4": b"", "cut.mp4": split.videos[0].path.read_bytes()[:200]}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        pair = pair_of(player, "a dog", str(tmp_path / name), tmp_path)
        with pytest.raises(VideoError, match=name) as caught:
            explained(player, pair)
        assert "\n" not in str(caught.value)


def test_indices_and_methods_by_name(player):
    assert chosen_index("shapley") == "shapley"
    for name, message in {"shaply": "did you mean 'shapley'", "x": "known: banzhaf, shapley"}.items():
        with pytest.raises(InputError, match=message):
            chosen_index(name)
    with pytest.raises(InputError, match="did you mean 'exact'"):
        chosen_methods([player], "banzhaf", ["exakt"])
    with pytest.raises(InputError, match="hbi has none for banzhaf; there are exact, sampled, released"):
        chosen_methods([player], "banzhaf", ["exact", "estimated"])
    with pytest.raises(InputError, match="--method exact is given twice"):
        chosen_methods([player], "banzhaf", ["exact", "exact"])
    with pytest.raises(InputError, match="3 times"):
        chosen_methods([player], "banzhaf", ["exact", "sampled", "released"])


def test_runs_that_read_other_words_are_not_compared(player, run_of, done, place):
    options = "data={name: shapes, train: 8, val: 2, test: 6, size: 32, max_words: 6, max_frames: 4}"
    _, folder = done(run_of(options).spec, "short")
    short = of_run(folder)
    pair = pair_of(player, "0", None, place / "data")
    found = [(one.name, explained(one, pair)) for one in (player, short)]
    with pytest.raises(InputError, match=r"hbi reads .* of this pair, short 6 .*cannot be compared"):
        same_tokens(found)
    same_tokens(found[:1])


def test_runs_without_a_game_or_without_a_result(run_of, done, tmp_path):
    _, folder = done(run_of("variants=[clip4clip]").spec, "mean")
    with pytest.raises(InputError, match="clip4clip play no game here"):
        of_run(folder)
    with pytest.raises(RunFailure, match="has no record"):
        of_run(Path(tmp_path))
