"""The model and the data of one run, ready to be used."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import hbi.data
from ablations.preflight import check_fit
from hbi.config import ClipSystemConfig, SystemConfig
from hbi.data.batches import Batch, text_batches, train_batches, video_batches
from hbi.data.clips import Clips, ClipSource
from hbi.data.dataset import Progress, Split, paired
from hbi.data.frame_cache import FrameCache, frame_cache
from hbi.data.phrases import asked
from hbi.data.tokens import Tokens
from hbi.metrics.ranking import ranked_by
from hbi.metrics.retrieval import Direction, ranks
from hbi.metrics.saved import Saved
from hbi.models import Encoded, System
from hbi.models.hbi_qa import HBIQA
from hbi.seeds import spread
from hbi.training.distributed import share
from hbi.training.evaluate import BLOCK, encode, evaluating, predicted_answers, rankings
from hbi.training.features import Features, weights_hash
from hbi.training.loop import Event
from suites.spec import RunSpec

BANK = "bank"
"""The split that a bank of queries is."""


class Work:
    """What a run needs: the model, and every split as tokens, labels [N] and clips."""

    def __init__(
        self, spec: RunSpec, model: System, cache: Path, device: torch.device, log: Callable[[Event], None]
    ) -> None:
        self.spec, self.device = spec, device
        dataset = hbi.data.load(spec.data, cache, partial(_reading, log))
        check_fit(spec, dataset)
        torch.manual_seed(spread(spec.seed, "training"))
        self.model = model.to(device)
        if spec.training.activation_checkpointing:
            self.model.recompute_activations()
        used = replace(dataset, splits=_used(spec, dataset.splits))
        self.splits = used.splits
        words = spec.data.max_words
        self.tokens = {name: model.tokenize(split.captions, words) for name, split in self.splits.items()}
        self.labels = {name: torch.tensor(used.labels(name)) for name in self.splits}
        frames = frame_cache(dataset, spec.data, self.model.image_size, cache)
        self.clips = self._clips(frames, cache, partial(_reading, log))

    def _clips(self, frames: FrameCache, cache: Path, progress: Progress) -> dict[str, ClipSource]:
        """Of every split; of a frozen encoder its features, unless training sees other frames at each use."""
        data, model, precision = self.spec.data, self.model, self.spec.training.precision
        frozen = isinstance(self.spec.model, ClipSystemConfig) and not self.spec.model.trains_encoder
        weights = weights_hash(model) if frozen else ""
        found: dict[str, ClipSource] = {}
        for name, split in self.splits.items():
            clips = partial(Clips, split, data, model.image_size, frames, progress)
            varies = name == "train" and data.varies
            if frozen and not varies:
                found[name] = Features(split, data, clips, model, weights, precision, cache, progress)
            else:
                found[name] = clips()
        return found

    def similarities(self, split: str) -> Saved:
        """Of a split's captions and videos, and of the bank with them where the evaluation asks for one."""
        with evaluating(self.model):
            text, video = self._encoded(split)
            by_way = rankings(self.model, text, video)
            found = Saved(by_way["t2v"].numpy(), np.asarray(self.splits[split].video_of))
            if by_way["v2t"] is not by_way["t2v"]:
                found = replace(found, video_to_text=by_way["v2t"].numpy())
            if BANK not in self.splits:
                return found
            bank_text, bank_video = self._encoded(BANK)
            return replace(
                found,
                bank_texts=rankings(self.model, bank_text, video, ["t2v"])["t2v"].numpy(),
                bank_videos=rankings(self.model, text, bank_video, ["v2t"])["v2t"].numpy(),
            )

    def _encoded(self, split: str) -> tuple[Encoded, Encoded]:
        return encode(
            self.model,
            text_batches(self.tokens[split], BLOCK),
            video_batches(self.clips[split], BLOCK, workers=self.spec.runtime.workers),
            self.device,
            self.spec.training.precision,
        )

    def ranks(self, found: Saved) -> dict[str, NDArray[np.float64]]:
        """Per query, both directions, as the evaluation asks."""
        asked = self.spec.evaluation
        groups = None if found.groups is None else found.groups.tolist()

        def of(way: Direction) -> NDArray[np.float64]:
            return ranks(ranked_by(found, way, asked), way, groups, asked.ties)

        return {"t2v": of("t2v"), "v2t": of("v2t")}

    def predictions(self, split: str) -> NDArray[np.int64]:
        """[N]: the label that the model answers to each question of the split."""
        assert isinstance(self.model, HBIQA)
        return predicted_answers(
            self.model,
            text_batches(self.tokens[split], BLOCK),
            video_batches(self.clips[split], BLOCK, workers=self.spec.runtime.workers),
            self.splits[split].video_of,
            self.device,
            self.spec.training.precision,
        )

    def training_batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """The batches of an epoch, from number ``first`` on; of each the part that is this process's to encode."""
        pairs = self.spec.training.batch_size
        return self._pairs("train", pairs, epoch, first, augmented=True, own=share(pairs))

    def pairs(self, split: str) -> Batch:
        """Matching pairs of ``split``, drawn from the seed: BLOCK of them, or all where there are fewer."""
        return next(self._pairs(split, min(BLOCK, len(self.splits[split].captions)), epoch=0, skip=0)).to(self.device)

    def _pairs(
        self,
        split: str,
        batch_size: int,
        epoch: int,
        skip: int,
        augmented: bool = False,
        own: slice = slice(None),
    ) -> Iterator[Batch]:
        return train_batches(
            self.splits[split],
            self.clips[split],
            self.tokens[split],
            self.labels[split],
            batch_size,
            self.spec.seed,
            epoch,
            skip,
            self.spec.runtime.workers,
            augmented,
            own,
            self._questions(split, epoch),
        )

    def _questions(self, split: str, epoch: int) -> Callable[[torch.Tensor], Tokens] | None:
        """Of pairs the questions that the model is asked about them in this epoch; none where it is asked none."""
        spec, found = self.spec, self.splits[split]
        kinds = spec.model.asks if isinstance(spec.model, SystemConfig) else ()
        if not kinds:
            return None
        words = spec.data.max_words
        return lambda pairs: asked(found, pairs, kinds, self.model.tokenize, words, spec.seed, epoch)


def _used(spec: RunSpec, splits: dict[str, Split]) -> dict[str, Split]:
    """The splits that a run uses: all to train, else that of the test, and a bank of queries where one is asked for."""
    if spec.trains and spec.training.epochs:
        return splits
    used = {"test": splits["test"]}
    if spec.evaluation.post_processing == "qb-norm":
        used[BANK] = drawn(splits["train"], spec.evaluation.bank, spec.seed)
    return used


def drawn(split: Split, size: int, seed: int) -> Split:
    """``size`` pairs of ``split`` by the seed, in its order, or all where there are fewer; their videos once each."""
    generator = torch.Generator().manual_seed(spread(seed, BANK))
    order = torch.randperm(len(split.captions), generator=generator)[:size].sort().values.tolist()
    pairs = ((str(split.video_of[n]), split.captions[n]) for n in order)
    return paired(BANK, pairs, lambda column: split.videos[int(column)])


def _reading(log: Callable[[Event], None], what: str, done: int, total: int) -> None:
    log({"event": "reading", "what": what, "done": done, "total": total})


def device_of(name: str) -> torch.device:
    """``runtime.device`` as torch has it here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
