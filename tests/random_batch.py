"""A small batch of random pairs, for tests of models."""

import torch

from hbi.data.batches import Batch


def batch_of(pairs: int, words: int = 12, frames: int = 6, vocabulary: int = 49408, kinds: int = 0) -> Batch:
    """Random pairs with padding of every kind: full, short, one frame; ``kinds`` of questions about each."""
    draw = torch.Generator().manual_seed(0)
    text_length = torch.tensor([words, 3, 5, 2, words, 7])[:pairs]
    video_length = torch.tensor([frames, 1, 3, frames, 2, 4])[:pairs]
    return Batch(
        token_ids=torch.randint(1, vocabulary, (pairs, words), generator=draw),
        text_mask=torch.arange(words) < text_length[:, None],
        frames=torch.randint(0, 256, (pairs, frames, 3, 32, 32), generator=draw, dtype=torch.uint8),
        video_mask=torch.arange(frames) < video_length[:, None],
        video_index=torch.tensor([0, 1, 2, 3, 4, 0])[:pairs],  # the last caption is of the first video too
        answer=torch.tensor([3, 0, -1, 4, 1, 3])[:pairs],
        questions=torch.randint(1, vocabulary, (pairs, kinds, 2, words), generator=draw),
        question_mask=torch.arange(words) < torch.tensor([words - 1, 2])[:, None].expand(pairs, kinds, 2, 1),
    )
