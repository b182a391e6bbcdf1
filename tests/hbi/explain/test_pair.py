"""What is explained are the model's own games: interactions, values, and what was merged."""

import json
from itertools import product

import numpy as np
import pytest
import torch

from hbi.config import Clip4ClipConfig, DeparturesConfig, DRLConfig, HBIQAConfig
from hbi.data.tokens import tokenize
from hbi.errors import InputError
from hbi.explain import explain
from hbi.explain.pieces import END, START, pieces_of, written
from hbi.games import TokenGame, interaction
from hbi.games.enumeration import all_worths
from hbi.games.estimator import BanzhafEstimator, estimated_interaction
from hbi.models import build
from tests.hbi.explain.conftest import CAPTION, explained, model_of, pattern

LEVELS = ["entity", "action", "event"]


def games_of(model, caption, frames, max_words=24, max_frames=12):
    """Of a batch of one, as training makes them."""
    seen = torch.zeros(1, max_frames, *frames.shape[1:], dtype=torch.uint8)
    seen[0, : len(frames)] = torch.from_numpy(frames)
    model.train()
    with torch.no_grad():
        text = model.encode_text(*tokenize([caption], max_words))
        video = model.encode_video(seen, torch.arange(max_frames)[None] < len(frames))
        return {level: model.game(level, text, video) for level in LEVELS}, model.similarity(text, video).item()


def test_a_short_caption_s_interactions_are_those_of_the_models_game():
    model, caption = model_of(), "a dog runs"
    games, similarity = games_of(model, caption, pattern(3, model.image_size))
    found = explained(caption, 3, model)
    assert found.similarity == pytest.approx(similarity, abs=1e-6)
    game, entity = games["entity"], found.level("entity")
    for index in ("banzhaf", "shapley"):
        wanted = interaction(game, index)[0, :5, :3].numpy()
        np.testing.assert_allclose(entity.interactions[index]["exact"], wanted, atol=1e-6)
    assert [found.text_of(word) for word in entity.words] == [START, "a", "dog", "runs", END]
    assert [found.time_of(frame) for frame in entity.frames] == ["0 s", "0.5 s", "1 s"]


@pytest.mark.parametrize("padding", ["correct", "released"])
def test_shapley_values_add_up_to_the_similarity_of_every_level(padding):
    departures = DeparturesConfig(similarity_padding=padding, merge_padding=padding)
    found = explained(model=model_of(departures=departures))
    assert [game.level for game in found.levels] == LEVELS
    for game in found.levels:
        words, frames = game.values["shapley"]
        assert words.sum() + frames.sum() == pytest.approx(game.similarity, abs=1e-10)
    assert found.level("entity").similarity == pytest.approx(found.similarity, abs=1e-6)


@pytest.mark.parametrize("clustering", ["correct", "released"])
def test_what_was_merged_is_what_the_model_has_merged(clustering):
    """The clusters that its merging finds while it encodes, noise included."""
    model = model_of(departures=DeparturesConfig(clustering=clustering))
    joined: dict[tuple[str, str], list[list[int]]] = {}
    for side, merges in (("text", model.text_merge), ("video", model.video_merge)):
        for level, merge in merges.items():

            def noted(*arguments, merge=merge, key=(side, level)):
                clusters = type(merge)._cluster(merge, *arguments)
                joined.setdefault(key, []).append(clusters[0][0].tolist())
                return clusters

            merge._cluster = noted
    found = explained(model=model)
    tokens, frames = len(found.pieces), 12
    for level, below in (("action", "entity"), ("event", "action")):
        game = found.level(level)
        assert sorted(n for members in game.words for n in members) == list(range(tokens))
        assert sorted(n for members in game.frames for n in members) == list(range(frames))
        if below == "action":  # whole phrases join
            assert all(any(set(part) <= set(whole) for whole in game.words) for part in found.level(below).words)
    for (_, level), (encoding, noted_again) in joined.items():
        assert encoding == noted_again, level
    for side, players, count in (("text", "words", tokens), ("video", "frames", frames)):
        wanted: dict[int, list[int]] = {}
        for token, cluster in enumerate(joined[side, "action"][0][:count]):
            wanted.setdefault(cluster, []).append(token)
        assert sorted(map(list, getattr(found.level("action"), players))) == sorted(wanted.values())


def test_tokens_of_a_word_are_one_player_with_their_sums():
    found = explained("a flibbertigibbet", 3)
    entity = found.level("entity")
    assert [found.text_of(word) for word in entity.words] == [START, "a", "flibbertigibbet", END]
    assert entity.words == ((0,), (1,), (2, 3, 4, 5, 6, 7), (8,))
    assert "summed" in " ".join(found.notes)
    game = games_of(model_of(), "a flibbertigibbet", pattern(3, 32))[0]["entity"]
    alone = interaction(game)[0, 2:8, :3].sum(0).numpy()
    np.testing.assert_allclose(entity.interactions["banzhaf"]["exact"][2], alone, atol=1e-6)


def test_the_sum_of_two_tokens_is_what_banzhaf_gives_where_they_are_one_player():
    """As by adding up all coalitions of the game in which they come and go together."""
    model, caption = model_of(), "archibald"  # archi bald
    game = games_of(model, caption, pattern(3, model.image_size))[0]["entity"]
    entity = explained(caption, 3, model).level("entity")
    assert entity.words == ((0,), (1, 2), (3,))
    scores = game.text.scores[:, :4].double(), game.video.scores[:, :3].double()
    worth = all_worths(TokenGame(game.similarity[:, :4, :3].double(), *scores))[0]
    word, frame, rest = 1 << 1 | 1 << 2, 1 << 4, [1 << n for n in (0, 3, 5, 6)]
    gains = []
    for chosen in product((0, 1), repeat=len(rest)):
        S = sum(bit for bit, there in zip(rest, chosen, strict=True) if there)
        gains.append(worth[S | word | frame] - worth[S | word] - worth[S | frame] + worth[S])
    wanted = torch.stack(gains).mean().item()
    assert entity.interactions["banzhaf"]["exact"][1, 0] == pytest.approx(wanted, abs=1e-7)


def test_methods_agree_as_far_as_they_can():
    estimator = BanzhafEstimator(8)
    model, frames = model_of(), pattern(12, 32)
    found = explain(model, CAPTION, frames, estimators={"banzhaf": estimator})
    entity = found.level("entity")
    assert list(entity.interactions["banzhaf"]) == ["exact", "sampled", "released", "estimated"]
    assert list(entity.interactions["shapley"]) == ["exact", "sampled"]
    agreement = found.agreement(entity, "banzhaf")
    assert agreement["sampled"].correlation > 0.9
    assert agreement["sampled"].mean_absolute_error < agreement["released"].mean_absolute_error
    game = games_of(model, CAPTION, frames)[0]["entity"]
    wanted = estimated_interaction(estimator, game)[0, : len(found.pieces)].numpy()
    assert entity.interactions["banzhaf"]["estimated"].sum() == pytest.approx(wanted.sum(), abs=1e-5)
    again = explain(model, CAPTION, frames, estimators={"banzhaf": estimator})
    assert again.plain() == found.plain()


def test_the_model_is_left_as_it_was():
    model = model_of().eval()
    explained(model=model)
    assert not model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_one_frame_and_one_word():
    found = explained("run", 1)
    assert [(len(game.words), len(game.frames)) for game in found.levels] == [(3, 1), (3, 1), (3, 1)]
    assert found.agreement(found.level("entity"), "banzhaf")["sampled"].sign == 1
    assert found.notes == ()
    json.dumps(found.plain(), allow_nan=False)


def test_a_caption_that_is_too_long_is_cut_with_a_word_about_it():
    found = explained("one two three four five six seven", 2, max_words=6)
    assert found.notes == ("the caption has 9 tokens and the model reads 6; it does not see: five six seven",)
    words = [found.text_of(word) for word in found.level("entity").words]
    assert words == [START, "one", "two", "three", "four", END]


def test_empty_clusters_that_play_under_released_padding_are_named_so():
    departures = DeparturesConfig(merge_padding="released")
    found = explained("run", 2, model_of(departures=departures))
    names = [found.text_of(word) for word in found.level("action").words]
    assert sorted(names)[0] == "(empty)"
    assert names[-1] == "(empty)"
    assert len(names) == 6


def test_drl_has_one_level_and_questions_have_games_too():
    found = explained(model=build(DRLConfig(encoder="tiny", temporal_layers=1)))
    assert [game.level for game in found.levels] == ["entity"]
    assert found.level("entity").similarity == pytest.approx(found.similarity, abs=1e-6)
    asked = explained("what turns?", model=build(HBIQAConfig(encoder="tiny", temporal_layers=1)))
    assert [game.level for game in asked.levels] == LEVELS


@pytest.mark.parametrize(
    ("model", "caption", "frames", "message"),
    [
        (lambda: build(Clip4ClipConfig(encoder="tiny")), "a", 2, "clip4clip play no game"),
        (lambda: build(DRLConfig(encoder="tiny", interaction="dp", cdcr=0)), "a", 2, "drl play no game"),
        (model_of, " \n", 2, "the sentence is empty"),
        (model_of, "a", 0, "0 frames: the model takes 1 to 12"),
        (model_of, "a", 13, "13 frames"),
    ],
)
def test_what_cannot_be_explained_is_one_line(model, caption, frames, message):
    with pytest.raises(InputError, match=message) as caught:
        explain(model(), caption, np.zeros((frames, 3, 32, 32), np.uint8))
    assert "\n" not in str(caught.value)


def test_numbers_as_tables_and_as_json(usual):
    table = usual.interactions_frame()
    cells = sum(len(game.words) * len(game.frames) for game in usual.levels)
    assert len(table) == cells * 5  # banzhaf by three methods, shapley by two
    row = table[(table.level == "action") & (table["index"] == "shapley") & (table.method == "exact")].iloc[0]
    action = usual.level("action")
    assert row.interaction == action.interactions["shapley"]["exact"][0, 0]
    assert (row.text, row.video) == (usual.text_of(action.words[0]), usual.time_of(action.frames[0]))
    values = usual.values_frame()
    of_level = values[(values.level == "event") & (values["index"] == "shapley")]
    assert of_level.value.sum() == pytest.approx(usual.level("event").similarity)
    plain = json.loads(json.dumps(usual.plain(), allow_nan=False))
    assert plain["levels"][0]["interactions"]["banzhaf"]["exact"][2][3] == pytest.approx(
        usual.level("entity").interactions["banzhaf"]["exact"][2, 3]
    )


def test_the_strongest_pairs_come_first(usual):
    game = usual.level("entity")
    found = game.strongest("banzhaf", "exact", 7)
    matrix = game.interactions["banzhaf"]["exact"]
    assert [pair.interaction for pair in found] == [matrix[pair.word, pair.frame] for pair in found]
    assert np.abs(matrix).max() == abs(found[0].interaction)
    assert np.sum(np.abs(matrix) > abs(found[-1].interaction)) == 6


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("a girl, don't!", ["a", "girl", ",", "don", "'t", "!"]),
        ("日本 🙂", ["日本", "🙂"]),
        ("naïve CAFÉ", ["naïve", "café"]),
    ],
)
def test_pieces_make_words_again(caption, words):
    _, mask, pieces, lost = pieces_of(caption, 24)
    assert len(pieces) == mask.sum()
    assert lost is None
    of_word = [[n for n, piece in enumerate(pieces) if piece.word == word] for word in range(1, pieces[-1].word)]
    assert [written(pieces, members) for members in of_word] == words


def test_some_pieces_are_written_with_what_is_between_them():
    _, _, pieces, _ = pieces_of("a flibbertigibbet dog, runs", 24)  # fli b ber ti gib bet
    assert written(pieces, [1, 2, 8]) == "a fli- … dog"
    assert written(pieces, [3, 4]) == "-bber-"
    assert written(pieces, [8, 9, 10]) == "dog, runs"
    assert written(pieces, []) == ""
