"""Quadratics: the objective on which everything is known exactly. L = h, or a certified diagonal after a rotation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..compiled.leaf import leaf
from ..records import FloatArray, Objective, float_vector
from ..smoothness import gershgorin
from .separable import Box, separable, shape


class Quadratic(NamedTuple):
    """Curvatures and center."""

    curvature: FloatArray
    centre: FloatArray


class RotatedQuadratic(NamedTuple):
    """Symmetric matrix and center."""

    matrix: FloatArray
    centre: FloatArray


@leaf
def quadratic_value(w, params):
    """(1/2) sum_j h_j (w_j - c_j)^2."""
    total = 0.0
    for j in range(w.size):
        x = w[j] - params.centre[j]
        total += params.curvature[j] * x * x
    return 0.5 * total


@leaf
def quadratic_gradient(w, params, out):
    """h_j (w_j - c_j)."""
    for j in range(w.size):
        out[j] = params.curvature[j] * (w[j] - params.centre[j])


@leaf
def rotated_value(w, params):
    """(1/2) (w - c)' A (w - c)."""
    total = 0.0
    for i in range(w.size):
        row = 0.0
        for j in range(w.size):
            row += params.matrix[i, j] * (w[j] - params.centre[j])
        total += (w[i] - params.centre[i]) * row
    return 0.5 * total


@leaf
def rotated_gradient(w, params, out):
    """A (w - c)."""
    for i in range(w.size):
        row = 0.0
        for j in range(w.size):
            row += params.matrix[i, j] * (w[j] - params.centre[j])
        out[i] = row


def quadratic(
    curvature: ArrayLike, *, center: ArrayLike = 0.0, box: Box | None = None, rotation: ArrayLike | None = None
) -> Objective:
    """(1/2) (w - c)' Q' diag(h) Q (w - c), with Q the identity unless `rotation` is given.

    Parameters
    ----------
    curvature : number or array ``(d,)``
        h, at least 0.
    center : number or array ``(d,)``
        The center c.
    box : (lo, hi), optional
    rotation : array ``(d, d)``, optional
        An orthogonal matrix Q. Then the smoothness is Gershgorin's diagonal of Q' diag(h) Q.

    Raises
    ------
    ValueError
        On a negative or NaN curvature, a wrong shape, or a rotation that is not orthogonal.

    Examples
    --------
    >>> import anisotropic as an
    >>> f = an.problems.quadratic([2.0, 1.0], center=1.0)
    >>> f.value(np.zeros(2), f.params), f.smoothness.tolist()
    (1.5, [2.0, 1.0])
    """
    q = np.array(np.empty((0, 0)) if rotation is None else rotation, dtype=np.float64)
    if len(getattr(curvature, "shape", ())) == 2:
        raise ValueError(
            f"curvature has shape {np.shape(curvature)}; expected the eigenvalues, a number or an array (d,), and the "
            "eigenvectors as rows of rotation=: h, V = np.linalg.eigh(A); quadratic(h, rotation=V.T)"
        )
    at = shape(center, box, curvature, np.empty(len(q) if q.ndim else 0))
    h = float_vector(curvature, at.dim, "curvature", low=0.0)
    mu = float(h.min()) or None
    if rotation is None:
        params = Quadratic(h, at.centre)
        return separable(
            "quadratic", at, quadratic_value, quadratic_gradient, params, convex=True, smoothness=h, pl_constant=mu
        )
    if q.shape != (at.dim, at.dim):
        raise ValueError(f"rotation has shape {q.shape}; expected ({at.dim}, {at.dim})")
    error = float(np.abs(q.T @ q - np.eye(at.dim)).max())
    if not error < 1e-10:
        raise ValueError(f"rotation is not orthogonal: Q'Q - I has an entry {error:.2g}; pass e.g. Q of np.linalg.qr")
    matrix = np.ascontiguousarray(q.T @ (h[:, None] * q))
    matrix = 0.5 * (matrix + matrix.T)
    inside = at.box is None or bool(np.all((at.box[0] <= at.centre) & (at.centre <= at.box[1])))
    return Objective(
        "rotated quadratic",
        at.dim,
        rotated_value,
        rotated_gradient,
        RotatedQuadratic(matrix, at.centre),
        smoothness=gershgorin(matrix),
        pl_constant=mu,
        minimizer=at.centre if inside else None,
        minimum=0.0 if inside else None,
        properties=frozenset({"convex"} | ({"interior minimizer"} if inside else set())),
        box=at.box,
    )
