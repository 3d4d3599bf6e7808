"""Is AdaGrad ever provably better than gradient descent with every constant step size? An instance, and a lower bound.

One steep coordinate caps the step size at 2/L; many flat ones, tuned to the number of updates, then cannot be left in
time. AdaGrad does not see the difference in steepness.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Eq, Le

from .symbols import L, R, T, larger, largest, scalar, total, uniform_step_size
from .theorem import Bound, Requires, Solver, Source


def hardest_product() -> float:
    """The c > 0 with e^c = 1 + 2 c, at which (1 - e^-c)^2/c is largest: 1.2564...

    >>> round(hardest_product(), 4)
    1.2564
    """
    from scipy.special import lambertw

    return float(-0.5 - lambertw(-0.5 * np.exp(-0.5), k=-1).real)


def separation_instance(d: int, T: int, L: float = 1.0, R: float = 1.0) -> dict[str, Any]:
    """Constants of the quadratic with curvature (L, h, ..., h), h = 1.2564 L/(2 T), started at distance R everywhere.

    Run it without noise in the box of half-width R around the minimizer, from a corner.

    Examples
    --------
    >>> import anisotropic.bounds as bounds
    >>> c = separation_instance(1000, 1000)
    >>> bool(bounds.convex_adagrad(**c) < bounds.sgd_separation_lower(**c))
    True
    """
    if d < 2 or T < 2:
        raise ValueError(f"d = {d}, T = {T}; expected at least two coordinates and two updates")
    curvature = np.full(d, hardest_product() * L / (2 * T))
    curvature[0] = L
    return {"L": curvature, "R": np.full(d, float(R)), "D": np.full(d, 2.0 * R), "sigma": 0.0, "T": T, "M": 1}


def _slow_coordinates(values: dict[str, Any]) -> dict[str, float]:
    """sum of h_j R_j^2/2 times the squared mean of (1 - 2 h_j/L)^(t-1), over the coordinates with 2 h_j <= L."""
    h, T_ = np.asarray(values["L"]), values["T"]
    share = 2 * h / max(float(np.max(h)), np.finfo(float).tiny)
    slow = (share <= 1) & (h > 0)
    with np.errstate(divide="ignore"):
        decay = -np.expm1(T_ * np.log1p(-share[slow])) / (T_ * share[slow])
    return {"slow coordinates": float(np.sum(h[slow] * np.asarray(values["R"])[slow] ** 2 * decay**2) / 2)}


_left = larger(1 - 2 * L / largest(L), 0)
sgd_separation_lower = Bound(
    "sgd_separation_lower",
    "average_gap",
    "lower",
    forms={
        "solved": Solver(
            _slow_coordinates,
            (L, R, T),
            Eq(scalar("S"), total(R**2 * (1 - _left**T) ** 2 / L) * largest(L) ** 2 / (8 * T**2), evaluate=False),
        )
    },
    conditions=[Le(uniform_step_size, 2 / largest(L))],
    requires=Requires(
        optimizers="sgd", objectives="quadratic", properties={"separable", "interior minimizer"}, noises="none"
    ),
    source=Source("jiang2025provable", "2406.04592", "lower bounds for SGD beside AdaGrad", "derived here"),
    title="gradient descent on a diagonal quadratic, for every constant step size up to 2/max L_j",
    assumptions=[
        "L_j is the curvature itself; the sum is over the coordinates with 2 L_j <= max L_j",
        "a box, where there is one, contains the minimizer of the quadratic",
    ],
)
