"""The learned estimator: its training, its scale, padding, its files. Golden numbers: models/test_estimator_golden."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hbi.errors import InputError
from hbi.files import write_atomically
from hbi.games import TokenGame, interaction
from hbi.games.estimator import (
    BanzhafEstimator,
    estimated_interaction,
    estimation_error,
    load_estimator,
    save_estimator,
    to_published,
)


def games(seed: int, B: int = 32, T: int = 8, V: int = 6) -> TokenGame:
    """Cosines of tokens that share directions, as those of a trained model do; scores of some spread; padding."""
    g = torch.Generator().manual_seed(seed)
    text, video = (torch.nn.functional.normalize(torch.randn(B, n, 4, generator=g), dim=-1) for n in (T, V))
    lengths = torch.randint(2, T + 1, (B, 1), generator=g)
    scores = (0.5 * torch.randn(B, n, generator=g) for n in (T, V))
    return TokenGame(text @ video.mT, *scores, torch.arange(T) < lengths)


def test_it_learns():
    torch.manual_seed(0)
    estimator = BanzhafEstimator(16, scale=1000.0)
    adam = torch.optim.Adam(estimator.parameters(), lr=1e-2)
    losses = []
    for step in range(120):
        game = games(step)
        loss = estimation_error(estimator, game, interaction(game))
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    unseen = games(10**6, B=64)
    found, exact = estimated_interaction(estimator, unseen)[unseen.cells], interaction(unseen)[unseen.cells]
    assert torch.corrcoef(torch.stack([found, exact]))[0, 1] > 0.6


def test_a_pair_without_words_is_zero_and_disturbs_no_other():
    game = games(0, B=2)
    cells = game.cells.clone()
    cells[1] = False
    estimator = BanzhafEstimator(8)
    found = estimator(game.similarity, cells)
    found.sum().backward()
    assert (found[1] == 0).all()
    torch.testing.assert_close(found[0], estimator(game.similarity, game.cells)[0])
    assert all(weight.grad.isfinite().all() for weight in estimator.parameters())


def test_padding_is_unseen_or_counts_as_zero():
    """Released: what padded cells hold is seen as 0, so that the same pair in a wider map reads otherwise."""
    estimator, narrow = BanzhafEstimator(8), torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.pad(narrow, (0, 2, 0, 1), value=0.7)
    words, frames = torch.arange(5) < torch.tensor([[4], [4]]), torch.arange(5) < torch.tensor([[3], [3]])
    alone = estimated_interaction(estimator, TokenGame(narrow))
    for padding, same in (("neutral", True), ("released", False)):
        game = TokenGame(wide, text_mask=words, video_mask=frames, padding=padding)
        found = estimated_interaction(estimator, game)
        assert (found[~game.cells] == 0).all()
        assert torch.allclose(found[:, :4, :3], alone, atol=1e-6) is same
        labels = torch.ones_like(found) * game.cells
        errors = (found - labels).square()[game.cells]
        counted = errors.mean() if same else errors.sum() / wide.numel()
        torch.testing.assert_close(estimation_error(estimator, game, labels), counted)


@pytest.mark.parametrize("scale", [1.0, 1000.0, 0.1])
def test_saved_it_is_the_same_to_the_bit_and_answers_in_the_scale_of_its_input(tmp_path, scale):
    estimator, game = BanzhafEstimator(8, scale), games(0)
    save_estimator(tmp_path / "it.safetensors", estimator, "shapley")
    again = load_estimator(tmp_path / "it.safetensors", "shapley")
    assert again.scale == scale
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), estimator.parameters(), strict=True))
    with torch.no_grad():
        torch.testing.assert_close(scale * estimated_interaction(again, game), estimator(game.similarity, game.cells))
    assert not any(weight.requires_grad for weight in again.parameters())


def test_an_old_file_without_a_scale_answers_in_that_of_its_input(tmp_path):
    save_file(BanzhafEstimator(8).state_dict(), tmp_path / "old.safetensors", metadata={"index": "banzhaf"})
    assert load_estimator(tmp_path / "old.safetensors", "banzhaf").scale == 1


@pytest.mark.parametrize("scale", ["nan", "0", "-1", "inf", "many"])
def test_a_scale_that_is_none_is_an_error(tmp_path, scale):
    file = tmp_path / "it.safetensors"
    save_file(BanzhafEstimator(8).state_dict(), file, metadata={"index": "banzhaf", "scale": scale})
    with pytest.raises(InputError, match=f"{file.name}: its scale is '{scale}'"):
        load_estimator(file, "banzhaf")


@pytest.mark.parametrize("name", ["it.pth", "it.pt", "it.bin", "pytorch_model.bin.3"])
@pytest.mark.parametrize(("width", "scale"), [(8, 1000.0), (64, 1.0)])
def test_a_published_file_is_known_by_its_keys(tmp_path, name, width, scale):
    estimator, game = BanzhafEstimator(width, scale), games(0)
    torch.save({f"module.{key}": weight for key, weight in to_published(estimator).items()}, tmp_path / name)
    again = load_estimator(tmp_path / name, "banzhaf")
    assert again.scale == 1000
    torch.testing.assert_close(estimated_interaction(again, game), estimated_interaction(estimator, game))
    assert torch.equal(again.query, estimator.query)


@pytest.mark.parametrize(
    ("change", "index", "message"),
    [
        ({}, "shapley", "was trained for the index banzhaf, not shapley"),
        ({"Q": None}, "banzhaf", "does not fit the model: missing Q$"),
        ({"cnn3.bias": torch.zeros(1)}, "banzhaf", "does not fit the model: unexpected cnn3.bias$"),
        ({"K": torch.zeros(2, 2)}, "banzhaf", r"does not fit the model: K is \[2, 2\], not \[64, 64\]$"),
        ({"Q": torch.zeros(0, 64)}, "banzhaf", "does not fit the model: .*Q is"),
    ],
)
def test_a_published_file_that_does_not_fit_is_an_error_in_its_names(tmp_path, change, index, message):
    file = tmp_path / "it.pth"
    state = to_published(BanzhafEstimator()) | change
    torch.save({name: weight for name, weight in state.items() if weight is not None}, file)
    with pytest.raises(InputError, match=message):
        load_estimator(file, index)


def damaged(file: Path) -> None:
    write_atomically(file, file.read_bytes()[:100])


def another_kind(file: Path) -> None:
    save_file({"query": torch.zeros(()), "surplus": torch.zeros(3)}, file)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "no such file"),
        (damaged, "not readable as plain weights"),
        (another_kind, r"does not fit the model: missing .*unexpected|does not fit the model: missing"),
        (lambda file: None, "was trained for the index banzhaf, not shapley"),
    ],
)
def test_a_file_that_cannot_serve_is_an_error_that_names_it(tmp_path, spoil, message):
    file = tmp_path / "it.safetensors"
    save_estimator(file, BanzhafEstimator(8), "banzhaf")
    spoil(file)
    with pytest.raises(InputError, match=message) as caught:
        load_estimator(file, "shapley")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu_it_says_the_same():
    estimator, game = BanzhafEstimator(8), games(0)
    on_gpu = TokenGame(game.similarity.cuda(), text_mask=game.text.mask.cuda())
    found = estimated_interaction(estimator.cuda(), on_gpu).cpu()
    torch.testing.assert_close(found, estimated_interaction(estimator.cpu(), game), rtol=1e-3, atol=1e-3)
