"""Captions as tokens: CLIP's, or WordPiece by a vocabulary."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hbi.data.annotations import content
from hbi.errors import InputError

Tokens = tuple[Tensor, Tensor]
"""Token ids [N,T] int64, and mask [N,T] bool: which of them are no padding."""

Tokenizer = Callable[[Sequence[str], int], Tokens]
"""From N captions and T, the most tokens that each keeps, to their tokens."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@cache
def clip_tokenizer() -> Any:
    """CLIP's byte-pair codes, as open_clip has them."""
    from open_clip.tokenizer import SimpleTokenizer  # seconds to import; a model needs it anyway

    return SimpleTokenizer()


def tokenize(captions: Sequence[str], max_words: int) -> Tokens:
    """N captions → token ids [N, max_words] int64, padded with 0, and mask [N, max_words] bool.

    CLIP's byte-pair codes (Radford et al., arXiv 2103.00020) between a start and an end token; a long caption
    loses its last words, never the end token. The mask tells padding from the id 0, which is also "!".
    """
    tokenizer = clip_tokenizer()
    words = map(tokenizer.encode, captions)
    return _framed(words, len(captions), max_words, tokenizer.sot_token_id, tokenizer.eot_token_id, padding=0)


def wordpiece(vocabulary: Path) -> Tokenizer:
    """A tokenizer of lower-case WordPiece (Devlin et al., arXiv 1810.04805) by the file ``vocabulary``.

    The file holds a token a line; the number of the line, from 0, is its id. A caption stands between [CLS] and [SEP],
    and a long one loses its last words, never [SEP]; padding has the id of [PAD]. "[MASK]" in a caption is one token.
    Raises InputError where the file cannot be read, names a token twice, holds anything but a token on a line, or
    lacks one of SPECIAL.
    """
    return _wordpiece(vocabulary, content(vocabulary, "a vocabulary holds a token a line, as BERT's vocab.txt does"))


@lru_cache(maxsize=4)  # a vocabulary of 30,000 tokens is quickly read, but not quickly understood
def _wordpiece(vocabulary: Path, text: str) -> Tokenizer:
    id_of = _parsed(vocabulary, text)
    from tokenizers import BertWordPieceTokenizer  # type: ignore[attr-defined, unused-ignore]

    encoder = BertWordPieceTokenizer(vocab=id_of, lowercase=True)

    def tokens(captions: Sequence[str], max_words: int) -> Tokens:
        # one by one: a batch would start threads, which the fork of a DataLoader's worker does not survive
        words = (encoder.encode(caption, add_special_tokens=False).ids for caption in captions)
        return _framed(words, len(captions), max_words, id_of["[CLS]"], id_of["[SEP]"], padding=id_of["[PAD]"])

    return tokens


def _framed(words: Iterable[Sequence[int]], count: int, max_words: int, start: int, end: int, padding: int) -> Tokens:
    """Each of ``count`` captions between ``start`` and ``end``, cut to ``max_words`` with these, and padded."""
    token_ids = torch.full((count, max_words), padding, dtype=torch.int64)
    mask = torch.zeros(count, max_words, dtype=torch.bool)
    for row, found in enumerate(words):
        ids = [start, *found[: max_words - 2], end]
        token_ids[row, : len(ids)] = torch.tensor(ids)
        mask[row, : len(ids)] = True
    return token_ids, mask


def _parsed(path: Path, text: str) -> dict[str, int]:
    """The id of each token."""
    id_of: dict[str, int] = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n")):
        token = line.removesuffix("\r")
        if not token or re.search(r"[ \t\r]", token):
            raise InputError(f"{path}:{number + 1}: {token[:40]!r} is not one token; a vocabulary holds a token a line")
        if token in id_of:
            raise InputError(f"{path}:{number + 1}: {token!r} is also on line {id_of[token] + 1}; a token has one id")
        id_of[token] = number
    if missing := [token for token in SPECIAL if token not in id_of]:
        raise InputError(f"{path}: the vocabulary has no {' and no '.join(missing)}; give one of a BERT or DistilBERT")
    return id_of
