"""Convex functions that are quadratic near the minimizer and linear far away: bounded gradients, exact L."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..compiled.elementary import exp, log1p_exp, log1p_unit
from ..compiled.leaf import leaf
from ..records import FloatArray, Objective
from .separable import Box, separable, shape


class Scaled(NamedTuple):
    """Curvature at the center, width of the quadratic part (or rate), center."""

    c: FloatArray
    width: FloatArray
    centre: FloatArray


@leaf
def pseudo_huber_value(w, params):
    """sum_j c delta^2 (sqrt(1 + (x/delta)^2) - 1), written without cancellation."""
    total = 0.0
    for j in range(w.size):
        x = w[j] - params.centre[j]
        u = x / params.width[j]
        total += params.c[j] * x * x / (math.sqrt(1.0 + u * u) + 1.0)
    return total


@leaf
def pseudo_huber_gradient(w, params, out):
    """c x / sqrt(1 + (x/delta)^2)."""
    for j in range(w.size):
        x = w[j] - params.centre[j]
        u = x / params.width[j]
        out[j] = params.c[j] * x / math.sqrt(1.0 + u * u)


@leaf
def huber_value(w, params):
    """c x^2 / 2 for abs(x) <= delta, else c delta (abs(x) - delta / 2)."""
    total = 0.0
    for j in range(w.size):
        x = abs(w[j] - params.centre[j])
        near = min(x, params.width[j])
        total += params.c[j] * near * (x - 0.5 * near)
    return total


@leaf
def huber_gradient(w, params, out):
    """c x clipped to c delta."""
    for j in range(w.size):
        x = w[j] - params.centre[j]
        out[j] = params.c[j] * max(min(x, params.width[j]), -params.width[j])


@leaf
def log_cosh_value(w, params):
    """(c / a^2) ln cosh(a x); near 0 without cancellation: cosh(y)^2 = 1 + (1 - e)^2 / (4 e) with e = exp(-2 y)."""
    total = 0.0
    for j in range(w.size):
        a = params.width[j]
        y = abs(a * (w[j] - params.centre[j]))
        e = exp(-2.0 * y)
        square = 0.25 * (1.0 - e) * (1.0 - e) / e
        near, far = 0.5 * log1p_unit(min(square, 1.0)), y + log1p_unit(e) - 0.6931471805599453
        total += params.c[j] / (a * a) * (near if square < 1.0 else far)
    return total


@leaf
def log_cosh_gradient(w, params, out):
    """(c / a) tanh(a x)."""
    for j in range(w.size):
        a = params.width[j]
        y = a * (w[j] - params.centre[j])
        e = exp(-2.0 * abs(y))
        out[j] = params.c[j] / a * (1.0 - e) / (1.0 + e) * (1.0 if y >= 0.0 else -1.0)


@leaf
def softplus_value(w, params):
    """c (ln(1 + e^x) + ln(1 + e^-x))."""
    total = 0.0
    for j in range(w.size):
        x = abs(w[j] - params.centre[j])
        total += params.c[j] * (2.0 * log1p_exp(x) - x)
    return total


@leaf
def softplus_gradient(w, params, out):
    """c tanh(x / 2)."""
    for j in range(w.size):
        x = w[j] - params.centre[j]
        e = exp(-abs(x))
        out[j] = params.c[j] * (1.0 - e) / (1.0 + e) * (1.0 if x >= 0.0 else -1.0)


def pseudo_huber(c: ArrayLike, delta: ArrayLike, *, center: ArrayLike = 0.0, box: Box | None = None) -> Objective:
    """sum_j c_j delta_j^2 (sqrt(1 + (x_j / delta_j)^2) - 1): L_j = c_j, gradient below c_j delta_j.

    Parameters
    ----------
    c, delta : number or array ``(d,)``, positive
    center : number or array ``(d,)``
    box : (lo, hi), optional

    Examples
    --------
    >>> import anisotropic as an
    >>> f = an.problems.pseudo_huber(2.0, 3.0)
    >>> round(f.value(np.array([4.0]), f.params), 12)             # 2 * 9 * (5/3 - 1)
    12.0
    """
    at = shape(center, box, c, delta)
    params = Scaled(at.positive(c, "c"), at.positive(delta, "delta"), at.centre)
    return separable(
        "pseudo-Huber", at, pseudo_huber_value, pseudo_huber_gradient, params,
        convex=True, smoothness=params.c, gradient_bound=params.c * params.width,
    )  # fmt: skip


def huber(c: ArrayLike, delta: ArrayLike, *, center: ArrayLike = 0.0, box: Box | None = None) -> Objective:
    """sum_j c_j x_j^2 / 2 near the center, c_j delta_j (abs(x_j) - delta_j / 2) beyond delta_j: L_j = c_j.

    Examples
    --------
    >>> import anisotropic as an
    >>> f = an.problems.huber(2.0, 1.0)
    >>> f.value(np.array([3.0]), f.params)
    5.0
    """
    at = shape(center, box, c, delta)
    params = Scaled(at.positive(c, "c"), at.positive(delta, "delta"), at.centre)
    return separable(
        "Huber", at, huber_value, huber_gradient, params,
        convex=True, smoothness=params.c, gradient_bound=params.c * params.width,
    )  # fmt: skip


def log_cosh(c: ArrayLike, a: ArrayLike, *, center: ArrayLike = 0.0, box: Box | None = None) -> Objective:
    """sum_j (c_j / a_j^2) ln cosh(a_j x_j): L_j = c_j, gradient below c_j / a_j."""
    at = shape(center, box, c, a)
    params = Scaled(at.positive(c, "c"), at.positive(a, "a"), at.centre)
    return separable(
        "log-cosh", at, log_cosh_value, log_cosh_gradient, params,
        convex=True, smoothness=params.c, gradient_bound=params.c / params.width,
    )  # fmt: skip


def softplus(c: ArrayLike, *, center: ArrayLike = 0.0, box: Box | None = None) -> Objective:
    """sum_j c_j (ln(1 + e^x_j) + ln(1 + e^-x_j)), least value 2 ln 2 sum c: L_j = c_j / 2, gradient below c_j."""
    at = shape(center, box, c)
    params = Scaled(at.positive(c, "c"), np.ones(at.dim), at.centre)
    return separable(
        "softplus", at, softplus_value, softplus_gradient, params,
        convex=True, smoothness=params.c / 2, gradient_bound=params.c,
    )  # fmt: skip
