"""The systems whose cost is measured: with random weights, and for the sizes that are asked for."""

from collections.abc import Mapping
from typing import Any

import torch

from hbi.config import (
    BridgeFormerClipConfig,
    ClipSystemConfig,
    HBIConfig,
    MILESConfig,
    SystemConfig,
    TeacherConfig,
    TwoTowerConfig,
    imported,
)
from hbi.errors import InputError
from hbi.games.estimator import BanzhafEstimator
from hbi.models import System
from hbi.models.encoder import encoder_sizes, positions
from hbi.models.hbi import HBI
from hbi.models.towers import TextSizes, TowerSizes, VideoSizes, read_sizes, tokens_in
from hbi.models.two_towers import TEMPERATURE

Sizes = dict[str, Any] | TowerSizes
"""Of an encoder, in open_clip's format, or of two towers."""

PATCH = 16
"""Side of a patch, pixels, where an encoder's sizes name none (open_clip's CLIPVisionCfg)."""


def sizes_of(config: SystemConfig, words: int = 1, frames: int = 1, resolution: int | None = None) -> Sizes:
    """Sizes of the encoder, or of both towers, for frames of that ``resolution`` (none: their own).

    Raises InputError for more tokens than there are positions, or frames smaller than a patch.
    """
    sizes = _of_towers(config) if isinstance(config, TwoTowerConfig) else encoder_sizes(_clip(config).encoder)
    check_reach(config, sizes, {"cost.words": words, "cost.frames": frames})
    return sizes if resolution is None else _at(resolution, config, sizes)


def check_reach(config: SystemConfig, sizes: Sizes, asked: Mapping[str, int]) -> None:
    """Raises InputError where more tokens are ``asked`` for, by option, than the system has positions.

    Of frames, where an option ends in "frames", those have positions that a temporal part or MILES sees.
    """
    if isinstance(sizes, TowerSizes):
        words, frames = sizes.text.positions, sizes.video.frames if isinstance(config, MILESConfig) else None
    else:
        words = positions(sizes)
        frames = None if isinstance(config, BridgeFormerClipConfig) else words
    for option, number in asked.items():
        reach = frames if option.endswith("frames") else words
        if reach is not None and number > reach:
            raise InputError(f"{option} is {number}, but {_name(config)} reaches {reach} positions")


def image_size(sizes: Sizes) -> int:
    """Side of a frame, pixels."""
    return sizes.video.image_size if isinstance(sizes, TowerSizes) else int(sizes["vision_cfg"]["image_size"])


def smallest(sizes: Sizes) -> Sizes:
    """Whatever does not show outside as small as can be: what comes out of an item has the same shape, at no cost."""
    if isinstance(sizes, TowerSizes):
        text = TextSizes(vocabulary=1, positions=1, width=1, layers=1, heads=1, hidden=1)
        video = VideoSizes(image_size=1, patch_size=1, width=1, layers=1, heads=1, frames=1)
        return TowerSizes(projection=sizes.projection, text=text, video=video)
    side, heads = sizes["vision_cfg"]["image_size"], sizes["text_cfg"]["heads"]
    return {
        "embed_dim": sizes["embed_dim"],
        "vision_cfg": {"image_size": side, "patch_size": side, "layers": 1, "width": 8, "head_width": 8},
        "text_cfg": {"context_length": positions(sizes), "vocab_size": 2, "width": heads, "heads": heads, "layers": 1},
    }


def untrained(config: SystemConfig, sizes: Sizes) -> System:
    """The system with random weights; a teacher's network that is still to be trained has the published width."""
    system: System = imported(config.builder)(config.without_weights(), 0, sizes)
    if isinstance(system, HBI) and system.config.teacher and system.config.teacher.needs:
        system.teach(BanzhafEstimator())
    return system


def parameters(config: SystemConfig, resolution: int | None = None) -> tuple[int, int]:
    """Weights, and those of them that are trained; a teacher's network is no part of the system."""
    config = taught_by(config, TeacherConfig())  # one without a file: the students are the same
    with torch.device("meta"):
        system = untrained(config, sizes_of(config, resolution=resolution))
    weights = [one for name, one in system.named_parameters() if name != TEMPERATURE]
    return sum(one.numel() for one in weights), sum(one.numel() for one in weights if one.requires_grad)


def taught_by(config: SystemConfig, teacher: TeacherConfig | None) -> SystemConfig:
    """The same with another teacher, where it has one."""
    if isinstance(config, HBIConfig) and config.teacher:
        return config.model_copy(update={"teacher": teacher})
    return config


def _of_towers(config: TwoTowerConfig) -> TowerSizes:
    """With the number of tokens: a vocabulary is read only where the towers do not name it."""
    sizes = read_sizes(config.towers)
    tokens = sizes.text.vocabulary or tokens_in(config, sizes)
    return sizes.model_copy(update={"text": sizes.text.model_copy(update={"vocabulary": tokens})})


def _at(resolution: int, config: SystemConfig, sizes: Sizes) -> Sizes:
    """The same for frames of other pixels. Raises InputError for less than a patch."""
    patch = sizes.video.patch_size if isinstance(sizes, TowerSizes) else sizes["vision_cfg"].get("patch_size", PATCH)
    if resolution < patch:
        raise InputError(f"cost: frames of {resolution} pixels, but a patch of {_name(config)} has {patch}")
    if isinstance(sizes, TowerSizes):
        return sizes.model_copy(update={"video": sizes.video.model_copy(update={"image_size": resolution})})
    return {**sizes, "vision_cfg": {**sizes["vision_cfg"], "image_size": resolution}}


def _name(config: SystemConfig) -> str:
    return f"towers {config.towers}" if isinstance(config, TwoTowerConfig) else f"encoder {_clip(config).encoder}"


def _clip(config: SystemConfig) -> ClipSystemConfig:
    assert isinstance(config, ClipSystemConfig)
    return config
