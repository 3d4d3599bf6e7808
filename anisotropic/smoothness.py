"""Which diagonal L dominates a Hessian in all directions, -diag(L) <= A <= diag(L), and which is the smallest?

One diagonal entry at a time is not enough: L_j = A_jj is valid only for a diagonal A. Gershgorin's row sums are always
valid and cost one pass. The smallest valid sum of L is a semidefinite program,

    min {c . L : diag(L) >= A} = max {<A, X> : X >= 0, X_jj = c_j},

whose dual is the relaxation of the maximum cut; `optimal_diagonal` solves both sides and returns a certificate. For
c = 1 the value is the diagonal "adaptive smoothness" of Xie, Mohamadi and Li (arXiv 2410.08198) and of arXiv 2511.20584
for one Hessian; Gershgorin's sum is the (1,1)-norm that the first of them measures in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, sparse

from ._support.names import no_such_name
from .records import FloatArray, float_vector, sound_sparse

#: Up to this size a sparse matrix is made dense where eigenvalues are needed.
DENSE_LIMIT = 3000


class Diagonal(NamedTuple):
    """A valid diagonal with the proof that it is valid, and how small it could be.

    `L` ``(d,)``; `certificate`, the smallest eigenvalue of I - diag(L)^(-1/2) A diag(L)^(-1/2): at least 0 means valid;
    `dual_value`, a lower bound on c . L for every valid L. The relative gap is ``c @ L / dual_value - 1``.
    """

    L: FloatArray
    certificate: float
    dual_value: float


def _symmetric(A: Any) -> Any:
    """A as a symmetric float64 array or CSR array."""
    if sparse.issparse(A):
        matrix: Any = sparse.csr_array(sound_sparse(A, "A"), dtype=np.float64)
        values = matrix.data
    else:
        matrix = values = np.asarray(A, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise ValueError(f"A has shape {matrix.shape}; expected a square matrix (d, d)")
    if not np.all(np.isfinite(values)):
        raise ValueError("A contains NaN or infinity; expected finite numbers")
    skew, size = abs(matrix - matrix.T).max(), abs(matrix).max()
    if skew > 1e-10 * size:
        raise ValueError(f"A is not symmetric: A and its transpose differ by {skew:g}; pass (A + A.T) / 2")
    return matrix


def gershgorin(A: Any) -> FloatArray:
    """Row sums of absolute values, L_j = sum_k |A_jk|: valid in both directions for every symmetric A.

    Parameters
    ----------
    A : array or sparse matrix ``(d, d)``
        Symmetric; it may be indefinite.

    Returns
    -------
    array ``(d,)``
        Optimal in the sense of `optimal_diagonal` if A has no negative entry (then L = A 1 and X = 1 1^T close the
        gap), or if flipping the signs of some coordinates makes it so.

    Raises
    ------
    ValueError
        If A is not square, not symmetric or not finite.

    Examples
    --------
    >>> gershgorin([[2.0, -1.0], [-1.0, 3.0]])
    array([3., 4.])
    """
    return np.asarray(abs(_symmetric(A)).sum(axis=1), dtype=np.float64).ravel()


def _data(X: Any) -> Any:
    if sparse.issparse(X):
        matrix: Any = sparse.csr_array(sound_sparse(X), dtype=np.float64)
    else:
        matrix = np.asarray(X, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"X has shape {matrix.shape}; expected rows and columns, (n, d)")
    return matrix


def row_gershgorin(X: Any, curvature: float = 0.25) -> FloatArray:
    """Valid L for a mean over rows of losses of x_i . w, in one pass over the data.

    L_j = curvature mean_i |x_ij| sum_k |x_ik|, at least Gershgorin's row sums of curvature X^T X / n and equal to them
    where the entries of X have one sign.

    Parameters
    ----------
    X : array or sparse matrix ``(n, d)``
        One sample a row.
    curvature : float
        Largest second derivative of the loss: 1/4 for the logistic loss, 1 for half squares.

    Examples
    --------
    With r ones a row, each column that is always 1 has L_j = r / 4:

    >>> row_gershgorin([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    array([0.5 , 0.25, 0.25])
    """
    rows = abs(_data(X))
    return np.asarray(rows.T @ np.asarray(rows.sum(axis=1)).ravel()).ravel() * (curvature / rows.shape[0])


def data_gershgorin(X: Any, curvature: float = 0.25) -> FloatArray:
    """Gershgorin's row sums of curvature X^T X / n without holding that matrix, for a mean of losses of x_i . w.

    L_j = (curvature / n) sum_k |sum_i x_ij x_ik|, never above `row_gershgorin`.

    Parameters
    ----------
    X : array or sparse matrix ``(n, d)``
    curvature : float
        Largest second derivative of the loss: 1/4 for the logistic loss.

    Examples
    --------
    Orthogonal columns do not add up:

    >>> data_gershgorin([[1.0, 1.0], [1.0, -1.0]]), row_gershgorin([[1.0, 1.0], [1.0, -1.0]])
    (array([0.25, 0.25]), array([0.5, 0.5]))
    """
    matrix = _data(X)
    if matrix.min() >= 0.0 or matrix.max() <= 0.0:
        return row_gershgorin(matrix, curvature)
    n, d = matrix.shape
    columns = matrix.tocsc() if sparse.issparse(matrix) else matrix
    sums = [np.asarray(abs(matrix.T @ columns[:, j : j + 500]).sum(axis=0)).ravel() for j in range(0, d, 500)]
    return np.concatenate(sums) * (curvature / n)


def _scaled(A: Any, L: FloatArray) -> Any:
    """diag(L)^(-1/2) A diag(L)^(-1/2), on coordinates with L > 0."""
    scale = 1.0 / np.sqrt(L)
    if sparse.issparse(A):
        return A.multiply(scale[:, None]).multiply(scale).tocsr()
    return A * scale[:, None] * scale


def _dense(A: Any) -> FloatArray:
    return A.toarray() if sparse.issparse(A) else A


def _is_dense(A: Any) -> bool:
    return not sparse.issparse(A) or A.shape[0] <= DENSE_LIMIT


def _largest_eigenvalue(A: Any) -> float:
    """Of a symmetric matrix; by Lanczos where it is sparse and large, then with the tolerance 1e-9 added."""
    d = A.shape[0]
    if _is_dense(A):
        return float(linalg.eigvalsh(_dense(A), subset_by_index=[d - 1, d - 1])[0])
    from scipy.sparse.linalg import eigsh

    start = np.random.default_rng(0).standard_normal(d)
    return float(eigsh(A, k=1, which="LA", v0=start, tol=1e-10, return_eigenvectors=False)[0]) * (1.0 + 1e-9)


def is_valid(L: ArrayLike, A: Any, *, tolerance: float = 1e-10) -> bool:
    """Whether -diag(L) <= A <= diag(L) in the order of symmetric matrices, up to rounding.

    The test is that diag(L) (1 + tolerance) - A and diag(L) (1 + tolerance) + A have a Cholesky factor, after scaling
    by diag(L)^(-1/2): relative in every coordinate. L_j = 0 is valid only where row j of A is zero.

    Parameters
    ----------
    L : float or array ``(d,)``
    A : array or sparse matrix ``(d, d)``

    Examples
    --------
    The diagonal of A is not enough when A is not diagonal:

    >>> is_valid([1.0, 1.0], [[1.0, 0.5], [0.5, 1.0]]), is_valid([1.5, 1.5], [[1.0, 0.5], [0.5, 1.0]])
    (False, True)
    """
    matrix = _symmetric(A)
    diagonal = float_vector(L, matrix.shape[0], "L", low=0.0)
    positive = diagonal > 0.0
    if abs(matrix).sum(axis=1)[~positive].any():
        return False
    if not positive.any():
        return True
    scaled = _scaled(matrix[positive][:, positive], diagonal[positive])
    if not _is_dense(scaled):
        return max(_largest_eigenvalue(scaled), _largest_eigenvalue(-scaled)) <= 1.0 + tolerance + 1e-9
    return all(_has_cholesky(sign * _dense(scaled), 1.0 + tolerance) for sign in (-1.0, 1.0))


def _has_cholesky(A: FloatArray, shift: float) -> bool:
    matrix = A + shift * np.eye(len(A))
    return int(linalg.lapack.dpotrf(matrix, lower=1, overwrite_a=1)[1]) == 0


def optimal_diagonal(A: Any, weights: ArrayLike | None = None, *, tolerance: float = 1e-6) -> Diagonal:
    """The valid diagonal L with the smallest weighted sum, and a lower bound that proves how small it can be.

    Minimizes sum_j c_j L_j subject to diag(L) - A >= 0. With c_j = D_j^2 this is the smallest sum_j L_j D_j^2, which is
    what the convex AdaGrad bound pays.

    Parameters
    ----------
    A : array or sparse matrix ``(d, d)``
        Symmetric and positive semidefinite.
    weights : array ``(d,)``, optional
        c > 0; ones by default.
    tolerance : float
        Relative gap at which to stop. What is reached is in the result; L is valid in any case.

    Returns
    -------
    Diagonal
        L, certificate, dual_value.

    Raises
    ------
    ValueError
        If A is not square, not symmetric, not finite or not positive semidefinite, or a weight is not positive.

    Notes
    -----
    Where sign changes of coordinates make every entry nonnegative, the answer is L_j = sum_k |A_jk| sqrt(c_k / c_j)
    (weighted Gershgorin), with X = s s^T. Elsewhere X = V V^T with unit rows v_j of length over sqrt(2 d): a few sweeps
    of coordinate ascent v_j <- g_j / |g_j|, g_j = sum_{k != j} A_jk v_k, then L-BFGS on all rows at once, since sweeps
    alone close the gap only like 1 / sweeps. L_j = A_jj + |g_j| is then made valid by its largest relative excess.
    For sparse A with d > 3000 that excess comes from Lanczos and is not a proof in the strict sense.

    References
    ----------
    arXiv 2410.08198, 2511.20584 (the quantity); the program, its dual and the solver are derived here.

    Examples
    --------
    For A = Q diag(1, 4) Q^T with Q the rotation by 45 degrees all of |A| counts:

    >>> result = optimal_diagonal([[2.5, -1.5], [-1.5, 2.5]])
    >>> result.L, result.dual_value
    (array([4., 4.]), 8.0)
    """
    matrix = _symmetric(A)
    d = matrix.shape[0]
    c = float_vector(1.0 if weights is None else weights, d, "weights", low=0.0, strict=True)
    _require_psd(matrix)
    L = np.zeros(d)
    active = np.flatnonzero(matrix.diagonal() > 0.0)
    if active.size == 0:
        return Diagonal(L, 0.0, 0.0)
    root = np.sqrt(c[active])
    weighted = _scaled(matrix[active][:, active], 1.0 / c[active])
    signs = _balancing_signs(weighted)
    if signs is not None:
        L[active] = np.asarray(abs(weighted).sum(axis=1)).ravel() / root**2
        return Diagonal(L, 0.0, float(signs @ (weighted @ signs)))
    vectors = _coordinate_ascent(weighted, 5)
    excess, value = 1.0, 0.0
    for iterations in (120, 80, 80, 160, 320):
        vectors = _polish(weighted, vectors, iterations)
        product = weighted @ vectors
        diagonal = weighted.diagonal()
        bound = diagonal + np.linalg.norm(product - diagonal[:, None] * vectors, axis=1)
        value = float(np.sum(product * vectors))
        excess = _largest_eigenvalue(_scaled(weighted, bound))
        if bound.sum() * excess <= value * (1.0 + tolerance):
            break
    outward = 1.0 + 8.0 * active.size * np.finfo(float).eps
    L[active] = bound * excess * outward / root**2
    return Diagonal(L, 1.0 - 1.0 / outward, value)


def _require_psd(matrix: Any) -> None:
    diagonal = matrix.diagonal()
    if _is_dense(matrix):
        positive = diagonal > 0.0
        scaled = _dense(_scaled(matrix[positive][:, positive], diagonal[positive]))
        accepted = _has_cholesky(scaled, 1e-9) if positive.any() else True
        accepted = accepted and not abs(matrix)[~positive].sum()
    else:
        accepted = _largest_eigenvalue(-matrix) <= 1e-8 * diagonal.max()
    if not accepted:
        raise ValueError(
            "A is not positive semidefinite, so that an upper bound alone is not a smoothness constant; "
            "use gershgorin(A), which is valid in both directions"
        )


def _balancing_signs(A: Any) -> FloatArray | None:
    """Signs s with s_j s_k A_jk >= 0 for all j, k, or None where there are none."""
    if not sparse.issparse(A):
        near = np.sign(A[0])
        if np.any(near[:, None] * near * A < 0.0):  # a triangle through the first coordinate is already frustrated
            return None
    graph = sparse.coo_array(A)
    d = A.shape[0]
    if graph.data.min() >= 0.0:
        return np.ones(d)
    from scipy.sparse import csgraph

    # Nodes (j, +) and (j, -): a positive entry keeps the sign, a negative one flips it. Balanced means never connected.
    up, down = graph.data > 0.0, graph.data < 0.0
    tails = np.concatenate([graph.row[up], graph.row[up] + d, graph.row[down], graph.row[down] + d])
    heads = np.concatenate([graph.col[up], graph.col[up] + d, graph.col[down] + d, graph.col[down]])
    edges = sparse.coo_array((np.ones(tails.size, dtype=np.int8), (tails, heads)), shape=(2 * d, 2 * d))
    _, labels = csgraph.connected_components(edges, directed=False)
    if np.any(labels[:d] == labels[d:]):
        return None
    return np.where(labels[:d] < labels[d:], 1.0, -1.0)


def _coordinate_ascent(A: Any, sweeps: int) -> FloatArray:
    """Unit vectors that increase <A, V V^T> one row at a time."""
    d = A.shape[0]
    vectors = np.random.default_rng(0).standard_normal((d, int(np.ceil(np.sqrt(2 * d))) + 1))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    diagonal = A.diagonal()
    for _ in range(sweeps):
        for j in range(d):
            if sparse.issparse(A):
                part = slice(A.indptr[j], A.indptr[j + 1])
                g = A.data[part] @ vectors[A.indices[part]]
            else:
                g = A[j] @ vectors
            g = g - diagonal[j] * vectors[j]
            norm = np.sqrt(g @ g)
            if norm > 0.0:
                vectors[j] = g / norm
    return vectors


def _polish(A: Any, vectors: FloatArray, iterations: int) -> FloatArray:
    """L-BFGS on rows W_j = |W_j| v_j; the lengths |g_j|^(1/2) make the problem free of the scale of coordinates."""
    from scipy.optimize import minimize

    diagonal = A.diagonal()[:, None]
    norms = np.linalg.norm(A @ vectors - diagonal * vectors, axis=1)
    lengths = np.sqrt(np.where(norms > 0.0, norms, 1.0))[:, None]
    unit = norms.sum() or 1.0

    def loss(flat: FloatArray) -> tuple[float, FloatArray]:
        rows = flat.reshape(vectors.shape)
        size = np.linalg.norm(rows, axis=1)[:, None]
        v = rows / size
        g = A @ v - diagonal * v
        inner = np.sum(g * v, axis=1)[:, None]
        return -0.5 * float(inner.sum()) / unit, ((inner * v - g) / (size * unit)).ravel()

    scale = np.sqrt(unit / vectors.shape[0])
    start = (vectors * lengths / scale).ravel()
    options = {"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 0.0, "gtol": 1e-10, "maxcor": 10}
    rows = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x.reshape(vectors.shape)
    return rows / np.linalg.norm(rows, axis=1)[:, None]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
