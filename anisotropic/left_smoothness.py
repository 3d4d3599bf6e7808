"""Which is the smallest left smoothness of a Hessian, min {tr L : tr(X' L X) >= H(X, X)}, and how is that certified?

A semidefinite program whose dual is max {<H, Y> : Y >= 0, sum over columns j of the block Y_jj = I}. With Y = Z Z' and
the rows of Z grouped by the rows of the parameter, Z an m x (n r) matrix with Z Z' = I, the iteration Z <- polar(H Z)
ascends in <Z, H Z>; then L = (P P')^(1/2) with P = H Z, made valid by one largest eigenvalue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .records import FloatArray, numbers, shape_of

#: Entries of the parameter up to which the Hessian is written down.
LARGEST = 2048
ITERATIONS = 5000


class Left(NamedTuple):
    """A valid left smoothness with the proof that it is valid, and how small it could be.

    `L` ``(m, m)``; `certificate`, the smallest eigenvalue of I - (L^(-1/2) (x) I) H (L^(-1/2) (x) I): at least 0 means
    valid; `dual_value`, a lower bound on tr L for every valid L. The relative gap is ``trace(L) / dual_value - 1``.
    """

    L: FloatArray
    certificate: float
    dual_value: float


def _hessian(given: Any, shape: tuple[int, int]) -> FloatArray:
    """The Hessian as an (m n, m n) matrix, symmetric and positive semidefinite."""
    d = shape[0] * shape[1]
    if callable(given):
        if d > LARGEST:
            raise ValueError(f"shape = {shape} has {d} entries; a Hessian is written down for at most {LARGEST}")
        columns = []
        for j in range(d):
            product = np.asarray(given(np.eye(1, d, j).reshape(shape)), dtype=np.float64)
            if product.shape != shape:
                found = product.shape
                raise ValueError(f"hvp returns shape {found} for a direction of shape {shape}; expected the same")
            columns.append(product.ravel())
        H = np.array(columns)
    else:
        H = numbers(given, "H", f"a symmetric matrix ({d}, {d}), or a function of a direction (m, n)")
        if H.shape != (d, d):
            raise ValueError(f"H has shape {H.shape}; expected ({d}, {d}) for a parameter of shape {shape}")
    if not np.isfinite(H).all():
        raise ValueError("H contains NaN or infinity; expected finite numbers")
    skew, size = float(np.abs(H - H.T).max()), float(np.abs(H).max())
    if skew > 1e-8 * size:
        raise ValueError(f"H is not symmetric: it and its transpose differ by {skew:g}; pass (H + H.T) / 2")
    H = 0.5 * (H + H.T)
    lowest = float(np.linalg.eigvalsh(H)[0])
    if lowest < -1e-8 * size:
        raise ValueError(
            f"H has the eigenvalue {lowest:g}: an upper bound of an indefinite Hessian alone is no smoothness "
            "constant; pass a matrix that dominates H and -H, such as H with the absolute values of its eigenvalues"
        )
    return H


def _polar(P: FloatArray) -> FloatArray:
    U, s, Vt = np.linalg.svd(P, full_matrices=False)
    return (U * (s > 1e-12 * max(s[0], np.finfo(float).tiny))) @ Vt


def left(H: Any | Callable[[FloatArray], Any], shape: tuple[int, int], *, tolerance: float = 1e-6) -> Left:
    """The left smoothness L of smallest trace, tr(X' L X) >= H(X, X) for every X, and a bound that proves it.

    Parameters
    ----------
    H : array ``(m n, m n)``, or function of a direction ``(m, n)``
        A positive semidefinite Hessian for parameters stored row after row, or its product with a direction.
    shape : pair (m, n)
        At most 2048 entries in all.
    tolerance : float
        Relative gap at which to stop. What is reached is in the result; L is valid in any case.

    Returns
    -------
    Left
        L, certificate, dual_value.

    Raises
    ------
    ValueError
        A Hessian that does not fit the shape, is not symmetric, not finite or not positive semidefinite.

    Notes
    -----
    The iteration ascends; that it always ends at the optimum is not proved: certificate and dual value decide.

    Examples
    --------
    For A (x) B it is lambda_max(B) A:

    >>> found = left(np.kron(np.diag([3.0, 1.0]), np.diag([2.0, 0.5])), (2, 2))
    >>> np.abs(found.L).round(4).tolist(), round(found.dual_value, 4), bool(found.certificate >= 0)
    ([[6.0, 0.0], [0.0, 2.0]], 8.0, True)
    """
    m, n = shape_of(shape, int(np.prod(shape)) if np.size(shape) == 2 else 0)
    matrix = _hessian(H, (m, n))
    if not matrix.any():
        return Left(np.zeros((m, m)), 0.0, 0.0)
    rank = int(np.ceil(np.sqrt(2 * m * n))) + 1
    Z = _polar(np.random.default_rng(0).standard_normal((m, n * rank)))
    value = before = 0.0
    for k in range(ITERATIONS):
        P = (matrix @ Z.reshape(m * n, rank)).reshape(m, n * rank)
        value = float(np.sum(Z * P))
        if k % 50 == 49:
            found = _certified(matrix, P, value, n)
            if np.trace(found.L) <= value * (1.0 + tolerance) or value <= before * (1.0 + 1e-14):
                return found
            before = value
        Z = _polar(P)
    return _certified(matrix, P, value, n)


def _certified(H: FloatArray, P: FloatArray, value: float, columns: int) -> Left:
    """(P P')^(1/2), a little larger than zero everywhere, scaled until it dominates H."""
    s, vectors = np.linalg.eigh(P @ P.T)
    roots = np.sqrt(np.maximum(s, 0.0))
    roots = np.maximum(roots, 1e-9 * roots[-1])
    back = np.kron((vectors / np.sqrt(roots)) @ vectors.T, np.eye(columns))
    outward = 1.0 + 1e-12
    excess = float(np.linalg.eigvalsh(back @ H @ back)[-1]) * outward
    return Left((vectors * (excess * roots)) @ vectors.T, 1.0 - 1.0 / outward, value)
