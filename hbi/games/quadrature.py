"""How many nodes the two integrals of the exact solution take: both rules follow from the precision that is wanted."""

import functools
import math

import numpy as np


def trapezoid_rule(spread: float, eps: float) -> tuple[float, float, int]:
    """(start, step, count) of the nodes x of ∫ f(x) dx, f(x) = y_i e^{−y_i} Π_{k≠i} (1 − q + q e^{−y_k}).

    Here y_k = e^{x+u_k}, and −spread ≤ u_k ≤ 0 are the scores less the largest one. The error is about ``eps`` at most:

    * Step. In the strip |Im x| ≤ c < π/2 the factors of the product are at most 1 in modulus, so ∫ |f(x + ic)| dx ≤
      1 / cos c. The trapezoid rule then errs by at most 2 / cos c / (e^{2πc/h} − 1) (Trefethen & Weideman, SIAM
      Review 56, 2014, theorem 5.1). With the best c, about π/2 − h/2π, that is 4πe/h · e^{−π²/h}, twice as much for a
      difference of two such integrals, and 8πe/h < 350 for h > 0.2.
    * Window. To the left f(x) ≤ e^x, so what lies below ln eps is at most eps. To the right f(x) ≤ y_i e^{−y_i}, so
      what lies above spread + ln ln(1/eps) is at most eps.

    Start and step are multiples of 1/128, so that every node is exact in float32.
    """
    digits = math.log(1 / eps)
    step = math.floor(128 * math.pi**2 / (math.log(350) + digits)) / 128
    below = math.ceil(digits / step)
    above = math.ceil((spread + math.log(digits)) / step)
    return -below * step, step, below + above + 1


@functools.cache
def unit_interval_rule(degree: int, eps: float) -> tuple[list[float], list[float]]:
    """Gauss–Legendre nodes q and weights ω on [0, 1] for an expectation over ``degree`` draws at probability q.

    ⌈(degree+1)/2⌉ nodes are exact, for the integrand is a polynomial of that degree. Fewer are as good as exact to
    ``eps``: on the ellipse with foci 0 and 1 and semi-axes of sum e^u/2 the integrand, a product of ``degree`` factors
    of the form 1 − q + q·x with 0 ≤ x ≤ 1, is at most cosh(u/2)^{2·degree}, hence m nodes err by at most
    32/15 · cosh(u/2)^{2·degree} · e^{−2mu} / (1 − e^{−2u})  (Trefethen, Approximation Theory, theorem 19.3),
    smallest near tanh(u/2) = 2m/degree. Roughly m = ½ √(degree · ln(1/eps)).
    """
    exact = degree // 2 + 1
    nodes = next(m for m in range(1, exact + 1) if m == exact or _gauss_error(m, degree) <= eps)
    x, w = np.polynomial.legendre.leggauss(nodes)
    return ((1 + x) / 2).tolist(), (w / 2).tolist()


def _gauss_error(nodes: int, degree: int) -> float:
    if 2 * nodes > degree:
        return 0.0
    if 2 * nodes == degree:  # u → ∞
        return 32 / 15 * 0.25**degree
    u = 2 * math.atanh(2 * nodes / degree)
    return 32 / 15 * math.exp(2 * degree * math.log(math.cosh(u / 2)) - 2 * nodes * u) / (1 - math.exp(-2 * u))
