"""What each stage of a system costs, for a caption, a video, a pair and a step of training."""

import torch
from torch import Tensor

from hbi.config import LEVELS, BridgeFormerClipConfig, ClipSystemConfig, HBIConfig, Level, SystemConfig, TwoTowerConfig
from hbi.cost.flops import FlopReport, count_flops
from hbi.cost.meta import adamw, many
from hbi.cost.systems import Sizes, sizes_of, smallest, taught_by, untrained
from hbi.cost.towers import tower_stages
from hbi.data.batches import Batch
from hbi.models import Encoded
from hbi.models.banzhaf_loss import teacher_logits
from hbi.models.base import initialised
from hbi.models.clip_system import ClipSystem
from hbi.models.encoder import ClipEncoder
from hbi.models.hbi import HBI
from hbi.models.hbi_qa import HBIQA
from hbi.models.temporal import TemporalTransformer

DRAWING = ("sampled", "released")
"""Methods of a teacher that draw coalitions."""


def stages(
    config: SystemConfig,
    words: int,
    frames: int,
    batch: int | None = 128,
    gallery: tuple[int, int] = (1, 1),
    resolution: int | None = None,
) -> dict[str, FlopReport]:
    """The FLOPs of each stage of the system that ``config`` describes; no item has padding.

    words, frames   of each caption and each video
    batch           pairs of a training step; none: that stage is left out
    gallery         queries and videos whose similarity is computed; (1, 1): one pair
    resolution      side of the frames, pixels; none: the system's own

    In evaluation, without gradient:

    "text encoder"          the words of a caption through the encoder
    "frame encoder"         the frames of a video through it, from uint8 on
    "video encoder"         instead, where a video is seen as a whole: its frames, from uint8 on
    "temporal"              what sees the frames of a video in time, where the system has such a part
    "merge/SIDE/LEVEL"      of HBI: an item's tokens become those of LEVEL; SIDE is text or video
    "scores/SIDE/LEVEL"     of HBI: the scores of an item's tokens
    "encode text"           all that evaluation computes of a caption: the encoder, and what follows for scored levels
    "encode video"          the same of a video
    "similarity"            of the gallery, all scored levels
    "re-ranking"            of the best candidates of its queries and of its videos, where the system has such a part
    "answer"                to a question, about a video, both encoded; of systems that answer
    "game/LEVEL"            the interactions of a pair, from its cosines and scores on, as the teacher computes them
    "estimator/LEVEL"       instead, where the teacher is a network
    "student/LEVEL"         the student network on a pair

    In training:

    "training step"         forward and backward pass of a batch, and the step of AdamW, without clipping of the
                            gradient; frames that go through a frozen encoder are left out, for their features are
                            computed once; with questions one of each kind about every pair, and where a copy of the
                            weights follows them, its step

    The encoder, or both towers, and the temporal part are counted on the meta device, whatever their size. What
    follows them sorts, clusters and draws by value, and is computed on the CPU, on random tokens: the nodes of an exact
    game, whose number follows from the spread of its scores, are those of an untrained model. No weights are read but a
    teacher's, and where that network is still to be trained it has the published width. Raises InputError as
    ``sizes_of`` does.
    """
    sizes = sizes_of(config, words, frames, resolution)
    if isinstance(config, TwoTowerConfig | BridgeFormerClipConfig):
        return tower_stages(config, sizes, words, frames, batch, gallery)
    with torch.device("meta"):
        towers = untrained(taught_by(config, None), sizes)
    assert isinstance(towers, ClipSystem)
    with initialised(0, "cost"):
        rest = _without_towers(config, sizes)
        with torch.no_grad():
            reports = _of_an_item(towers.eval(), rest.eval(), words, frames)
            reports |= _of_pairs(towers, rest, words, frames, gallery)
        if batch:
            reports["training step"] = _training_step(towers.train(), rest.train(), words, frames, batch)
    return reports


def evaluations(config: SystemConfig, words: int, frames: int) -> dict[Level, int]:
    """How many worths of coalitions the draws of each level's teacher stand for, of one pair: 4 · samples · cells;
    empty without a teacher.

    A coalition S, drawn without word i and frame j, gives the cell of these two four worths: of S∪{i,j}, S∪{i}, S∪{j}
    and S. No sampler computes them one by one: matrix products give those of many draws and cells together, so this
    is no factor of the FLOPs. The exact teacher integrates over weights and maxima, and a network reads similarities:
    both draw none, 0.
    """
    if not isinstance(config, HBIConfig) or config.teacher is None:
        return {}
    drawn = config.teacher.samples if config.teacher.method in DRAWING else 0
    with initialised(0, "cost"), torch.no_grad():
        rest = _without_towers(config, sizes_of(config, words, frames)).train()
        assert isinstance(rest, HBI)
        pair = _encoded_pair(rest, words, frames)
        return {level: 4 * drawn * rest.game(level, *pair).cells.numel() for level in rest.config.levels}


# ---- the two halves -------------------------------------------------------------------------------------------------


class _FreeEncoder(ClipEncoder):
    """Stands where an encoder would and hands out random words, at no cost."""

    learns = True

    def words(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        return torch.randn(*token_ids.shape, self.width).requires_grad_(self.learns)


class _FreeTemporal(TemporalTransformer):
    """Stands where the temporal transformer would, likewise."""

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        return torch.randn_like(frames).requires_grad_()


def _without_towers(config: SystemConfig, sizes: Sizes) -> ClipSystem:
    """The system with a free encoder of the same outer ``sizes`` and a free temporal transformer; videos come as
    features of their frames."""
    assert isinstance(config, ClipSystemConfig)
    small = smallest(sizes)
    system = untrained(config.model_copy(update={"temporal_layers": 1}), small)
    assert isinstance(system, ClipSystem)
    assert isinstance(small, dict)
    heads = small["text_cfg"]["heads"]
    system.encoder, system.temporal = _FreeEncoder(small), _FreeTemporal(heads, 0, heads, 1)
    system.encoder.learns = config.trains_encoder
    return system


# ---- the stages -----------------------------------------------------------------------------------------------------


def _of_an_item(towers: ClipSystem, rest: ClipSystem, words: int, frames: int) -> dict[str, FlopReport]:
    caption, video = _captions(1, words), _videos(1, frames, rest)
    of_words = count_flops(towers.encoder.words, *_on_meta(caption))
    of_frames = count_flops(towers.frame_features, _pictures(1, frames, towers))
    in_time = count_flops(towers.temporal, *_on_meta(video))
    reports = {
        "text encoder": of_words,
        "frame encoder": of_frames,
        "temporal": in_time,
        "encode text": of_words + count_flops(rest.encode_text, *caption),
        "encode video": of_frames + in_time + count_flops(rest.encode_video, *video),
    }
    if not in_time.by_operation:
        del reports["temporal"]
    return reports | (_of_levels(rest, caption, video) if isinstance(rest, HBI) else {})


def _of_levels(rest: HBI, caption: tuple[Tensor, Tensor], video: tuple[Tensor, Tensor]) -> dict[str, FlopReport]:
    """Merging of an item's tokens, and their scores."""
    reports: dict[str, FlopReport] = {}
    sides = {
        "text": (rest.encoder.words(*caption), caption[1], rest.text_merge, rest.word_scores),
        "video": (rest.temporal(*video), video[1], rest.video_merge, rest.frame_scores),
    }
    for side, (tokens, mask, merges, scores) in sides.items():
        for level in LEVELS:
            if level in merges:
                given = tokens, mask, torch.Generator().manual_seed(0)
                reports[f"merge/{side}/{level}"] = count_flops(merges[level], *given)
                tokens, mask = merges[level](*given)
            if level in scores:
                reports[f"scores/{side}/{level}"] = count_flops(scores[level], tokens)
    return reports


def _of_pairs(
    towers: ClipSystem, rest: ClipSystem, words: int, frames: int, gallery: tuple[int, int]
) -> dict[str, FlopReport]:
    pair = _encoded_pair(rest.eval(), words, frames)
    reports = {"similarity": count_flops(towers.similarity, *map(many, pair, gallery))}
    reranking = count_flops(_rerank, towers, gallery, *map(many, pair, gallery))
    if reranking.total:
        reports["re-ranking"] = reranking
    if isinstance(rest, HBIQA):
        reports["answer"] = count_flops(rest.answers, *pair)
    return reports | (_of_games(rest, words, frames) if isinstance(rest, HBI) else {})


def _rerank(towers: ClipSystem, gallery: tuple[int, int], text: Encoded, video: Encoded) -> None:
    similarity = torch.empty(gallery, device="meta")
    for way in ("t2v", "v2t"):
        towers.reranked(way, text, video, similarity)


def _of_games(rest: HBI, words: int, frames: int) -> dict[str, FlopReport]:
    """Teacher and student on a pair."""
    reports: dict[str, FlopReport] = {}
    teacher, departures = rest.config.teacher, rest.config.departures
    if teacher is None:
        return reports
    pair = _encoded_pair(rest.train(), words, frames)  # in training every level is encoded
    for level in rest.config.levels:
        game = rest.game(level, *pair)
        learned = level == "entity" or departures.merged_teacher == "released"
        network = rest.taught_by if learned else None
        seen = None if departures.kl_padding == "released" else game.cells
        generator = torch.Generator().manual_seed(0)
        reports[f"{'estimator' if network else 'game'}/{level}"] = count_flops(
            teacher_logits, teacher, game, network, seen, generator
        )
        reports[f"student/{level}"] = count_flops(rest.student[level], game.similarity, seen)
    return reports


def _training_step(towers: ClipSystem, rest: ClipSystem, words: int, frames: int, batch: int) -> FlopReport:
    captions, videos = _captions(batch, words), _videos(batch, frames, rest)
    learns = rest.config.trains_encoder
    rows = torch.arange(batch)

    def encode() -> None:
        found = [towers.encoder.words(*_on_meta(captions))]
        features, mask = _on_meta(videos)
        if learns:
            features = towers.frame_features(_pictures(batch, frames, towers))
        found.append(towers.temporal(features, mask))
        for tokens in found:
            if tokens.requires_grad:
                tokens.backward(torch.empty_like(tokens))

    def compare() -> None:
        rest.losses(Batch(*captions, *videos, rows, torch.zeros_like(rows)))["total"].backward()

    return count_flops(encode) + count_flops(compare) + adamw(towers) + adamw(rest)


# ---- random items ---------------------------------------------------------------------------------------------------


def _captions(number: int, words: int) -> tuple[Tensor, Tensor]:
    """Token ids and mask [N,T]."""
    return torch.ones(number, words, dtype=torch.int64), torch.ones(number, words, dtype=torch.bool)


def _videos(number: int, frames: int, system: ClipSystem) -> tuple[Tensor, Tensor]:
    """Features of frames [N,F,D] and mask [N,F]."""
    return torch.randn(number, frames, system.encoder.width), torch.ones(number, frames, dtype=torch.bool)


def _on_meta(tensors: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    first, second = (tensor.to("meta") for tensor in tensors)
    return first, second


def _pictures(number: int, frames: int, system: ClipSystem) -> Tensor:
    """[N,F,3,S,S] uint8 on the meta device."""
    side = system.image_size
    return torch.empty(number, frames, 3, side, side, dtype=torch.uint8, device="meta")


def _encoded_pair(system: ClipSystem, words: int, frames: int) -> tuple[Encoded, Encoded]:
    return system.encode_text(*_captions(1, words)), system.encode_video(*_videos(1, frames, system))
