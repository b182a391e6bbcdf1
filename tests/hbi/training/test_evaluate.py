"""Evaluation block by block: the same as at once, every item encoded once, and memory that does not grow with pairs."""

import pytest
import torch
from torch.nn import functional as F

from hbi.config import HBIConfig
from hbi.cost.memory import peak_memory
from hbi.models import Encoded, System, build
from hbi.training import evaluate
from hbi.training.evaluate import FASTEST, block_side, free_memory, scores
from tests.random_batch import batch_of
from tests.similarity_matrix import similarity_matrix

MB = 2**20
ALL_LEVELS = HBIConfig(encoder="tiny", temporal_layers=1, similarity_rates={"entity": 0.5, "action": 0.3, "event": 0.2})


class Pooled(System):
    """Counts what it encodes; an item is a vector, and padding no part of its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded: list[int] = []
        self.compared: list[tuple[int, int]] = []

    def encode_text(self, token_ids, mask):
        assert not self.training
        self.encoded += token_ids[:, 0].tolist()
        return Encoded({"mean": (token_ids * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)})

    def encode_video(self, frames, mask):
        return self.encode_text(frames, mask)

    def similarity(self, text, video):
        self.compared.append((len(text), len(video)))
        return text["mean"] @ video["mean"].T


def batches(numbers, size):
    for first in range(0, len(numbers), size):
        part = numbers[first : first + size, None].expand(-1, 3)
        yield part, torch.ones_like(part, dtype=torch.bool)


def test_every_item_is_encoded_once_whatever_the_blocks(monkeypatch):
    monkeypatch.setattr(evaluate, "free_memory", lambda device: 4 * 4 * 3**2)
    model, texts, videos = Pooled().train(), torch.arange(10), torch.arange(100, 107)
    found = similarity_matrix(model, batches(texts, 4), batches(videos, 5), torch.device("cpu"), "fp32")
    assert found.tolist() == (texts[:, None] * videos).tolist()
    assert model.encoded == [*texts, *videos]
    assert model.compared[:3] == [(3, 3), (3, 3), (3, 1)]
    assert len(model.compared) == 4 * 3
    assert model.training


@pytest.fixture(scope="module")
def encoded():
    model, batch = build(ALL_LEVELS, seed=0).eval(), batch_of(6)
    with torch.no_grad():
        text, video = (
            model.encode_text(batch.token_ids, batch.text_mask),
            model.encode_video(batch.frames, batch.video_mask),
        )
    return model, text, video.select(torch.tensor([0, 3, 1, 5]))


@pytest.mark.parametrize("side", [1, 2, 5])
def test_small_blocks_give_what_one_gives(encoded, monkeypatch, side):
    model, text, video = encoded
    whole = scores(model, text, video)
    torch.testing.assert_close(scores(model, text, video, side), whole, rtol=0, atol=3e-7)
    monkeypatch.setattr(evaluate, "block_side", lambda *given: side)
    torch.testing.assert_close(scores(model, text, video), whole, rtol=0, atol=3e-7)


def test_scores_are_those_of_each_pair_alone(encoded):
    model, text, video = encoded
    found = scores(model, text, video)
    for n in range(len(text)):
        for m in range(len(video)):
            alone = model.similarity(text.select(slice(n, n + 1)), video.select(slice(m, m + 1)))
            torch.testing.assert_close(found[n, m], alone[0, 0], rtol=0, atol=3e-7)


def items(tokens: int, width: int = 512) -> Encoded:
    return Encoded({"tokens": torch.empty(1, tokens, width), "mask": torch.empty(1, tokens), "length": torch.empty(1)})


def test_blocks_are_of_the_fastest_size_until_memory_is_short():
    text, video = items(16), items(32)
    fastest = block_side(text, video, None)
    assert fastest**2 * 4 * 16 * 32 == FASTEST["cpu"]
    assert block_side(text, video, 2**40) == block_side(text, video, 4 * FASTEST["cpu"]) == fastest
    assert block_side(text, video, FASTEST["cpu"]) == fastest // 2
    assert block_side(text, video, 0) == 1


def test_blocks_are_of_fewer_items_where_these_are_longer():
    assert block_side(items(32), items(64), None) == block_side(items(16), items(32), None) // 2
    assert block_side(items(2), items(2), None) == block_side(items(1, 4), items(1), None)  # the features, if more
    pooled = Encoded({"mean": torch.empty(1, 512)})
    assert block_side(pooled, pooled, None) == 128


def test_free_memory_of_this_machine_is_told():
    free = free_memory(torch.device("cpu"))
    assert free is None or free > MB


def test_memory_is_bounded_for_long_items_at_all_levels():
    """The cosines of all pairs of a level are 1 GiB; a block of them is 32 MiB, and a few may lie in memory, freed."""
    assert peak_memory(f"{__name__}:compare", prepare=f"{__name__}:long_items").bytes < 192 * MB


def long_items(number: int = 256, tokens: int = 64, width: int = 16) -> tuple[System, Encoded, Encoded]:
    def side() -> Encoded:
        parts = {
            "tokens": F.normalize(torch.randn(number, tokens, width), dim=-1),
            "scores": torch.randn(number, tokens),
            "mask": torch.rand(number, tokens) < 0.9,
        }
        return Encoded({f"{level}/{name}": part for level in ALL_LEVELS.levels for name, part in parts.items()})

    model, text, video = build(ALL_LEVELS, seed=0).eval(), side(), side()
    scores(model, text.select(slice(2)), video.select(slice(2)))  # the libraries have started
    return model, text, video


def compare(prepared: tuple[System, Encoded, Encoded]) -> None:
    scores(*prepared)
