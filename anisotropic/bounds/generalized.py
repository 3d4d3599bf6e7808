"""What remains true when smoothness grows with the gradient? AdaGrad under anisotropic (L0, L1)-smoothness.

AdaGrad moves no coordinate by more than the step size, so one of at most c/max L1_j keeps every update inside the
region where the generalized descent inequality holds with kappa(c) = 2 (e^c - 1 - c)/c^2: nothing has to be clipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sympy import Eq, Gt, Le, exp, log, sqrt

from . import fixed_point as stationary
from .fixed_point import NOISE_COST
from .symbols import L0, L1, Delta, M, T, eps, largest, rho, scalar, sigma, theta, total, uniform_step_size
from .theorem import Bound, Requires, Solver, Source


def kappa(c: float) -> float:
    """2 (e^c - 1 - c)/c^2, by its series where the subtraction would lose digits.

    >>> kappa(0.0), round(kappa(1.0), 6)
    (1.0, 1.436564)
    """
    if c < 1e-3:
        return 1 + c / 3 + c**2 / 12 + c**3 / 60
    return float(2 * (np.expm1(c) - c) / c**2)


def best_theta(constant: float, slope: float, mu: float) -> float:
    """The theta that minimizes (constant + slope theta)/(1 - mu sqrt(1 + theta^-2)), for 0 < mu < 1.

    The denominator is concave and increasing, so the quotient falls, then rises; where its derivative changes sign is
    (4/3)^(1/4) in the first example, and without noise (no slope) never.

    >>> round(best_theta(0.0, 1.0, 0.5) ** 4, 9), best_theta(1.0, 0.0, 0.5)
    (1.333333333, inf)
    """
    if slope == 0:
        return np.inf
    from scipy.optimize import brentq

    def derivative(theta: float) -> float:
        root = np.sqrt(1 + theta**2)
        return slope * theta * root * (theta - mu * root) - mu * (constant + slope * theta)

    low = high = mu / np.sqrt(1 - mu**2)  # where the denominator vanishes
    while derivative(high) <= 0:
        high = 4 * high + 1
    return float(brentq(derivative, low, high))


def best_share(constant: float, costs: np.ndarray, shares: np.ndarray) -> float:
    """The mu that minimizes (constant + sum of costs ((mu/shares)^2 - 1)^(-1/2))/(1 - mu), max shares < mu < 1.

    The sum is convex and falls, so the derivative of the quotient changes its sign once. Without costs it is the
    smallest mu. With one coordinate, or equal ones, it is the best theta by another name:

    >>> theta, mu = best_theta(1.0, 2.0, 0.5), best_share(1.0, np.array([2.0]), np.array([0.5]))
    >>> bool(abs(0.5 * np.sqrt(1 + theta**-2) - mu) < 1e-9)
    True
    """
    lowest = float(np.max(shares, initial=0.0))
    live = (costs > 0) & (shares > 0)
    if not live.any():
        return lowest
    cost, share = costs[live], shares[live]

    def derivative(mu: float) -> float:
        beyond = (mu / share) ** 2 - 1
        return float(np.sum(cost * beyond**-0.5) + constant - (1 - mu) * np.sum(cost * mu / share**2 * beyond**-1.5))

    from scipy.optimize import brentq

    low = lowest + (1 - lowest) * 1e-9
    return low if derivative(low) >= 0 else float(brentq(derivative, low, 1 - 1e-12))


class _Sizes(NamedTuple):
    """What the three forms share: step size, horizon, noise of a batch, kappa, and the part C of the fixed point."""

    eta: float
    T: float
    e: np.ndarray
    s: np.ndarray
    kappa: float
    top: float
    C: dict[str, float]


def _sizes(values: dict[str, Any]) -> _Sizes:
    e, s = np.asarray(values["eps"]), np.asarray(values["sigma"]) / np.sqrt(values["M"])
    top = values["step_size"] * float(np.max(values["L1"]))
    C = {"cross": float(np.sum(s)) * np.sqrt(values["T"]), "eps": float(np.sum(np.sqrt(e**2 + s**2)))}
    return _Sizes(values["step_size"], values["T"], e, s, kappa(top), top, C)


def _fixed(values: dict[str, Any], of: _Sizes, finish: Callable[..., tuple[float, float]]) -> dict[str, float]:
    """The bound where `finish` tells, for each size of the gradients, what L1 costs and which share of descent is left.

    `finish(Q, logs)` gets the sum of the other parts of Q and the logarithms.
    """

    def pieces(size: float) -> dict[str, float]:
        logs = 2 * np.log1p((of.s * np.sqrt(of.T) + size) / of.e)
        smooth = of.kappa * of.eta / 2 * float(np.sum(values["L0"] * logs))
        Q = {"bias": values["Delta"] / of.eta, "curvature": smooth, "noise": NOISE_COST * float(np.sum(of.s * logs))}
        cost, left = finish(sum(Q.values()), logs)
        Q["curvature"] += cost
        return stationary.split({name: part / left for name, part in Q.items()}, of.C)

    size = stationary.fixed_point(lambda x: sum(pieces(x).values()))
    return {name: float(part) / np.sqrt(of.T) for name, part in pieces(size).items()}


def _one_theta(values: dict[str, Any], theta: float | None, advice: str) -> dict[str, float]:
    """The bound for one theta; for None it is chosen anew, and best, at every size of the gradients."""
    of = _sizes(values)
    mu = of.kappa * of.top / 2

    def left(th: float) -> float:
        return float(1 - mu * np.sqrt(1 + th**-2.0))

    if left(theta or np.inf) <= 1e-9:
        raise ValueError(f"step_size * max L1_j = {of.top:g} is too large for this form; {advice}")

    def finish(Q: float, logs: np.ndarray) -> tuple[float, float]:
        growing = of.kappa * of.eta / 2 * float(np.sum(values["L1"] * of.s * logs))
        th = theta or best_theta(Q, growing, mu)
        return (th * growing if growing else 0.0), left(th)

    return _fixed(values, of, finish)


def _solved(values: dict[str, Any]) -> dict[str, float]:
    return _one_theta(values, None, "the cap is 1.2564, so take a smaller step size")


def _readable(values: dict[str, Any]) -> dict[str, float]:
    return _one_theta(values, 1.0, "it holds below 0.98, so take form='solved' or a smaller step size")


def _weighted(values: dict[str, Any]) -> dict[str, float]:
    """The bound with a theta of its own for every coordinate: all give up the same share mu of their descent."""
    of = _sizes(values)
    shares = of.kappa * of.eta / 2 * np.asarray(values["L1"])
    if np.max(shares) >= 1 - 1e-9:
        raise ValueError(
            f"step_size * max L1_j = {of.top:g} is too large; the cap is 1.2564, so take a smaller step size"
        )

    def finish(Q: float, logs: np.ndarray) -> tuple[float, float]:
        costs = shares * of.s * logs
        mu = best_share(Q, costs, shares)
        live = (costs > 0) & (shares > 0)
        return float(np.sum(costs[live] * ((mu / shares[live]) ** 2 - 1) ** -0.5)), 1 - mu

    return _fixed(values, of, finish)


_S = scalar("S")


def _equation() -> Eq:
    s, c = sigma / sqrt(M), uniform_step_size * largest(L1)
    k, size = scalar("kappa"), _S * sqrt(T)
    ell = 2 * log(1 + (sqrt(T) * s + size) / eps)
    Q = (Delta / uniform_step_size + total((sqrt(2) * s + k * uniform_step_size * (L0 + theta * L1 * s) / 2) * ell)) / (
        1 - k * c * sqrt(1 + theta**-2) / 2
    )
    return Eq(size**2, Q * (total(sqrt(eps**2 + s**2)) + sqrt(T) * total(s) + size), evaluate=False)


_needs = (L0, L1, sigma, eps, uniform_step_size, T, M, Delta)
_cap = uniform_step_size * largest(L1)
nonconvex_adagrad_gen = Bound(
    "nonconvex_adagrad_gen",
    "gradient_l1",
    "upper",
    forms={
        "readable": Solver(_readable, _needs, _equation()),
        "solved": Solver(_solved, _needs, _equation()),
        "weighted": Solver(_weighted, _needs),
    },
    conditions=[Gt(eps, 0), Le(exp(_cap), 1 + 2 * _cap), Eq(rho, 0)],
    requires=Requires(optimizers="adagrad", preset="nonconvex", box=False, properties="separable"),
    source=Source("crawshaw2025complexity", "2505.04599", "AdaGrad under relaxed smoothness", "derived here"),
    title="AdaGrad under (L0, L1)-smoothness, in the l1 norm, without clipping and without a gradient bound",
    assumptions=[
        "noise of mean zero given the past, one-sample variance at most sigma_j^2",
        "|f_jj| <= L0_j + L1_j |f_j| for a separable f; otherwise the descent inequality itself",
        "theta = 1 in form 'readable', the best theta in form 'solved', the best theta_j in form 'weighted'",
    ],
)
