"""The encoder of words and frames: a CLIP of open_clip, read token by token."""

import difflib
import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CLIP
from torch import Tensor, nn

from hbi.config import is_file
from hbi.errors import InputError
from hbi.weights import fit, read_weights

OURS = Path(__file__).parent / "encoders"

OPENAI_NAMES = {
    "ViT-B/32": "ViT-B-32-quickgelu",
    "ViT-B/16": "ViT-B-16-quickgelu",
    "ViT-L/14": "ViT-L-14-quickgelu",
    "ViT-L/14@336px": "ViT-L-14-336-quickgelu",
}
"""OpenAI's names of its CLIPs → open_clip's. All have QuickGELU, which open_clip's names without it leave out."""

OPENAI_SIZES = ("input_resolution", "context_length", "vocab_size")
"""Numbers that OpenAI's files hold beside the weights."""


def encoder_sizes(name: str) -> dict[str, Any]:
    """Sizes in open_clip's own JSON format, of encoder ``name``: one of ours, a file, one of open_clip's or OpenAI's.

    Raises InputError for a name or a file that is none.
    """
    file = Path(name) if name.endswith(".json") else OURS / f"{Path(name).name}.json"
    if file.is_file():
        return _read_sizes(file)
    name = open_clip_name(name)
    known = {path.stem for path in OURS.glob("*.json")} | set(open_clip.list_models())
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or ["tiny", "ViT-B-32-quickgelu"]
        raise InputError(f"unknown encoder {name!r}; did you mean {' or '.join(near)}?")
    sizes: dict[str, Any] = open_clip.get_model_config(name)
    vision, text = sizes["vision_cfg"], sizes["text_cfg"]
    if not isinstance(vision.get("layers"), int) or "hf_model_name" in text or "multimodal_cfg" in sizes:
        raise InputError(f"encoder {name!r} is not a CLIP with a vision transformer; take one such as ViT-B-32")
    return sizes


def positions(sizes: dict[str, Any]) -> int:
    """Tokens that an encoder of these ``sizes`` reaches; 77 where they name none (open_clip's CLIPTextCfg)."""
    return int(sizes["text_cfg"].get("context_length", 77))


def open_clip_name(name: str) -> str:
    """OpenAI's name of a CLIP as open_clip has it; any other as it is."""
    return OPENAI_NAMES.get(name, name)


def _read_sizes(file: Path) -> dict[str, Any]:
    try:
        sizes: dict[str, Any] = json.loads(file.read_text())
        int(sizes["embed_dim"]), int(sizes["vision_cfg"]["image_size"]), int(sizes["text_cfg"]["heads"])
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{file}: no encoder in open_clip's format ({type(error).__name__}: {error})") from error
    return sizes


class ClipEncoder(nn.Module):
    """Words [N,T] → [N,T,D] and frames [N,3,H,W] → [N,D], both in CLIP's joint space."""

    def __init__(self, sizes: dict[str, Any]) -> None:
        super().__init__()
        self.clip = CLIP(**sizes)
        self.width: int = sizes["embed_dim"]
        self.heads: int = sizes["text_cfg"]["heads"]
        self.context_length = positions(sizes)
        self.image_size: int = sizes["vision_cfg"]["image_size"]
        self.sizes = sizes

    def words(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        """token_ids [N,T], mask [N,T] → every position's hidden state, projected [N,T,D].

        Attention is causal and blind to padding, as in the published systems (open_clip's own call is causal only).
        """
        clip, length = self.clip, token_ids.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()
        visible = causal & mask[:, None, :]  # [N, query, key]; the start token is always visible
        x = clip.token_embedding(token_ids) + clip.positional_embedding[:length]
        x = clip.transformer(x, attn_mask=attention_bias(visible, self.heads, x.dtype))
        return clip.ln_final(x) @ clip.text_projection  # type: ignore[no-any-return]

    def frames(self, images: Tensor) -> Tensor:
        """Normalised images [N,3,H,W] → the projected class token of each [N,D]."""
        return self.clip.visual(images)  # type: ignore[no-any-return]

    def recompute_activations(self) -> None:
        """Trades time for memory: activations are computed again in the backward pass."""
        self.clip.set_grad_checkpointing()

    def load(self, pretrained: str, name: str) -> None:
        """Takes the weights of ``pretrained`` for encoder ``name``: an open_clip tag, or a file as ``read_weights``
        knows it, of open_clip's layout or OpenAI's, which is the same. Half precision is taken to float32.

        Raises InputError where they cannot be had, do not fit, or belong to an encoder with another activation.
        """
        check_weights(pretrained, name)
        if is_file(pretrained):
            state = read_weights(Path(pretrained))
            if [state.pop(key) for key in OPENAI_SIZES if key in state]:
                check_activation(pretrained, name, self.sizes)
            fit(self.clip, state, Path(pretrained))
        else:
            source = open_clip.create_model(open_clip_name(name), pretrained=pretrained, precision="fp32")
            self.clip.load_state_dict(source.state_dict())


def check_weights(pretrained: str, encoder: str) -> None:
    """Raises InputError when ``pretrained`` is neither a file here nor a tag that open_clip has for ``encoder``, or
    one whose weights were trained with another activation."""
    if is_file(pretrained):
        if not Path(pretrained).is_file():
            raise InputError(f"model.pretrained: no such file: {pretrained}")
        return
    name = open_clip_name(encoder)
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained not in tags:
        known = f"its tags: {', '.join(tags)}" if tags else "it has no tags, so give a file"
        raise InputError(f"model.pretrained: {pretrained!r} is no tag of encoder {encoder!r}; {known}")
    if open_clip.get_pretrained_cfg(name, pretrained).get("quick_gelu"):
        check_activation(pretrained, encoder, encoder_sizes(name))


def check_activation(pretrained: str, encoder: str, sizes: dict[str, Any]) -> None:
    """Raises InputError unless ``encoder`` of these ``sizes`` has QuickGELU, which the weights were trained with.

    With GELU they would load and run, and be worse; open_clip says so in a warning alone.
    """
    if sizes.get("quick_gelu"):
        return
    name = f"{encoder}-quickgelu"
    better = f"take {name}" if name in open_clip.list_models() else 'give it "quick_gelu": true'
    raise InputError(f"model.pretrained: {pretrained!r} needs QuickGELU, and encoder {encoder!r} has GELU; {better}")


def attention_bias(visible: Tensor, heads: int, dtype: torch.dtype) -> Tensor:
    """visible [N,query,key] bool → additive mask [N·heads,query,key], 0 or −∞, as nn.MultiheadAttention wants it."""
    bias = torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill(~visible, -torch.inf)
    return bias.repeat_interleave(heads, dim=0)
