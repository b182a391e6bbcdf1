import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hbi.data.batches import Batch, train_batches
from hbi.data.clips import Clips
from hbi.data.dataset import Dataset, Phrases, Split
from hbi.data.phrases import Kind, asked, erased, fill, main, phrases_of
from hbi.data.shapes_scenes import caption, phrases, sample_scene
from hbi.data.tokens import Tokens, wordpiece
from hbi.errors import InputError

VOCABULARY = Path(__file__).parents[3] / "hbi" / "models" / "encoders" / "tiny-vocabulary.txt"
TOKENS = VOCABULARY.read_text().split("\n")
BOTH: tuple[Kind, ...] = ("noun", "verb")
tokenize = wordpiece(VOCABULARY)


def told(tokens: Tokens, *place: int) -> str:
    return " ".join(TOKENS[id] for id in tokens[0][place][tokens[1][place]].tolist())


def split_of(captions: dict[str, Phrases]) -> Split:
    return Split("train", (), tuple(captions), (0,) * len(captions), phrases=tuple(captions.values()))


def test_a_question_is_the_caption_without_the_phrase_and_the_answer_is_the_phrase() -> None:
    assert erased("a red ring grows", (2, 10)) == ("a [MASK] grows", "red ring")
    assert erased("a red ring grows", (0, 16)) == ("[MASK]", "a red ring grows")


@given(seed=st.integers(0, 2**62))
def test_the_phrases_of_a_generated_caption_are_the_words_of_its_scene(seed: int) -> None:
    scene = sample_scene(seed)
    text = caption(scene)
    found = phrases(text)
    shapes = [str(shape) for event in scene for shape in (event.actor, event.met) if shape]
    does = [f"{event.action}s {event.direction}" if event.action == "move" else f"{event.action}s" for event in scene]
    assert [text[start:end] for start, end in found.nouns] == shapes
    assert [text[start:end] for start, end in found.verbs] == does


def test_every_caption_of_shapes_has_phrases(dataset: Dataset) -> None:
    for split in dataset.splits.values():
        assert split.phrases == tuple(map(phrases, split.captions))
        assert all(found.nouns and found.verbs for found in split.phrases)


def test_the_questions_of_each_kind_and_none_where_there_is_no_such_phrase() -> None:
    split = split_of(
        {
            "a red ring grows": Phrases(nouns=((2, 10),), verbs=((11, 16),)),
            "a blue square": Phrases(nouns=((2, 13),)),
            "a": Phrases(),
        }
    )
    found = asked(split, torch.tensor([1, 0, 2]), BOTH, tokenize, 12, seed=0, epoch=0)
    assert found[0].shape == found[1].shape == (3, 2, 2, 12)
    assert (found[0].dtype, found[1].dtype) == (torch.int64, torch.bool)
    assert told(found, 0, 0, 0) == "[CLS] a [MASK] [SEP]"
    assert told(found, 0, 0, 1) == "[CLS] blue square [SEP]"
    assert told(found, 1, 0, 1) == "[CLS] red ring [SEP]"
    assert told(found, 1, 1, 0) == "[CLS] a red ring [MASK] [SEP]"
    assert told(found, 1, 1, 1) == "[CLS] grows [SEP]"
    assert [found[1][row, kind].any().item() for row in range(3) for kind in range(2)] == [1, 0, 1, 1, 0, 0]
    verbs = asked(split, torch.tensor([0]), ("verb",), tokenize, 12, seed=0, epoch=0)
    assert torch.equal(verbs[0][0, 0], found[0][1, 1])
    none = asked(split, torch.tensor([0, 1]), (), tokenize, 12, seed=0, epoch=0)
    assert none[0].shape == none[1].shape == (2, 0, 2, 12)


def test_what_is_asked_depends_on_pair_and_epoch_and_not_on_the_batch(dataset: Dataset) -> None:
    split = dataset.splits["train"]
    everyone = torch.arange(10)
    once = asked(split, everyone, BOTH, tokenize, 24, seed=3, epoch=1)
    for pairs in (everyone.flip(0), everyone[4:7]):
        part = asked(split, pairs, BOTH, tokenize, 24, seed=3, epoch=1)
        assert all(torch.equal(one, whole[pairs]) for one, whole in zip(part, once, strict=True))
    epochs = [asked(split, everyone, BOTH, tokenize, 24, seed=3, epoch=epoch)[0] for epoch in range(20)]
    several = [row for row, found in enumerate(split.phrases or ()) if len(found.nouns) > 1]
    assert several
    for row in several:
        answers = {tuple(epoch[row, 0, 1].tolist()) for epoch in epochs}
        assert len(answers) == len((split.phrases or ())[row].nouns)


def test_a_split_without_phrases_says_so(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="split train tells no phrases to ask for; take a data set that does"):
        asked(Split("train", (), ("a",), (0,)), torch.tensor([0]), BOTH, tokenize, 24, 0, 0)


def test_batches_hold_the_questions_of_their_pairs(dataset: Dataset, config) -> None:  # type: ignore[no-untyped-def]
    split = dataset.splits["train"]
    tokens = tokenize(split.captions, 24)

    def questions(pairs: torch.Tensor) -> Tokens:
        return asked(split, pairs, BOTH, tokenize, 24, seed=0, epoch=2)

    clips, answer = Clips(split, config, 16), torch.full((10,), -1)
    plain = list(train_batches(split, clips, tokens, answer, 4, seed=0, epoch=2))
    found = list(train_batches(split, clips, tokens, answer, 4, seed=0, epoch=2, questions=questions))
    for one, other in zip(plain, found, strict=True):
        assert torch.equal(one.token_ids, other.token_ids)
        assert (one.questions.shape, one.question_mask.shape) == ((4, 0, 2, 0),) * 2
        assert (one.questions.dtype, one.question_mask.dtype) == (torch.int64, torch.bool)
        for row in range(4):
            answers = other.questions[row, :, 1][other.question_mask[row, :, 1]]
            assert set(answers.tolist()) <= {*other.token_ids[row].tolist()}
            assert TOKENS.index("[MASK]") in other.questions[row, 0, 0]
        for batch in (one, other):
            columns = [torch.chunk(getattr(batch, name), 2) for name in Batch.__dataclass_fields__]
            halves = [Batch(*part) for part in zip(*columns, strict=True)]
            assert torch.equal(torch.cat([half.questions for half in halves]), batch.questions)
            assert batch.to(torch.device("cpu")).question_mask.shape == batch.question_mask.shape


# ---- by spaCy -------------------------------------------------------------------------------------------------------


def parsed() -> Any:
    """ "The two dogs are chasing her, and she hides her ball", as a model of spaCy parses it."""
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed")
    words = ["The", "two", "dogs", "are", "chasing", "her", ",", "and", "she", "hides", "a", "ball"]
    pos = ["DET", "NUM", "NOUN", "AUX", "VERB", "PRON", "PUNCT", "CCONJ", "PRON", "VERB", "DET", "NOUN"]
    heads = [2, 2, 4, 4, 4, 4, 4, 4, 9, 4, 11, 9]
    deps = ["det", "nummod", "nsubj", "aux", "ROOT", "dobj", "punct", "cc", "nsubj", "conj", "det", "dobj"]
    spaces = [word != "her" for word in words]
    vocab = spacy.blank("en").vocab
    return spacy.tokens.Doc(vocab, words=words, pos=pos, heads=heads, deps=deps, spaces=spaces)


def test_noun_chunks_without_determiner_and_verbs_without_auxiliaries() -> None:
    text, found = parsed().text, phrases_of(parsed())
    assert [text[start:end] for start, end in found.nouns] == ["two dogs", "ball"]
    assert [text[start:end] for start, end in found.verbs] == ["chasing", "hides"]


def test_a_pipeline_that_does_not_parse_is_refused(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed")
    with pytest.raises(InputError, match="has no parser and no tagger; take another"):
        fill(tmp_path / "in.tsv", tmp_path / "out.tsv", spacy.blank("en"))


class Pipeline:
    """Stands for a model of spaCy: it finds one chunk, the second and the third word, and no verb."""

    pipe_names = ("tagger", "parser")

    def pipe(self, captions: list[str]) -> Any:
        for text in captions:
            first, second, *_ = text.split()
            yield _Parsed(len(first) + 1, len(first) + 1 + len(second))


class _Parsed:
    def __init__(self, start: int, end: int) -> None:
        self.idx, self.end_char, self.pos_ = start, end, "NOUN"
        self.root = self
        self.noun_chunks = [self]

    def __iter__(self) -> Any:
        return iter([self])

    def __len__(self) -> int:
        return self.end_char - self.idx


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_filled_table_is_read_back_with_its_spans(suffix: str, tmp_path: Path) -> None:
    from hbi.data.tables import read_table

    source, target = tmp_path / "in.csv", tmp_path / f"out{suffix}"
    source.write_text('caption,path,source\n"the ""big"" dog, running",a.mp4,x\nun été,b.mp4,y\n')
    calls = []
    fill(source, target, Pipeline(), lambda what, done, total: calls.append((what, done, total)))
    assert calls == [("parsing caption", 1, 2), ("parsing caption", 2, 2)]
    table = read_table(target)
    assert table["caption"].tolist() == ['the "big" dog, running', "un été"]
    assert table["path"].tolist() == ["a.mp4", "b.mp4"]
    assert table["nouns"].tolist() == ["4:9", "3:6"]
    assert table["verbs"].tolist() == ["", ""]


def test_a_caption_of_two_lines_does_not_fit_into_a_tsv_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('path,caption\na.mp4,"a dog\nruns"\n')
    with pytest.raises(InputError, match=r"a field holds a tab or the end of a line; write a \.csv"):
        fill(tmp_path / "in.csv", tmp_path / "out.tsv", Pipeline())
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_the_command_says_what_to_install(monkeypatch, capsys, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setitem(sys.modules, "spacy", None)
    assert main([str(tmp_path / "in.tsv"), str(tmp_path / "out.tsv")]) == 2
    assert capsys.readouterr().err == "the package spacy is not installed; install it: pip install spacy\n"


def test_the_command_says_which_model_to_install(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("spacy", reason="spaCy is not installed")
    assert main([str(tmp_path / "in.tsv"), str(tmp_path / "out.tsv"), "--model", "no_such_model"]) == 2
    assert "model no_such_model is not installed; install it: python -m spacy download" in capsys.readouterr().err
