"""Sums of one-dimensional functions of linear combinations: smoothness in all directions from the rows of A."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..compiled.elementary import sin
from ..compiled.leaf import leaf
from ..records import FloatArray, Objective, box_bounds, float_vector
from .separable import Box


class Coupled(NamedTuple):
    """Rows, and height and kind of each ridge."""

    rows: FloatArray
    c: FloatArray
    quadratic: bool


@leaf
def coupled_value(w, params):
    """sum_i phi_i(a_i . w), phi(s) = c s^2 / 2 or c (1 - cos s)."""
    total = 0.0
    for i in range(params.c.size):
        s = 0.0
        for j in range(w.size):
            s += params.rows[i, j] * w[j]
        if params.quadratic:
            total += 0.5 * params.c[i] * s * s
        else:
            q = sin(0.5 * s)
            total += 2.0 * params.c[i] * q * q
    return total


@leaf
def coupled_gradient(w, params, out):
    """sum_i phi_i'(a_i . w) a_i."""
    for j in range(w.size):
        out[j] = 0.0
    for i in range(params.c.size):
        s = 0.0
        for j in range(w.size):
            s += params.rows[i, j] * w[j]
        slope = params.c[i] * (s if params.quadratic else sin(s))
        for j in range(w.size):
            out[j] += slope * params.rows[i, j]


def coupled(A: ArrayLike, phi: str, c: ArrayLike, *, box: Box | None = None) -> Objective:
    """sum_i phi_i(a_i . w) over the rows a_i of A, with phi_i(s) = c_i s^2 / 2 or c_i (1 - cos s).

    The Hessian is A' diag(phi'') A with abs(phi_i'') <= c_i, so L_j = sum_i c_i abs(a_ij) \\|a_i\\|_1 holds in all
    directions (Gershgorin, row by row); the cosine also has abs(f_j) <= sum_i c_i abs(a_ij).

    Parameters
    ----------
    A : array ``(m, d)``
    phi : {"quadratic", "cosine"}
    c : number or array ``(m,)``, positive
    box : (lo, hi), optional

    Examples
    --------
    >>> import anisotropic as an
    >>> an.problems.coupled([[1.0, 1.0], [1.0, -1.0]], "cosine", 0.5).smoothness.tolist()
    [2.0, 2.0]
    """
    rows = np.array(A, dtype=np.float64, order="C")
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise ValueError(f"A has shape {rows.shape}; expected a finite matrix (m, d) with m, d at least 1")
    if phi not in ("quadratic", "cosine"):
        raise ValueError(f"phi = {phi!r}; expected 'quadratic' or 'cosine'")
    m, d = rows.shape
    height = float_vector(c, m, "c", low=0.0, strict=True)
    size = np.abs(rows)
    bounds = box_bounds(box, d)
    inside = bounds is None or bool(np.all((bounds[0] <= 0.0) & (bounds[1] >= 0.0)))
    convex = phi == "quadratic"
    return Objective(
        f"coupled {phi}",
        d,
        coupled_value,
        coupled_gradient,
        Coupled(rows, height, convex),
        smoothness=(height * size.sum(axis=1)) @ size,
        gradient_bound=None if convex else height @ size,
        minimizer=np.zeros(d) if inside else None,
        minimum=0.0 if inside else None,
        properties=frozenset(({"convex"} if convex else set()) | ({"interior minimizer"} if inside else set())),
        box=bounds,
    )
