"""Objectives whose parameter is a matrix W (m, n), with a certified left smoothness L.

For every direction X, -tr(X' L X) <= Hessian(X, X) <= tr(X' L X). The formulas: for tr((W - C)' A (W - C) B) / 2 the
least such L, in the order of symmetric matrices, is lambda_max(B) A. For a sum of phi over the singular values of
A^(1/2) (W - C), with phi even and |phi''| <= c, it is c A: the Hessian of a function of singular values has the
eigenvalues phi''(s_i), (phi'(s_i) +- phi'(s_j)) / (s_i +- s_j) and phi'(s_i) / s_i, all of them means of phi''.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..compiled.leaf import leaf
from ..compiled.matrices import copy_to, multiply, multiply_transposed, singular_rows, transpose_to
from ..compiled.views import matrix
from ..records import FloatArray, Objective, float_parameter, numbers, positive_semidefinite, top_eigenvalues
from ..smoothness import gershgorin


class Kronecker(NamedTuple):
    """Left matrix and centre."""

    left: FloatArray
    centre: FloatArray


class TwoSided(NamedTuple):
    """Left and right matrix and centre."""

    left: FloatArray
    right: FloatArray
    centre: FloatArray


class Spectral(NamedTuple):
    """Root of the left matrix, curvature at zero, width, and centre."""

    root: FloatArray
    curvature: float
    width: float
    centre: FloatArray


@leaf
def left_gradient(w, params, out):
    """A (W - C)."""
    m, n = params.centre.shape
    for i in range(m):
        for j in range(n):
            out[i * n + j] = 0.0
        for k in range(m):
            a = params.left[i, k]
            for j in range(n):
                out[i * n + j] += a * (w[k * n + j] - params.centre[k, j])


@leaf
def left_value(w, params):
    """tr((W - C)' A (W - C)) / 2."""
    m, n = params.centre.shape
    total = 0.0
    for i in range(m):
        for k in range(m):
            inner = 0.0
            for j in range(n):
                inner += (w[i * n + j] - params.centre[i, j]) * (w[k * n + j] - params.centre[k, j])
            total += params.left[i, k] * inner
    return 0.5 * total


@leaf
def kronecker_gradient(w, params, out):
    """A (W - C) B."""
    m, n = params.centre.shape
    row = np.empty(n)
    for i in range(m):
        for j in range(n):
            row[j] = 0.0
        for k in range(m):
            a = params.left[i, k]
            for j in range(n):
                row[j] += a * (w[k * n + j] - params.centre[k, j])
        for j in range(n):
            out[i * n + j] = 0.0
        for k in range(n):
            for j in range(n):
                out[i * n + j] += row[k] * params.right[k, j]


@leaf
def kronecker_value(w, params):
    """tr((W - C)' A (W - C) B) / 2."""
    out = np.empty(w.size)
    kronecker_gradient(w, params, out)
    m, n = params.centre.shape
    total = 0.0
    for i in range(m):
        for j in range(n):
            total += out[i * n + j] * (w[i * n + j] - params.centre[i, j])
    return 0.5 * total


@leaf
def _singular(w, params):
    """U and R with orthogonal rows of U, their lengths: Y = R' U (or its transpose) for Y = A^(1/2) (W - C)."""
    m, n = params.centre.shape
    X, Y = np.empty((m, n)), np.empty((m, n))
    for i in range(m):
        for j in range(n):
            X[i, j] = w[i * n + j] - params.centre[i, j]
    multiply(params.root, X, Y)
    return singular_rows(Y)


@leaf
def spectral_value(w, params):
    """c sum over the singular values s of s^2 / (1 + sqrt(1 + s^2 / delta^2))."""
    _, _, lengths = _singular(w, params)
    total = 0.0
    for i in range(lengths.size):
        x = lengths[i] / params.width
        total += lengths[i] * lengths[i] / (1.0 + math.sqrt(1.0 + x * x))
    return params.curvature * total


@leaf
def spectral_gradient(w, params, out):
    """c A^(1/2) U diag(s / sqrt(1 + s^2 / delta^2)) V'."""
    m, n = params.centre.shape
    U, R, lengths = _singular(w, params)
    for p in range(lengths.size):
        x = lengths[p] / params.width
        factor = params.curvature / math.sqrt(1.0 + x * x)
        for j in range(U.shape[1]):
            U[p, j] *= factor
    turned = np.empty(U.shape)
    multiply_transposed(R, U, turned)
    Y = np.empty((m, n))
    if m <= n:
        copy_to(turned, Y)
    else:
        transpose_to(turned, Y)
    multiply(params.root, Y, matrix(out, 0, m, n))


def _centre(center: ArrayLike, rows: int, columns: int | None) -> FloatArray:
    """The centre as an (m, n) matrix; n is that of the centre, else m."""
    array = numbers(center, "center", f"a number or a matrix ({rows}, n)")
    if array.ndim == 0:
        array = np.full((rows, columns or rows), float(array))
    wanted = (rows, columns) if columns else (rows, "n")
    if array.ndim != 2 or array.shape[0] != rows or (columns and array.shape[1] != columns) or not array.size:
        raise ValueError(f"center has shape {array.shape}; expected a number or a matrix ({wanted[0]}, {wanted[1]})")
    if not np.isfinite(array).all():
        raise ValueError("center contains NaN or infinity; expected finite numbers")
    return np.ascontiguousarray(array)


def _diagonal(left: FloatArray, right: FloatArray) -> FloatArray:
    """Gershgorin's row sums of A (x) B, which are products of row sums."""
    return np.outer(gershgorin(left), gershgorin(right)).ravel()


def kronecker(A: ArrayLike, B: ArrayLike | None = None, *, center: ArrayLike = 0.0) -> Objective:
    """tr((W - C)' A (W - C) B) / 2, the quadratic whose Hessian is A (x) B.

    Parameters
    ----------
    A : array ``(m, m)``
        Symmetric, positive semidefinite.
    B : array ``(n, n)``, optional
        The same; the identity by default. Then n is that of the centre, or m where that is a number.
    center : number or array ``(m, n)``
        The minimizer C.

    Returns
    -------
    Objective
        With shape (m, n); left smoothness lambda_max(B) A, the least there is; spectral smoothness
        sum_i lambda_i(A) lambda_i(B) over eigenvalues in falling order, which is attained; Gershgorin's diagonal for
        the theorems on vectors. There is no box: ASGO has a ball of its own.

    Raises
    ------
    ValueError
        A matrix that is not square, symmetric and positive semidefinite, or a centre that does not fit.

    Examples
    --------
    >>> f = kronecker(np.diag([2.0, 1.0]), center=np.ones((2, 3)))
    >>> f.shape, f.value(np.zeros(6), f.params), f.left_smoothness.tolist(), f.spectral_smoothness
    ((2, 3), 4.5, [[2.0, 0.0], [0.0, 1.0]], 3.0)
    """
    left = positive_semidefinite(A, "A")
    right = None if B is None else positive_semidefinite(B, "B")
    centre = _centre(center, len(left), None if right is None else len(right))
    columns = centre.shape[1]
    a = np.linalg.eigvalsh(left)
    b = np.ones(columns) if right is None else np.linalg.eigvalsh(right)
    few = min(centre.shape)
    mu = float(a[0] * b[0])
    shared: dict[str, Any] = dict(
        smoothness=_diagonal(left, np.eye(columns) if right is None else right),
        pl_constant=mu if mu > 0.0 else None, minimizer=centre.ravel(), minimum=0.0,
        properties=frozenset({"convex", "interior minimizer"}), shape=centre.shape,
        left_smoothness=float(b[-1]) * left,
        spectral_smoothness=float((np.maximum(a, 0.0)[::-1][:few] * np.maximum(b, 0.0)[::-1][:few]).sum()),
    )  # fmt: skip
    if right is None:
        return Objective("kronecker", centre.size, left_value, left_gradient, Kronecker(left, centre), **shared)
    params = TwoSided(left, right, centre)
    return Objective("kronecker", centre.size, kronecker_value, kronecker_gradient, params, **shared)


def spectral_pseudo_huber(A: ArrayLike, delta: float, *, c: float = 1.0, center: ArrayLike = 0.0) -> Objective:
    """c sum of delta^2 (sqrt(1 + s^2 / delta^2) - 1) over the singular values s of A^(1/2) (W - C).

    Quadratic near the centre, as slow as the nuclear norm far away; it couples all entries.

    Parameters
    ----------
    A : array ``(m, m)``
        Symmetric, positive semidefinite.
    delta, c : float
        Where the growth turns linear, and the curvature at zero.
    center : number or array ``(m, n)``

    Returns
    -------
    Objective
        With left smoothness c A.

    Examples
    --------
    >>> f = spectral_pseudo_huber([[1.0]], 3.0, center=[[4.0]])
    >>> round(f.value(np.zeros(1), f.params), 12), f.left_smoothness.tolist()
    (6.0, [[1.0]])
    """
    matrix_a = positive_semidefinite(A, "A")
    width, curvature = float_parameter(delta, "delta"), float_parameter(c, "c")
    values, vectors = np.linalg.eigh(matrix_a)
    root = np.ascontiguousarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
    centre = _centre(center, len(matrix_a), None)
    left = curvature * matrix_a
    params = Spectral(root, curvature, width, centre)
    return Objective(
        "spectral pseudo-Huber", centre.size, spectral_value, spectral_gradient, params,
        smoothness=_diagonal(left, np.eye(centre.shape[1])), minimizer=centre.ravel(), minimum=0.0,
        properties=frozenset({"convex", "interior minimizer"}), shape=centre.shape, left_smoothness=left,
        spectral_smoothness=top_eigenvalues(left, min(centre.shape)),
    )  # fmt: skip
