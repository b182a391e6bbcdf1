"""Token merging: clusters of words become phrases, clusters of frames become clips.

DPC-KNN clustering (Du et al. 2016) and the merging block of TCFormer (arXiv 2204.08680), as HBI uses them.
"""

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from hbi.config import Choice


@torch.no_grad()
def cluster(tokens: Tensor, mask: Tensor, clusters: int, neighbours: int) -> tuple[Tensor, Tensor]:
    """Density-peak clustering: a centre is dense and far from any denser token; the others join the nearest centre.

    tokens [B,N,D], mask [B,N] bool → cluster of each token [B,N] int64, and which clusters exist [B,K] bool
    (fewer valid tokens than K leave the last ones empty). Clusters are numbered by falling score of their centre.
    Deterministic, ties included (the earlier token counts as the denser), and independent of padding.
    """
    pair = mask[:, :, None] & mask[:, None, :]
    # the exact form: the one by matrix products gives a token a distance to itself
    distance = torch.cdist(tokens, tokens, compute_mode="donot_use_mm_for_euclid_dist") / math.sqrt(tokens.shape[-1])

    nearest = distance.masked_fill(~pair, torch.inf).topk(min(neighbours, tokens.shape[1]), largest=False).values
    found = nearest.isfinite()
    density = (-(nearest.masked_fill(~found, 0).square().sum(-1) / found.sum(-1).clamp(min=1))).exp()  # [B,N]

    earlier = torch.ones_like(pair[0]).tril(-1)  # [n,k]: k comes before n
    denser = (density[:, None, :] > density[:, :, None]) | ((density[:, None, :] == density[:, :, None]) & earlier)
    denser = denser & pair
    farthest = distance.masked_fill(~pair, 0).amax((1, 2))
    separation = torch.where(
        denser.any(-1), distance.masked_fill(~denser, torch.inf).amin(-1), farthest[:, None]
    )  # [B,N]

    score = (density * separation).masked_fill(~mask, -1)
    centres = score.argsort(dim=-1, descending=True, stable=True)[:, :clusters]  # [B,K]
    exists = mask.gather(1, centres)
    return _joined(distance, centres, exists), exists


@torch.no_grad()
def released_cluster(
    tokens: Tensor, mask: Tensor, clusters: int, neighbours: int, generator: Generator | None
) -> tuple[Tensor, Tensor]:
    """The same as the published code has it: shapes as of ``cluster``, with noise from ``generator`` (none: without).

    Noise of 1e-6 decides ties of density. Padded tokens are 1 farther away than the farthest two tokens of the whole
    batch; they have no density, but where there are fewer tokens than clusters they are centres as well.
    """
    distance = torch.cdist(tokens, tokens) / math.sqrt(tokens.shape[-1])  # by products above 25 tokens
    distance = torch.where(mask[:, None, :], distance, distance.max() + 1)
    nearest = distance.topk(min(neighbours, tokens.shape[1]), largest=False).values
    density = (-nearest.square().mean(-1)).exp()
    if generator:
        density = density + 1e-6 * torch.rand(density.shape, generator=generator, device=density.device)
    density = density * mask
    denser = density[:, None, :] > density[:, :, None]
    farthest = distance.amax((1, 2))[:, None, None].expand_as(distance)
    separation = torch.where(denser, distance, farthest).amin(-1)
    centres = (density * separation).topk(clusters).indices
    every = torch.ones_like(centres, dtype=torch.bool)
    return _joined(distance.mT, centres, every), mask.gather(1, centres)


def _joined(distance: Tensor, centres: Tensor, exists: Tensor) -> Tensor:
    """The nearest of the centres [B,K] that ``exists`` [B,K], for each token [B,N]; distance [B, token, centre]."""
    to_centre = distance.gather(2, centres[:, None, :].expand(-1, distance.shape[1], -1))  # [B,N,K]
    assignment = to_centre.masked_fill(~exists[:, None, :], torch.inf).argmin(-1)
    own = torch.arange(centres.shape[1], device=centres.device).expand_as(centres)
    # a centre stays in its own cluster even where a duplicate of it is a centre too
    return assignment.scatter(1, centres, torch.where(exists, own, assignment.gather(1, centres)))


class TokenMerge(nn.Module):
    """Merges N tokens into ceil(N · rate): learned scores weigh a cluster's mean, which then attends to all tokens.

    ``clustering`` and ``padding`` are hbi.config.DeparturesConfig's clustering and merge_padding.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        rate: float,
        neighbours: int,
        clustering: Choice = "correct",
        padding: Choice = "correct",
    ) -> None:
        super().__init__()
        self.rate, self.neighbours, self.heads = rate, neighbours, heads
        self.clustering, self.padding = clustering, padding
        self.convolution = nn.Conv1d(width, width, kernel_size=3, padding=1, bias=False)
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, 1)
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.projection = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor, noise: Generator | None = None) -> tuple[Tensor, Tensor]:
        """tokens [B,N,D], mask [B,N] bool → merged [B,K,D] and which of them exist [B,K].

        ``noise`` decides ties of the released clustering; with the released padding every cluster exists.
        """
        leaks = self.padding == "released"
        if not leaks:
            tokens = tokens * mask[:, :, None]  # the convolution must not see padding
        tokens = self.norm(tokens + self.convolution(tokens.transpose(1, 2)).transpose(1, 2)).float()
        score = self.score(tokens).squeeze(-1).float().masked_fill(~mask, -torch.inf)  # [B,N]
        assignment, exists = self._cluster(tokens, mask, noise)
        member = F.one_hot(assignment, exists.shape[1]).to(tokens.dtype)  # [B,N,K]
        if leaks:
            exists = torch.ones_like(exists)
            weight = score.exp()[:, :, None] * member
            weight = weight / (weight.sum(1, keepdim=True) + 1e-6)  # an empty cluster is 0, and goes on from there
        else:
            weight = (score - score.amax(-1, keepdim=True)).exp()[:, :, None] * member
            weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-30)
        merged = torch.einsum("bnk,bnd->bkd", weight, tokens)
        return (merged + self._attend(merged, tokens, score)) * exists[:, :, None], exists

    def _cluster(self, tokens: Tensor, mask: Tensor, noise: Generator | None) -> tuple[Tensor, Tensor]:
        clusters = max(math.ceil(tokens.shape[1] * self.rate), 1)
        if self.clustering == "released":
            return released_cluster(tokens, mask, clusters, self.neighbours, noise)
        return cluster(tokens, mask, clusters, self.neighbours)

    def _attend(self, merged: Tensor, tokens: Tensor, score: Tensor) -> Tensor:
        """merged [B,K,D] attends to tokens [B,N,D]; score [B,N] biases the logits (−∞ hides padding) → [B,K,D]."""

        def split(x: Tensor) -> Tensor:  # [B,·,D] → [B,heads,·,D/heads]
            return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

        query = split(self.query(self.attention_norm(merged)))
        key, value = map(split, self.key_value(self.attention_norm(tokens)).chunk(2, dim=-1))
        bias = score[:, None, None, :].to(query.dtype).expand(-1, 1, merged.shape[1], -1)
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        output: Tensor = self.projection(context.transpose(1, 2).flatten(2))
        return output
