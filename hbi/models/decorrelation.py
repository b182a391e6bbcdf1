"""Channel decorrelation (CDCR of DRL, arXiv 2203.07111): equal channels of two sides correlate, others do not."""

import torch
from torch import Tensor

from hbi.config import Choice


def correlation(left: Tensor, right: Tensor, weights: Tensor, real: Tensor, standardisation: Choice) -> Tensor:
    """Correlation [D,D] of the channels of matching rows [R,D] each, of ``weights`` [R], where they are ``real`` [R].

    Channels are standardised by the same weights; or, as published, without weights, by the unbiased deviation.
    """
    share = weights * real
    share = share / share.sum()
    if standardisation == "correct":
        left, right = (_standardised(side, share, 1.0) for side in (left, right))
    else:
        rows = real.sum()
        left, right = (_standardised(side, real / rows, rows / (rows - 1), floor=0.0) for side in (left, right))
    return torch.einsum("r,rc,rd->cd", share, left, right)


def _standardised(x: Tensor, share: Tensor, correction: Tensor | float, floor: float = 1e-12) -> Tensor:
    """x [R,D] less its mean, over its deviation; ``correction`` is a factor of the variance, ``floor`` its least."""
    centred = x - share @ x
    variance = correction * (share @ centred.square())
    return centred / variance.clamp(min=floor).sqrt()


def decorrelation(correlations: Tensor, own: float, others: float) -> Tensor:
    """own · Σ_c (C[c,c] − 1)² + others · Σ_{c≠d} C[c,d]² of correlations [D,D]."""
    diagonal = correlations.diagonal()
    outside = (correlations - diagonal.diag()).square().sum()
    return own * (diagonal - 1).square().sum() + others * outside
