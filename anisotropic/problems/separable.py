"""What do sums of one-dimensional functions share? Dimension, center, box, minimum, and bounds on the gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..records import FloatArray, Objective, box_bounds, float_vector, length

Box = tuple[ArrayLike, ArrayLike]


class Shape(NamedTuple):
    """Dimension, center and box of a separable objective, all checked."""

    dim: int
    centre: FloatArray
    box: tuple[FloatArray, FloatArray] | None

    def positive(self, values: ArrayLike, name: str) -> FloatArray:
        """`values` as a ``(d,)`` array of positive numbers."""
        return float_vector(values, self.dim, name, low=0.0, strict=True)


def shape(center: ArrayLike, box: Box | None, *constants: ArrayLike) -> Shape:
    """The common length of everything given; numbers and arrays of length 1 broadcast."""
    dim = length(*constants, center, *(box if np.iterable(box) else ()))
    return Shape(dim, float_vector(center, dim, "center"), box_bounds(box, dim))


def interpreted(function: Callable) -> Callable:
    """The Python function behind a compiled one: for a single call, compiling would cost more than interpreting."""
    return getattr(function, "py_func", function)


def separable(
    name: str,
    at: Shape,
    value: Callable,
    gradient: Callable,
    params: Any,
    *,
    convex: bool,
    lowest: float = 0.0,
    smoothness: FloatArray | None = None,
    generalized: tuple[FloatArray, FloatArray] | None = None,
    gradient_bound: FloatArray | None = None,
    pl_constant: float | None = None,
) -> Objective:
    """Assemble the record of f(w) = sum_j phi_j(w_j - centre_j), each phi_j least at `lowest`.

    Convex functions are least over a box at the clipped minimizer. For others the minimizer is certified only where
    the box contains it.
    """
    point = at.centre + lowest
    inside = at.box is None or bool(np.all((at.box[0] <= point) & (point <= at.box[1])))
    properties = {"separable"} | ({"convex"} if convex else set()) | ({"interior minimizer"} if inside else set())
    minimizer: FloatArray | None = point
    if not inside:
        minimizer = np.clip(point, *at.box) if convex and at.box is not None else None
    bound = gradient_bound
    if convex and at.box is not None:
        ends = np.empty((2, at.dim))
        for end, w in zip(ends, at.box, strict=True):
            interpreted(gradient)(w, params, end)
        largest = np.abs(ends).max(axis=0)
        bound = largest if bound is None else np.minimum(bound, largest)
        bound = bound if np.isfinite(bound).all() else None
    return Objective(
        name,
        at.dim,
        value,
        gradient,
        params,
        smoothness=smoothness,
        generalized_smoothness=generalized,
        pl_constant=pl_constant,
        gradient_bound=bound,
        minimizer=minimizer,
        minimum=None if minimizer is None else float(interpreted(value)(minimizer, params)),
        properties=frozenset(properties),
        box=at.box,
        coordinatewise=True,
    )
