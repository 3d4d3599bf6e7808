"""What remains true when smoothness grows with the gradient? AdaGrad under anisotropic (L0, L1)-smoothness.

AdaGrad moves no coordinate by more than its step, so a step of at most c/max L1_j keeps every update inside the region
where the generalized descent inequality holds with kappa(c) = 2 (e^c - 1 - c)/c^2: nothing has to be clipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Eq, Gt, Le, exp, log, sqrt

from . import stationary
from .stationary import Descent
from .symbols import L0, L1, Delta, M, T, eps, largest, rho, scalar, sigma, theta, total, uniform_step
from .theorem import Bound, Requires, Solver, Source

#: Values of the free parameter theta that are tried; each gives a valid bound, large ones matter without noise.
THETAS = (*2.0 ** np.arange(-5, 8), 1e6)


def kappa(c: float) -> float:
    """2 (e^c - 1 - c)/c^2, by its series where the subtraction would lose digits.

    >>> kappa(0.0), round(kappa(1.0), 6)
    (1.0, 1.436564)
    """
    if c < 1e-3:
        return 1 + c / 3 + c**2 / 12 + c**3 / 60
    return float(2 * (np.expm1(c) - c) / c**2)


def _parts(values: dict[str, Any], th: float, lam: float | None) -> dict[str, float] | None:
    """The bound for one theta, and for the best lambda or a given one; None where its denominator is not positive."""
    eta, T_, e = values["step"], values["T"], np.asarray(values["eps"])
    s = np.asarray(values["sigma"]) / np.sqrt(values["M"])
    top = eta * float(np.max(values["L1"]))
    k = kappa(top)
    left = 1 - k * top * np.sqrt(1 + th**-2.0) / 2
    if left - (lam or 0.0) <= 1e-9:
        return None
    C = {"cross": float(np.sum(s)) * np.sqrt(T_), "eps": float(np.sum(np.sqrt(e**2 + s**2)))}

    def best(size: float) -> tuple[float, dict[str, float]]:
        logs = 2 * np.log1p((s * np.sqrt(T_) + size) / e)
        curvature = k * eta * float(np.sum((values["L0"] + th * values["L1"] * s) * logs)) / 2
        noise, bias = float(np.sum(s * logs)) / 2, values["Delta"] / eta
        if lam is None:
            return Descent(bias / left, curvature / left, noise / left**2).best()
        found = {"bias": bias, "curvature": curvature, "noise": noise / lam}
        found = {name: part / (left - lam) for name, part in found.items()}
        return sum(found.values()), found

    size = stationary.fixed_point(lambda x: stationary.root(best(x)[0], sum(C.values())))
    Q, parts = best(size)
    found = stationary.split(Q, parts, C, stationary.root(Q, sum(C.values())))
    return {name: float(part) / np.sqrt(T_) for name, part in found.items()}


def _best_theta(values: dict[str, Any]) -> dict[str, float]:
    found = [parts for th in THETAS if (parts := _parts(values, th, None)) is not None]
    if not found:
        raise ValueError(
            f"step * max L1_j = {values['step'] * np.max(values['L1']):g} reaches the cap 1.2564; take a smaller step"
        )
    return min(found, key=lambda parts: sum(parts.values()))


def _readable(values: dict[str, Any]) -> dict[str, float]:
    """theta = 1 and lambda = 1/2."""
    parts = _parts(values, 1.0, 0.5)
    if parts is None:
        raise ValueError(
            f"step * max L1_j = {values['step'] * np.max(values['L1']):g} is too large for form 'readable', which "
            "holds below 0.58; take form='solved' or a smaller step"
        )
    return parts


_S = scalar("S")


def _equation() -> Eq:
    s, c, lam = sigma / sqrt(M), uniform_step * largest(L1), scalar("lambda")
    k, size = scalar("kappa"), _S * sqrt(T)
    ell = 2 * log(1 + (sqrt(T) * s + size) / eps)
    Q = (Delta / uniform_step + total((s / (2 * lam) + k * uniform_step * (L0 + theta * L1 * s) / 2) * ell)) / (
        1 - lam - k * c * sqrt(1 + theta**-2) / 2
    )
    return Eq(size**2, Q * (total(sqrt(eps**2 + s**2)) + sqrt(T) * total(s) + size), evaluate=False)


_needs = (L0, L1, sigma, eps, uniform_step, T, M, Delta)
_cap = uniform_step * largest(L1)
nonconvex_adagrad_gen = Bound(
    "nonconvex_adagrad_gen",
    "gradient_l1",
    "upper",
    solver={"readable": Solver(_readable, _needs, _equation()), "solved": Solver(_best_theta, _needs, _equation())},
    conditions=[Gt(eps, 0), Le(exp(_cap), 1 + 2 * _cap), Eq(rho, 0)],
    requires=Requires(optimizers="adagrad", preset="nonconvex", box=False, properties="separable"),
    source=Source("crawshaw2025complexity", "2505.04599", "AdaGrad under relaxed smoothness", "derived here"),
    title="AdaGrad under (L0, L1)-smoothness, in the l1 norm, without clipping and without a gradient bound",
    assumptions=[
        "noise of mean zero given the past, one-sample variance at most sigma_j^2",
        "|f_jj| <= L0_j + L1_j |f_j| for a separable f; otherwise the descent inequality itself",
        "theta = 1 and lambda = 1/2 in form 'readable', both optimised in form 'solved'",
    ],
)
