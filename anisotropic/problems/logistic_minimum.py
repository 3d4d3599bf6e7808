"""Where is the minimum of a regularized logistic loss, and what proves it? Newton's method with a certificate.

A certificate is an upper bound on f(w) - inf f computed from w alone; docs/theory/logistic.md derives the four used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg, sparse
from scipy.special import expit

from ..records import FloatArray

TARGET = 1e-13  # ten times better than promised
DIRECT_LIMIT = 2000  # beyond it Newton's equations are solved by conjugate gradients

Bounds = tuple[FloatArray, FloatArray] | None


class Solution(NamedTuple):
    """`minimizer` or None, `minimum` (the infimum) or None, and a note where one of them is missing."""

    minimizer: FloatArray | None
    minimum: float | None
    note: str = ""


class _Point(NamedTuple):
    w: FloatArray
    margins: FloatArray
    value: float
    weights: FloatArray  # 1 / (1 + exp(margin)), minus the slope of the loss in each row
    gradient: FloatArray


def _losses(margins: FloatArray) -> FloatArray:
    return np.logaddexp(0.0, -margins)


def _point(rows: Any, l2: float, w: FloatArray) -> _Point:
    margins = rows @ w
    weights = expit(-margins)
    value = float(_losses(margins).mean() + 0.5 * l2 * (w @ w))
    return _Point(w, margins, value, weights, l2 * w - rows.T @ weights / len(weights))


def _value(point: _Point, l2: float) -> float:
    """f at the point with one rounding error in the sum."""
    return math.fsum(_losses(point.margins)) / point.margins.size + 0.5 * l2 * math.fsum(point.w**2)


def _hessian(rows: Any, curvature: FloatArray, l2: float) -> FloatArray:
    """Z^T diag(curvature) Z / n + l2 I."""
    weight = curvature / len(curvature)
    product = rows.T @ (sparse.diags_array(weight) @ rows if sparse.issparse(rows) else rows * weight[:, None])
    matrix = product.toarray() if sparse.issparse(product) else product
    matrix[np.diag_indices(len(matrix))] += l2
    return matrix


def _direction(rows: Any, point: _Point, l2: float, free: np.ndarray) -> FloatArray:
    """Newton's direction on the free coordinates, 0 elsewhere."""
    out = np.zeros(point.w.size)
    g = point.gradient[free]
    if g.size == 0:
        return out
    part = rows if free.all() else rows[:, np.flatnonzero(free)]
    curvature = point.weights * (1.0 - point.weights)
    if g.size <= DIRECT_LIMIT:
        hessian = _hessian(part, curvature, l2)
        scale = hessian.trace() / g.size or 1.0
        for damping in (1e-15, 1e-12, 1e-9, 1e-6, 1e-3, 1.0):  # flat directions: the first that factorizes
            try:
                factor = linalg.cho_factor(hessian + damping * scale * np.eye(g.size), check_finite=False)
            except linalg.LinAlgError:
                continue
            out[free] = -linalg.cho_solve(factor, g, check_finite=False)
            break
        return out
    from scipy.sparse.linalg import LinearOperator, cg

    weight = curvature / len(curvature)
    diagonal = (part.multiply(part) if sparse.issparse(part) else part * part).T @ weight + l2
    tiny = 1e-14 * diagonal.max() or 1.0
    operator = LinearOperator((g.size, g.size), lambda v: part.T @ (weight * (part @ v)) + (l2 + tiny) * v)
    inverse = LinearOperator((g.size, g.size), lambda v: v / (diagonal + tiny))
    accuracy = min(0.1, float(np.linalg.norm(g)) ** 0.5)
    out[free] = cg(operator, -g, rtol=accuracy, maxiter=2 * g.size, M=inverse)[0]
    return out


def _search(rows: Any, l2: float, bounds: Bounds, point: _Point, direction: FloatArray) -> _Point | None:
    """The first of w + direction, halved again and again, that decreases f enough; None where rounding hides it."""
    length = 1.0
    for _ in range(60):
        w = point.w + length * direction
        if bounds is not None:
            w = np.clip(w, *bounds)
        new = _point(rows, l2, w)
        slope = float(point.gradient @ (w - point.w))
        if new.value <= point.value + 1e-4 * slope + 4e-16 * abs(point.value) and slope < 0.0:
            return new
        length *= 0.5
    return None


def _box_gap(point: _Point, bounds: tuple[FloatArray, FloatArray]) -> float:
    """sup over the box of <gradient, w - u>, at least f(w) - f* by convexity."""
    g = point.gradient
    return float(np.sum(np.maximum(g * (point.w - bounds[0]), g * (point.w - bounds[1]))))


def _row_space(rows: Any) -> FloatArray | None:
    """Orthonormal basis ``(d, r)`` of the span of the rows, or None where rounding leaves the rank in doubt."""
    if rows.shape[1] > DIRECT_LIMIT:
        return None
    values, vectors = linalg.eigh(_hessian(rows, np.ones(rows.shape[0]), 0.0))
    top = values[-1] or 1.0
    doubtful = (np.abs(values) > 1e-12 * top) & (values < 1e-9 * top)
    return None if doubtful.any() else vectors[:, values >= 1e-9 * top]


def _self_concordant_gap(rows: Any, basis: FloatArray, point: _Point) -> float:
    """Bound on f(w) - f* for l2 = 0 that also proves that a minimizer exists; infinite where it does not apply.

    With H the Hessian on the span of the rows, c^2 = max_i z_i^T H^{-1} z_i and u = c |grad|_{H^{-1}} < 1, the gap is
    at most (u + (1 - u) log(1 - u)) / c^2, about |grad|^2_{H^{-1}} / 2. Data without a minimizer have u >= 1
    everywhere; rounding must not cross that line, hence 1/2.
    """
    spread = rows @ basis
    try:
        lower = linalg.cholesky(_hessian(spread, point.weights * (1.0 - point.weights), 0.0), lower=True)
    except linalg.LinAlgError:
        return math.inf
    decrement = np.linalg.norm(linalg.solve_triangular(lower, basis.T @ point.gradient, lower=True))
    leverage = linalg.solve_triangular(lower, spread.T, lower=True)
    reach = math.sqrt(float(np.max(np.sum(leverage**2, axis=0), initial=0.0)))
    u = reach * float(decrement)
    if u == 0.0:
        return 0.0
    return (u + (1.0 - u) * math.log1p(-u)) / reach**2 if u <= 0.5 else math.inf


def _separated(rows: Any, point: _Point, direction: FloatArray) -> np.ndarray | None:
    """Rows that some v separates (z_i . v > 0) while z_i . v = 0 on all others; found from where Newton runs to."""
    change = rows @ direction
    gone = (change > 0.5) & (point.weights < 0.1)
    if not gone.any() or np.abs(change[~gone]).max(initial=0.0) > 0.1:
        return None
    kept = _row_space(rows[np.flatnonzero(~gone)]) if not gone.all() else np.zeros((rows.shape[1], 0))
    if kept is None:
        return None
    change = rows @ (direction - kept @ (kept.T @ direction))
    proved = change[gone].min() > 0.1 and np.abs(change[~gone]).max(initial=0.0) < 1e-9
    return gone if proved else None


def minimize(rows: Any, l2: float, bounds: Bounds) -> Solution:
    """Minimize mean log(1 + exp(-rows @ w)) + (l2/2) |w|^2 over the box, with a certificate.

    Parameters
    ----------
    rows : array or CSR array ``(n, d)``
        z_i = y_i x_i.
    l2 : float
    bounds : (lo, hi) or None
    """
    w = np.zeros(rows.shape[1]) if bounds is None else np.clip(np.zeros(rows.shape[1]), *bounds)
    point = _point(rows, l2, w)
    if bounds is not None:
        return _descend(rows, l2, bounds, point, lambda p: _box_gap(p, bounds))
    if l2 > 0.0:
        return _descend(rows, l2, None, point, lambda p: float(p.gradient @ p.gradient) / (2.0 * l2))
    return _unregularized(rows, point)


def _descend(rows: Any, l2: float, bounds: Bounds, point: _Point, gap: Callable[[_Point], float]) -> Solution:
    best, found, idle = point, gap(point), 0
    for _ in range(500):
        free = np.ones(point.w.size, dtype=bool)
        if bounds is not None:
            g = point.gradient
            free = ~((point.w <= bounds[0]) & (g > 0.0) | (point.w >= bounds[1]) & (g < 0.0))
        following = _search(rows, l2, bounds, point, _direction(rows, point, l2, free))
        if following is None:
            break
        point = following
        now = gap(point)
        idle = 0 if now < found else idle + 1
        if now < found:
            best, found = point, now
        if idle >= (1 if found <= 1e-3 * TARGET else 3 if found <= TARGET else 30):
            break
    if found > 10 * TARGET:
        return Solution(None, None, f"minimum not certified: known to {found:.1g}")
    return Solution(best.w, _value(best, l2))


def _unregularized(rows: Any, point: _Point) -> Solution:
    basis = _row_space(rows)
    if basis is None:
        return Solution(None, None, "minimum not certified: the rank of X is in doubt; use l2 > 0 or a box")
    everywhere = np.ones(point.w.size, dtype=bool)
    gap = math.inf
    for _ in range(200):
        direction = _direction(rows, point, 0.0, everywhere)
        if -point.gradient @ direction < 1e-6:
            gap = _self_concordant_gap(rows, basis, point)
            if gap <= TARGET:
                nearer = _point(rows, 0.0, point.w + direction)
                return Solution(nearer.w, min(_value(point, 0.0), _value(nearer, 0.0)))
        gone = _separated(rows, point, direction)
        if gone is not None:
            return _without(rows, gone)
        following = _search(rows, 0.0, None, point, direction)
        if following is None:
            break
        point = following
    return Solution(None, None, f"minimum not certified: known to {gap:.1g}; use l2 > 0 or a box")


def _without(rows: Any, gone: np.ndarray) -> Solution:
    """Rows that can be separated at no cost to the others add nothing to the infimum, which is then not attained."""
    if gone.all():
        return Solution(None, 0.0, "separable data: infimum 0, no minimizer")
    rest = rows[np.flatnonzero(~gone)]
    solution = _unregularized(rest, _point(rest, 0.0, np.zeros(rows.shape[1])))
    if solution.minimum is None:
        return solution
    return Solution(None, solution.minimum * rest.shape[0] / rows.shape[0], "partly separable data: no minimizer")
