"""Nonconvex functions with exact smoothness: cosine, Welsch, Geman-McClure, and a quadratic with ripples."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..compiled.elementary import exp, sin
from ..compiled.leaf import leaf
from ..records import FloatArray, Objective, float_vector
from .separable import Box, separable, shape


class Ripples(NamedTuple):
    """Quadratic part h, height c and frequency of the cosine part, center."""

    h: FloatArray
    c: FloatArray
    omega: FloatArray
    centre: FloatArray


class Well(NamedTuple):
    """Height and center."""

    c: FloatArray
    centre: FloatArray


@leaf
def ripples_value(w, params):
    """h x^2 / 2 + c (1 - cos(omega x)) = h x^2 / 2 + 2 c sin^2(omega x / 2)."""
    total = 0.0
    for j in range(w.size):
        x = w[j] - params.centre[j]
        s = sin(0.5 * params.omega[j] * x)
        total += 0.5 * params.h[j] * x * x + 2.0 * params.c[j] * s * s
    return total


@leaf
def ripples_gradient(w, params, out):
    """h x + c omega sin(omega x)."""
    for j in range(w.size):
        x = w[j] - params.centre[j]
        out[j] = params.h[j] * x + params.c[j] * params.omega[j] * sin(params.omega[j] * x)


@leaf
def welsch_value(w, params):
    """c (1 - e^(-x^2/2))."""
    total = 0.0
    for j in range(w.size):
        x = w[j] - params.centre[j]
        total += params.c[j] * (1.0 - exp(-0.5 * x * x))
    return total


@leaf
def welsch_gradient(w, params, out):
    """c x e^(-x^2/2)."""
    for j in range(w.size):
        x = w[j] - params.centre[j]
        out[j] = params.c[j] * x * exp(-0.5 * x * x)


@leaf
def geman_mcclure_value(w, params):
    """c x^2 / (1 + x^2)."""
    total = 0.0
    for j in range(w.size):
        x = w[j] - params.centre[j]
        total += params.c[j] * x * x / (1.0 + x * x)
    return total


@leaf
def geman_mcclure_gradient(w, params, out):
    """2 c x / (1 + x^2)^2."""
    for j in range(w.size):
        x = w[j] - params.centre[j]
        q = 1.0 + x * x
        out[j] = 2.0 * params.c[j] * x / (q * q)


def cosine(c: ArrayLike, omega: ArrayLike = 1.0, *, center: ArrayLike = 0.0, box: Box | None = None) -> Objective:
    """sum_j c_j (1 - cos(omega_j x_j)): L_j = c_j omega_j^2, gradient at most c_j omega_j.

    Accurate while abs(omega x) < 1e5.

    Examples
    --------
    >>> import anisotropic as an
    >>> f = an.problems.cosine([1.0, 0.5], 2.0)
    >>> f.smoothness.tolist(), round(f.value(np.full(2, np.pi / 2), f.params), 12)
    ([4.0, 2.0], 3.0)
    """
    at = shape(center, box, c, omega)
    params = Ripples(np.zeros(at.dim), at.positive(c, "c"), at.positive(omega, "omega"), at.centre)
    return separable(
        "cosine", at, ripples_value, ripples_gradient, params, convex=False,
        smoothness=params.c * params.omega**2, gradient_bound=params.c * params.omega,
    )  # fmt: skip


def quadratic_cosine(
    h: ArrayLike, c: ArrayLike, omega: ArrayLike, *, center: ArrayLike = 0.0, box: Box | None = None
) -> Objective:
    """sum_j h_j x_j^2 / 2 + c_j (1 - cos(omega_j x_j)): L_j = h_j + c_j omega_j^2; convex if c_j omega_j^2 <= h_j."""
    at = shape(center, box, h, c, omega)
    params = Ripples(
        float_vector(h, at.dim, "h", low=0.0), at.positive(c, "c"), at.positive(omega, "omega"), at.centre
    )
    ripple = params.c * params.omega**2
    return separable(
        "quadratic plus cosine", at, ripples_value, ripples_gradient, params,
        convex=bool(np.all(ripple <= params.h)), smoothness=params.h + ripple,
    )  # fmt: skip


def welsch(c: ArrayLike, *, center: ArrayLike = 0.0, box: Box | None = None) -> Objective:
    """sum_j c_j (1 - e^(-x_j^2 / 2)): L_j = c_j, gradient at most c_j e^(-1/2)."""
    at = shape(center, box, c)
    params = Well(at.positive(c, "c"), at.centre)
    return separable(
        "Welsch", at, welsch_value, welsch_gradient, params,
        convex=False, smoothness=params.c, gradient_bound=params.c * math.exp(-0.5),
    )  # fmt: skip


def geman_mcclure(c: ArrayLike, *, center: ArrayLike = 0.0, box: Box | None = None) -> Objective:
    """sum_j c_j x_j^2 / (1 + x_j^2): L_j = 2 c_j, gradient at most (3 sqrt 3 / 8) c_j."""
    at = shape(center, box, c)
    params = Well(at.positive(c, "c"), at.centre)
    return separable(
        "Geman-McClure", at, geman_mcclure_value, geman_mcclure_gradient, params,
        convex=False, smoothness=2.0 * params.c, gradient_bound=params.c * 3 * math.sqrt(3) / 8,
    )  # fmt: skip
