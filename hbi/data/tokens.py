"""Captions as CLIP's tokens."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch


@cache
def _tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer  # seconds to import; a model needs it anyway

    return SimpleTokenizer()


def tokenize(captions: Sequence[str], max_words: int) -> tuple[torch.Tensor, torch.Tensor]:
    """N captions → token ids [N, max_words] int64, padded with 0, and mask [N, max_words] bool.

    CLIP's byte-pair codes (Radford et al., arXiv 2103.00020) between a start and an end token; a long caption
    loses its last words, never the end token. The mask tells padding from the id 0, which is also "!".
    """
    tokenizer = _tokenizer()
    token_ids = torch.zeros(len(captions), max_words, dtype=torch.int64)
    mask = torch.zeros(len(captions), max_words, dtype=torch.bool)
    for row, caption in enumerate(captions):
        words = tokenizer.encode(caption)[: max_words - 2]
        ids = [tokenizer.sot_token_id, *words, tokenizer.eot_token_id]
        token_ids[row, : len(ids)] = torch.tensor(ids)
        mask[row, : len(ids)] = True
    return token_ids, mask
