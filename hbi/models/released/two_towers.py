"""The published checkpoint layouts of MCQ (MCQ.pth) and MILES (MILES.pth).

Only what evaluation needs has a place in our models: what the files hold beyond it served their pre-training.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from hbi.errors import InputError
from hbi.models.released.layout import Layout, Origin, layers_in, unheld
from hbi.models.towers import TextSizes, TowerSizes, VideoSizes
from hbi.models.two_towers import TwoTowers
from hbi.weights import check_names_and_shapes

GROUPS = ("text_model.", "video_model.", "text_proj.", "vid_proj.")
"""How the names begin of what evaluation needs."""

NAMES = {
    "text_tower.bert.": "text_model.",
    "video_tower.": "video_model.",
    "text_projection.": "text_proj.1.",
    "video_projection.": "vid_proj.0.",
}
"""Of ours, and of theirs."""

PUBLISHED = (*NAMES, "bridge.")
"""How the names of ours begin that they have too."""


class TwoTowerLayout(Layout[TwoTowers]):
    """Both checkpoints; a subclass says how the last norm of the video tower is called, and what is left aside."""

    tower: ClassVar[Mapping[str, int]] = {
        "text_model.embeddings.word_embeddings.weight": 2,
        "text_model.embeddings.position_embeddings.weight": 2,
        "text_model.transformer.layer.0.ffn.lin1.weight": 2,
        "video_model.pos_embed": 3,
        "video_model.patch_embed.proj.weight": 4,
        "vid_proj.0.weight": 2,
    }
    of_sizes = ("heads",)
    last_norm: str
    left_aside: str
    """Of the names in GROUPS, those (a regular expression) that pre-training alone used, and constants."""

    def name(self, ours: str) -> str:
        for own, theirs in NAMES.items():
            if ours.startswith(own):
                name = theirs + ours.removeprefix(own)
                return name.replace("video_model.norm.", f"video_model.{self.last_norm}.")
        raise KeyError(ours)

    def sizes(self, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
        return {"towers": "as in the checkpoint"}

    def tower_sizes(self, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> TowerSizes:
        """``options["heads"]``: of the text tower and of the video tower, which no tensor tells; else one each 64
        channels, as in the published models."""
        words, text_width = state["text_model.embeddings.word_embeddings.weight"].shape
        video_width, _, patch, _ = state["video_model.patch_embed.proj.weight"].shape
        times = state.get("video_model.temporal_embed")
        text_heads, video_heads = _heads(options.get("heads"), text_width, video_width)
        return TowerSizes(
            projection=len(state["vid_proj.0.weight"]),
            text=TextSizes(
                vocabulary=words,
                positions=len(state["text_model.embeddings.position_embeddings.weight"]),
                width=text_width,
                layers=layers_in(state, "text_model.transformer.", "layer"),
                heads=text_heads,
                hidden=len(state["text_model.transformer.layer.0.ffn.lin1.weight"]),
            ),
            video=VideoSizes(
                image_size=patch * math.isqrt(state["video_model.pos_embed"].shape[1] - 1),
                patch_size=patch,
                width=video_width,
                layers=layers_in(state, "video_model.", "blocks"),
                heads=video_heads,
                frames=4 if times is None else times.shape[1],
            ),
        )

    def _is_spare(self, name: str) -> bool:
        """Whether evaluation does without it."""
        return not name.startswith(GROUPS) or re.match(self.left_aside, name) is not None

    def beyond(self, model: TwoTowers) -> dict[str, Tensor]:
        return {}

    def held(self, model: TwoTowers) -> dict[str, Tensor]:
        return {self.name(ours): weight for ours, weight in model.state_dict().items() if ours.startswith(PUBLISHED)}

    def fill(self, model: TwoTowers, state: Mapping[str, Tensor], origin: Origin) -> None:
        """Raises InputError where one that evaluation needs is missing or misshapen, or one is there that neither it
        nor the published pre-training knows."""
        held = self.held(model)
        aside = {name for name in state.keys() - held.keys() if self._is_spare(name)}
        if not state.keys() & {name for name in held if self._is_spare(name)}:  # pre-training begins with its own
            held = {name: weight for name, weight in held.items() if not self._is_spare(name)}
        needed = {name: weight for name, weight in state.items() if name not in aside}
        check_names_and_shapes(held, needed, f"{origin}, read as {self.title}")
        ours = {name: self.name(name) for name in model.state_dict() if name.startswith(PUBLISHED)}
        model.load_state_dict({own: state[name] for own, name in ours.items() if name in held}, strict=False)
        unheld[model] = {name: state[name].clone() for name in aside}


BRIDGE = {
    "cross.question": "crossattn.q_question",
    "cross.video": "crossattn.kv_video",
    "cross.proj": "crossattn.proj",
    "own": "bridgeattn",
    "mlp": "bridge_mlp",
    "norm_video": "norm4",
    "norm_question": "norm5",
    "norm_mlp": "norm6",
    "norm_own": "norm7",
}
"""Parts of a block of BridgeFormer: ours and theirs."""


class BridgeFormerLayout(TwoTowerLayout):
    """BridgeFormer stands among the blocks of the video tower; it is read where the configuration has questions."""

    system = "bridgeformer"
    title = "MCQ (BridgeFormer)"
    last_norm = "norm1"
    marks = ("video_model.norm1.weight", "text_proj.1.weight")
    left_aside = (
        r"video_model\.norm2\.|video_model\.blocks\.\d+\.(crossattn|bridgeattn|bridge_mlp|norm[4567])\.|"
        r"text_model\.embeddings\.position_ids$"
    )

    def name(self, ours: str) -> str:
        if not ours.startswith("bridge."):
            return super().name(ours)
        part, _, rest = ours.removeprefix("bridge.").partition(".")
        if part == "blocks":
            number, _, rest = rest.partition(".")
            own = next(own for own in BRIDGE if rest.startswith(f"{own}."))
            return f"video_model.blocks.{number}.{BRIDGE[own]}{rest.removeprefix(own)}"
        return f"{ {'norm': 'video_model.norm2', 'projection': 'bridge_proj.0'}[part] }.{rest}"


class MILESLayout(TwoTowerLayout):
    system = "miles"
    title = "MILES"
    last_norm = "norm"
    marks = ("video_model.temporal_embed", "text_proj.1.weight")
    left_aside = (  # what the file holds of its pre-training is not known
        r"text_model\.embeddings\.position_ids$|"
        r"video_model\.(?!(cls_token|pos_embed|temporal_embed)$|(patch_embed|blocks|norm)\.)"
    )


def _heads(given: object, text_width: int, video_width: int) -> tuple[int, int]:
    """Raises InputError unless those that are ``given`` are a number for each tower, which divides its width."""
    if given is None:
        return max(1, text_width // 64), max(1, video_width // 64)
    match given:
        case (int(text), int(video)) if min(text, video) > 0 and not text_width % text and not video_width % video:
            return text, video
    raise InputError(
        f"released.load: heads={given}: give (heads of the text tower, of the video tower), which divide their widths "
        f"of {text_width} and {video_width}"
    )
