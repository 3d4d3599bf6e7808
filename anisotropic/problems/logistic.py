"""How does logistic regression on real rows become an objective? Compact rows, certified smoothness and minimum.

f(w) = (1/n) sum_i log(1 + exp(-y_i x_i . w)) + (l2/2) |w|^2. Its Hessian is at most X^T X / (4n) + l2 I, with equality
at w = 0, so that Gershgorin's row sums of that matrix are valid in all directions, and the smallest possible where X
has no negative entry.

Speed is decided by memory traffic, not by arithmetic: sparse rows keep 16-bit column numbers where they fit, and do not
store values that are all equal.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from ..compiled.disk import ready
from ..compiled.elementary import log1p_exp, sigmoid
from ..compiled.leaf import leaf
from ..records import FloatArray, Objective, box_bounds, float_parameter, float_vector, sound_sparse
from ..smoothness import data_gershgorin
from .logistic_minimum import minimize
from .separable import Box

#: Above this share of nonzero entries rows are stored densely: a dense product vectorises, a gather does not.
DENSE_SHARE = 0.25

ONE = np.uint64(1)  # with unsigned indices LLVM need not handle negative ones


class DenseRows(NamedTuple):
    """Rows y_i x_i, shape ``(n, d)``, and the row numbers 0..n-1."""

    rows: FloatArray
    every_row: NDArray[np.int64]
    l2: float


class SparseRows(NamedTuple):
    """Compressed rows x_i, the sign y_i of each; one value stands for all entries where they are `equal`."""

    starts: NDArray[np.unsignedinteger]
    columns: NDArray[np.unsignedinteger]
    values: FloatArray
    equal: bool
    signs: NDArray[np.int8]
    every_row: NDArray[np.int64]
    l2: float


@leaf
def _ridge(w, l2):
    total = 0.0
    for j in range(w.size):
        total += w[j] * w[j]
    return 0.5 * l2 * total


@leaf
def _ridge_gradient(w, l2, out):
    for j in range(w.size):
        out[j] = l2 * w[j]


@leaf
def dense_value(w, params):
    """(1/n) sum_i log(1 + exp(-z_i . w)) + (l2/2) |w|^2, z_i = y_i x_i."""
    n, total = params.rows.shape[0], 0.0
    for i in range(n):
        margin = 0.0
        for j in range(w.size):
            margin += params.rows[i, j] * w[j]
        total += log1p_exp(-margin)
    return total / n + _ridge(w, params.l2)


@leaf
def dense_sample_gradient(w, params, rows, out):
    """l2 w - mean_i z_i / (1 + exp(z_i . w)) over the rows listed."""
    _ridge_gradient(w, params.l2, out)
    for i in rows:
        margin = 0.0
        for j in range(w.size):
            margin += params.rows[i, j] * w[j]
        weight = -sigmoid(-margin) / rows.size
        for j in range(w.size):
            out[j] += weight * params.rows[i, j]


@leaf
def dense_gradient(w, params, out):
    """The mean over every row."""
    dense_sample_gradient(w, params, params.every_row, out)


@leaf
def sparse_value(w, params):
    """As `dense_value`, for compressed rows."""
    n, total = params.signs.size, 0.0
    for i in range(n):
        row = np.uint64(i)
        first, last = np.uint64(params.starts[row]), np.uint64(params.starts[row + ONE])
        margin = 0.0
        if params.equal:
            for k in range(first, last):
                margin += w[params.columns[k]]
            margin *= params.values[0]
        else:
            for k in range(first, last):
                margin += params.values[k] * w[params.columns[k]]
        total += log1p_exp(-margin * params.signs[row])
    return total / n + _ridge(w, params.l2)


@leaf
def sparse_sample_gradient(w, params, rows, out):
    """As `dense_sample_gradient`, for compressed rows. Written out: a helper for one row would triple the time."""
    _ridge_gradient(w, params.l2, out)
    for i in rows:
        row = np.uint64(i)
        first, last = np.uint64(params.starts[row]), np.uint64(params.starts[row + ONE])
        margin = 0.0
        if params.equal:
            for k in range(first, last):
                margin += w[params.columns[k]]
            margin *= params.values[0]
        else:
            for k in range(first, last):
                margin += params.values[k] * w[params.columns[k]]
        sign = params.signs[row]
        weight = -sigmoid(-margin * sign) * sign / rows.size
        if params.equal:
            weight *= params.values[0]
            for k in range(first, last):
                out[params.columns[k]] += weight
        else:
            for k in range(first, last):
                out[params.columns[k]] += weight * params.values[k]


@leaf
def sparse_gradient(w, params, out):
    """The mean over every row."""
    sparse_sample_gradient(w, params, params.every_row, out)


def _checked(X: Any, y: ArrayLike) -> tuple[Any, FloatArray]:
    """X as a float64 array or canonical CSR array of the better layout, y as -1.0 and +1.0."""
    if sparse.issparse(X):
        matrix: Any = sparse.csr_array(sound_sparse(X), dtype=np.float64, copy=True)
    else:
        matrix = np.asarray(X, np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"X has shape {matrix.shape}; expected rows and columns, (n, d), at least one of each")
    entries = matrix.data if sparse.issparse(matrix) else matrix
    if not np.isfinite(entries).all():
        raise ValueError("X contains NaN or infinity; expected finite numbers")
    labels = np.asarray(y, dtype=np.float64)
    if labels.shape != (matrix.shape[0],):
        raise ValueError(f"y has shape {labels.shape}; expected one label for each of the {matrix.shape[0]} rows of X")
    wrong = labels[np.abs(labels) != 1.0]
    if wrong.size:
        raise ValueError(f"y contains {wrong[0]:g}; expected labels -1 and +1, e.g. np.where(y > 0, 1, -1)")
    dense = np.count_nonzero(entries) > DENSE_SHARE * matrix.shape[0] * matrix.shape[1]
    if dense:
        return (matrix.toarray() if sparse.issparse(matrix) else matrix), labels
    matrix = sparse.csr_array(matrix)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix, labels


def _compact(X: sparse.csr_array, y: FloatArray, l2: float) -> SparseRows:
    equal = X.nnz > 0 and bool(np.all(X.data == X.data[0]))
    return SparseRows(
        X.indptr.astype(np.uint32 if X.nnz < 2**32 else np.uint64),
        X.indices.astype(np.uint16 if X.shape[1] <= 2**16 else np.uint32),
        X.data[:1].copy() if equal else X.data.copy(),
        equal,
        y.astype(np.int8),
        np.arange(y.size),
        l2,
    )


def logistic_regression(X: Any, y: ArrayLike, *, l2: float = 0.0, box: Box | None = None) -> Objective:
    """(1/n) sum_i log(1 + exp(-y_i x_i . w)) + (l2/2) \\|w\\|^2: the mean logistic loss over rows, with a ridge.

    Parameters
    ----------
    X : array or sparse matrix ``(n, d)``
        One sample a row; no intercept is added. Stored densely where over a quarter of the entries is not zero.
    y : array ``(n,)``
        Labels -1 and +1.
    l2 : float
        At least 0.
    box : (lo, hi), optional

    Returns
    -------
    Objective
        `smoothness` = Gershgorin's row sums of X^T X / (4n), plus l2; `gradient_bound`_j = max over signs of the mean
        of (y_i x_ij)_+-, plus l2 times the largest distance of the box from 0 (None if l2 > 0 without a box);
        `pl_constant` = l2 where positive; `samples` = n for ``an.noises.minibatch()``. `minimum` is certified to 1e-12
        (see Notes). Linearly separable data with l2 = 0 and no box have no minimizer, and the name says so; then
        `minimizer` is None and `minimum` the infimum.

    Raises
    ------
    ValueError
        If shapes disagree, X is not finite, y has labels other than -1 and +1, or l2 is negative.

    Notes
    -----
    The minimum comes from Newton's method with one of four upper bounds on f(w) - f*, all derived here
    (docs/theory/logistic.md): \\|grad\\|^2 / (2 l2); the linear bound sup_u <grad, w - u> over a box; without both, a
    bound from the self-concordance of the logistic loss; where no minimizer exists, the bound for the rows that count.

    Examples
    --------
    One feature, always 1, and three of four labels positive: w* = log 3, and f* is the entropy of (3/4, 1/4).

    >>> f = logistic_regression(np.ones((4, 1)), [1, 1, 1, -1])
    >>> round(float(np.exp(f.minimizer[0])), 9), f.smoothness.tolist()
    (3.0, [0.25])
    """
    matrix, labels = _checked(X, y)
    ridge = float_parameter(l2, "l2", strict=False)
    n, d = matrix.shape
    bounds = box_bounds(box, d)
    compact = sparse.issparse(matrix)
    if compact:
        signed = sparse.csr_array(matrix.multiply(labels[:, None]))
        params: Any = _compact(matrix, labels, ridge)
        functions = sparse_value, sparse_gradient, sparse_sample_gradient
    else:
        signed = np.ascontiguousarray(labels[:, None] * matrix)
        params = DenseRows(signed, np.arange(n), ridge)
        functions = dense_value, dense_gradient, dense_sample_gradient
    solution = minimize(signed, ridge, bounds)
    inside = solution.minimizer is not None and (
        bounds is None or bool(np.all((solution.minimizer > bounds[0]) & (solution.minimizer < bounds[1])))
    )
    return Objective(
        "logistic regression" + (f" ({solution.note})" if solution.note else ""),
        d,
        functions[0],
        functions[1],
        params,
        smoothness=data_gershgorin(matrix) + ridge,
        pl_constant=ridge if ridge > 0.0 else None,
        gradient_bound=_gradient_bound(signed, ridge, bounds),
        minimizer=solution.minimizer,
        minimum=solution.minimum,
        properties=frozenset({"convex", "finite sum"} | ({"interior minimizer"} if inside else set())),
        box=bounds,
        samples=n,
        sample_gradient=functions[2],
        sample_sigma=np.sqrt(np.asarray(matrix.multiply(matrix).mean(axis=0) if compact else (matrix**2).mean(axis=0))),
    )


def _gradient_bound(signed: Any, l2: float, bounds: tuple[FloatArray, FloatArray] | None) -> FloatArray | None:
    """sup over the box of abs(f_j): the weights 1 / (1 + exp(z_i . w)) lie between 0 and 1."""
    up = np.asarray((abs(signed) + signed).mean(axis=0)).ravel()  # one after the other: each is as large as the data
    down = np.asarray((abs(signed) - signed).mean(axis=0)).ravel()
    bound = 0.5 * np.maximum(up, down)
    if l2 == 0.0:
        return bound
    return None if bounds is None else bound + l2 * np.maximum(np.abs(bounds[0]), np.abs(bounds[1]))


@leaf
def _variances(gradient, sample_gradient, w, params, n, out):
    """Mean over rows of (gradient of the row - mean gradient)^2, per coordinate."""
    row, g, mean = np.empty(1, np.int64), np.empty(w.size), np.empty(w.size)
    gradient(w, params, mean)
    for i in range(n):
        row[0] = i
        sample_gradient(w, params, row, g)
        for j in range(w.size):
            out[j] += (g[j] - mean[j]) ** 2 / n


def noise_level(objective: Objective, at: ArrayLike) -> FloatArray:
    """Standard deviation over rows of the gradient of one row, per coordinate: sigma of a minibatch of size one.

    sigma_j = (mean_i (g_ij - mean_i g_ij)^2)^(1/2), with divisor n; a batch of M rows drawn with replacement has
    standard deviation sigma_j / sqrt(M).

    Parameters
    ----------
    objective : Objective
        A finite sum.
    at : float or array ``(d,)``
        The point w.

    Returns
    -------
    array ``(d,)``

    Raises
    ------
    ValueError
        If the objective has no rows, or `at` has the wrong shape.

    Examples
    --------
    At w = 0 each row pulls with 1/2, here three up and one down: sigma = (1/2) sqrt(1 - (1/2)^2).

    >>> f = logistic_regression(np.ones((4, 1)), [1, 1, 1, -1])
    >>> noise_level(f, 0.0)
    array([0.4330127])
    """
    if objective.samples is None or objective.sample_gradient is None:
        raise ValueError(f"{objective.name} is not a finite sum, so it has no noise of rows; give sigma to a noise law")
    w = float_vector(at, objective.dim, "at")
    out = np.zeros(objective.dim)
    arguments = w, objective.params, objective.samples, out
    ready(_variances, (objective.gradient, objective.sample_gradient), arguments)(*arguments)
    return np.sqrt(out)
