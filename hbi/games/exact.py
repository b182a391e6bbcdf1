"""Exact values and interactions of the word–frame game, in polynomial time.

A coalition draws every other player with probability q. Words and frames are drawn independently, and each term of the
worth is a weight (of words) times a maximum (over frames), so that expectations of the two factors suffice:

    I[i,j] = ½ · ( Σ_t DW[i,t] · DM[t,j]  +  Σ_v DU[j,v] · DN[v,i] )

EW[t] and EM[t] are the expected weight and maximum of word t, DW[i,t] and DM[t,j] what word i and frame j add to them
by joining; U and N are the same with words and frames exchanged. Banzhaf is q = ½; Shapley is the mean over q in [0, 1]
(Owen, Management Science 18, 1972). The axis Q lists the probabilities q, and ω [Q] the weight of each.
"""

import math

import torch
from torch import Tensor

from hbi.games.quadrature import trapezoid_rule, unit_interval_rule
from hbi.games.token_game import Side, TokenGame, spread


def exact_interaction(game: TokenGame, index: str, p: float) -> Tensor:
    """[B, T, V]: the interaction of word i and frame j."""
    T, V = game.similarity.shape[1:]
    q, omega = inclusion(index, p, T + V - 2, game.similarity)
    DW, DU = weight_gains(game.text, q), weight_gains(game.video, q)
    DM = maximum_gains(game.similarity, game.video.mask, game.neutral, q)
    DN = maximum_gains(game.similarity.mT, game.text.mask, game.neutral, q)
    half = omega[:, None, None, None] / 2
    return torch.einsum("qbit,qbtj->bij", half * DW, DM) + torch.einsum("qbjv,qbvi->bij", half * DU, DN)


def exact_values(game: TokenGame, index: str, p: float) -> tuple[Tensor, Tensor]:
    """[B, T] and [B, V]: what each word and each frame adds to the expected worth.

    Of word i:  ½ · ( Σ_t DW[i,t] · EM[t]  +  Σ_v EU[v] · DN[v,i] ).
    """
    T, V = game.similarity.shape[1:]
    q, omega = inclusion(index, p, T + V - 1, game.similarity)
    half = omega[:, None, None] / 2

    def of(side: Side, other: Side, a: Tensor) -> Tensor:
        DW, EU = weight_gains(side, q), expected_weights(other, q)
        EM, DN = expected_maxima(a, other.mask, game.neutral, q), maximum_gains(a.mT, side.mask, game.neutral, q)
        return torch.einsum("qbit,qbt->bi", DW, half * EM) + torch.einsum("qbv,qbvi->bi", half * EU, DN)

    return of(game.text, game.video, game.similarity), of(game.video, game.text, game.similarity.mT)


def exact_within(game: TokenGame, index: str, p: float, players: str) -> Tensor:
    """[B, T, T] between words, or [B, V, V] between frames; 0 on the diagonal.

    Of words i and k:  ½ · ( Σ_t D²W[i,k,t] · EM[t]  +  Σ_v EU[v] · D²N[v,i,k] ).
    With the integrands A and C of the weights and 1 − qA = 1/φ, the first sum is, node by node,

        q A_i A_k Σ_t C_t EM_t  +  C_i EM_i / φ_i · A_k  +  A_i · C_k EM_k / φ_k
    """
    words = players == "words"
    side, other = (game.text, game.video) if words else (game.video, game.text)
    a = game.similarity if words else game.similarity.mT
    T = a.shape[1]
    q, omega = inclusion(index, p, sum(a.shape[1:]) - 2, a)
    total = a.new_zeros(len(a), T, T)
    for node, weight in zip(q.split(1), omega, strict=True):  # one at a time: D²N is large
        (A,), (C,) = weight_integrands(side, node)
        (EM,), (EU,) = expected_maxima(a, other.mask, game.neutral, node), expected_weights(other, node)
        (D2N,) = maximum_second_gains(a.mT, side.mask, game.neutral, node)
        C = C * EM[:, None, :]
        first = A.mT @ (node / 2 * A * C.sum(-1, keepdim=True) + C * (1 - node * A))
        total = total + weight / 2 * (first + first.mT + torch.einsum("bv,bvik->bik", EU, D2N))
    themselves = torch.eye(T, dtype=torch.bool, device=a.device)
    return total.masked_fill(themselves | ~(side.mask[:, :, None] & side.mask[:, None, :]), 0)


def inclusion(index: str, p: float, degree: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """q [Q] and ω [Q]: the probabilities at which the ``degree`` other players are drawn, and the weight of each."""
    eps = torch.finfo(like.dtype).eps
    if index == "banzhaf":
        return like.new_full((1,), min(p, 1 - eps / 2)), like.new_ones(1)  # must not round to 1: we divide by 1 − q
    q, omega = unit_interval_rule(degree, eps)
    return like.new_tensor(q), like.new_tensor(omega)


# ---- weights --------------------------------------------------------------------------------------------------------


def weight_gains(side: Side, q: Tensor) -> Tensor:
    """DW [Q, B, T, T]: E[W_t(S∪i)] − E[W_t(S)] at [i, t], S drawn from the players other than i."""
    A, C = weight_integrands(side, q)
    DW = q[:, None, None, None] * (A.mT @ C)
    return torch.diagonal_scatter(DW, C.sum(-2), dim1=-2, dim2=-1)


def expected_weights(side: Side, q: Tensor) -> Tensor:
    """EW [Q, B, T]: E[W_t(S)], S drawn from all players of the side."""
    return q[:, None, None] * weight_integrands(side, q)[1].sum(-2)


def weight_integrands(side: Side, q: Tensor) -> tuple[Tensor, Tensor]:
    """A, C [Q, B, K, T] at K nodes x of 1/Σ_{k∈S} e^{s_k} = ∫₀^∞ Π_{k∈S} e^{−z e^{s_k}} dz with z = e^x, dz = z dx.

    With y_k = z e^{s_k}, φ_k = 1 − q + q e^{−y_k} and the step h between nodes,

        C_t = h · y_t e^{−y_t} · Π_{k≠t} φ_k      Σ C_t = E[W_t(S∪t)]          q Σ C_t = E[W_t(S)] over all S
        A_i = (e^{−y_i} − 1) / φ_i                 q Σ A_i C_t = E[W_t(S∪i)] − E[W_t(S)]   for t ≠ i
    """
    precision = torch.finfo(side.scores.dtype)
    u, width = below_largest(side, math.log(side.scores.shape[-1] / precision.eps))
    start, h, count = trapezoid_rule(width, precision.eps)
    x = start + h * torch.arange(count, dtype=u.dtype, device=u.device)
    u = u.masked_fill(~side.mask, -torch.inf)  # padding: y = 0, as if it were never there
    vanished = math.log(-2 * math.log(precision.tiny))  # e^{−y} is 0 from here on; y itself must not overflow
    y = (x[:, None] + u[:, None, :]).clamp(max=vanished).exp()
    remains = (-y).exp()
    leaves = remains - 1
    phi = torch.addcmul(torch.ones_like(y[:1, :1, :1]), q[:, None, None, None], leaves)
    product = phi.log().sum(-1, keepdim=True).exp()
    return leaves / phi, y * remains / phi * (h * product)


def below_largest(side: Side, limit: float) -> tuple[Tensor, float]:
    """u [B, T] ≤ 0, the scores less the largest one of their game, and their spread; no gap is wider than ``limit``.

    A player that far below the next one weighs less than rounding beside it, however far it is. Closing such gaps
    changes no weight and bounds the number of nodes. Ordinary scores (a spread below ``limit``) have none.
    """
    s = side.scores
    if side.spread <= limit:
        return s - s.detach().amax(-1, keepdim=True), side.spread
    descending, order = s.sort(-1, descending=True)
    falls = descending.diff(dim=-1, prepend=descending[:, :1]).clamp(min=-limit).cumsum(-1)
    u = torch.empty_like(s).scatter(-1, order, falls)
    return u, spread(u).item()


# ---- maxima ---------------------------------------------------------------------------------------------------------


def maximum_gains(a: Tensor, mask: Tensor, neutral: bool, q: Tensor) -> Tensor:
    """DM [Q, ..., T, V]: E[M_t(S∪j)] − E[M_t(S)] at [t, j], S drawn from the frames other than j; a [..., T, V]."""
    frames, below = never_absent(a, mask, neutral)
    q = across(q, a)
    return floored_gains(a, q) + (q ** (frames - 1).clamp(min=0) * below) * mask[..., None, :]


def maximum_second_gains(a: Tensor, mask: Tensor, neutral: bool, q: Tensor) -> Tensor:
    """D²M [Q, ..., T, V, V]: what frames j and k add jointly beyond what each adds alone (not meant for j = k).

    A step of the maximum that either of them reaches, both together reach no better; so the worse of the two decides,
    and there is one frame fewer that might have reached it.
    """
    frames, below = never_absent(a, mask, neutral)
    q = across(q, a)
    gains = floored_gains(a, q)
    worse = torch.minimum(gains[..., :, None], gains[..., None, :])
    return (q ** (frames - 2).clamp(min=0) * below)[..., None] - worse / (1 - q[..., None])


def expected_maxima(a: Tensor, mask: Tensor, neutral: bool, q: Tensor) -> Tensor:
    """EM [Q, ..., T]: E[M_t(S)], S drawn from all frames: the best frame's similarity less what is lost without it."""
    frames, below = never_absent(a, mask, neutral)
    q = across(q, a)
    best, gain = a.clamp(min=0).amax(-1, keepdim=True), floored_gains(a, q).amax(-1, keepdim=True)
    return (best - (1 - q) * gain + q**frames * below).squeeze(-1)


def floored_gains(a: Tensor, q: Tensor) -> Tensor:
    """[Q, ..., T, V]: the gains of a maximum that is never below 0, by one sort.

    With b = max(a, 0) in descending order b_(0) ≥ b_(1) ≥ … and b_(V) = 0, the frame of rank r lifts the maximum by the
    step b_(k) − b_(k+1), k ≥ r, when none of the k others above that step is in:  Σ_{k≥r} (1−q)^k (b_(k) − b_(k+1)).
    """
    ascending, order = a.clamp(min=0).contiguous().sort(-1)
    steps = ascending.diff(dim=-1, prepend=torch.zeros_like(ascending[..., :1]))
    others = torch.arange(a.shape[-1] - 1, -1, -1, device=a.device)
    gains = ((1 - q) ** others * steps).cumsum(-1)
    return torch.empty_like(gains).scatter(-1, order.expand_as(gains), gains)


def never_absent(a: Tensor, mask: Tensor, neutral: bool) -> tuple[Tensor, Tensor]:
    """The number of frames [..., 1, 1], and min(0, max_v a) [..., T, 1], which the maximum is when all of them are in.

    Any frame out counts as 0; so this coalition alone has a maximum below 0, unless padding counts as 0 as well.
    """
    mask = mask[..., None, :]
    below = a.masked_fill(~mask, -torch.inf).amax(-1, keepdim=True).clamp(max=0)
    reached = mask.any(-1, keepdim=True) if neutral else mask.all(-1, keepdim=True)
    return mask.sum(-1, keepdim=True), torch.where(reached, below, 0)


def across(q: Tensor, a: Tensor) -> Tensor:
    """q [Q] with an axis for each of a's: [Q, 1, ..., 1]."""
    return q.reshape(-1, *[1] * a.ndim)
