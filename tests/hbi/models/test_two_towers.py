"""MCQ and MILES against numbers of the published code (tests/golden/{bridgeformer,bridgeformer-clip,miles}.*), their
checkpoints in and out, and what of them is ours: padding, pre-training."""

import pytest
import torch

from hbi.config import BridgeFormerConfig, MILESConfig
from hbi.data.batches import Batch
from hbi.errors import InputError
from hbi.models import build, released, targets_of
from hbi.models.towers.attention import grouped_attention
from hbi.training.precision import halve
from tests.golden_system import assert_close, encoded, read

SYSTEMS = ("bridgeformer", "bridgeformer-clip", "miles")
TOWERS = ("bridgeformer", "miles")


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request):
    return request.param


def golden_of(system: str):
    return read(system)


def loaded(system: str, weights=None, **options):
    heads = {} if system == "bridgeformer-clip" else {"heads": (4, 4)}  # the golden heads are 16 channels wide
    return released.load(system, read(system).weights if weights is None else weights, **heads, **options)


# ---- numbers of the published code


def test_scores_are_the_published_ones(system):
    golden, model = golden_of(system), loaded(system)
    assert_close(model.similarity(*encoded(model, golden)), golden.arrays["sim_eval"])


@pytest.mark.parametrize("frames", [1, 2])
def test_scores_of_fewer_frames_are_the_published_ones(system, frames):
    golden, model = golden_of(system), loaded(system)
    pictures, mask = golden.videos
    with torch.no_grad():
        text, video = model.encode_text(*golden.texts), model.encode_video(pictures[:, :frames], mask[:, :frames])
        assert_close(model.similarity(text, video), golden.arrays[f"sim_eval_first{frames}frames"])


@pytest.mark.parametrize("system", TOWERS)
def test_vectors_are_the_published_ones(system):
    golden, model = golden_of(system), loaded(system)
    with torch.no_grad():
        hidden = model.text_tower(*golden.texts)[-1]
        assert_close(hidden * golden.texts[1][:, :, None], golden.arrays["text_hidden_last"] * _mask(golden))
        assert_close(model.caption_vector(hidden), golden.arrays["text_embed"])
        states = model.video_states(*golden.videos)
        assert_close(model.video_tower.norm(states[-1][:, 0]), golden.arrays["video_cls_feature"])
        assert_close(model.video_vector(states[-1]), golden.arrays["video_embed"])


def _mask(golden):
    return golden.arrays["text_mask"][:, :, None]


def test_vectors_on_a_clip_are_the_published_ones():
    golden, model = golden_of("bridgeformer-clip"), loaded("bridgeformer-clip")
    with torch.no_grad():
        assert_close(model.video_vector(*golden.videos), golden.arrays["video_embed_unnormalised"])
        assert_close(model.encode_video(*golden.videos)["vector"], golden.arrays["video_embed"])
        assert_close(model.encode_text(*golden.texts)["vector"], golden.arrays["text_embed"])


def test_as_many_weights_as_published(system):
    count = sum(weight.numel() for weight in released.published_state(loaded(system)).values())
    assert count == golden_of(system).scalars["param_count"]


# ---- attention


@pytest.mark.parametrize("over", ["space", "time"])
def test_every_token_attends_to_what_it_may(over):
    """Token by token, with a softmax written out."""
    draw = torch.Generator().manual_seed(0)
    frames, patches, width = 3, 4, 5
    query, key, value = torch.randn(3, 2, 2, 1 + frames * patches, width, generator=draw, dtype=torch.float64)
    seen = torch.tensor([[True, True, True], [True, False, True]])
    found = grouped_attention(query, key, value, seen, over)

    def place(token):
        return divmod(token - 1, patches)

    for video in range(2):
        for token in range(1 + frames * patches):
            if token and over == "time" and not seen[video, place(token)[0]]:
                continue  # padding, which nobody looks at
            visible = [0] + [
                other
                for other in range(1, 1 + frames * patches)
                if (
                    seen[video, place(other)[0]]
                    if token == 0
                    else place(other)[0] == place(token)[0]
                    if over == "space"
                    else place(other)[1] == place(token)[1] and seen[video, place(other)[0]]
                )
            ]
            weights = (query[video, :, token, None] * key[video][:, visible]).sum(-1).div(width**0.5).softmax(-1)
            expected = (weights[:, :, None] * value[video][:, visible]).sum(1)
            torch.testing.assert_close(found[video, :, token], expected)


# ---- padding


def test_padded_frames_are_not_there(system):
    golden, model = golden_of(system), loaded(system, departures={})
    frames, mask = golden.videos
    short = torch.cat([frames[:, :2], torch.full_like(frames[:, :2], 3.0)], 1), mask.clone()
    short[1][:, 2:] = False
    with torch.no_grad():
        two = model.encode_video(frames[:, :2], mask[:, :2])["vector"]
        torch.testing.assert_close(model.encode_video(*short)["vector"], two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("system", TOWERS)
def test_as_published_black_frames_fill_up_a_video_and_count(system):
    golden, model = golden_of(system), loaded(system)
    frames, mask = golden.videos
    filled = frames * torch.tensor([1, 1, 0, 0]).view(1, 4, 1, 1, 1)
    mask = mask & torch.tensor([True, True, False, False])
    with torch.no_grad():
        as_given = model.encode_video(filled, torch.ones_like(mask))["vector"]
        torch.testing.assert_close(model.encode_video(frames, mask)["vector"], as_given)
        two = model.encode_video(frames[:, :2], mask[:, :2])["vector"]
        assert (two - as_given).abs().max() > 1e-3


# ---- files


def test_what_is_loaded_is_saved_bit_for_bit(system, tmp_path):
    weights = {f"module.{name}": weight for name, weight in golden_of(system).weights.items()}
    torch.save({"state_dict": weights}, tmp_path / "published.pth")
    released.save(loaded(system, tmp_path / "published.pth"), tmp_path / "again.pth")
    again = torch.load(tmp_path / "again.pth", weights_only=True)
    assert {f"module.{name}" for name in again} == weights.keys()
    assert all(torch.equal(again[name], weights[f"module.{name}"]) for name in again)


def test_a_missing_weight_is_refused_whichever_it_is(system):
    weights = golden_of(system).weights
    for name in weights:
        rest = {other: weight for other, weight in weights.items() if other != name}
        with pytest.raises(InputError) as refused:
            loaded(system, rest)
        # without the first of several layers or the last, the rest has another size: said of what is left
        assert name in str(refused.value) or ".1." in name or name == "video_model.temporal_embed", name


def test_weights_of_the_published_pre_training_are_left_aside_and_kept():
    weights, one = golden_of("bridgeformer").weights, torch.ones(1)
    names = (
        *("bridge_proj.0.weight", "video_model.norm2.bias", "video_model.blocks.1.norm5.weight"),
        *("video_model.blocks.0.crossattn.qkv.weight", "video_model.blocks.0.bridge_mlp.fc1.bias"),
    )
    aside = dict.fromkeys(names, one)
    model = loaded("bridgeformer", weights | aside)
    assert released.published_state(model).keys() == weights.keys() | aside.keys()
    with pytest.raises(InputError, match=r"MCQ \(BridgeFormer\): .*unexpected video_model\.blocks\.0\.ls1"):
        loaded("bridgeformer", weights | {"video_model.blocks.0.ls1": one})


def test_weights_of_the_published_pre_training_are_read_where_questions_are_asked(tmp_path):
    source = build(BridgeFormerConfig(questions=("noun", "verb")), seed=1)
    released.save(source, tmp_path / "MCQ.pth")
    names = torch.load(tmp_path / "MCQ.pth", weights_only=True).keys()
    assert {"bridge_proj.0.weight", "video_model.norm2.bias", "video_model.blocks.1.crossattn.kv_video.bias"} <= names
    assert {"video_model.blocks.0.bridgeattn.qkv.weight", "video_model.blocks.0.norm7.weight"} <= names
    asked = build(BridgeFormerConfig(questions=("noun",), weights=str(tmp_path / "MCQ.pth")))
    assert all(torch.equal(weight, source.state_dict()[name]) for name, weight in asked.state_dict().items())
    plain = build(BridgeFormerConfig(weights=str(tmp_path / "MCQ.pth")))
    assert all(torch.equal(weight, source.state_dict()[name]) for name, weight in plain.state_dict().items())
    # towers alone start a pre-training, whose bridge is new; half a bridge is none
    released.save(build(BridgeFormerConfig(), seed=1), tmp_path / "towers.pth")
    begun = build(BridgeFormerConfig(questions=("noun",), weights=str(tmp_path / "towers.pth")))
    assert torch.equal(begun.video_tower.cls_token, source.video_tower.cls_token)
    half = torch.load(tmp_path / "MCQ.pth", weights_only=True)
    del half["video_model.blocks.0.norm7.weight"]
    torch.save(half, tmp_path / "half.pth")
    with pytest.raises(InputError, match=r"missing video_model\.blocks\.0\.norm7\.weight"):
        build(BridgeFormerConfig(questions=("noun",), weights=str(tmp_path / "half.pth")))


def test_a_checkpoint_of_the_other_system_is_recognised():
    with pytest.raises(InputError, match=r"it looks like a checkpoint of MILES \(miles\)"):
        loaded("bridgeformer", golden_of("miles").weights)
    with pytest.raises(InputError, match=r"it looks like a checkpoint of MCQ \(BridgeFormer\) \(bridgeformer\)"):
        loaded("miles", golden_of("bridgeformer").weights)


@pytest.mark.parametrize(
    ("pretrained", "plain"),
    [
        (BridgeFormerConfig(questions=("noun", "verb")), BridgeFormerConfig()),
        (MILESConfig(masking={}), MILESConfig()),
    ],
    ids=TOWERS,
)
def test_what_was_pre_trained_starts_a_model_for_retrieval(pretrained, plain, tmp_path):
    source = build(pretrained, seed=1)
    source.save(tmp_path / "model.safetensors")
    model = build(plain.model_copy(update={"weights": str(tmp_path / "model.safetensors")}), seed=0)
    theirs = source.state_dict()
    assert model.state_dict().keys() < theirs.keys()
    assert all(torch.equal(weight, theirs[name]) for name, weight in model.state_dict().items())
    again = build(pretrained.model_copy(update={"weights": str(tmp_path / "model.safetensors")}), seed=0)
    assert all(torch.equal(weight, theirs[name]) for name, weight in again.state_dict().items())


# ---- pre-training


def pairs(asked: bool = True) -> Batch:
    """Six pairs with questions about nouns and verbs; the third caption has no verb, the first two nouns are equal."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 90, (6, 8), generator=draw)
    mask = torch.arange(8) < torch.tensor([8, 5, 6, 4, 8, 3])[:, None]
    questions = torch.randint(5, 90, (6, 2, 2, 8), generator=draw)
    lengths = torch.tensor([7, 2]).expand(6, 2, 2).clone()
    lengths[2, 1] = 0
    questions[1, 0, 1] = questions[0, 0, 1]
    frames = torch.randint(0, 256, (6, 4, 3, 32, 32), generator=draw, dtype=torch.uint8)
    seen = torch.arange(4) < torch.tensor([4, 1, 3, 4, 2, 4])[:, None]
    batch = Batch(ids, mask, frames, seen, torch.arange(6), torch.full((6,), -1))
    if asked:
        batch.questions, batch.question_mask = questions, torch.arange(8) < lengths[..., None]
    return batch


def bridgeformer(**options):
    return build(BridgeFormerConfig(questions=("noun", "verb"), **options)).eval()


def test_questions_have_losses_of_their_own():
    model = bridgeformer()
    losses = model.losses(pairs())
    assert losses.keys() == {"total", "contrastive", "contrastive/noun", "contrastive/verb"}
    torch.testing.assert_close(losses["total"], sum(value for name, value in losses.items() if name != "total"))
    losses["total"].backward()
    assert [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None] == []


def test_a_question_is_answered_from_the_video():
    """Another video gives another answer, another caption of it does not change that of the pair's own question."""
    model, batch = bridgeformer(), pairs()
    with torch.no_grad():
        before = model.encode_pairs(batch)[1]["bridge/noun"]
        other = Batch(**{**vars(batch), "frames": batch.frames.roll(1, 0)})
        assert (model.encode_pairs(other)[1]["bridge/noun"] - before).abs().amax(1).min() > 1e-4
        retold = Batch(**{**vars(batch), "token_ids": batch.token_ids.roll(1, 0)})
        torch.testing.assert_close(model.encode_pairs(retold)[1]["bridge/noun"], before)


def test_padding_of_questions_and_videos_changes_no_loss():
    model, batch = bridgeformer(), pairs()
    losses = model.losses(batch)
    batch.questions = torch.where(batch.question_mask, batch.questions, 3)
    batch.frames = torch.where(batch.video_mask[:, :, None, None, None], batch.frames, torch.tensor(9).byte())
    torch.testing.assert_close(model.losses(batch), losses)


def test_a_caption_without_such_a_phrase_is_not_asked():
    model, batch = bridgeformer(), pairs()
    losses = model.losses(batch)
    batch.questions[2, 1] = 77
    torch.testing.assert_close(model.losses(batch), losses)
    batch.question_mask[:, 1] = False  # and if none has one
    losses = model.losses(batch)
    assert losses["contrastive/verb"] == 0
    losses["total"].backward()


def test_equal_answers_are_all_right():
    batch = pairs()
    text, video = bridgeformer().encode_pairs(batch)
    correct, as_published = (
        bridgeformer(departures={"same_answer": choice}).losses_of(text, video, targets_of(batch))["contrastive/noun"]
        for choice in ("correct", "released")
    )
    logits = 20 * video["bridge/noun"] @ text["answer/noun"].mT
    torch.testing.assert_close(as_published, (of_diagonal(logits) + of_diagonal(logits.mT)) / 2)
    torch.testing.assert_close(logits[:, 0], logits[:, 1])
    target = torch.eye(6)
    target[:2, :2] = 0.5
    expected = [-(target * way.log_softmax(1)).sum(1).mean() for way in (logits, logits.mT)]
    torch.testing.assert_close(correct, sum(expected) / 2)


def of_diagonal(logits):
    return -logits.log_softmax(1).diagonal().mean()


def test_the_first_part_of_the_curriculum_sees_one_frame():
    model = build(BridgeFormerConfig(questions=("noun",), seen_frames=1)).eval()
    batch = pairs()
    chosen = set()
    for model.step in range(20):
        frames, mask = model._drawn_frames(batch)
        assert frames.shape[:2] == (6, 1)
        assert mask.all()
        chosen |= {int((batch.frames[0] == frames[0]).flatten(1).all(1).nonzero()) for _ in (0,)}
    assert chosen == {0, 1, 2, 3}
    model.step = 7
    torch.testing.assert_close(model.losses(batch), model.losses(batch))


def masked(**options):
    return build(MILESConfig(masking=options)).train()


def test_hidden_patches_are_guessed_from_the_rest():
    model, batch = masked(), pairs(asked=False)
    losses = model.eval().losses(batch)
    assert losses.keys() == {"total", "contrastive", "masking"}
    losses["total"].backward()
    assert all(weight.grad is None for weight in model.snapshot.parameters())
    unreached = [n for n, w in model.named_parameters() if w.requires_grad and w.grad is None]
    assert unreached == []


def test_what_is_hidden_is_not_seen():
    """Other pixels in the hidden places change what is to be guessed, not the guess."""
    model, batch = masked().eval(), pairs(asked=False)
    places = model._hidden(batch.video_index, 0.5)
    assert places.sum(1).tolist() == [8] * 6
    patched = places.view(6, 1, 1, 4, 4).repeat_interleave(8, 3).repeat_interleave(8, 4)
    other = torch.where(patched, 255 - batch.frames, batch.frames)
    instead = (places, model.hidden_patch)
    with torch.no_grad():
        guess, same = (
            model.video_tower(*model.as_seen(frames, batch.video_mask), instead)[-1] for frames in (batch.frames, other)
        )
        torch.testing.assert_close(guess, same)
        seen, changed = (model.video_states(frames, batch.video_mask)[-1] for frames in (batch.frames, other))
        assert (seen - changed).abs().max() > 1e-2


def test_the_copy_follows_slowly():
    model = masked(momentum=0.9)
    before = {name: weight.clone() for name, weight in model.snapshot.named_parameters()}
    with torch.no_grad():
        for weight in (*model.video_tower.parameters(), *model.video_projection.parameters()):
            weight += 1
    model.after_step()
    for name, weight in model.snapshot.named_parameters():
        torch.testing.assert_close(weight, before[name] + 0.1, msg=name)


# ---- vocabulary and sizes


def test_a_vocabulary_of_another_size_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    with pytest.raises(InputError, match=r"vocab\.txt: 6 tokens, but towers base have 30522"):
        build(BridgeFormerConfig(towers="base", vocabulary=str(tmp_path / "vocab.txt")))
    with pytest.raises(InputError, match=r"give model\.vocabulary, the vocab\.txt of DistilBERT"):
        build(BridgeFormerConfig(towers="base"))
    model = build(BridgeFormerConfig(vocabulary=str(tmp_path / "vocab.txt")))
    assert model.tokenize(["a b"], 5)[0].tolist() == [[2, 5, 1, 3, 0]]


def test_towers_that_are_none(tmp_path):
    with pytest.raises(InputError, match="no towers 'huge'; known: base, tiny"):
        build(MILESConfig(towers="huge"))
    (tmp_path / "odd.json").write_text('{"projection": 8}')
    with pytest.raises(InputError, match=r"odd\.json: text: Field required"):
        build(MILESConfig(towers=str(tmp_path / "odd.json")))


# ---- weights to start from


def test_towers_start_from_a_distilbert_and_an_image_transformer(tmp_path):
    source = build(MILESConfig(), seed=1)
    text = {f"distilbert.{name}": weight for name, weight in source.text_tower.bert.state_dict().items()}
    torch.save(text | {"vocab_projector.bias": torch.ones(3)}, tmp_path / "pytorch_model.bin")
    image = build(BridgeFormerConfig(), seed=1).video_tower.state_dict()
    torch.save(image | {"head.weight": torch.ones(3, 3)}, tmp_path / "vit.pth")
    files = {"text_weights": str(tmp_path / "pytorch_model.bin"), "video_weights": str(tmp_path / "vit.pth")}
    model = build(MILESConfig(masking={}, **files))
    assert all(
        torch.equal(weight, source.text_tower.state_dict()[n]) for n, weight in model.text_tower.state_dict().items()
    )
    for tower in (model.video_tower, model.snapshot["video_tower"]):
        assert all(torch.equal(tower.state_dict()[name], weight) for name, weight in image.items())
    # attention over time begins as none: each frame is seen as the image transformer sees it
    frames = torch.randn(2, 1, 3, 32, 32).expand(-1, 3, -1, -1, -1)
    seen = torch.ones(2, 3, dtype=torch.bool)
    alone = build(BridgeFormerConfig(video_weights=files["video_weights"]))
    with torch.no_grad():
        torch.testing.assert_close(model.video_tower(frames, seen)[-1], alone.video_tower(frames, seen)[-1])
    del image["blocks.1.attn.qkv.bias"]
    torch.save(image, tmp_path / "vit.pth")
    with pytest.raises(InputError, match=r"vit\.pth: does not fit the model: missing blocks\.1\.attn\.qkv\.bias"):
        build(MILESConfig(**files))
    with pytest.raises(ValueError, match="weights are those of both towers"):
        MILESConfig(weights="x.pth", **files)


def test_weights_of_a_retrieval_model_start_the_copy_too(tmp_path):
    source = build(MILESConfig(), seed=1)
    source.save(tmp_path / "model.safetensors")
    model = build(MILESConfig(masking={}, weights=str(tmp_path / "model.safetensors")))
    for name, weight in model.snapshot.state_dict().items():
        assert torch.equal(weight, source.state_dict()[name])


# ---- what weights bring, and what not


def test_the_temperature_is_an_option_whatever_weights_are_loaded(tmp_path):
    build(BridgeFormerConfig()).save(tmp_path / "model.safetensors")
    model = build(BridgeFormerConfig(temperature=0.5, weights=str(tmp_path / "model.safetensors")))
    assert model.logit_scale.exp().item() == pytest.approx(2)


@pytest.mark.parametrize(
    ("config", "part"),
    [
        (BridgeFormerConfig(questions=("noun",)), "bridge.blocks.0"),
        (MILESConfig(masking={}), "snapshot.video_tower.blocks.0"),
    ],
    ids=TOWERS,
)
def test_half_of_what_pre_training_adds_is_refused(config, part):
    model = build(config)
    state = {name: weight for name, weight in model.state_dict().items() if not name.startswith(part)}
    with pytest.raises(InputError, match=rf"file: .*missing {part}"):
        model.start_from(state, "file")


def test_heads_that_are_none():
    for heads in (4, (3, 4), (4, 0), "ab"):
        with pytest.raises(InputError, match=r"heads=.*: give \(heads of the text tower, of the video tower\)"):
            released.load("bridgeformer", golden_of("bridgeformer").weights, heads=heads)


def test_an_unknown_weight_of_miles_outside_its_blocks_is_kept():
    """What its pre-training has saved beside them is not known."""
    more = {"video_model.mask_token": torch.ones(1, 1, 64)}
    model = loaded("miles", golden_of("miles").weights | more)
    assert "video_model.mask_token" in released.published_state(model)
    with pytest.raises(InputError, match=r"unexpected video_model\.blocks\.0\.ls1"):
        loaded("miles", golden_of("miles").weights | {"video_model.blocks.0.ls1": torch.ones(1)})


# ---- training


def test_recomputed_activations_leave_gradients_as_they_are(system):
    model = loaded(system).train()
    golden = golden_of(system)
    batch = Batch(*(part[:4] for part in (*golden.texts, *golden.videos)), torch.arange(4), torch.full((4,), -1))
    if system in TOWERS:
        model.text_tower.eval()  # no dropout

    def gradients():
        model.zero_grad()
        model.losses(batch)["total"].backward()
        return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}

    plain = gradients()
    calls = []
    first = model.video_tower.blocks[0] if system in TOWERS else model.encoder.clip.visual.transformer.resblocks[0].ln_1
    first.register_forward_pre_hook(lambda *_: calls.append(1))
    model.recompute_activations()
    torch.testing.assert_close(gradients(), plain)
    assert len(calls) == 2


def test_in_half_precision_as_published_the_clip_sees_videos_too():
    model = loaded("bridgeformer-clip")
    golden = golden_of("bridgeformer-clip")
    with torch.no_grad():
        whole = model.encode_video(*golden.videos)["vector"]
        halve(model)
        torch.testing.assert_close(model.encode_video(*golden.videos)["vector"], whole, rtol=0, atol=5e-3)
