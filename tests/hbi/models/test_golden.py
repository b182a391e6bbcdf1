"""Against numbers of the published code (../shared/golden/hbi), where our corrections do not reach: without padding."""

import json
import re

import numpy as np
import pytest
import torch

from hbi.config import HBIConfig
from hbi.models import build
from tests.golden_weights import GOLDEN, drawn

pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/golden/hbi is not here")

LEVEL = {"": "entity", "0": "action", "1": "event"}
STUDENT = {"Q": "query", "K": "key", "V": "value", "cnn1": "convolution_in", "cnn2": "convolution_out"}
MERGE = {
    "conv.conv": "convolution",
    "norm": "norm",
    "score": "score",
    "norm1": "attention_norm",
    "attn.q": "query",
    "attn.kv": "key_value",
    "attn.proj": "projection",
}


def our_name(key: str) -> str | None:
    """Published key → ours; none for what we do not have (the estimator, batch norms that are never used)."""
    if key.startswith("clip."):
        return f"encoder.{key}"
    key = key.replace("frame_position_embeddings.weight", "temporal.positions")
    key = key.replace("transformerClip.resblocks", "temporal.blocks")
    if found := re.fullmatch(r"(text|video)_weight_fc(\d?)\.(.*)", key):
        return f"{'word' if found[1] == 'text' else 'frame'}_scores.{LEVEL[found[2]]}.{found[3]}"
    if found := re.fullmatch(r"banzhafmodel(\d?)\.(\w+)(\.\w+)?", key):
        return f"student.{LEVEL[found[1]]}.{STUDENT[found[2]]}{found[3] or ''}" if found[2] in STUDENT else None
    if found := re.fullmatch(r"([tv])_(?:ctm|block)(\d)\.(.*)\.(\w+)", key):
        side = "text" if found[1] == "t" else "video"
        return f"{side}_merge.{LEVEL[found[2]]}.{MERGE[found[3]]}.{found[4]}"
    return key if key.startswith("temporal.") else None


def recipe_weights(manifest: dict) -> dict[str, torch.Tensor]:
    """The weights of every published key, from the recipe in the manifest."""
    return {
        name: drawn(name, tensor)
        for name, tensor in manifest["tensors"].items()
        if tensor["kind"] in ("normal", "constant")
    }


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    manifest = json.loads((GOLDEN / "manifest.json").read_text())
    clip = manifest["clip_config"]
    sizes = {
        "embed_dim": clip["embed_dim"],
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": clip["image"],
            "layers": clip["vision_layers"],
            "width": clip["vision_width"],
            "patch_size": clip["patch"],
        },
        "text_cfg": {
            "context_length": clip["context_length"],
            "vocab_size": clip["vocab"],
            "width": clip["text_width"],
            "heads": clip["text_width"] // 64,
            "layers": clip["text_layers"],
        },
    }
    file = tmp_path_factory.mktemp("encoder") / "golden.json"
    file.write_text(json.dumps(sizes))
    model = build(HBIConfig(encoder=str(file), similarity_rates={"entity": 1, "action": 1, "event": 1}))
    state = {ours: weight for key, weight in recipe_weights(manifest).items() if (ours := our_name(key))}
    model.load_state_dict(state)
    model.eval()
    inputs = np.load(GOLDEN / "inputs.npz")
    tensors = {name: torch.from_numpy(inputs[name]) for name in inputs}
    with torch.no_grad():
        words = model.encoder.words(tensors["text_ids"], tensors["text_mask"].bool())
        frames = model.encoder.frames(tensors["video"].float().flatten(0, 1)).unflatten(0, (6, 12))
        video = model.temporal(frames, tensors["video_mask"].bool())
    return model, words, tensors["text_mask"].bool(), frames, video, tensors["video_mask"].bool()


def test_words_and_frames_are_those_of_the_published_encoder(golden):
    _, words, _, frames, video, _ = golden
    published = np.load(GOLDEN / "encoders.npz")
    for ours, name in ((words, "text_hidden"), (frames, "frame_clip"), (video, "video_feat")):
        np.testing.assert_allclose(ours.numpy(), published[name], atol=2e-5)


@pytest.mark.parametrize(("side", "sample"), [("t", 0), ("v", 0), ("v", 3)])  # the samples without padding
def test_merged_tokens_are_the_published_ones_where_nothing_is_padded(golden, side, sample):
    model, words, text_mask, _, video, video_mask = golden
    merge = model.text_merge if side == "t" else model.video_merge
    published = np.load(GOLDEN / "levels.npz")
    with torch.no_grad():
        phrases, exist = merge["action"](*((words, text_mask) if side == "t" else (video, video_mask)))
        events, _ = merge["event"](phrases, exist)
    np.testing.assert_allclose(phrases[sample].numpy(), published[f"{side}_block0"][sample], atol=2e-5)
    np.testing.assert_allclose(events[sample].numpy(), published[f"{side}_block1"][sample], atol=2e-5)


@pytest.mark.parametrize("level", ["entity", "action", "event"])
def test_similarities_are_the_published_ones_where_nothing_is_padded(golden, level):
    model, words, text_mask, _, video, video_mask = golden
    with torch.no_grad():
        text = model._encoded(words, text_mask, model.text_merge, model.word_scores)
        clips = model._encoded(video, video_mask, model.video_merge, model.frame_scores)
        ours = model._similarity(level, text, clips).numpy()
    published = np.load(GOLDEN / "levels.npz")[f"sim_{level}"]
    np.testing.assert_allclose(ours[0, [0, 3]], published[0, [0, 3]], atol=1e-6)
