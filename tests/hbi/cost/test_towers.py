"""The cost of systems of two towers: by formula, as published, and as real tensors would cost."""

import pytest
import torch

from hbi.config import BridgeFormerClipConfig, BridgeFormerConfig, MILESConfig
from hbi.cost.flops import count_flops
from hbi.cost.stages import evaluations, stages
from hbi.cost.systems import parameters, sizes_of, untrained
from hbi.data.batches import Batch
from hbi.errors import InputError

BASE = {"bridgeformer": BridgeFormerConfig(towers="base"), "miles": MILESConfig(towers="base")}
ON_CLIP = BridgeFormerClipConfig(encoder="ViT-B-32")
W, LAYERS, JOINT = 768, 12, 256
TINY = [
    BridgeFormerConfig(),
    BridgeFormerConfig(questions=("noun",), seen_frames=1),
    BridgeFormerConfig(questions=("noun", "verb"), **BridgeFormerConfig.published()),
    MILESConfig(),
    MILESConfig(masking={}, **MILESConfig.published()),
    BridgeFormerClipConfig(),
    BridgeFormerClipConfig(freeze="embeddings", **BridgeFormerClipConfig.published()),
]


def named(config):
    pretraining = [name for name in ("questions", "masking") if getattr(config, name, None)]
    return "-".join([config.system, *pretraining, config.departures.same_video])


# ---- by formula -----------------------------------------------------------------------------------------------------


def encoder(layers, width, tokens, scores):
    """MACs of a transformer: four maps and an MLP of 4 · width for every token, two products for every score."""
    return layers * (tokens * 12 * width**2 + 2 * width * scores)


def over_space(frames, patches):
    """Scores of a layer: the class sees all tokens, a patch those of its frame and the class."""
    return 1 + frames * patches + frames * patches * (1 + patches)


def seen_whole(frames, patches, side, joint):
    """MACs of a vision transformer over all patches of a video, projected."""
    embedding = frames * patches * 3 * side**2 * W
    return embedding + encoder(LAYERS, W, 1 + frames * patches, over_space(frames, patches)) + W * joint


@pytest.fixture(scope="module")
def full_size():
    """At the sizes of the published figures: 32 words and 4 frames, on a CLIP 77 and 8."""
    found = {name: stages(config, 32, 4, None, (100, 100)) for name, config in BASE.items()}
    return found | {"bridgeformer-clip": stages(ON_CLIP, 77, 8, None, (100, 100))}


@pytest.mark.parametrize("system", BASE)
def test_a_caption_costs_what_its_formula_says_and_as_published(full_size, system):
    found = full_size[system]["text encoder"]
    assert found.macs == encoder(6, W, 32, 32**2) + W * JOINT
    assert found.matmul == 2736783360 + 2 * W * JOINT  # the published figure ends before the projection


def test_a_video_costs_what_its_formula_says_and_as_published(full_size):
    frames, patches = 4, 196
    space = seen_whole(frames, patches, 16, JOINT)
    time = LAYERS * ((1 + frames * patches) * 4 * W**2 + 2 * W * (1 + frames * patches * (2 + frames)))
    assert full_size["bridgeformer"]["video encoder"].macs == space
    assert full_size["miles"]["video encoder"].macs == space + time
    published = {"bridgeformer": 139994763264, "miles": 184617345024}  # without the projection
    for system, flops in published.items():
        assert full_size[system]["video encoder"].matmul == flops + 2 * W * JOINT


def test_on_a_clip_likewise(full_size):
    found, width, words, frames, patches = full_size["bridgeformer-clip"], 512, 77, 8, 49
    video, text = found["video encoder"], found["text encoder"]
    assert video.macs == seen_whole(frames, patches, 32, width)
    assert text.macs == encoder(LAYERS, width, words, words**2) + words * width**2
    # the published code maps keys and values twice: for the class, and for each frame with the class once more
    assert 80670756864 - video.matmul == 2 * LAYERS * 2 * frames * (1 + patches) * W**2
    assert text.matmul - 5959540736 == 2 * (words - 1) * width**2  # it projects the end token alone


def test_vectors_meet_in_a_cosine(full_size):
    published = {"bridgeformer": 5120000, "miles": 5120000, "bridgeformer-clip": 10240000}
    for system, flops in published.items():
        assert full_size[system]["similarity"].total == full_size[system]["similarity"].matmul == flops


def test_as_many_weights_as_published():
    towers = {"bridgeformer": 85798656, "miles": 114168576}
    for system, video in towers.items():
        every = video + 66362880 + 2 * (W + 1) * JOINT
        assert parameters(BASE[system]) == (every, every)
    assert parameters(ON_CLIP) == (151277313, 151277313)


# ---- as real tensors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", TINY, ids=named)
def test_every_stage_is_there_and_priced(config):
    found = stages(config, 12, 6, batch=4)
    assert [(name, report.unpriced) for name, report in found.items() if not report.complete] == []
    towers = {"text encoder", "video encoder", "encode text", "encode video"}
    assert found.keys() == towers | {"similarity", "training step"}
    assert found["encode text"] == found["text encoder"]
    assert found["encode video"] == found["video encoder"]
    assert stages(config, 12, 6, batch=None).keys() == found.keys() - {"training step"}
    assert evaluations(config, 12, 6) == {}


@pytest.mark.parametrize("config", TINY, ids=named)
def test_a_step_costs_as_much_as_one_of_real_tensors(config):
    words, frames, batch = 5, 3, 4
    model = untrained(config, sizes_of(config)).train()
    ids, rows = torch.ones(batch, words, dtype=torch.int64), torch.arange(batch)
    pictures = torch.zeros(batch, frames, 3, 32, 32, dtype=torch.uint8)
    asked = torch.ones(batch, len(config.asks), 2, words, dtype=torch.int64)
    seen = torch.ones(batch, frames, dtype=torch.bool)
    pairs = Batch(ids, ids.bool(), pictures, seen, rows, rows, asked, asked.bool())

    def step():
        model.losses(pairs)["total"].backward()
        model.after_step()

    expected = count_flops(step)
    found = stages(config, words, frames, batch)["training step"]
    assert found.macs == expected.macs
    learned = sum(one.numel() for one in model.parameters() if one.grad is not None)
    assert found.total - 12 * learned == pytest.approx(expected.total, rel=0.02)


def test_what_pre_training_adds():
    def step(config):
        return stages(config, 12, 4, batch=4)["training step"].macs

    alone, one, two = (step(BridgeFormerConfig(questions=kinds)) for kinds in ((), ("noun",), ("noun", "verb")))
    assert two - one == one - alone > 0
    assert step(BridgeFormerConfig(seen_frames=1)) < alone
    # another pass with gradient, which costs three, and one of the copy without
    masking = step(MILESConfig(masking={})) - step(MILESConfig())
    video = stages(MILESConfig(), 12, 4, None)["video encoder"].macs
    assert masking / (4 * video) == pytest.approx(4, rel=0.05)


# ---- sizes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "sizes", "told"),
    [
        (BASE["bridgeformer"], {"words": 513}, r"^cost\.words is 513, but towers base reaches 512 positions$"),
        (BASE["miles"], {"frames": 5}, r"^cost\.frames is 5, but towers base reaches 4 positions$"),
        (ON_CLIP, {"words": 78}, r"^cost\.words is 78, but encoder ViT-B-32 reaches 77 positions$"),
        (BASE["miles"], {"resolution": 15}, r"^cost: frames of 15 pixels, but a patch of towers base has 16$"),
        (ON_CLIP, {"resolution": 31}, r"^cost: frames of 31 pixels, but a patch of encoder ViT-B-32 has 32$"),
    ],
)
def test_sizes_out_of_reach_are_refused(config, sizes, told):
    with pytest.raises(InputError, match=told):
        stages(config, **({"words": 8, "frames": 2, "batch": None} | sizes))


def test_a_video_without_positions_of_frames_is_as_long_as_one_likes():
    for config in (BridgeFormerConfig(), BridgeFormerClipConfig()):
        short, long = (stages(config, 8, frames, None)["video encoder"].macs for frames in (50, 100))
        assert long == pytest.approx(2 * short, rel=0.05)


@pytest.mark.parametrize(("side", "patches"), [(8, 1), (16, 4), (64, 64)])
def test_frames_of_other_pixels(side, patches):
    found = stages(BridgeFormerConfig(), 8, 2, None, resolution=side)["video encoder"]
    layers = encoder(2, 64, 1 + 2 * patches, over_space(2, patches))
    assert found.macs == 2 * patches * 3 * 8**2 * 64 + layers + 64**2


def test_no_file_is_read_but_a_vocabulary_that_alone_tells_how_many_tokens_there_are(tmp_path):
    missing = str(tmp_path / "vocab.txt")
    config = BridgeFormerConfig(towers="base", vocabulary=missing, weights=missing)
    assert parameters(config) == parameters(BASE["bridgeformer"])
    with pytest.raises(InputError, match=r"^model\.vocabulary: .*vocab\.txt: No such file"):
        parameters(config.model_copy(update={"towers": "tiny"}))
