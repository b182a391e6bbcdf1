"""The published checkpoint layouts of HBI, for retrieval and for questions.

The published code keeps the teacher's network and batch norms that it never uses in its model; ours has neither.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hbi.config import LEVELS, TeacherConfig
from hbi.games.estimator import PUBLISHED_NAMES, PUBLISHED_SCALE, BanzhafEstimator, from_published, to_published
from hbi.models.clip_system import ClipSystem
from hbi.models.hbi import HBI
from hbi.models.released.layout import Layout, Origin, layers_in, over, under

TEACHER = "banzhafteacher."
"""Prefix of the teacher network, which is no part of our models, only at hand for them."""

_NUMBER = {"entity": "", "action": "0", "event": "1"}
_SIDE = {"text": "t", "video": "v"}
_MERGE = {
    "convolution": "ctm{}.conv.conv",
    "norm": "ctm{}.norm",
    "score": "ctm{}.score",
    "attention_norm": "block{}.norm1",
    "query": "block{}.attn.q",
    "key_value": "block{}.attn.kv",
    "projection": "block{}.attn.proj",
}


class HBILayout(Layout[ClipSystem]):
    system = "hbi"
    title = "HBI"
    needed: ClassVar[Mapping[str, int]] = {"transformerClip.resblocks.0.ln_1.weight": 1, "banzhafmodel.Q": 2}
    marks: ClassVar[tuple[str, ...]] = ("banzhafmodel.Q",)

    def name(self, ours: str) -> str:
        part, *rest = ours.split(".")
        if part in ("encoder", "temporal"):
            return super().name(ours)
        level, *inner = rest
        number, tail = _NUMBER[level], ".".join(inner)
        match part:
            case "word_scores":
                return f"text_weight_fc{number}.{tail}"
            case "frame_scores":
                return f"video_weight_fc{number}.{tail}"
            case "student":
                return f"banzhafmodel{number}.{PUBLISHED_NAMES[tail]}"
            case "text_merge" | "video_merge":
                return f"{_SIDE[part.removesuffix('_merge')]}_{_MERGE[inner[0]].format(number)}.{inner[1]}"
        match inner:  # heads
            case ["weights", side, *tail_of_weights]:
                return f"{_SIDE[side]}_weight{number}.{'.'.join(tail_of_weights)}"
            case ["projections", side, kind]:
                return f"{_SIDE[side]}_proj{number}.{kind}"
        return f"classifier{number}.{'0' if inner[0] == 'hidden' else '2'}.{inner[1]}"

    def sizes(self, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "temporal_layers": layers_in(state, "transformerClip."),
            "student_width": len(state["banzhafmodel.Q"]),
        }

    def beyond(self, model: ClipSystem) -> dict[str, Tensor]:
        """A teacher, and the batch norms of the students."""
        assert isinstance(model, HBI)
        new = to_published(BanzhafEstimator(model.config.student_width, PUBLISHED_SCALE))
        unused = {name: weight for name, weight in new.items() if name.startswith("bn.")}
        state = over(TEACHER, new)
        for number in _NUMBER.values():
            state |= over(f"banzhafmodel{number}.", unused)
        return state

    def held(self, model: ClipSystem) -> dict[str, Tensor]:
        """Its weights, and those of its teacher."""
        assert isinstance(model, HBI)
        taught_by = over(TEACHER, to_published(model.taught_by)) if model.taught_by else {}
        return {name: weight for name, weight in taught_by.items() if ".bn." not in name} | super().held(model)

    def names(self, model: ClipSystem) -> dict[str, Tensor]:
        """Of all levels, with a teacher and students, whatever ``model`` has of them."""
        assert isinstance(model, HBI)
        whole = {"levels": LEVELS, "teacher": TeacherConfig(), "pretrained": None}
        with torch.device("meta"):
            full = type(model)(model.config.model_copy(update=whole), sizes=model.encoder.sizes)
            return super().names(full)

    def fill(self, model: ClipSystem, state: Mapping[str, Tensor], origin: Origin) -> None:
        """Its teacher too, where it is taught by a network."""
        super().fill(model, state, origin)
        assert isinstance(model, HBI)
        if model.config.teacher and model.config.teacher.method == "estimated":
            model.teach(from_published(under(TEACHER, state), origin))


class HBIQALayout(HBILayout):
    system = "hbi-qa"
    title = "HBI for questions"
    needed: ClassVar[Mapping[str, int]] = {**HBILayout.needed, "classifier.2.weight": 2, "v_proj.weight": 2}
    marks: ClassVar[tuple[str, ...]] = (*HBILayout.marks, "classifier.2.weight")

    def sizes(self, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
        of_heads = {"answers": len(state["classifier.2.weight"]), "head_width": len(state["v_proj.weight"])}
        return super().sizes(state, options) | of_heads
