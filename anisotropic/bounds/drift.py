"""Can noise alone drive AdaGrad away from a minimizer? Yes: instances, and what its paths then lose at least.

A skewed noise whose rare value has probability about 1/T shows nothing but its small value for T iterations. AdaGrad
divides by the root of what it has seen, so that this small push moves it by the whole step size at first and by
step_size/sqrt(t) later: about step_size sqrt(T) in all, however small the push. Without a box nothing stops it.
Statements and proofs: docs/theory/adagrad_drift_lower.md and nonconvex_adagrad_lower.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sympy import Eq, Gt, Lt, Sum, Symbol, sqrt

from .symbols import (
    L,
    M,
    R,
    T,
    eps,
    first_phase,
    gradient_bound,
    jump_probability,
    rho,
    scalar,
    sigma,
    step_size,
    total,
    uniform_step_size,
)
from .theorem import Bound, Requires, Solver, Source


class Quiet(NamedTuple):
    """One coordinate while no jump occurs: abs(w_t - w*) is at least `path[t - 1]`.

    `first` is the size of its first gradient, `push` the small value of the noise.
    """

    path: np.ndarray
    first: float
    push: float


def _pushed(level: float, probability: float) -> float:
    """The small value of a two-point noise."""
    return level * float(np.sqrt(probability / (1 - probability)))


def _quiet(c: dict[str, float], length: int, inside: bool) -> Quiet | None:
    """The path without a jump, or None where it does not reach the straight part of the Huber function at once.

    `inside` says where eps stands. Every gradient after the first is slope - push < 0.
    """
    push, eta, e = _pushed(c["sigma"], c["jump_probability"]), c["step_size"], c["eps"]
    first = min(c["L"] * c["R"], c["gradient_bound"])
    net = push - c["gradient_bound"]
    if net <= 0 or c["L"] <= 0:
        return None
    roots = (push + first) ** 2 + np.arange(1, max(length - 1, 1)) * net**2
    if inside:
        moves = net / np.sqrt(e**2 + roots)
        start = (push - first) / np.sqrt(e**2 + (push - first) ** 2)
    else:
        moves = net / (np.sqrt(roots) + e)
        start = (push - first) / (push - first + e)
    later = eta * (start + np.concatenate([[0.0], np.cumsum(moves)])) - c["R"]
    if length < 2 or later[0] * c["L"] < c["gradient_bound"]:
        return None
    return Quiet(np.concatenate([[c["R"]], later]), first, push)


def _over_coordinates(
    values: dict[str, Any], one: Callable[[dict[str, float]], tuple[float, float]]
) -> dict[str, float]:
    """Bias and noise, added over the coordinates; those that are alike are computed once."""
    names = sorted(values)
    size = max(np.size(v) for v in values.values())
    table = np.stack([np.broadcast_to(np.asarray(values[n], dtype=float), (size,)) for n in names], axis=1)
    kinds, counts = np.unique(table, axis=0, return_counts=True)
    parts = np.array([one(dict(zip(names, map(float, row), strict=True))) for row in kinds])
    bias, noise = counts @ parts
    return {"bias": float(bias), "noise": float(noise)}


# ---- convex, without a box ------------------------------------------------------------------------------------------


def _drift(values: dict[str, Any]) -> dict[str, float]:
    """Mean over t of P(no jump before t) times the gap on the quiet path."""
    def one(c: dict[str, float]) -> tuple[float, float]:
        steps, bend = int(c["T"]), c["gradient_bound"] / c["L"] if c["L"] > 0 else np.inf
        R_ = c["R"]
        bias = c["gradient_bound"] * (R_ - bend / 2) if bend < R_ else c["L"] * R_**2 / 2
        quiet = _quiet(c, steps, inside=False)
        if quiet is None:
            return bias / steps, 0.0
        unseen = np.exp(c["M"] * np.arange(1, steps) * np.log1p(-c["jump_probability"]))
        return bias / steps, c["gradient_bound"] * float(unseen @ (quiet.path[1:] - bend / 2)) / steps

    return _over_coordinates(values, one)


_t, _i, _S = Symbol("t", integer=True, positive=True), Symbol("i", integer=True, positive=True), scalar("S")
_p, _m = jump_probability, gradient_bound
_push = sigma * sqrt(_p / (1 - _p))
_curve = step_size * Sum(1 / sqrt((_push / (_push - _m)) ** 2 + _i), (_i, 1, _t - 2))
adagrad_drift_lower = Bound(
    "adagrad_drift_lower",
    "mean_gap",
    "lower",
    forms={
        "path": Solver(
            _drift,
            (L, gradient_bound, sigma, jump_probability, R, step_size, eps, T, M),
            Eq(
                _S,
                total(_m * Sum((1 - _p) ** (M * (_t - 1)) * (step_size + _curve - _m / (2 * L)), (_t, 2, T))) / T,
                evaluate=False,
            ),
        )
    },
    conditions=[Lt(_p, 1), Eq(rho, 0)],
    requires=Requires(
        optimizers="adagrad", preset="convex", properties={"convex", "separable"}, box=False, objectives="Huber",
        noises="two_point",
    ),
    source=Source("liu2023convergence", "2209.14827", "AdaGrad(Norm) on the whole space", "derived here"),
    title="AdaGrad without a box on Huber functions under rare jumps: noise alone drives it away",
    assumptions=[
        "the noise has its rare value with probability p = jump_probability in one sample, away from the drift",
        "the printed equation is that of R = 0 and eps = 0; a coordinate adds its first gap only, unless the push "
        "sigma_j sqrt(p/(1-p)) exceeds m_j = gradient_bound_j and the first update ends on the straight part",
    ],
)


def drift_instance(T: int, d: int = 1, M: int = 1, sigma: float = 1.0, step_size: float = 1.0) -> dict[str, Any]:
    """Constants for `adagrad_drift_lower`: start at the minimizer, p = 1/(M T), slope nearly that of the push.

    The bound is then a constant times step_size sigma/sqrt(M), which tends to 0.758 as T grows: it does not fall.

    Examples
    --------
    >>> import anisotropic.bounds as bounds
    >>> [round(bounds.adagrad_drift_lower(**bounds.drift_instance(T)), 2) for T in (10**3, 10**5)]
    [0.49, 0.65]
    """
    if T < 16 or d < 1 or M < 1:
        raise ValueError(f"T = {T}, d = {d}, M = {M}; expected at least 16 updates, one coordinate and one sample")
    rare = 1 / (M * T)
    straight = (1 - T**-0.25) * _pushed(sigma, rare)
    return {
        "L": np.full(d, 20 * straight / step_size), "gradient_bound": np.full(d, straight),
        "sigma": np.full(d, float(sigma)), "jump_probability": rare, "R": np.zeros(d),
        "step_size": step_size, "eps": 0.0, "T": T, "M": M,
    }  # fmt: skip


# ---- the l1 norm of the gradient ------------------------------------------------------------------------------------


def _two_phases(values: dict[str, Any]) -> dict[str, float]:
    """Mean over t of slope times the probability that the gradient is still the slope at w_t."""
    return _over_coordinates(values, _one_coordinate)


def _one_coordinate(c: dict[str, float]) -> tuple[float, float]:
    steps, n, m, s, eta = int(c["T"]), int(c["first_phase"]), c["gradient_bound"], c["sigma"], c["step_size"]
    bias = min(c["L"] * c["R"], m) / steps
    quiet = _quiet(c, min(n + 1, steps), inside=True)
    if quiet is None:
        return bias, 0.0
    pushed = quiet.path.size
    still = np.exp(np.arange(1, pushed) * np.log1p(-c["jump_probability"]))
    mass = float(np.sum(still))
    if steps > pushed and s > m:
        after = c["eps"] ** 2 + (quiet.push - quiet.first) ** 2 + (n - 1) * (quiet.push - m) ** 2
        k = np.arange(1, steps - pushed + 1)
        back = eta * m * np.cumsum(1 / np.sqrt(after + k * (s - m) ** 2))
        spread = eta**2 * np.cumsum((s + m) ** 2 / (after + (k - 1) * (s - m) ** 2 + (s + m) ** 2))
        room = np.maximum(quiet.path[-1] - m / c["L"] - back, 0)
        mass += float(still[-1] * np.sum(room**2 / (room**2 + spread)))
    return bias, m * mass / steps


nonconvex_adagrad_lower = Bound(
    "nonconvex_adagrad_lower",
    "gradient_l1",
    "lower",
    forms={
        "path": Solver(
            _two_phases, (L, gradient_bound, sigma, jump_probability, first_phase, R, uniform_step_size, eps, T, M)
        )
    },
    conditions=[Lt(_p, 1), Eq(M, 1), Gt(eps, 0), Eq(rho, 0)],
    requires=Requires(
        optimizers="adagrad", preset="nonconvex", properties="separable", box=False, objectives="Huber",
        noises="two_phase",
    ),
    source=Source("jiang2025provable", "2406.04592", "AdaGrad in the l1 norm", "derived here"),
    title="AdaGrad on Huber functions under noise of two phases: the last noise term of nonconvex_adagrad is needed",
    assumptions=[
        "rare jumps for first_phase iterations, then signs; sigma_j is the same in both",
        "a coordinate adds its first gradient only, unless the push sigma_j sqrt(p/(1-p)) exceeds m_j = "
        "gradient_bound_j and the first update ends on the straight part",
    ],
)


def two_phase_instance(T: int, d: int = 1, sigma: float = 1.0, step_size: float = 1.0) -> dict[str, Any]:
    """Constants for `nonconvex_adagrad_lower`: start at the minimizer, sqrt(T) iterations with p = T^(-1/2)/2.

    The bound is then at least a constant times sum sigma_j T^(-1/4), whatever the step size.

    Examples
    --------
    >>> import anisotropic.bounds as bounds
    >>> [round(T**0.25 * bounds.nonconvex_adagrad_lower(**bounds.two_phase_instance(T)), 2) for T in (10**4, 10**6)]
    [0.25, 0.32]
    """
    if T < 16 or d < 1:
        raise ValueError(f"T = {T}, d = {d}; expected at least 16 updates and one coordinate")
    first = int(np.sqrt(T))
    rare = 0.5 / first
    straight = 0.75 * _pushed(sigma, rare)
    return {
        "L": np.full(d, 20 * straight / step_size), "gradient_bound": np.full(d, straight),
        "sigma": np.full(d, float(sigma)), "jump_probability": rare, "first_phase": first, "R": np.zeros(d),
        "step_size": step_size, "eps": 0.01 * straight, "T": T, "M": 1,
    }  # fmt: skip
