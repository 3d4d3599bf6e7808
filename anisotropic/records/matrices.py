"""Is a matrix constant what it should be? Shapes of parameters and positive semidefinite matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checks import FloatArray, count, numbers

#: Relative size of the asymmetry, and of a negative eigenvalue, that is taken for rounding.
ROUNDING = 1e-10


def shape_of(shape: Any, dim: int) -> tuple[int, int]:
    """A shape (m, n) with m n = dim.

    >>> shape_of((2, 3), 6)
    (2, 3)
    >>> shape_of((2, 3), 7)
    Traceback (most recent call last):
    ValueError: shape = (2, 3) has 6 entries, but dim = 7; expected m n = dim
    """
    if isinstance(shape, (str, int)) or not hasattr(shape, "__len__") or len(shape) != 2:
        raise ValueError(f"shape = {shape!r}; expected a pair (m, n) of whole numbers with m n = dim = {dim}")
    rows, columns = count(shape[0], "shape[0]"), count(shape[1], "shape[1]")
    if rows * columns != dim:
        size = rows * columns
        raise ValueError(f"shape = ({rows}, {columns}) has {size} entries, but dim = {dim}; expected m n = dim")
    return rows, columns


def positive_semidefinite(values: Any, name: str, size: int | None = None) -> FloatArray:
    """`values` as a fresh symmetric ``(m, m)`` float64 array without negative eigenvalues.

    >>> positive_semidefinite([[1.0, 2.0], [2.0, 1.0]], "left_smoothness")
    Traceback (most recent call last):
    ValueError: left_smoothness has the eigenvalue -1; expected a positive semidefinite matrix
    """
    array = numbers(values, name, "a symmetric positive semidefinite matrix (m, m)")
    if array.ndim < 2:
        raise ValueError(
            f"{name} has shape {array.shape}; expected a square matrix (m, m), such as np.diag(values) for a diagonal "
            "one: it is no constant per coordinate"
        )
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; expected a square matrix (m, m)")
    if size is not None and array.shape[0] != size:
        raise ValueError(f"{name} has shape {array.shape}; expected ({size}, {size}), one row per row of the parameter")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinity; expected finite numbers")
    largest = float(np.abs(array).max())
    skew = float(np.abs(array - array.T).max())
    if skew > ROUNDING * largest:
        raise ValueError(f"{name} is not symmetric: it and its transpose differ by {skew:g}; pass (A + A.T) / 2")
    symmetric = np.ascontiguousarray(0.5 * (array + array.T))
    lowest = float(np.linalg.eigvalsh(symmetric)[0])
    if lowest < -ROUNDING * max(largest, np.finfo(float).tiny):
        raise ValueError(f"{name} has the eigenvalue {lowest:g}; expected a positive semidefinite matrix")
    return symmetric


def top_eigenvalues(matrix: FloatArray, number: int) -> float:
    """Sum of the largest eigenvalues: the largest tr(X' L X) over the m x n matrices of spectral norm 1."""
    return float(np.maximum(np.linalg.eigvalsh(matrix)[::-1][:number], 0.0).sum())


def effective_rank(matrix: Any) -> float:
    """tr L / lambda_max(L), between 1 and m: over how many directions a positive semidefinite matrix is spread.

    For the noise, whose root Sigma is the constant, the number that matters is ``(tr Sigma)^2 / tr Sigma^2``, which is
    this one for equal eigenvalues.

    >>> effective_rank(np.diag([1.0, 0.5, 0.5]))
    2.0
    """
    values = np.linalg.eigvalsh(positive_semidefinite(matrix, "matrix"))
    return float(values.sum() / values[-1]) if values[-1] > 0.0 else 0.0
