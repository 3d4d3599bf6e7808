"""Functions without a global L: the curvature is bounded by L0 + L1 abs(gradient), coordinate by coordinate."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..compiled.elementary import exp
from ..compiled.leaf import leaf
from ..records import FloatArray, Objective, count, float_parameter
from .separable import Box, Shape, interpreted, separable, shape


class Growth(NamedTuple):
    """Scale, rate (or exponent), center."""

    c: FloatArray
    rate: FloatArray
    centre: FloatArray


class Centre(NamedTuple):
    """Center only."""

    centre: FloatArray


@leaf
def cosh_value(w, params):
    """(c / a^2) (cosh(a x) - 1) = (2 c / a^2) sinh^2(a x / 2), without cancellation near 0."""
    total = 0.0
    for j in range(w.size):
        a = params.rate[j]
        y = 0.5 * a * (w[j] - params.centre[j])
        s = math.sinh(y)
        total += 2.0 * params.c[j] / (a * a) * s * s
    return total


@leaf
def cosh_gradient(w, params, out):
    """(c / a) sinh(a x)."""
    for j in range(w.size):
        y = params.rate[j] * (w[j] - params.centre[j])
        out[j] = params.c[j] / params.rate[j] * 0.5 * (exp(y) - exp(-y))


@leaf
def exponential_value(w, params):
    """c e^(a x)."""
    total = 0.0
    for j in range(w.size):
        total += params.c[j] * exp(params.rate[j] * (w[j] - params.centre[j]))
    return total


@leaf
def exponential_gradient(w, params, out):
    """c a e^(a x)."""
    for j in range(w.size):
        out[j] = params.c[j] * params.rate[j] * exp(params.rate[j] * (w[j] - params.centre[j]))


@leaf
def power_value(w, params):
    """c abs(x)^p / p."""
    total = 0.0
    for j in range(w.size):
        p = params.rate[j]
        total += params.c[j] * abs(w[j] - params.centre[j]) ** p / p
    return total


@leaf
def power_gradient(w, params, out):
    """c x abs(x)^(p-2)."""
    for j in range(w.size):
        x = w[j] - params.centre[j]
        out[j] = params.c[j] * x * abs(x) ** (params.rate[j] - 2.0)


@leaf
def double_well_value(w, params):
    """(x^2 - 1)^2 / 4."""
    total = 0.0
    for j in range(w.size):
        x = w[j] - params.centre[j]
        total += 0.25 * (x * x - 1.0) * (x * x - 1.0)
    return total


@leaf
def double_well_gradient(w, params, out):
    """x^3 - x."""
    for j in range(w.size):
        x = w[j] - params.centre[j]
        out[j] = x * (x * x - 1.0)


def cosh(c: ArrayLike, a: ArrayLike, *, center: ArrayLike = 0.0, box: Box | None = None) -> Objective:
    """sum_j (c_j / a_j^2) (cosh(a_j x_j) - 1): convex, (L0, L1) = (c, a).

    Examples
    --------
    >>> import anisotropic as an
    >>> L0, L1 = an.problems.cosh(2.0, 3.0).generalized_smoothness
    >>> L0.tolist(), L1.tolist()
    ([2.0], [3.0])
    """
    at = shape(center, box, c, a)
    params = Growth(at.positive(c, "c"), at.positive(a, "a"), at.centre)
    return separable("cosh", at, cosh_value, cosh_gradient, params, convex=True, generalized=(params.c, params.rate))


def exponential(c: ArrayLike, a: ArrayLike, *, center: ArrayLike = 0.0, box: Box | None = None) -> Objective:
    """sum_j c_j e^(a_j x_j): convex, (L0, L1) = (0, a); without a box the infimum 0 is not attained."""
    at = shape(center, box, c, a)
    params = Growth(at.positive(c, "c"), at.positive(a, "a"), at.centre)
    lowest, steepest = at.box or (np.full(at.dim, -np.inf), np.full(at.dim, np.inf))
    slope = np.empty(at.dim)
    interpreted(exponential_gradient)(steepest, params, slope)
    return Objective(
        "exponential",
        at.dim,
        exponential_value,
        exponential_gradient,
        params,
        generalized_smoothness=(np.zeros(at.dim), params.rate),
        gradient_bound=slope if np.isfinite(slope).all() else None,
        minimizer=lowest if np.isfinite(lowest).all() else None,
        minimum=float(interpreted(exponential_value)(lowest, params)),
        properties=frozenset({"separable", "convex"}),
        box=at.box,
        coordinatewise=True,
    )


def power(
    c: ArrayLike, p: ArrayLike, *, L1: ArrayLike = 1.0, center: ArrayLike = 0.0, box: Box | None = None
) -> Objective:
    """sum_j c_j abs(x_j)^p_j / p_j, p_j > 2: convex, (L0, L1) with L0 = c ((p - 2) / L1)^(p - 2) for any L1 > 0.

    The largest of c x^(p-2) (p - 1 - L1 x) over x > 0 is c ((p-2)/L1)^(p-2), attained at x = (p - 2) / L1.
    """
    at = shape(center, box, c, p, L1)
    params = Growth(at.positive(c, "c"), at.positive(p, "p"), at.centre)
    if not np.all(params.rate > 2.0):
        raise ValueError(f"p = {params.rate.min():g}; expected p > 2 (for p = 2 use quadratic)")
    l1 = at.positive(L1, "L1")
    l0 = params.c * ((params.rate - 2.0) / l1) ** (params.rate - 2.0)
    return separable("power", at, power_value, power_gradient, params, convex=True, generalized=(l0, l1))


def double_well(d: int, *, L1: float = 1.0, center: ArrayLike = 0.0, box: Box | None = None) -> Objective:
    """sum_j (x_j^2 - 1)^2 / 4 in `d` coordinates, minima at center +- 1: (L0, L1) by the formula below.

    L0 is the largest of abs(3 x^2 - 1) - L1 abs(x^3 - x): at x = (1 + sqrt(1 + L1^2/3)) / L1 where that exceeds 1, and
    at least 2 (the value at x = 1).
    """
    d, rate = count(d, "d"), float_parameter(L1, "L1")
    at: Shape = shape(center, box, np.empty(d))
    x = (1.0 + math.sqrt(1.0 + rate * rate / 3.0)) / rate
    l0 = max(2.0, 3.0 * x * x - 1.0 - rate * (x**3 - x)) if x > 1.0 else 2.0
    generalized = (np.full(at.dim, l0), np.full(at.dim, rate))
    return separable(
        "double well", at, double_well_value, double_well_gradient, Centre(at.centre),
        convex=False, lowest=1.0, generalized=generalized,
    )  # fmt: skip
