"""Which exact facts tie batch, step size and noise together, where a theorem with a rate would say too much?

Fixed points of the plug-in tests, the asymptotics of AdaGrad-Norm at a fixed batch, the stationary variance of SGD, the
floor and the contraction of local SGD, and what is left of the start when rates are halved. Quadratics with curvature
h_j and noise sigma_j of one sample; derived in docs/theory/batch_tests.md and docs/theory/stationary_laws.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..records import FloatArray, count, float_parameter, float_vector


class FixedBatch(NamedTuple):
    """AdaGrad-Norm after many iterations, to leading order: accumulator v_K, step size over its root, |G_K|^2."""

    accumulator: float
    step_size: float
    gradient_l2_squared: float


def _vectors(curvature: ArrayLike, sigma: ArrayLike) -> tuple[FloatArray, FloatArray]:
    d = max(np.size(curvature), np.size(sigma))
    return float_vector(curvature, d, "curvature", low=0.0, strict=True), float_vector(sigma, d, "sigma", low=0.0)


def _stable(curvature: FloatArray, step_size: float) -> None:
    if np.max(step_size * curvature) >= 2.0:
        raise ValueError(
            f"step size x curvature = {np.max(step_size * curvature):g}; SGD has a stationary law below 2 only: "
            "lower the step size"
        )


def plug_in_rho(eta: float) -> float:
    """Relative noise that the plug-in norm test really leaves: eta^2/(1 - eta^2) in place of eta^2.

    Infinite for eta >= 1: the test cannot see noise.

    >>> plug_in_rho(0.6)
    0.5625
    """
    eta = float_parameter(eta, "eta")
    return eta**2 / (1 - eta**2) if eta < 1 else float("inf")


def plug_in_fixed_point(eta: float, trace: float, gradient_l2_squared: float) -> float:
    """Batch at which the plug-in norm test stops growing: (1/eta^2 - 1) tr(Sigma)/|G|^2, and 0 for eta >= 1.

    >>> plug_in_fixed_point(0.5, 1.0, 1e-3)
    3000.0
    """
    return max(1 / float_parameter(eta, "eta") ** 2 - 1, 0.0) * trace / gradient_l2_squared


def effective_rank(sigma: ArrayLike) -> float:
    """(tr Sigma)^2/tr(Sigma^2): how many directions share the noise.

    >>> effective_rank(np.ones(7))
    7.0
    """
    variances = np.atleast_1d(np.asarray(sigma, dtype=np.float64)) ** 2
    return float(variances.sum() ** 2 / (variances**2).sum())


def inner_product_blind(theta: float, nu: float, rank: float, backup: int = 1) -> bool:
    """Whether the plug-in augmented inner-product test passes, in the mean, on nothing but noise of this rank.

    At the floor its two ratios are 1/rank and 1 - 1/rank; averaging the last `backup` gradients multiplies them.

    >>> inner_product_blind(0.9, 5.84, rank=20), inner_product_blind(0.9, 5.84, rank=1.1)
    (True, False)
    """
    r = max(1, backup)
    return r / rank <= theta**2 and r * (1 - 1 / rank) <= nu**2


def fixed_batch(curvature: ArrayLike, sigma: ArrayLike, *, step_size: float, batch_size: int, steps: int) -> FixedBatch:
    """AdaGrad-Norm at a fixed batch: v_K ~ K tr(Sigma)/b, |G_K|^2 ~ step_size tr(H Sigma)/(2 sqrt(b K tr Sigma)).

    >>> fixed_batch(1.0, 1.0, step_size=1.0, batch_size=4, steps=100)
    FixedBatch(accumulator=25.0, step_size=0.2, gradient_l2_squared=0.025)
    """
    h, s = _vectors(curvature, sigma)
    accumulator = float(np.sum(s**2)) * steps / batch_size
    length = step_size / np.sqrt(accumulator)
    return FixedBatch(accumulator, float(length), float(length * np.sum(h * s**2) / (2 * batch_size)))


def stationary_variance(curvature: ArrayLike, sigma: ArrayLike, *, step_size: float, batch_size: int = 1) -> FloatArray:
    """Variance of SGD at a constant step size s around the minimizer: s sigma^2/(b h (2 - s h)) in each coordinate.

    >>> stationary_variance(1.0, 2.0, step_size=1.0, batch_size=4).tolist()
    [1.0]
    """
    h, s = _vectors(curvature, sigma)
    _stable(h, step_size)
    return step_size * s**2 / (batch_size * h * (2 - step_size * h))


def local_sgd_floor(
    curvature: ArrayLike, sigma: ArrayLike, *, step_size: float, batch_size: int = 1, workers: int = 1
) -> FloatArray:
    """Stationary variance of the average of local SGD: that of one worker over their number, for any local steps.

    >>> local_sgd_floor(1.0, 2.0, step_size=1.0, batch_size=4, workers=2).tolist()
    [0.5]
    """
    return stationary_variance(curvature, sigma, step_size=step_size, batch_size=batch_size) / count(workers, "workers")


def local_norm_test_contraction(
    curvature: ArrayLike, *, step_size: float, eta: float, workers: int, local_steps: int
) -> FloatArray:
    """Factor of E xbar^2 in one round when every local gradient passes the exact norm test in its coordinate.

    a^(2H) + ((a^2 + s^2 h^2 eta^2)^H - a^(2H))/M with a = 1 - s h and the step size s: linear convergence, no floor.

    >>> local_norm_test_contraction(0.5, step_size=1.0, eta=1.0, workers=2, local_steps=1).tolist()
    [0.375]
    """
    h = np.atleast_1d(np.asarray(curvature, dtype=np.float64))
    a, H = 1 - step_size * h, count(local_steps, "local_steps")
    mean = a ** (2 * H)
    return mean + ((a**2 + (step_size * h * eta) ** 2) ** H - mean) / count(workers, "workers")


def remaining_bias(curvature: ArrayLike, step_sizes: Sequence[float], lengths: Sequence[int]) -> FloatArray:
    """Share of the start that is left after phases of constant step sizes s_j: prod_j (1 - s_j h)^(n_j).

    It goes to 0 only where sum_j n_j s_j diverges: halving after phases of fixed length stalls.

    >>> remaining_bias(1.0, [0.5, 0.25], [1, 2]).tolist()
    [0.28125]
    """
    h = np.atleast_1d(np.asarray(curvature, dtype=np.float64))
    if len(step_sizes) != len(lengths):
        raise ValueError(
            f"{len(step_sizes)} step sizes and {len(lengths)} lengths; expected one length for each step size"
        )
    left = np.ones_like(h)
    for step_size, n in zip(step_sizes, lengths, strict=True):
        left *= (1 - step_size * h) ** n
    return left
