"""A caption as its tokens read: which word each belongs to, and how words are written again from some of them."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from hbi.data.tokens import clip_tokenizer, tokenize

_END_OF_WORD = "</w>"
_CLOSING = (*",.;:!?)'",)
START, END = "[start]", "[end]"
"""CLIP's first and last token. Both are players: the last one sums up the caption."""


class Piece(NamedTuple):
    """One token: its text, and the number of the word that it is, or is a part of."""

    text: str
    word: int


def pieces_of(caption: str, max_words: int) -> tuple[Tensor, Tensor, list[Piece], str | None]:
    """Token ids [1, max_words] and mask as ``tokenize`` gives them, the pieces of the real ones, and what is lost of a
    caption that is too long; none where nothing is."""
    token_ids, mask = tokenize([caption], max_words)
    every = _words(clip_tokenizer().encode(caption))
    kept, lost = every[: max_words - 2], every[max_words - 2 :]
    inside = [Piece(text, word + 1) for text, word in kept]
    words = inside[-1].word if inside else 0
    pieces = [Piece(START, 0), *inside, Piece(END, words + 1)]
    if not lost:
        return token_ids, mask, pieces, None
    cut = " ".join(written([Piece(*piece) for piece in lost], range(len(lost))).split())
    told = f"the caption has {len(every) + 2} tokens and the model reads {max_words}; it does not see: {cut}"
    return token_ids, mask, pieces, told


def _words(ids: Sequence[int]) -> list[Piece]:
    """Pieces of the codes ``ids``, words counted from 0. A letter of several bytes may be cut in two: "�"."""
    tokenizer, word, found = clip_tokenizer(), 0, []
    for code in ids:
        text: str = tokenizer.decoder[code]
        encoded = bytes(tokenizer.byte_decoder[letter] for letter in text.removesuffix(_END_OF_WORD))
        found.append((encoded, word))
        word += text.endswith(_END_OF_WORD)
    return [Piece(text, number) for text, number in _decoded(found)]


def _decoded(found: Sequence[tuple[bytes, int]]) -> list[tuple[str, int]]:
    """Each piece as text; a letter whose bytes lie in several pieces is written in the last of them."""
    texts, rest = [], b""
    for place, (encoded, word) in enumerate(found):
        rest += encoded
        ends = place + 1 == len(found) or found[place + 1][1] != word
        whole = rest if ends else _whole(rest)
        texts.append((whole.decode(errors="replace"), word))
        rest = rest[len(whole) :]
    return texts


def _whole(encoded: bytes) -> bytes:
    """``encoded`` without a letter that is only begun."""
    try:
        encoded.decode()
    except UnicodeDecodeError as error:
        return encoded[: error.start] if error.reason == "unexpected end of data" else encoded
    return encoded


def written(pieces: Sequence[Piece], members: Sequence[int]) -> str:
    """The ``members`` of ``pieces`` as text: pieces of a word joined, words apart, an ellipsis where some lie between.

    Of a word of which not all is there, "-" stands for what is missing.
    """
    parts: list[str] = []
    for place, number in enumerate(members):
        text, word = pieces[number]
        before = members[place - 1] if place else None
        joined = before == number - 1 and pieces[before].word == word
        if not joined and before is not None:
            parts.append(("" if text[:1] in _CLOSING else " ") if before == number - 1 else " … ")
        if not joined and number and pieces[number - 1].word == word:
            parts.append("-")
        parts.append(text)
        followed = place + 1 < len(members) and members[place + 1] == number + 1
        if not followed and number + 1 < len(pieces) and pieces[number + 1].word == word:
            parts.append("-")
    return "".join(parts)
