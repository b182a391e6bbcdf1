"""The encoder's weights: OpenAI's layout, its TorchScript archives, its names, and the activation they need."""

import subprocess
import sys
from hashlib import sha256

import open_clip
import pytest
import torch
from open_clip.model import build_model_from_openai_state_dict
from safetensors.torch import save_file

from hbi.errors import InputError
from hbi.models.encoder import OPENAI_NAMES, ClipEncoder, check_weights, encoder_sizes
from hbi.weights import OPENAI_ARCHIVES, read_weights

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")

WIDTH, CONTEXT, VOCABULARY = 64, 12, 20


def openai_state(patch: int = 16, image: int = 32, layers: int = 2, dtype: torch.dtype = torch.float16) -> dict:
    """Random weights by the names and shapes of openai/CLIP (clip/model.py), in the types of its files."""
    draw = torch.Generator().manual_seed(0)
    block = {
        "attn.in_proj_weight": (3 * WIDTH, WIDTH),
        "attn.in_proj_bias": (3 * WIDTH,),
        "attn.out_proj.weight": (WIDTH, WIDTH),
        "attn.out_proj.bias": (WIDTH,),
        "ln_1.weight": (WIDTH,),
        "ln_1.bias": (WIDTH,),
        "mlp.c_fc.weight": (4 * WIDTH, WIDTH),
        "mlp.c_fc.bias": (4 * WIDTH,),
        "mlp.c_proj.weight": (WIDTH, 4 * WIDTH),
        "mlp.c_proj.bias": (WIDTH,),
        "ln_2.weight": (WIDTH,),
        "ln_2.bias": (WIDTH,),
    }
    shapes = {
        "positional_embedding": (CONTEXT, WIDTH),
        "text_projection": (WIDTH, 2 * WIDTH),
        "logit_scale": (),
        "visual.class_embedding": (WIDTH,),
        "visual.positional_embedding": ((image // patch) ** 2 + 1, WIDTH),
        "visual.proj": (WIDTH, 2 * WIDTH),
        "visual.conv1.weight": (WIDTH, 3, patch, patch),
        "token_embedding.weight": (VOCABULARY, WIDTH),
    }
    for norm in ("visual.ln_pre", "visual.ln_post", "ln_final"):
        shapes |= {f"{norm}.weight": (WIDTH,), f"{norm}.bias": (WIDTH,)}
    for tower in ("visual.transformer", "transformer"):
        for layer in range(layers):
            shapes |= {f"{tower}.resblocks.{layer}.{name}": shape for name, shape in block.items()}
    state = {name: (0.3 * torch.randn(shape, generator=draw)).to(dtype) for name, shape in shapes.items()}
    numbers = {"input_resolution": image, "context_length": CONTEXT, "vocab_size": VOCABULARY}
    return state | {name: torch.tensor(number) for name, number in numbers.items()}


def encoder(patch: int = 16, image: int = 32, quick_gelu: bool = True) -> ClipEncoder:
    vision = {"image_size": image, "layers": 2, "width": WIDTH, "patch_size": patch}
    text = {"context_length": CONTEXT, "vocab_size": VOCABULARY, "width": WIDTH, "heads": 1, "layers": 2}
    return ClipEncoder({"embed_dim": 2 * WIDTH, "quick_gelu": quick_gelu, "vision_cfg": vision, "text_cfg": text})


@pytest.mark.parametrize(("patch", "image"), [(16, 32), (32, 64), (8, 56)])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_of_openais_layout_give_openais_features(tmp_path, patch, image, suffix):
    state, file = openai_state(patch, image), tmp_path / f"clip{suffix}"
    if suffix == ".pt":
        torch.save(state, file)
    else:
        save_file(state, file)
    ours = encoder(patch, image)
    ours.load(str(file), "tiny.json")
    assert all(weight.dtype == torch.float32 for weight in ours.parameters())
    theirs = build_model_from_openai_state_dict(dict(state)).float()
    tokens = torch.tensor([[18, 3, 4, 19, 0, 0]])
    padded = torch.nn.functional.pad(tokens, (0, CONTEXT - tokens.shape[1]))  # open_clip wants the whole context
    frames = torch.randn(2, 3, image, image, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours.frames(frames), theirs.encode_image(frames))
        words = ours.words(tokens, tokens > 0)
        torch.testing.assert_close(words[:, 3], theirs.encode_text(padded))  # that of the end token


@pytest.mark.parametrize("name", ["ViT-B/32", "ViT-B/16"])
def test_openais_layout_has_the_names_of_its_encoders(name):
    """Of every size: names and shapes on the meta device, twelve layers of them."""
    with torch.device("meta"):
        ours = ClipEncoder(encoder_sizes(name)).clip.state_dict()
    layers = {key for key in openai_state(layers=12) if key not in ("input_resolution", "context_length", "vocab_size")}
    assert ours.keys() == layers
    assert ours["visual.positional_embedding"].shape == ({"32": 50, "16": 197}[name[-2:]], 768)


def test_openais_weights_want_quick_gelu(tmp_path):
    torch.save(openai_state(), tmp_path / "clip.pt")
    with pytest.raises(InputError, match="needs QuickGELU, and encoder 'ViT-B-32' has GELU; take ViT-B-32-quickgelu"):
        encoder(quick_gelu=False).load(str(tmp_path / "clip.pt"), "ViT-B-32")
    with pytest.raises(InputError, match=r"'mine.json' has GELU; give it \"quick_gelu\": true"):
        encoder(quick_gelu=False).load(str(tmp_path / "clip.pt"), "mine.json")
    for tag in ("openai", "metaclip_400m"):
        with pytest.raises(InputError, match=f"{tag}' needs QuickGELU, .*take ViT-B-16-quickgelu"):
            check_weights(tag, "ViT-B-16")
        check_weights(tag, "ViT-B-16-quickgelu")
    check_weights("laion2b_s34b_b88k", "ViT-B-16")
    check_weights("openai", "ViT-L/14@336px")


def test_openais_names_are_open_clips_with_quick_gelu():
    for name, theirs in OPENAI_NAMES.items():
        sizes = encoder_sizes(name)
        assert sizes == encoder_sizes(theirs)
        assert sizes["quick_gelu"]
    assert encoder_sizes("ViT-L/14@336px")["vision_cfg"]["image_size"] == 336
    with pytest.raises(InputError, match="unknown encoder 'ViT-B/33'; did you mean ViT-B-32"):
        encoder_sizes("ViT-B/33")


# ---- TorchScript archives


class Holder(torch.nn.Module):
    """Weights by dotted names, as a program holds them."""

    def __init__(self, state: dict):
        super().__init__()
        for name, weight in state.items():
            *path, last = name.split(".")
            owner = self
            for part in path:
                if not hasattr(owner, part):
                    owner.add_module(part, torch.nn.Module())
                owner = getattr(owner, part)
            owner.register_buffer(last, weight)

    def forward(self, x):
        return x


@pytest.fixture
def archive(tmp_path):
    torch.jit.trace(Holder(openai_state()), torch.zeros(1)).save(tmp_path / "clip.pt")
    return tmp_path / "clip.pt"


def test_a_published_archive_is_read(archive):
    state = read_weights(archive, {sha256(archive.read_bytes()).hexdigest()})
    assert state.keys() == openai_state().keys()
    assert all(torch.equal(state[name], weight) for name, weight in openai_state().items())


def test_another_archive_is_refused_and_converts_by_the_command_that_the_error_gives(archive):
    ours = encoder()
    with pytest.raises(
        InputError, match=r"TorchScript archive that is none of OpenAI's, .* would run its code"
    ) as caught:
        ours.load(str(archive), "ViT-B-32-quickgelu")
    message = str(caught.value)
    assert message.startswith(f"{archive}: ")
    assert "\n" not in message
    program = message.split('python -c "')[1].removesuffix('"')
    subprocess.run([sys.executable, "-c", program], cwd=archive.parent, check=True)
    ours.load(str(archive.with_suffix(".state.pt")), "ViT-B-32-quickgelu")
    torch.testing.assert_close(ours.clip.visual.proj, openai_state()["visual.proj"].float())


def test_one_bit_more_is_another_archive(archive):
    published = {sha256(archive.read_bytes()).hexdigest()}
    archive.write_bytes(archive.read_bytes() + b"\0")
    with pytest.raises(InputError):
        read_weights(archive, published)


def test_the_archives_of_openai_are_those_that_open_clip_downloads():
    urls = [open_clip.get_pretrained_url(name, "openai") for name in OPENAI_NAMES.values()]
    assert {url.split("/")[-2] for url in urls} == OPENAI_ARCHIVES
