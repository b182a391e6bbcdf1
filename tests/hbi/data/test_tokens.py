import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hbi.data.shapes_scenes import caption, sample_scene
from hbi.data.tokens import tokenize, wordpiece
from hbi.errors import InputError

TINY = Path(__file__).parents[3] / "hbi" / "models" / "encoders" / "tiny-vocabulary.txt"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.mark.parametrize("max_words", [24, 32, 64])
def test_tokens_are_those_of_the_released_code(golden: Path, max_words: int) -> None:
    cases = json.loads((golden / "hbi_tokens.json").read_text())
    token_ids, mask = tokenize([case["text"] for case in cases], max_words)
    for case, ids, real in zip(cases, token_ids, mask, strict=True):
        assert ids[real].tolist() == case[str(max_words)]
        assert not ids[~real].any()


@settings(deadline=None, max_examples=50)
@given(captions=st.lists(st.text(max_size=60), min_size=1, max_size=4), max_words=st.integers(3, 40))
def test_mask_is_a_prefix_with_start_and_end(captions: list[str], max_words: int) -> None:
    token_ids, mask = tokenize(captions, max_words)
    assert token_ids.shape == mask.shape == (len(captions), max_words)
    lengths = mask.sum(1)
    for ids, real, length in zip(token_ids, mask, lengths, strict=True):
        assert real[:length].all()
        assert ids[0] == 49406
        assert ids[length - 1] == 49407


# ---- WordPiece ------------------------------------------------------------------------------------------------------


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    """The example of Devlin et al. with the special tokens at other ids than ours."""
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["un", "##aff", "##able", "[CLS]", "[SEP]", "[UNK]", ",", "cafe", "[PAD]", "[MASK]", ""]))
    return path


def test_words_become_their_longest_pieces_between_start_and_end(vocabulary: Path) -> None:
    captions = ["UNaffable, un", "Café xyz", "", "un[MASK], un"]
    token_ids, mask = wordpiece(vocabulary)(captions, 8)
    assert token_ids.tolist() == [
        [3, 0, 1, 2, 6, 0, 4, 8],
        [3, 7, 5, 4, 8, 8, 8, 8],
        [3, 4, 8, 8, 8, 8, 8, 8],
        [3, 0, 9, 6, 0, 4, 8, 8],
    ]
    assert mask.sum(1).tolist() == [7, 4, 2, 6]
    assert torch.equal(mask, token_ids != 8)


def test_a_long_caption_loses_its_last_words_and_not_the_end_token(vocabulary: Path) -> None:
    token_ids, mask = wordpiece(vocabulary)(["unaffable unaffable"], 5)
    assert token_ids.tolist() == [[3, 0, 1, 2, 4]]
    assert mask.all()


@settings(deadline=None, max_examples=50)
@given(text=st.text(st.characters(max_codepoint=126), max_size=40), seed=st.integers(0, 2**40))
def test_the_tiny_vocabulary_has_the_words_of_shapes_and_spells_any_ascii_text(text: str, seed: int) -> None:
    tokens, tokenizer = TINY.read_text().splitlines(), wordpiece(TINY)
    assert tokens[:5] == SPECIAL
    assert len(tokens) == len(set(tokens)) <= 200
    told = caption(sample_scene(seed))
    for sentence, length in ((told, len(told.replace(",", " ,").split())), (text, None)):
        token_ids, mask = tokenizer([sentence], 64)
        assert tokens.index("[UNK]") not in token_ids[mask]
        assert length is None or mask.sum() == length + 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; a vocabulary holds a token a line"),
        ("", r":1: '' is not one token; a vocabulary holds a token a line"),
        ("[PAD]\n\n[UNK]\n", r":2: '' is not one token"),
        ("[PAD]\na dog\n", r":2: 'a dog' is not one token"),
        ("[PAD]\na\nb\na\n", r":4: 'a' is also on line 2; a token has one id"),
        ("[PAD]\n[CLS]\n[SEP]\na\n", r"the vocabulary has no \[UNK\] and no \[MASK\]"),
        (b"\xff\xfe", "cannot be read as UTF-8 text"),
    ],
)
def test_what_is_no_vocabulary_is_named_in_one_line(content: str | bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        wordpiece(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_vocabulary_with_other_ends_of_lines_is_the_same(vocabulary: Path) -> None:
    expected = wordpiece(vocabulary)(["unaffable"], 8)[0]
    vocabulary.write_bytes(vocabulary.read_bytes().replace(b"\n", b"\r\n"))
    assert torch.equal(wordpiece(vocabulary)(["unaffable"], 8)[0], expected)
