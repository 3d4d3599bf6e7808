"""The nonsmooth test function: sum_j c_j abs(x_j), on which the batch cannot help beyond a point."""

from __future__ import annotations

from typing import NamedTuple

from numpy.typing import ArrayLike

from ..compiled.leaf import leaf
from ..records import FloatArray, Objective
from .separable import Box, separable, shape


class Absolute(NamedTuple):
    """Slopes and center."""

    c: FloatArray
    centre: FloatArray


@leaf
def absolute_value(w, params):
    """sum_j c_j abs(w_j - centre_j)."""
    total = 0.0
    for j in range(w.size):
        total += params.c[j] * abs(w[j] - params.centre[j])
    return total


@leaf
def absolute_gradient(w, params, out):
    """The subgradient c_j sign(x_j), 0 at the kink, NaN for NaN."""
    for j in range(w.size):
        x = w[j] - params.centre[j]
        out[j] = params.c[j] * (1.0 if x > 0.0 else (-1.0 if x < 0.0 else x))


def absolute(c: ArrayLike, *, center: ArrayLike = 0.0, box: Box | None = None) -> Objective:
    """sum_j c_j abs(x_j): convex, subgradients of length c_j, no smoothness.

    Examples
    --------
    >>> import anisotropic as an, numpy as np
    >>> f = an.problems.absolute([1.0, 2.0])
    >>> f.value(np.array([3.0, -1.0]), f.params), f.smoothness is None
    (5.0, True)
    """
    at = shape(center, box, c)
    params = Absolute(at.positive(c, "c"), at.centre)
    return separable("absolute", at, absolute_value, absolute_gradient, params, convex=True, gradient_bound=params.c)
