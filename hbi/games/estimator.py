"""The learned estimator of an interaction: a small network that reads it off the similarities (section 4.1 of
arXiv 2303.14369). It does not see the scores of words and frames, so it cannot be exact."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from hbi.errors import InputError
from hbi.files import write_atomically
from hbi.games.token_game import TokenGame
from hbi.weights import fit, read_weights


class BanzhafEstimator(nn.Module):
    """Similarities [B,T,V] → one number a cell [B,T,V]: convolution, self-attention over all cells, convolution.

    Of any T and V. The students of the Banzhaf loss are networks of this shape too.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.convolution_in = nn.Conv2d(1, width, kernel_size=3, padding=1)
        self.query, self.key, self.value = (nn.Parameter(width**-0.5 * torch.randn(width, width)) for _ in range(3))
        self.convolution_out = nn.Conv2d(width, 1, kernel_size=3, padding=1)

    def forward(self, similarity: Tensor, cells: Tensor) -> Tensor:
        """similarity [B,T,V]; cells [B,T,V] bool, True where a word meets a frame: the others are not seen, and 0."""
        real = cells.flatten(1)[:, :, None]  # [B,TV,1]
        seen = self.convolution_in((similarity * cells)[:, None]).relu()
        x = seen.flatten(2).transpose(1, 2) * real  # [B,TV,C]
        keys = real | ~real.any(1, keepdim=True)  # a game without cells would be a softmax over nothing
        context = F.scaled_dot_product_attention(
            (x @ self.query)[:, None],
            (x @ self.key)[:, None],
            (x @ self.value)[:, None],
            attn_mask=keys.transpose(1, 2)[:, None],
            scale=1.0,  # the published network does not scale its logits
        )[:, 0]
        x = ((x + context) * real).transpose(1, 2).unflatten(2, similarity.shape[1:])
        found: Tensor = self.convolution_out(x)[:, 0]
        return found.masked_fill(~cells, 0)


@torch.no_grad()
def estimated_interaction(estimator: BanzhafEstimator, game: TokenGame) -> Tensor:
    """[B, T, V]: the estimate of each cell, in the scale of a[t,v]; 0 in padded cells."""
    return estimator(game.similarity, game.cells)  # type: ignore[no-any-return]


def estimation_error(estimator: BanzhafEstimator, game: TokenGame, labels: Tensor, scale: float) -> Tensor:
    """[]: mean over the real cells of (network − scale · label)², which trains ``estimator`` in units of 1/scale."""
    errors: Tensor = estimator(game.similarity, game.cells) - scale * labels
    return errors.square().sum() / game.cells.sum().clamp(min=1)


def save_estimator(path: Path, estimator: BanzhafEstimator, index: str, scale: float = 1.0) -> None:
    """Writes ``path`` (safetensors) whole or not at all; the file's network answers in the scale of its input.

    ``scale``: the one it was trained in. The last layer is linear, so its weights take the factor 1/scale.
    """
    last = ("convolution_out.weight", "convolution_out.bias")
    weights = {name: w / scale if name in last else w for name, w in estimator.state_dict().items()}
    write_atomically(path, save({name: w.cpu() for name, w in weights.items()}, metadata={"index": index}))


def load_estimator(path: Path, index: str) -> BanzhafEstimator:
    """The trained estimator in ``path``, frozen. InputError where the file is missing, damaged, no estimator, or one
    of another ``index``: there is no estimator to fall back on, for an untrained one would teach noise."""
    weights = read_weights(path)
    query = weights.get("query")
    width = query.shape[0] if query is not None and query.ndim else 64
    estimator = BanzhafEstimator(width).requires_grad_(False)
    fit(estimator, weights, path)
    learned = _index_in(path)
    if learned != index:
        raise InputError(f"{path}: was trained for the index {learned or 'unknown'}, not {index}")
    return estimator.eval()


def _index_in(path: Path) -> str | None:
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("index")
    except SafetensorError:  # weights of another format, which do not say
        return None
