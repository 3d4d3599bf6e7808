"""What holds for AdaGrad under noise without a box? Convex bounds that pay for the drift by the floor under the root.

v_0 = eps^2. Under variance alone the distance to the minimizer may grow like step_size sqrt(T) where eps is small
(adagrad_drift_lower says that it does) and stays bounded where eps is about s sqrt(T). Noise that is bounded by eps
costs logarithms only. Statements and proofs: docs/theory, one page a bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Eq, Gt, Le, sqrt

from .fixed_point import fixed_points
from .symbols import (
    L,
    M,
    R,
    T,
    delta,
    eps,
    largest,
    noise_bound,
    rho,
    scalar,
    sigma,
    step_size,
    total,
    uniform_eps,
    uniform_step_size,
)
from .theorem import Bound, Requires, Solver, Source

_SOURCE = Source("liu2023convergence", "2209.14827", "AdaGrad(Norm) on the whole space", "in the spirit of")
_VARIANCE = "noise of mean zero given the past, one-sample variance at most sigma_j^2"
_NORM: dict[str, Any] = {"optimizers": "adagrad_norm", "preset": "nonconvex", "properties": "convex", "box": False}
_SEPARABLE: dict[str, Any] = _NORM | {"optimizers": "adagrad", "properties": {"convex", "separable"}}
_Parts = dict[str, Any]


def _as_one(values: dict[str, Any]) -> dict[str, Any]:
    """AdaGrad-Norm as one coordinate: the noise and the distance in l2 norm, the largest smoothness."""
    norm = {k: np.array([np.sqrt(np.sum(values[k] ** 2))]) for k in ("sigma", "R", "noise_bound") if k in values}
    return values | norm | {"L": np.array([np.max(values["L"])]), "eps": np.array([values["eps"]])}


def _added(parts: _Parts) -> dict[str, float]:
    return {name: float(np.sum(part)) for name, part in parts.items()}


# ---- variance only --------------------------------------------------------------------------------------------------


def _distance(values: dict[str, Any], s: np.ndarray, logs: np.ndarray) -> _Parts:
    """A^2/(2 eta) in parts, where E |w_t - w*|^2 <= A^2 = R^2 + eta^2 l + 2 sqrt(2) eta nu sqrt(l) A for all t."""
    eta, R_, e = values["step_size"], values["R"], values["eps"]
    c = eta * np.sqrt(2 * values["T"] / (e**2 + s**2)) * s * np.sqrt(logs)
    A = c + np.sqrt(c**2 + R_**2 + eta**2 * logs)
    return {"bias": R_**2 / (2 * eta), "curvature": eta * logs / 2, "noise": c * A / eta}


def _root(h: _Parts, slope: Any, C: _Parts) -> _Parts:
    """The parts of the positive Y with Y^2 = h (C + slope Y): those of h times slope, and h C/Y for each part of C."""
    whole, rest = sum(h.values()), sum(C.values())
    Y = whole * slope / 2 + np.sqrt(whole**2 * slope**2 / 4 + whole * rest)
    share = np.divide(whole, Y, out=np.zeros_like(Y), where=Y > 0)
    return {name: part * slope for name, part in h.items()} | {name: share * part for name, part in C.items()}


def _split(values: dict[str, Any]) -> dict[str, float]:
    """Every coordinate by itself: E sqrt(S_j) <= Y_j, and the root of a sum is at most the sum of the roots."""
    s, slope = values["sigma"] / np.sqrt(values["M"]), np.sqrt(2 * values["L"])
    heard = s * np.sqrt(values["T"])
    C = {"cross": heard, "eps": np.sqrt(values["eps"] ** 2 + s**2)}

    def pieces(Y: np.ndarray) -> _Parts:
        logs = 2 * np.log1p((heard + slope * Y) / values["eps"])
        return _root(_distance(values, s, logs), slope, C)

    Y = fixed_points(lambda y: np.asarray(sum(pieces(y).values())), s.size)
    return {name: part / np.sqrt(values["T"]) for name, part in _added(pieces(Y)).items()}


def _joint(values: dict[str, Any]) -> dict[str, float]:
    """All coordinates at once: the largest root of b_j for every coordinate."""
    s, slope = values["sigma"] / np.sqrt(values["M"]), np.sqrt(2 * values["L"])
    heard = s * np.sqrt(values["T"])
    C = {"cross": np.sqrt(np.sum(heard**2)), "eps": np.max(np.sqrt(values["eps"] ** 2 + s**2))}

    def pieces(Y: np.ndarray) -> _Parts:
        logs = 2 * np.log1p((heard + slope * Y) / values["eps"])
        h = {name: np.sum(part) for name, part in _distance(values, s, logs).items()}
        return _root(h, np.max(slope), C)

    Y = fixed_points(lambda y: np.atleast_1d(sum(pieces(y).values())), 1)
    return {name: part / np.sqrt(values["T"]) for name, part in _added(pieces(Y)).items()}


def _alone(values: dict[str, Any]) -> dict[str, float]:
    return _split(_as_one(values))


_S, _size = scalar("S"), scalar("A")


def _equation(smooth: Any, level: Any, start: Any, e: Any, eta: Any) -> Eq:
    """S^2 = (A^2/(2 eta T)) (sqrt(eps^2 + s^2) + s sqrt(T) + sqrt(2 L T) S), with A as on the page."""
    return Eq(
        _S**2, _size**2 / (2 * eta * T) * (sqrt(e**2 + level**2) + level * sqrt(T) + sqrt(2 * smooth * T) * _S),
        evaluate=False,
    )  # fmt: skip


_level = sqrt(total(sigma**2) / M)
convex_adagrad_norm_free_variance = Bound(
    "convex_adagrad_norm_free_variance",
    "root_mean_gap",
    "upper",
    forms={
        "solved": Solver(
            _alone,
            (L, sigma, R, uniform_step_size, uniform_eps, T, M),
            _equation(largest(L), _level, R, uniform_eps, uniform_step_size),
        )
    },
    conditions=[Gt(uniform_eps, 0), Eq(rho, 0)],
    requires=Requires(**_NORM),
    source=_SOURCE,
    title="AdaGrad-Norm without a box, convex, variance only: the price of a small eps",
    assumptions=[
        _VARIANCE,
        "A in the printed equation: A^2 = R^2 + eta^2 l + 2 sqrt(2) eta nu sqrt(l) A, nu^2 = T s^2/(eps^2 + s^2), "
        "l = 2 ln(1 + (s sqrt(T) + sqrt(2 L T) S)/eps)",
        "R is the distance of the start from any one minimizer",
    ],
)

convex_adagrad_free_variance = Bound(
    "convex_adagrad_free_variance",
    "root_mean_gap",
    "upper",
    forms={
        "split": Solver(_split, (L, sigma, R, step_size, eps, T, M)),
        "joint": Solver(_joint, (L, sigma, R, step_size, eps, T, M)),
    },
    conditions=[Gt(eps, 0), Eq(rho, 0)],
    requires=Requires(**_SEPARABLE),
    source=_SOURCE,
    title="AdaGrad without a box, convex and separable, variance only: the price of a small eps",
    assumptions=[_VARIANCE, "R is the distance of the start from any one minimizer"],
)


# ---- bounded noise --------------------------------------------------------------------------------------------------


#: What a unit of E p costs the distance in one iteration, in step sizes: sqrt(6) sin + cos/2 is at most 5/2.
DRIFT = 2.5


def price(theta: np.ndarray) -> np.ndarray:
    """The mu with DRIFT theta + e^theta - 1 - theta = e^(-theta) (1 - e^(-mu)), infinite where there is none.

    >>> price(np.array([0.15, 0.5])).round(4).tolist()
    [0.5968, inf]
    """
    share = np.exp(theta) * (DRIFT * theta + np.expm1(theta) - theta)
    return np.where(share < 1, -np.log1p(-np.minimum(share, 1 - 1e-12)), np.inf)


_THETAS = np.linspace(0.005, 0.28, 56)[:, None]
_PRICES = price(_THETAS)


def _bounded(values: dict[str, Any]) -> dict[str, float]:
    """Two events of probability delta/(2 d) for each coordinate; S from above, at the best theta."""
    s, eta, T_, e = values["sigma"] / np.sqrt(values["M"]), values["step_size"], values["T"], values["eps"]
    start, slope = np.sqrt(values["R"] ** 2 + eta**2), np.sqrt(2 * values["L"])
    rare = np.log(2 * s.size / values["delta"])
    B2 = np.asarray(values["noise_bound"]) ** 2
    heard = np.where(s > 0, np.sqrt(np.minimum(B2 * T_, (np.e - 1) * s**2 * T_ + B2 * rare)), 0.0)
    C = {"noise": heard, "eps": np.sqrt(e**2 + s**2)}

    def weight(S: np.ndarray) -> np.ndarray:
        logs = 2 * np.log1p((slope * np.sqrt(S) + heard) / e)
        reach = start + eta * (_PRICES * logs + rare) / _THETAS
        return reach**2 / (2 * eta) + reach / 2

    S = np.broadcast_to(values["L"] * (values["R"] + eta * T_) ** 2 * T_ / 2, (_THETAS.size, s.size))
    for _ in range(10_000):
        lower = np.minimum(S, weight(S) * (sum(C.values()) + slope * np.sqrt(S)))
        settled = np.all(S - lower <= 1e-12 * S)
        S = lower
        if settled:
            break
    best = np.argmin(S, axis=0), np.arange(s.size)
    h = weight(S)[best]
    parts = {"bias": h * slope * np.sqrt(S[best])} | {name: h * part for name, part in C.items()}
    scale = np.divide(S[best], sum(parts.values()), out=np.zeros(s.size), where=S[best] > 0) / T_
    return _added({name: part * scale for name, part in parts.items()})


def _bounded_norm(values: dict[str, Any]) -> dict[str, float]:
    return _bounded(_as_one(values))


_norm_needs = (L, sigma, noise_bound, R, uniform_step_size, uniform_eps, T, M, delta)
convex_adagrad_norm_free_hp = Bound(
    "convex_adagrad_norm_free_hp",
    "mean_gap",
    "upper",
    forms={"solved": Solver(_bounded_norm, _norm_needs)},
    conditions=[Gt(uniform_eps, 0), Le(sqrt(total(noise_bound**2)), uniform_eps), Eq(rho, 0)],
    requires=Requires(**_NORM),
    source=_SOURCE,
    title="AdaGrad-Norm without a box, convex, noise bounded by eps: logarithms only, in probability",
    assumptions=[
        _VARIANCE, "|xi_t|_2 <= |noise_bound|_2 almost surely", "with probability 1 - delta at all T together",
    ],
    probability=True,
)

convex_adagrad_free_hp = Bound(
    "convex_adagrad_free_hp",
    "mean_gap",
    "upper",
    forms={"solved": Solver(_bounded, (L, sigma, noise_bound, R, step_size, eps, T, M, delta))},
    conditions=[Gt(eps, 0), Le(noise_bound, eps), Eq(rho, 0)],
    requires=Requires(**_SEPARABLE),
    source=_SOURCE,
    title="AdaGrad without a box, convex and separable, noise bounded by eps: logarithms only, in probability",
    assumptions=[_VARIANCE, "|xi_tj| <= noise_bound_j almost surely", "with probability 1 - delta at all T together"],
    probability=True,
)
