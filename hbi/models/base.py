"""What every system is to training, evaluation and cost: two encoders, a similarity, and named losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from hbi.data.batches import Batch
from hbi.data.tokens import Tokens, tokenize
from hbi.files import write_atomically
from hbi.metrics.retrieval import Direction
from hbi.seeds import spread


@dataclass(frozen=True)
class Encoded:
    """Encoded captions or videos: named tensors whose first axis is the sample."""

    tensors: dict[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def map(self, function: Callable[[Tensor], Tensor]) -> Encoded:
        return Encoded({name: function(tensor) for name, tensor in self.tensors.items()})

    def to(self, device: torch.device | str) -> Encoded:
        return self.map(lambda tensor: tensor.to(device))

    def select(self, index: Tensor | slice) -> Encoded:
        """The samples at ``index``, a slice or an integer tensor [n]."""
        return self.map(lambda tensor: tensor[index])

    @staticmethod
    def cat(parts: Sequence[Encoded]) -> Encoded:
        """All samples of ``parts``, in order."""
        return Encoded({name: torch.cat([part[name] for part in parts]) for name in parts[0].tensors})


def targets_of(batch: Batch) -> Encoded:
    """What the losses hold the pairs of a batch against: "video_index" [B] and "answer" [B], as in Batch."""
    return Encoded({"video_index": batch.video_index, "answer": batch.answer})


class System(nn.Module):
    """A retrieval system. Every one of them is trained, evaluated and measured through these methods alone."""

    image_size: int
    """Side of the square frames that ``encode_video`` takes, pixels."""
    context_length: int
    """Most words of a caption, and most frames of a video, that the positions reach."""
    seed: int = 0
    step: int = 0
    """Steps of training done so far. Randomness in a loss follows from it and from the seed, so that a resumed
    training, and every process of one on several, draws alike."""
    encoder_prefix: ClassVar[str | tuple[str, ...]] = "encoder.clip."
    """Parameters of the (pretrained) encoder begin so; they learn at lr · coef_lr."""
    published_encoders: ClassVar[tuple[str, ...]] = ("encoder.", "temporal.")
    """Parameters begin so that, in the published code, stand in front of the gathering of several processes' features
    (but for the logit scale)."""

    @property
    def logit_scale(self) -> nn.Parameter:
        """Logarithm of the factor that turns a similarity into a logit."""
        raise NotImplementedError

    @property
    def gathers_whole_gradient(self) -> bool:
        """Whether training on several processes gives all parameters the gradient of the whole loss; or, as published,
        those of ``published_encoders`` 1/processes of it."""
        return True

    @property
    def block(self) -> int:
        """Captions, and videos, that are scored together, from the first on, because their scores depend on each
        other (as one published code has it); 1: a score depends on its pair alone."""
        return 1

    def tokenize(self, captions: Sequence[str], max_words: int) -> Tokens:
        """N captions → token ids [N, max_words] int64 and mask [N, max_words] bool."""
        return tokenize(captions, max_words)

    def encode_text(self, token_ids: Tensor, mask: Tensor) -> Encoded:
        """token_ids [N,T] int64, mask [N,T] bool → N encoded captions."""
        raise NotImplementedError

    def encode_video(self, frames: Tensor, mask: Tensor) -> Encoded:
        """frames [M,F,3,H,W], uint8 or, already normalised, floating; or their features [M,F,D] (``frame_features``);
        mask [M,F] bool → M encoded videos."""
        raise NotImplementedError

    def frame_features(self, frames: Tensor) -> Tensor:
        """frames [M,F,3,H,W] → what the encoder alone makes of each [M,F,D]; does not change where it is frozen."""
        raise NotImplementedError

    def similarity(self, text: Encoded, video: Encoded) -> Tensor:
        """[N,M], without logit scale; blocks are the caller's business."""
        raise NotImplementedError

    def reranked(self, way: Direction, text: Encoded, video: Encoded, similarity: Tensor) -> Tensor:
        """The whole ``similarity`` [N,M] as the queries of ``way`` rank by it; another tensor, on the same device,
        only of a system that compares a query's best candidates once more."""
        return similarity

    def encode_pairs(self, batch: Batch) -> tuple[Encoded, Encoded]:
        """The captions and videos of ``batch`` for ``losses_of``; with more of each than evaluation needs where a loss
        is of what lies within a pair."""
        return (
            self.encode_text(batch.token_ids, batch.text_mask),
            self.encode_video(batch.frames, batch.video_mask),
        )

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """Named terms of B matching pairs and their sum "total"; ``targets`` as ``targets_of`` gives them."""
        raise NotImplementedError

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Named terms of the batch's matching pairs and their sum "total"."""
        return self.losses_of(*self.encode_pairs(batch), targets_of(batch))

    def after_step(self) -> None:
        """What follows the weights when the optimiser has changed them."""

    def save(self, path: Path) -> None:
        """Writes what was trained to ``path`` (safetensors), whole or not at all."""
        write_atomically(path, to_safetensors(self.state_dict()))

    def recompute_activations(self) -> None:
        """Trades time for memory: the encoder's activations are computed again in the backward pass."""
        raise NotImplementedError


@contextmanager
def initialised(seed: int, part: str) -> Iterator[None]:
    """Weights drawn inside depend on the seed and the part's name alone: variants share the parts they share."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spread(seed, "initialisation", part))
        yield
