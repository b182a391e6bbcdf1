"""What published checkpoints of all systems on a CLIP have in common: names, sizes, and what is kept beside a model."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar
from weakref import WeakKeyDictionary

from pydantic import ValidationError
from torch import Tensor, nn

from hbi.config import SYSTEMS, ClipSystemConfig, TwoTowerConfig, imported
from hbi.errors import InputError
from hbi.models.base import System
from hbi.models.clip_system import ClipSystem
from hbi.models.temporal import TemporalLSTM
from hbi.weights import check_names_and_shapes

Origin = Path | str
"""Where weights come from, as messages name it."""

M = TypeVar("M", bound=System)

unheld: WeakKeyDictionary[nn.Module, dict[str, Tensor]] = WeakKeyDictionary()
"""What the file of a model held and the model has no place for."""


class Layout(Generic[M]):
    """The published checkpoint layout of one system: one flat mapping, whose CLIP, temporal transformer and frame
    positions have the same names in all of them. A subclass says what is its own."""

    system: ClassVar[str]
    """Its name in hbi.config.SYSTEMS."""
    title: ClassVar[str]
    """Its name in messages."""
    tower: ClassVar[Mapping[str, int]]
    """Tensors that ``tower_sizes`` reads, and how many axes each has."""
    needed: ClassVar[Mapping[str, int]] = {}
    """Those that ``sizes`` reads beside them."""
    marks: ClassVar[tuple[str, ...]] = ()
    """Weights that tell a checkpoint of this system from those of others."""
    variants: ClassVar[str | None] = None
    """What the names begin like (a regular expression) that only some variants of the system have."""
    of_sizes: ClassVar[tuple[str, ...]] = ()
    """Options that are none of the configuration, but sizes that no tensor tells."""
    chosen_by: ClassVar[tuple[str, ...]] = ()
    """Options that choose among these: where one is given, weights of the other variants are kept, not an error."""

    # ---- a system's own

    def name(self, ours: str) -> str:
        """A weight of our model as the published code calls it."""
        part, _, rest = ours.partition(".")
        if part == "encoder":
            return rest
        if part == "temporal":
            if rest.startswith("lstm."):
                return f"lstm_visual.{rest.removeprefix('lstm.')}"
            return "frame_position_embeddings.weight" if rest == "positions" else f"transformerClip.res{rest}"
        raise KeyError(ours)

    def sizes(self, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
        """Options of the configuration that the tensors tell; ``options`` are those that are given."""
        layers = layers_in(state, "transformerClip.")
        return {"encoder": "as in the checkpoint", **({"temporal_layers": layers} if layers else {})}

    def tower_sizes(self, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> Any:
        """Those of the encoder that its model takes."""
        return clip_sizes(state)

    def beyond(self, model: M) -> dict[str, Tensor]:
        """What the published model has beyond ours, by its names, as in a new one: beside an LSTM, positions of frames
        that it never uses."""
        assert isinstance(model, ClipSystem)
        unused = isinstance(model.temporal, TemporalLSTM)
        positions = model.encoder.clip.positional_embedding
        return {"frame_position_embeddings.weight": positions.detach().clone()} if unused else {}

    def held(self, model: M) -> dict[str, Tensor]:
        """What our model holds, by published names."""
        return {self.name(ours): weight for ours, weight in model.state_dict().items()}

    def names(self, model: M) -> dict[str, Tensor]:
        """Names of all that is published of a model of these sizes; of the tensors, the shapes count."""
        return self.held(model) | self.beyond(model)

    # ---- of all

    def load(self, state: Mapping[str, Tensor], origin: Origin, seed: int, options: Mapping[str, Any]) -> M:
        """The model of ``state``, its sizes from the tensors; raises InputError where they do not fit."""
        check_sizes(state, origin, self.title, {**self.tower, **self.needed})
        family = SYSTEMS[self.system]
        assert issubclass(family, (ClipSystemConfig, TwoTowerConfig))
        try:
            given = {option: value for option, value in options.items() if option not in self.of_sizes}
            config = family.model_validate({**family.published(), **self.sizes(state, options), **given})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "options"
            raise InputError(f"released.load: {self.system}: {where}: {first['msg']}") from None
        except (AssertionError, LookupError) as error:
            raise InputError(f"{origin}, read as {self.title}: its sizes make no model: {error}") from None
        try:
            model: M = imported(config.builder)(config, seed, self.tower_sizes(state, options))
        except (ArithmeticError, AssertionError, LookupError, ValueError) as error:
            told = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise InputError(f"{origin}, read as {self.title}: its sizes make no model: {told}") from None
        own, spare = self.names(model), {}
        if self.variants and any(option in options for option in self.chosen_by):
            spare = {key: w for key, w in state.items() if key not in own and re.match(self.variants, key)}
        self.fill(model, {key: weight for key, weight in state.items() if key not in spare}, origin)
        unheld[model] |= {key: weight.clone() for key, weight in spare.items()}
        return model

    def fill(self, model: M, state: Mapping[str, Tensor], origin: Origin) -> None:
        """Loads ``state`` into ``model``; raises InputError where names or shapes differ from those published."""
        check_names_and_shapes(self.names(model), state, f"{origin}, read as {self.title}")
        held = {ours: self.name(ours) for ours in model.state_dict()}
        model.load_state_dict({ours: state[theirs] for ours, theirs in held.items()})
        unheld[model] = {name: state[name].clone() for name in state.keys() - set(held.values())}

    def state(self, model: M) -> dict[str, Tensor]:
        """What the published code would have saved; raises InputError where the model has less."""
        state = self.beyond(model) | unheld.get(model, {}) | self.held(model)
        if missing := [name for name in self.names(model) if name not in state]:
            raise InputError(
                f"released.save: the model lacks {missing[0]} and {len(missing) - 1} more of the published one"
            )
        return state


# ---- the CLIP -------------------------------------------------------------------------------------------------------

CLIP: Mapping[str, int] = {
    "clip.visual.conv1.weight": 4,
    "clip.visual.positional_embedding": 2,
    "clip.text_projection": 2,
    "clip.positional_embedding": 2,
    "clip.token_embedding.weight": 2,
    "clip.ln_final.weight": 1,
    "clip.visual.transformer.resblocks.0.ln_1.weight": 1,
    "clip.transformer.resblocks.0.ln_1.weight": 1,
}
"""The tensors that the encoder's sizes are read from, and how many axes each has."""

Layout.tower = CLIP


def clip_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Of the encoder, in open_clip's format. Heads are 64 wide, as in every CLIP of OpenAI's."""
    patches, width = state["clip.visual.conv1.weight"], len(state["clip.ln_final.weight"])
    grid = math.isqrt(len(state["clip.visual.positional_embedding"]) - 1)
    return {
        "embed_dim": state["clip.text_projection"].shape[1],
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": grid * patches.shape[-1],
            "layers": layers_in(state, "clip.visual.transformer."),
            "width": patches.shape[0],
            "patch_size": patches.shape[-1],
        },
        "text_cfg": {
            "context_length": len(state["clip.positional_embedding"]),
            "vocab_size": len(state["clip.token_embedding.weight"]),
            "width": width,
            "heads": width // 64,
            "layers": layers_in(state, "clip.transformer."),
        },
    }


def check_sizes(state: Mapping[str, Tensor], origin: Origin, title: str, needed: Mapping[str, int]) -> None:
    """Raises InputError where a tensor that sizes are read from is missing, empty, or has another number of axes."""
    if missing := [
        name
        for name, axes in needed.items()
        if name not in state or state[name].ndim != axes or not state[name].numel()
    ]:
        raise InputError(f"{origin}: no published checkpoint of {title}: {', '.join(missing[:5])} missing or misshapen")


def layers_in(state: Mapping[str, Tensor], prefix: str, layer: str = "resblocks") -> int:
    """Layers of the transformer whose names begin so, each called ``layer``; 0 where there is none."""
    found = (re.match(rf"{re.escape(prefix)}{layer}\.(\d+)\.", name) for name in state)
    return max((1 + int(match[1]) for match in found if match), default=0)


def header_in(state: Mapping[str, Tensor]) -> Literal["seqTransf", "seqLSTM"] | None:
    """What sees the frames in time, by the published names of it."""
    if layers_in(state, "transformerClip."):
        return "seqTransf"
    return "seqLSTM" if "lstm_visual.weight_ih_l0" in state else None


def under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those whose names begin so, without it."""
    return {name.removeprefix(prefix): weight for name, weight in state.items() if name.startswith(prefix)}


def over(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All of them, with it."""
    return {prefix + name: weight for name, weight in state.items()}
