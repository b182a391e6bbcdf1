"""Phrases of captions, and what is asked of them: a caption with a phrase erased is the question, the phrase the answer
(Ge et al., MCQ, arXiv 2201.04850).

Tables without phrases get them by spaCy, where it and a model of its are installed:

    python -m hbi.data.phrases captions.tsv with-phrases.tsv [--model en_core_web_sm]

nouns are noun chunks without leading determiners, and without pronouns; verbs are single words, auxiliaries left out.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from hbi.data.dataset import Phrases, Progress, Span, Split
from hbi.data.tables import read_table, spelt, write_table
from hbi.data.tokens import Tokenizer, Tokens
from hbi.errors import InputError
from hbi.seeds import spread

Kind = Literal["noun", "verb"]
MASK = "[MASK]"


def erased(caption: str, span: Span) -> tuple[str, str]:
    """The caption with MASK in place of the phrase, and the phrase."""
    start, end = span
    return f"{caption[:start]}{MASK}{caption[end:]}", caption[start:end]


def asked(
    split: Split, pairs: Tensor, kinds: Sequence[Kind], tokenize: Tokenizer, max_words: int, seed: int, epoch: int
) -> Tokens:
    """Questions and answers of the captions ``pairs`` [B]: token ids [B, kinds, 2, max_words] and mask.

    The third axis is question, answer. Of several phrases of a kind one is drawn, anew in each epoch; where a caption
    has none, the mask is False throughout. Raises InputError where the split tells no phrases.
    """
    if split.phrases is None:
        raise InputError(
            f"split {split.name} tells no phrases to ask for; take a data set that does: shapes, or pairs with the "
            "columns nouns and verbs"
        )
    texts: list[str] = []
    missing: list[bool] = []
    for pair in pairs.tolist():
        for kind in kinds:
            spans = split.phrases[pair].nouns if kind == "noun" else split.phrases[pair].verbs
            missing.append(not spans)
            drawn = spread(seed, "questions", epoch, pair, kind)
            texts += erased(split.captions[pair], spans[drawn % len(spans)]) if spans else ("", "")
    token_ids, mask = tokenize(texts, max_words)
    shape = (len(pairs), len(kinds), 2, max_words)
    return token_ids.view(shape), mask.view(shape) & ~torch.tensor(missing, dtype=torch.bool).view(*shape[:2], 1, 1)


# ---- by spaCy -------------------------------------------------------------------------------------------------------


def fill(source: Path, target: Path, language: Any, progress: Progress | None = None) -> None:
    """Writes the table ``source`` with the phrases that the pipeline ``language`` finds; other columns are left out.

    Raises InputError as ``read_table`` and ``write_table`` do, or where the pipeline does not parse; ``target`` is then
    untouched.
    """
    if missing := {"tagger", "parser"} - set(language.pipe_names):
        name = language.meta["name"]
        raise InputError(f"spaCy's model {name!r} has no {' and no '.join(sorted(missing))}; take another")
    table = read_table(source)
    captions = table["caption"].tolist()
    found = list(map(phrases_of, _told(language.pipe(captions), len(captions), progress)))
    table["nouns"] = [spelt(phrases.nouns) for phrases in found]
    table["verbs"] = [spelt(phrases.verbs) for phrases in found]
    write_table(target, table)


def phrases_of(parsed: Any) -> Phrases:
    """Of a caption as spaCy has parsed it, a ``spacy.tokens.Doc``."""
    nouns = []
    for chunk in parsed.noun_chunks:
        start = next((token.idx for token in chunk if token.pos_ != "DET"), chunk.end_char)
        if start < chunk.end_char and chunk.root.pos_ != "PRON":
            nouns.append((start, chunk.end_char))
    verbs = [(token.idx, token.idx + len(token)) for token in parsed if token.pos_ == "VERB"]
    return Phrases(tuple(nouns), tuple(verbs))


def _told(parsed: Iterable[Any], total: int, progress: Progress | None) -> Iterator[Any]:
    for done, one in enumerate(parsed, start=1):
        yield one
        if progress:
            progress("parsing caption", done, total)


def _language(model: str) -> Any:
    try:
        import spacy  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise InputError("the package spacy is not installed; install it: pip install spacy") from error
    try:
        return spacy.load(model, exclude=["ner", "lemmatizer"])
    except OSError as error:
        raise InputError(
            f"spaCy's model {model} is not installed; install it: python -m spacy download {model}"
        ) from error


def _on_stderr() -> Progress:
    """A line every ten seconds, with the time left."""
    begun = told = time.monotonic()

    def progress(what: str, done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told > 10:
            told = now
            left = (now - begun) * (total - done) / done
            print(f"{what} {done} of {total}, about {left / 60:.0f} min left", file=sys.stderr)

    return progress


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hbi.data.phrases", description="Fills in the phrases of captions.")
    parser.add_argument("source", type=Path, help="table with the columns path and caption, .csv or .tsv")
    parser.add_argument("target", type=Path, help="the same with nouns and verbs, to be written, .csv or .tsv")
    parser.add_argument("--model", default="en_core_web_sm", help="spaCy's model (%(default)s)")
    given = parser.parse_args(arguments)
    try:
        fill(given.source, given.target, _language(given.model), _on_stderr())
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
