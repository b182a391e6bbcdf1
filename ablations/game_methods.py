"""How well, and how fast, each way to compute an interaction does it on the games of real pairs."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ablations.trained import finished, player, source_of, weights_of
from ablations.work import Work, device_of
from hbi.config import EstimatorConfig, Level, TeacherConfig
from hbi.data.batches import Batch
from hbi.games import TokenGame, interaction
from hbi.games.estimator import BanzhafEstimator, estimated_interaction, load_estimator
from hbi.games.indices import Index
from hbi.models.banzhaf_loss import row_divergence
from hbi.models.estimator_training import EstimatorTraining
from hbi.models.hbi import HBI
from hbi.seeds import spread
from hbi.training.loop import Event

Method = Callable[[TokenGame], Tensor]

SECONDS, CALLS = 2.0, 20
"""A method is called until it has taken this long, or so often; the best time counts, for others share the machine."""


@dataclass(frozen=True)
class Agreement:
    """Of interactions with the exact ones, over all real cells of a batch of games."""

    mean_absolute_error: float
    correlation: float  # Pearson's
    sign: float  # share of cells whose sign is right
    divergence: (
        float  # KL(exact ‖ found) of the softmax over each word's frames at the teacher's scale, mean over words
    )


@dataclass(frozen=True)
class Comparison:
    """One method at one level."""

    level: Level
    method: str
    agreement: Agreement
    seconds: float  # for the whole batch


def compare_on(folder: Path, cache: Path, log: Callable[[Event], None]) -> Iterator[Comparison]:
    """Every method on test pairs of the complete run in ``folder``: as its trained model sees them, or, for an
    estimator's run, as the model sees them that it was trained on. The learned estimator is the run's own."""
    record, store = finished(folder), folder.parent
    spec, config = record.spec, record.spec.model
    file: Path | None = weights_of(store / spec.after) if spec.after else None
    if isinstance(config, EstimatorConfig):
        model, file = source_of(spec, store), weights_of(folder)
        index, scale = config.index, config.scale
    else:
        model = player(folder)
        teacher = model.config.teacher or TeacherConfig()
        index, scale = teacher.index, teacher.scale
    estimator = load_estimator(file, index) if file else None
    device = device_of(spec.runtime.device)
    torch.set_num_threads(spec.runtime.threads)
    work = Work(spec, model.train(), cache, device, log)  # in training mode it encodes every level it has
    with torch.inference_mode():
        games = games_of(model, work.pairs("test"))
        yield from compare(games, estimator and estimator.to(device), index, scale, spec.seed)


@torch.no_grad()
def learned(training: EstimatorTraining, pairs: Batch) -> dict[str, float]:
    """The estimator's correlation with the exact interaction and its share of right signs, by level."""
    config = training.config
    metrics: dict[str, float] = {}
    for level, game in games_of(training.source, pairs).items():
        found = estimated_interaction(training.network, training.padded(game))
        reached = agreement(found, exactly(game, config.index), game.cells, config.scale)
        metrics |= {f"correlation/{level}": reached.correlation, f"sign/{level}": 100 * reached.sign}
    return metrics


def games_of(model: HBI, pairs: Batch) -> dict[Level, TokenGame]:
    """The games of matching pairs at every level that ``model`` has; it is in training mode."""
    text = model.encode_text(pairs.token_ids, pairs.text_mask)
    video = model.encode_video(pairs.frames, pairs.video_mask)
    return {level: model.game(level, text, video) for level in model.config.levels}


def agreement(found: Tensor, exact: Tensor, cells: Tensor, scale: float) -> Agreement:
    """found, exact [B,T,V]; cells [B,T,V] bool."""
    found, exact = found.double(), exact.double()
    x, y = found[cells], exact[cells]
    return Agreement(
        mean_absolute_error=(x - y).abs().mean().item(),
        correlation=torch.corrcoef(torch.stack([x, y]))[0, 1].item(),
        sign=(x.sign() == y.sign()).double().mean().item(),
        divergence=row_divergence(scale * found, scale * exact, cells).item(),
    )


def exactly(game: TokenGame, index: Index) -> Tensor:
    """[B,T,V] in float64: what all methods are held against."""
    s, r = game.text.scores.double(), game.video.scores.double()
    return interaction(TokenGame(game.similarity.double(), s, r, game.text.mask, game.video.mask), index)


def compare(
    games: Mapping[Level, TokenGame], estimator: BanzhafEstimator | None, index: Index, scale: float, seed: int
) -> Iterator[Comparison]:
    """Every method on the batch of games of every level; the learned one where there is an ``estimator``."""
    for level, game in games.items():
        exact = exactly(game, index)
        for name, method in methods(estimator, index, seed).items():
            found, seconds = timed(method, game)
            yield Comparison(level, name, agreement(found, exact, game.cells, scale), seconds)


def methods(estimator: BanzhafEstimator | None, index: Index, seed: int) -> dict[str, Method]:
    """By name, in the order of a table."""

    def drawn(game: TokenGame, method: str, samples: int) -> Tensor:
        device = game.similarity.device
        generator = torch.Generator(device).manual_seed(spread(seed, "comparison", method, samples))
        return interaction(game, index, method=method, samples=samples, generator=generator)  # type: ignore[arg-type]

    known: dict[str, Method] = {}
    if index == "banzhaf":  # the published sampler knows no other
        for samples in (100, 1000):
            known[f"released sampler, {samples}"] = partial(drawn, method="released", samples=samples)
    for samples in (10, 100, 1000):
        known[f"Monte Carlo, {samples}"] = partial(drawn, method="sample", samples=samples)
    if estimator is not None:
        known["learned estimator"] = partial(estimated_interaction, estimator)
    known["exact"] = partial(interaction, index=index)
    return known


def timed(method: Method, game: TokenGame) -> tuple[Tensor, float]:
    """What ``method`` finds, and the seconds of its fastest call."""
    took: list[float] = []
    while not took or (sum(took) < SECONDS and len(took) < CALLS):
        start = time.perf_counter()
        found = method(game)
        if found.is_cuda:
            torch.cuda.synchronize()
        took.append(time.perf_counter() - start)
    return found, min(took)
