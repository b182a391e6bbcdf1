"""Batches for training and evaluation; their content depends on nothing but what is asked for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from hbi.data.clips import ClipSource
from hbi.data.dataset import Split
from hbi.data.decode import LIMIT_SECONDS
from hbi.data.tokens import Tokens
from hbi.data.video import VideoError
from hbi.errors import InputError
from hbi.seeds import spread


@dataclass
class Batch:
    """B pairs of a caption and its video.

    token_ids [B,T] int64 · text_mask [B,T] bool · frames [B,F,3,S,S] uint8, or features of them [B,F,D] float32 ·
    video_mask [B,F] bool · video_index [B] int64: the same number is the same video · answer [B] int64: the label of a
    question's answer, −1 for one outside the vocabulary, and for captions · questions [B,Q,2,T] int64 and
    question_mask [B,Q,2,T] bool: what a caption with a phrase erased asks for, and the phrase
    (``hbi.data.phrases.asked``); Q and T are 0 where nothing is given.
    """

    token_ids: Tensor
    text_mask: Tensor
    frames: Tensor
    video_mask: Tensor
    video_index: Tensor
    answer: Tensor
    questions: Tensor = None  # type: ignore[assignment]
    question_mask: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.questions is None:
            self.questions = self.token_ids.new_empty(len(self.token_ids), 0, 2, 0)
        if self.question_mask is None:
            self.question_mask = self.questions.bool()

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Batches of an epoch; the last, incomplete one does not count. Raises InputError where there is none."""
    steps = len(split.captions) // batch_size
    if not steps:
        raise InputError(
            f"batch_size {batch_size}: split {split.name} has {len(split.captions)} captions; make it smaller"
        )
    return steps


def data_order(split: Split, seed: int, epoch: int) -> Tensor:
    """[N] int64: all pairs of the split, in the order of this epoch."""
    generator = torch.Generator().manual_seed(spread(seed, "data order", epoch))
    return torch.randperm(len(split.captions), generator=generator)


def train_batches(
    split: Split,
    clips: ClipSource,
    tokens: Tokens,
    answer: Tensor,
    batch_size: int,
    seed: int,
    epoch: int,
    skip: int = 0,
    workers: int = 0,
    augmented: bool = False,
    own: slice = slice(None),
    questions: Callable[[Tensor], Tokens] | None = None,
) -> Iterator[Batch]:
    """The batches of one epoch from number ``skip`` on, of each the pairs ``own``; the others are not decoded.

    ``answer`` [N] int64: the labels of the split (``Dataset.labels``).
    ``workers``: processes that decode; the batches are the same with any number of them.
    ``augmented``: by config.augmentation and training_frames of the clips, drawn anew for each pair in each epoch.
    ``questions``: from pairs [B] to what is asked of their captions, [B,Q,2,T] with mask; none: nothing.
    """
    steps = steps_per_epoch(split, batch_size)
    order = data_order(split, seed, epoch)[: steps * batch_size].view(steps, batch_size)[skip:, own]
    video_of = torch.tensor(split.video_of)
    seeds = None
    if augmented and clips.augmented:
        seeds = [[spread(seed, "augmentation", epoch, pair) for pair in pairs] for pairs in order.tolist()]
    decoded = _decoded(clips, list(video_of[order]), workers, seeds)
    for pairs, (frames, video_mask) in zip(order, decoded, strict=True):
        asked = questions(pairs) if questions else ()
        yield Batch(tokens[0][pairs], tokens[1][pairs], frames, video_mask, video_of[pairs], answer[pairs], *asked)


def text_batches(tokens: Tokens, batch_size: int) -> Iterator[Tokens]:
    """All captions in order: token ids [≤ batch_size, T] and mask."""
    yield from zip(*(torch.split(tensor, batch_size) for tensor in tokens), strict=True)


def video_batches(clips: ClipSource, batch_size: int, workers: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """All videos in order: frames [≤ batch_size, F, 3, S, S] uint8 and mask."""
    yield from _decoded(clips, torch.split(torch.arange(len(clips)), batch_size), workers)


class _Groups(torch.utils.data.Dataset[Any]):
    """Group k is the clips of the videos groups[k], stacked: what a DataLoader's worker decodes at a time."""

    def __init__(self, clips: ClipSource, groups: Sequence[Tensor], seeds: Sequence[Sequence[int]] | None) -> None:
        self.clips, self.groups, self.seeds = clips, groups, seeds
        self.under_way = torch.full((len(groups),), -1).share_memory_()
        """[number of groups]: the video of each that was begun last; −1 before the first."""

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor] | InputError:
        try:
            seeds = self.seeds[number] if self.seeds else None
            return self.clips.stack(self.groups[number], seeds, partial(self.under_way.__setitem__, number))
        except InputError as error:  # raised here it would reach the user as a worker's traceback
            return error


def _decoded(
    clips: ClipSource, groups: Sequence[Tensor], workers: int, seeds: Sequence[Sequence[int]] | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """The clips of each group; ``seeds``: of what training changes in each."""
    if clips.in_memory and seeds is None:
        workers = 0
    asked = _Groups(clips, groups, seeds)
    limit = LIMIT_SECONDS if workers else 0
    loader = iter(DataLoader(asked, batch_size=None, num_workers=workers, timeout=limit))
    for number in range(len(groups)):
        decoded = _next(loader, asked, number)
        if isinstance(decoded, InputError):
            raise decoded
        yield decoded


def _next(loader: Iterator[Any], asked: _Groups, number: int) -> Any:
    """Group ``number``; raises VideoError where its worker hangs in one video, or dies."""
    before = None
    while True:
        try:
            return next(loader)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader"):
                raise
            video = int(asked.under_way[number])
            file = asked.clips.videos[video].path if video >= 0 else "a video"
            if "timed out" not in str(error):
                raise VideoError(f"{file}: the process that decodes it died; `prepare` lists bad files") from error
            if video == before:
                raise VideoError(f"{file}: not decoded after {LIMIT_SECONDS:g} s; replace the file") from error
            before = video  # a group may take its time, one video may not
