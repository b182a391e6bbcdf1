"""The calls whose time and memory are measured: of a system with random weights, on random items without padding."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor

from hbi.config import CaseConfig, CostOptions, HBIQAConfig, SystemConfig
from hbi.config.cost import Size
from hbi.cost.systems import sizes_of, untrained
from hbi.data.batches import Batch
from hbi.errors import InputError
from hbi.metrics.retrieval import Direction
from hbi.models import System
from hbi.models.base import initialised
from hbi.models.clip_system import ClipSystem
from hbi.models.hbi_qa import HBIQA
from hbi.models.two_towers import TwoTowers
from hbi.training.evaluate import block_side, free_memory, rankings
from hbi.training.step import Step, autocast

QUERY, VIDEO = "encode one query", "encode one video"
ONE, ALL = "score 1 × N", "score N × N"
ANSWER = "answer one question"
STEP = "training step"

TIMED = (QUERY, VIDEO, ONE, ALL, ANSWER)

CHANGED_BY: Mapping[Size, tuple[str, ...]] = {
    "words": (QUERY, ONE, ALL, ANSWER),
    "frames": (VIDEO, ONE, ALL, ANSWER),
    "gallery": (ONE, ALL),
    "batch": (),
}
"""Timed calls that last longer where a size grows."""

DISTINCT = 4
"""Captions and videos that a gallery repeats: what they hold changes no time."""


def model_of(case: CaseConfig) -> SystemConfig:
    """What the case's system is. Raises InputError where it is none whose cost is known."""
    if not isinstance(case.model, SystemConfig):
        raise InputError(f"cost: {case.label} is no retrieval system ({case.model.system}); leave it out")
    return case.model


def timed(config: SystemConfig) -> tuple[str, ...]:
    """Those of TIMED that the system makes."""
    return (QUERY, VIDEO, ANSWER) if isinstance(config, HBIQAConfig) else (QUERY, VIDEO, ONE, ALL)


def remembered(config: SystemConfig) -> tuple[str, ...]:
    """The calls whose memory is measured."""
    return (VIDEO, STEP) if isinstance(config, HBIQAConfig) else (VIDEO, ALL, STEP)


def items_of(name: str, options: CostOptions) -> int:
    """Captions, videos or pairs that a call works on."""
    return {ONE: options.gallery, ALL: options.gallery**2}.get(name, 1)


def system(case: CaseConfig, options: CostOptions, device: torch.device) -> System:
    """The case's system with random weights, for evaluation. Raises InputError as ``sizes_of`` does."""
    config = model_of(case)
    with initialised(0, "cost"):
        sizes = sizes_of(config, case.words, case.frames, options.resolution)
        return untrained(config, sizes).to(device).eval()


def timed_call(name: str, model: System, case: CaseConfig, options: CostOptions) -> Callable[[], object]:
    """The call ``name`` of TIMED, to be made ``as_evaluated``. All inputs lie on the device."""
    device = model.logit_scale.device
    if name == QUERY:
        return partial(torch.no_grad()(model.encode_text), *_captions(model, 1, case.words))
    if name == VIDEO:
        return partial(torch.no_grad()(model.encode_video), *_videos(model, 1, case.frames))
    captions, videos = _captions(model, DISTINCT, case.words), _videos(model, DISTINCT, case.frames)
    with torch.no_grad(), autocast(device, options.precision):
        text, video = model.encode_text(*captions), model.encode_video(*videos)
    if isinstance(model, HBIQA):
        return partial(torch.no_grad()(model.answers), text.select(slice(1)), video.select(slice(1)))
    gallery = torch.arange(options.gallery, device=device) % DISTINCT
    text, video = text.select(slice(1) if name == ONE else gallery), video.select(gallery)
    side = block_side(text, video, free_memory(device))
    ways: tuple[Direction, ...] = ("t2v",) if name == ONE else ("t2v", "v2t")
    return lambda: rankings(model, text, video, ways, side)["t2v"]


def as_evaluated(name: str, device: torch.device, precision: str) -> AbstractContextManager[None]:
    """What evaluation holds open over all calls of a kind: over those of the encoders one autocast, which keeps the
    weights that it has cast until it ends. Similarities and answers of encoded items are fp32."""
    return autocast(device, precision if name in (QUERY, VIDEO) else "fp32")


def training_step(model: System, case: CaseConfig, options: CostOptions) -> Callable[[], object]:
    """Forward and backward pass of a batch, without the optimiser; of an encoder that is frozen, the features of frames
    are given."""
    model.train()
    step, draw = Step(model, options.precision), _draw(model)
    frames, mask = _videos(model, case.batch, case.frames)
    if isinstance(model, ClipSystem) and not model.config.trains_encoder:
        frames = torch.randn(*mask.shape, model.encoder.width, generator=draw, device=mask.device)
    rows = torch.arange(case.batch, device=mask.device)
    given = *_captions(model, case.batch, case.words), frames, mask, rows, torch.zeros_like(rows)
    batch = Batch(*given, *_questions(model, case.batch, len(model_of(case).asks), case.words))
    return lambda: step(batch)["total"].backward()


# ---- in a process of their own --------------------------------------------------------------------------------------


def arguments(case: CaseConfig, options: CostOptions, call: str, device: torch.device) -> dict[str, Any]:
    """Those of ``prepared``, as JSON can carry them."""
    named = {name: getattr(options, name) for name in CostOptions.model_fields}
    return {
        "case": case.model_dump(mode="json"),
        "options": CostOptions(**named).model_dump(mode="json"),
        "call": call,
        "device": str(device),
        "threads": torch.get_num_threads(),
    }


def prepared(
    case: dict[str, Any], options: dict[str, Any], call: str, device: str, threads: int
) -> Callable[[], object]:
    """The ``call`` of TIMED, or STEP, with its model and its inputs; the libraries have started."""
    torch.set_num_threads(threads)
    row, measured = CaseConfig.model_validate(case), CostOptions.model_validate(options)
    model = system(row, measured, torch.device(device))
    evaluated = partial(as_evaluated, device=torch.device(device), precision=measured.precision)
    with evaluated(QUERY):
        timed_call(QUERY, model, row, measured)()
    if call == STEP:
        return training_step(model, row, measured)
    wanted = timed_call(call, model, row, measured)

    def alone() -> None:
        with evaluated(call):  # so that weights that are cast count
            wanted()

    return alone


def run(call: Callable[[], object]) -> None:
    """Makes the call that ``prepared`` gives."""
    call()


# ---- random items ---------------------------------------------------------------------------------------------------


def _captions(model: System, number: int, words: int) -> tuple[Tensor, Tensor]:
    """Token ids and mask [N,T]."""
    device, known = model.logit_scale.device, _vocabulary(model)
    ids = torch.randint(1, known, (number, words), generator=_draw(model), device=device)
    return ids, torch.ones_like(ids, dtype=torch.bool)


def _questions(model: System, number: int, kinds: int, words: int) -> tuple[Tensor, Tensor]:
    """Token ids and mask [N,Q,2,T] of questions of each kind, and of their answers."""
    ids, mask = _captions(model, number * kinds * 2, words)
    shape = number, kinds, 2, words
    return ids.view(shape), mask.view(shape)


def _vocabulary(model: System) -> int:
    """Tokens that it knows."""
    if isinstance(model, TwoTowers):
        return int(model.text_tower.bert.config.vocab_size)
    assert isinstance(model, ClipSystem)
    return int(model.encoder.clip.vocab_size)


def _videos(model: System, number: int, frames: int) -> tuple[Tensor, Tensor]:
    """Frames [N,F,3,S,S] uint8 and mask [N,F]."""
    device, shape = model.logit_scale.device, (number, frames, 3, model.image_size, model.image_size)
    pictures = torch.randint(256, shape, generator=_draw(model), dtype=torch.uint8, device=device)
    return pictures, torch.ones(number, frames, dtype=torch.bool, device=device)


def _draw(model: System) -> Generator:
    return Generator(model.logit_scale.device).manual_seed(0)
