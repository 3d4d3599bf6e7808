"""What can no step size do better? Lower bounds on diagonal quadratics for AdaGrad and SGD, one step size or all.

Over all step sizes the smallest value is not searched for but enclosed: on an interval of step sizes each part of the
formula is monotone or convex, so that its smallest value there is known, and intervals are halved until the enclosure
is tight. Statements and proofs: docs/theory, one page a bound.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from sympy import Eq, Gt, Sum, Symbol, sqrt

from .symbols import L, M, R, T, larger, scalar, sigma, step_size, total, uniform_eps, uniform_step_size
from .theorem import Bound, Requires, Solver, Source

#: The enclosure stops where it is this tight, relative to the smallest value seen.
TIGHT = 1e-4
#: Relative room for the rounding of the formulas, which is below 1e-12 for T up to 1e8.
ROUNDING = 1e-9
_JIANG = Source("jiang2025provable", "2406.04592", "lower bounds for SGD beside AdaGrad", "derived here")

Values = np.ndarray


def least_over_step_sizes(
    at: Callable[[Values], Values], on: Callable[[Values, Values], Values], low: float, high: float
) -> tuple[float, float]:
    """A number that no value of a function of the step size is below, and the best step size seen.

    Parameters
    ----------
    at : function of step sizes ``(k,)``
        Values of the function.
    on : function of interval ends ``(k,)``, ``(k,)``
        A lower bound on each interval; the first end may be 0 and the second infinity.
    low, high : float
        Where the enclosure is refined; what lies outside is covered by two intervals of their own.

    Examples
    --------
    The least value of x + 1/x is 2:

    >>> least, best = least_over_step_sizes(lambda x: x + 1 / x, lambda a, b: a + 1 / b, 0.1, 10.0)
    >>> 1.999 < least <= 2, round(best, 1)
    (True, 1.0)
    """
    edges = np.geomspace(low, high, 129)
    left, right = np.append(0.0, edges), np.append(edges, np.inf)
    below, values = on(left, right), at(edges)
    best, where = float(np.min(values)), float(edges[np.argmin(values)])
    for _ in range(60):
        loose = (below < best * (1 - TIGHT)) & (left > 0) & np.isfinite(right)
        if not loose.any() or loose.sum() > 100_000:
            break
        middle = np.sqrt(left[loose] * right[loose])
        values = at(middle)
        if np.min(values) < best:
            best, where = float(np.min(values)), float(middle[np.argmin(values)])
        halves = np.concatenate([left[loose], middle]), np.concatenate([middle, right[loose]])
        keep = ~loose & (below <= best)
        left, right = np.append(left[keep], halves[0]), np.append(right[keep], halves[1])
        below = np.append(below[keep], on(*halves))
    return min(float(np.min(below)), best) * (1 - ROUNDING), where


def _kinds(*columns: Any) -> tuple[np.ndarray, ...]:
    """The different coordinates, column by column, and how often each occurs."""
    size = max(np.size(c) for c in columns)
    table = np.stack([np.broadcast_to(np.asarray(c, dtype=float), (size,)) for c in columns], axis=1)
    kinds, counts = np.unique(table, axis=0, return_counts=True)
    return *kinds.T, counts


# ---- AdaGrad without noise ------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _slowed(steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """H_k = sum of i^(-1/2) for i <= k, for k below `steps`, with the running sums of H_k and of its square."""
    H = np.cumsum(1 / np.sqrt(np.arange(1, max(steps, 1))))
    return H, np.append(0.0, np.cumsum(H)), np.append(0.0, np.cumsum(H**2))


def _squares(R_: Values, eta: Values, steps: int) -> Values:
    """At most the sum over t of (w_t - w*)^2 on a quadratic: exact at t = 1 and 2, then (R - eta H_{t-1})^2."""
    H, once, twice = _slowed(steps)
    with np.errstate(divide="ignore", over="ignore"):
        k = np.searchsorted(H, R_ / eta)
    short = np.where(steps > 1, (eta - R_) ** 2, 0.0)
    long = k * R_**2 - 2 * R_ * eta * once[k] + eta**2 * twice[k]
    return np.where(R_ > 0, R_**2 + np.where(eta >= R_, short, np.maximum(long, 0)), 0.0)


def _adagrad(values: dict[str, Any]) -> dict[str, float]:
    """First and second iterate exactly, then the slow approach of a small step size."""
    steps = int(values["T"])
    h, R_, eta = (np.asarray(values[n], dtype=float) for n in ("L", "R", "step_size"))
    whole = h * _squares(R_, eta, steps) / (2 * steps)
    start = h * R_**2 / (2 * steps)
    over = eta >= R_
    return {
        "start": float(np.sum(start)),
        "overshoot": float(np.sum(np.where(over, whole - start, 0))),
        "approach": float(np.sum(np.where(over, 0, whole - start))),
    }


_S, _t, _i = scalar("S"), Symbol("t", integer=True, positive=True), Symbol("i", integer=True, positive=True)
_approach = Sum(larger(R - step_size * Sum(1 / sqrt(_i), (_i, 1, _t - 1)), 0) ** 2, (_t, 2, T))
#: Noise models whose variance is exactly, or at least, sigma_j^2/M.
_EXACT_VARIANCE = {"none", "gaussian", "rademacher", "student_t", "sparse", "two_point", "two_phase", "affine"}
_QUADRATIC: dict[str, Any] = {"objectives": "quadratic", "properties": "separable", "box": False}
adagrad_lower = Bound(
    "adagrad_lower",
    "mean_gap",
    "lower",
    forms={
        "path": Solver(
            _adagrad,
            (L, R, step_size, T),
            Eq(_S, total(L * (R**2 + larger(step_size - R, 0) ** 2 + _approach)) / (2 * T), evaluate=False),
        )
    },
    requires=Requires(optimizers="adagrad", preset="convex", noises="none", **_QUADRATIC),
    source=_JIANG,
    title="AdaGrad on a diagonal quadratic without noise: too long a step size overshoots, too short a one crawls",
    assumptions=["L_j is the curvature itself; eps = 0; coordinates that start at their minimizer count nothing"],
    conditions=[Eq(uniform_eps, 0)],
)


def _adagrad_every(values: dict[str, Any]) -> dict[str, float]:
    """The least value over the step size: each coordinate falls with it up to R_j and rises beyond."""
    steps = int(values["T"])
    h, R_, count = _kinds(values["L"], values["R"])
    weight = h * count / (2 * steps)
    live = (R_ > 0) & (weight > 0)
    R_, weight = R_[live], weight[live]
    if not R_.size:
        return {"bias": 0.0}

    def at(eta: Values) -> Values:
        return _squares(R_, eta[:, None], steps) @ weight

    def on(left: Values, right: Values) -> Values:
        a, b = left[:, None], right[:, None]
        inside = np.where(b < R_, _squares(R_, np.minimum(b, R_), steps), R_**2)
        return np.where(a >= R_, _squares(R_, np.maximum(a, R_), steps), inside) @ weight

    if steps == 1:
        return {"bias": float(R_**2 @ weight)}
    least, _ = least_over_step_sizes(at, on, float(R_.min()) / (4 * np.sqrt(steps)), 2 * float(R_.max()))
    return {"bias": least}


adagrad_every_step_lower = Bound(
    "adagrad_every_step_lower",
    "mean_gap",
    "lower",
    forms={"enclosed": Solver(_adagrad_every, (L, R, T))},
    conditions=[Eq(uniform_eps, 0), Gt(uniform_step_size, 0, evaluate=False)],
    requires=Requires(optimizers="adagrad", preset="convex", noises="none", **_QUADRATIC),
    source=_JIANG,
    title="AdaGrad on a diagonal quadratic without noise, for every uniform step size",
    assumptions=[
        "the least value over the step size of adagrad_lower, enclosed from below",
        "L_j is the curvature itself; eps = 0; one step size for all coordinates",
    ],
)


def overshoot_instance(d: int, T: int, L: float = 1.0, R: float = 1.0, near: float = 1e-6) -> dict[str, Any]:
    """Constants of L |w - w*|^2/2 started at distance R in one coordinate and R `near` in the others.

    AdaGrad's first update moves every coordinate by the whole step size: the far one needs it, the others overshoot.

    Examples
    --------
    >>> import anisotropic.bounds as bounds
    >>> c = bounds.overshoot_instance(1000, 2000)
    >>> bool(12.9 * bounds.convex_sgd(**c, step_size=1.0) < bounds.adagrad_every_step_lower(**c))
    True
    """
    if d < 2 or T < 2:
        raise ValueError(f"d = {d}, T = {T}; expected at least two coordinates and two updates")
    distance = np.full(d, R * near)
    distance[0] = R
    return {"L": np.full(d, float(L)), "R": distance, "sigma": 0.0, "T": T, "M": 1}


# ---- SGD under noise ------------------------------------------------------------------------------------------------


def _geometric(u: Values, steps: int) -> Values:
    """1 + r + ... + r^(T-1) for r = 1 - u >= 0."""
    u = np.minimum(u, 1.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(u == 0, float(steps), -np.expm1(steps * np.log1p(-u)) / np.where(u == 0, 1.0, u))


def _accumulated(u: Values, steps: int) -> Values:
    """At most the sum over t < T of 1 + r + ... + r^(t-1) for r = 1 - u >= 0; exact but where T u is small.

    There the difference below would lose digits, and two terms of an alternating series are below the sum.
    """
    pairs = steps * (steps - 1) / 2
    series = pairs * (1 - np.maximum(u, 0) * (steps - 2) / 3)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        closed = (steps - _geometric(u, steps)) / np.where(u == 0, 1.0, u)
    return np.maximum(np.where(np.abs(u) * steps < 1e-3, series, closed), 0)


def _sgd_every(values: dict[str, Any]) -> dict[str, float]:
    """The least value over the step size: the noise rises with it, each bias is convex and least at 1/h_j."""
    steps = int(values["T"])
    h, s2, R2, count = _kinds(
        values["L"], np.asarray(values["sigma"]) ** 2 / values["M"], np.asarray(values["R"]) ** 2
    )
    weight = h * count / (2 * steps)
    far, noisy = (h > 0) & (R2 > 0), (h > 0) & (s2 > 0)
    if not far.any():
        return {"bias": 0.0, "noise": 0.0}

    def bias(eta: Values) -> Values:
        a = eta * h[far]
        with np.errstate(over="ignore"):
            return (R2[far] * _geometric(a * (2 - a), steps)) @ weight[far]

    def noise(eta: Values) -> Values:
        a = eta[:, None] * h[noisy]
        with np.errstate(over="ignore"):
            return (eta[:, None] ** 2 * s2[noisy] * _accumulated(a * (2 - a), steps)) @ weight[noisy]

    def at(eta: Values) -> Values:
        return bias(eta[:, None]) + noise(eta)

    def on(left: Values, right: Values) -> Values:
        return bias(np.clip(1 / h[far], left[:, None], right[:, None])) + noise(left)

    low, high = 1e-6 / (steps * float(h.max())), 2 / float(h[far].min())
    least, best = least_over_step_sizes(at, on, low, high)
    share = float((noise(np.array([best])) / at(np.array([best])))[0])
    return {"bias": (1 - share) * least, "noise": share * least}


sgd_every_step_lower = Bound(
    "sgd_every_step_lower",
    "mean_gap",
    "lower",
    forms={"enclosed": Solver(_sgd_every, (L, sigma, R, T, M))},
    conditions=[Gt(uniform_step_size, 0, evaluate=False)],
    requires=Requires(optimizers="sgd", noises=_EXACT_VARIANCE, **_QUADRATIC),
    source=_JIANG,
    title="SGD on a diagonal quadratic under noise, for every constant step size",
    assumptions=[
        "the least value over the step size of the exact mean gap, enclosed from below; no step size is too long",
        "L_j is the curvature itself; noise of mean zero given the past, one-sample variance at least sigma_j^2",
    ],
)


def _sgd_any_schedule(c: dict[str, Any]) -> dict[str, float]:
    """sum_j h_j/2 (1/R_j^2 + T h_j^2/s_j^2)^-1, coordinates that stand still or have no noise counting nothing."""
    far, variance = c["R"] ** 2, c["sigma"] ** 2 / c["M"]
    whole = variance + c["T"] * c["L"] ** 2 * far
    left = np.divide(far * variance, whole, out=np.zeros_like(far), where=whole > 0)
    return {"noise": float(np.sum(c["L"] * left) / 2)}


sgd_every_schedule_lower = Bound(
    "sgd_every_schedule_lower",
    "gap",
    "lower",
    forms={
        "solved": Solver(
            _sgd_any_schedule,
            (L, sigma, R, T, M),
            Eq(scalar("S"), total(L * R**2 * sigma**2 / (sigma**2 + M * T * L**2 * R**2)) / 2),
        )
    },
    requires=Requires(optimizers="sgd", noises=_EXACT_VARIANCE, schedule=None, fixed_schedule=True, **_QUADRATIC),
    source=Source("kalman1960new", "", "the gain of a filter without drift", "in the spirit of"),
    title="SGD on a diagonal quadratic under noise, for every schedule",
    assumptions=[
        "L_j is the curvature itself; noise of mean zero given the past, one-sample variance at least sigma_j^2",
        "any step sizes fixed before the run, one for all coordinates or one for each",
    ],
    horizon=False,
)


def quick_or_quiet_instance(d: int, T: int, sigma: float = 1.0, R: float = 1.0, M: int = 1) -> dict[str, Any]:
    """Constants of a quadratic with noise in one coordinate and all the distance in the others.

    The noisy coordinate wants a short step size, the far ones a long one. With e = sqrt(d-1) R/(s sqrt(T)) and
    s = sigma/sqrt(M) the curvature is 0.3/e in the noisy coordinate and 2/(e T) in the others.

    Examples
    --------
    >>> import anisotropic.bounds as bounds
    >>> c = bounds.quick_or_quiet_instance(1000, 10_000)
    >>> bool(5 * bounds.convex_adagrad("sharp", **c) < bounds.sgd_every_step_lower(**c))
    True
    """
    if d < 2 or T < 2:
        raise ValueError(f"d = {d}, T = {T}; expected at least two coordinates and two updates")
    balance = np.sqrt((d - 1) * M / T) * R / sigma
    curvature, level, distance = np.full(d, 2 / (balance * T)), np.zeros(d), np.full(d, float(R))
    curvature[0], level[0], distance[0] = 0.3 / balance, sigma, 0.0
    return {"L": curvature, "sigma": level, "R": distance, "D": np.full(d, 2.0 * R), "T": T, "M": M}
