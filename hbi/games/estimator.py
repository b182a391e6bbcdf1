"""The learned estimator of an interaction: a small network that reads it off the similarities (section 4.1 of
arXiv 2303.14369). It does not see the scores of words and frames, so it cannot be exact.

Its files are ours (safetensors), or those of the published code: the state dict of its network.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from hbi.errors import InputError
from hbi.files import write_atomically
from hbi.games.token_game import TokenGame
from hbi.weights import check_names_and_shapes, fit, read_weights

PUBLISHED_NAMES = {
    "query": "Q",
    "key": "K",
    "value": "V",
    "convolution_in.weight": "cnn1.weight",
    "convolution_in.bias": "cnn1.bias",
    "convolution_out.weight": "cnn2.weight",
    "convolution_out.bias": "cnn2.bias",
}
"""Our names of the weights → the published. The published network also has a batch norm "bn", which it never uses."""

PUBLISHED_SCALE = 1000.0
"""The published network learns the interactions of cosines that are multiplied by this."""


class BanzhafEstimator(nn.Module):
    """Similarities [B,T,V] → one number a cell [B,T,V]: convolution, self-attention over all cells, convolution.

    Of any T and V. The students of the Banzhaf loss are networks of this shape too.

    width  channels
    scale  what the network gives is ``scale`` times the interaction; no weight, and none is changed for it
    """

    def __init__(self, width: int = 64, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.convolution_in = nn.Conv2d(1, width, kernel_size=3, padding=1)
        self.query, self.key, self.value = (nn.Parameter(width**-0.5 * torch.randn(width, width)) for _ in range(3))
        self.convolution_out = nn.Conv2d(width, 1, kernel_size=3, padding=1)

    def forward(self, similarity: Tensor, cells: Tensor | None = None) -> Tensor:
        """similarity [B,T,V]; cells [B,T,V] bool, True where a word meets a frame: the others are not seen, and 0.

        Without ``cells`` all are seen, whatever they hold, as in the published network.
        """
        real = None if cells is None else cells.flatten(1)[:, :, None]  # [B,TV,1]
        similarity = similarity if cells is None else similarity * cells
        x = self.convolution_in(similarity[:, None]).relu().flatten(2).mT  # [B,TV,C]
        x = x if real is None else x * real
        x = x + self._context(x, real)
        x = x if real is None else x * real
        found: Tensor = self.convolution_out(x.mT.unflatten(2, similarity.shape[1:]))[:, 0]
        return found if cells is None else found.masked_fill(~cells, 0)

    def _context(self, x: Tensor, real: Tensor | None) -> Tensor:
        """[B,TV,C]: what each cell attends to among the real ones; none: among all."""
        keys = None
        if real is not None:
            seen = real | ~real.any(1, keepdim=True)  # a game without cells would be a softmax over nothing
            keys = seen.mT[:, None]
        q, k, v = ((x @ weight)[:, None] for weight in (self.query, self.key, self.value))
        scale = 1.0  # the published network does not scale its logits
        return F.scaled_dot_product_attention(q, k, v, attn_mask=keys, scale=scale)[:, 0]


@torch.no_grad()
def estimated_interaction(estimator: BanzhafEstimator, game: TokenGame) -> Tensor:
    """[B, T, V]: the estimate of each cell, in the scale of a[t,v]; 0 in padded cells."""
    return scaled_estimate(estimator, game) / estimator.scale


def estimation_error(estimator: BanzhafEstimator, game: TokenGame, labels: Tensor) -> Tensor:
    """[]: mean of (network − scale · label)², which trains the ``estimator`` in its scale: over the real cells; or,
    where padding is "released", over all cells, those of padding with an error of 0."""
    squares = (scaled_estimate(estimator, game) - estimator.scale * labels).square()
    return squares.sum() / game.cells.sum().clamp(min=1) if game.neutral else squares.mean()


def scaled_estimate(estimator: BanzhafEstimator, game: TokenGame) -> Tensor:
    """[B, T, V]: what the network says of each cell, in its scale; 0 in padded cells.

    It does not see these; where padding is "released" it does, as similarities of 0.
    """
    found: Tensor = estimator(game.similarity, game.cells if game.neutral else None)
    return found * game.cells


# ---- files ----------------------------------------------------------------------------------------------------------


def save_estimator(path: Path, estimator: BanzhafEstimator, index: str) -> None:
    """Writes ``path`` (safetensors) whole or not at all, with the scale, and the index that it estimates."""
    weights = {name: weight.cpu() for name, weight in estimator.state_dict().items()}
    write_atomically(path, save(weights, metadata={"index": index, "scale": repr(estimator.scale)}))


def load_estimator(path: Path, index: str) -> BanzhafEstimator:
    """The trained estimator in ``path``, ours or a published one (of the Banzhaf index), frozen.

    InputError where the file is missing, damaged, no estimator, or one of another ``index``: there is no estimator to
    fall back on, for an untrained one would teach noise.
    """
    weights = read_weights(path)
    if any(name in weights for name in PUBLISHED_NAMES.values()):
        learned, estimator = "banzhaf", from_published(weights, path)
    else:
        learned, scale = _index_and_scale(path)
        estimator = BanzhafEstimator(_width(weights, "query"), scale)
        fit(estimator, weights, path)
    if learned != index:
        raise InputError(f"{path}: was trained for the index {learned}, not {index}")
    return estimator.requires_grad_(False).eval()


def from_published(weights: Mapping[str, Tensor], origin: Path | str = "state dict") -> BanzhafEstimator:
    """The network with the ``weights`` of a published one, by their published names; its scale is theirs.

    InputError, which names the ``origin``, lists what is missing, unexpected or of another shape.
    """
    used = {name: weight for name, weight in weights.items() if not name.startswith("bn.")}
    estimator = BanzhafEstimator(_width(used, PUBLISHED_NAMES["query"]), PUBLISHED_SCALE)
    check_names_and_shapes({PUBLISHED_NAMES[name]: w for name, w in estimator.state_dict().items()}, used, origin)
    estimator.load_state_dict({ours: used[theirs] for ours, theirs in PUBLISHED_NAMES.items()})
    return estimator


def to_published(estimator: BanzhafEstimator) -> dict[str, Tensor]:
    """The weights of the published network that says the same, by their published names; the unused batch norm as it
    is in a new one. Those of an estimator in the published scale are not changed; others are, in the last layer."""
    weights = {PUBLISHED_NAMES[name]: weight for name, weight in estimator.state_dict().items()}
    if estimator.scale != PUBLISHED_SCALE:
        weights |= {name: PUBLISHED_SCALE / estimator.scale * weights[name] for name in ("cnn2.weight", "cnn2.bias")}
    unused = nn.BatchNorm2d(len(estimator.query)).state_dict()
    return weights | {f"bn.{name}": weight for name, weight in unused.items()}


def _width(weights: Mapping[str, Tensor], query: str) -> int:
    """Channels of a network with these ``weights``; those of the published one where they do not say."""
    shape = weights[query].shape if query in weights else ()
    return shape[0] if len(shape) == 2 and shape[0] == shape[1] > 0 else 64


def _index_and_scale(path: Path) -> tuple[str, float]:
    """What a file of ours says of itself; an old one, that does not say its scale, answers in that of its input."""
    try:
        with safe_open(path, "pt") as file:
            said = file.metadata() or {}
    except SafetensorError:  # weights of another format, which do not say
        said = {}
    try:
        scale = float(said.get("scale", "1"))
    except ValueError:
        scale = math.nan
    if not 0 < scale < math.inf:
        raise InputError(f"{path}: its scale is {said['scale']!r}, not a positive number; train the estimator again")
    return said.get("index", "unknown"), scale
