import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hbi.data.tokens import tokenize


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
