"""What is the diagonal of a Hessian that one can only multiply with? Exact entries and random estimates.

`hvp(v)` may be NumPy, torch, JAX or anything else that maps a `(n,)` float64 array to H v of the same length.
Derivations: docs/theory/geometry_estimators.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..records import FloatArray, count

Product = Callable[[FloatArray], Any]


class DiagonalEstimate(NamedTuple):
    """An estimated diagonal and its standard error, both `(n,)`."""

    estimate: FloatArray
    standard_error: FloatArray


def apply_product(hvp: Product, v: FloatArray) -> FloatArray:
    """H v as a `(n,)` float64 array; refuse a wrong length, half precision and entries that are not finite."""
    raw = hvp(v)
    if "float16" in str(getattr(raw, "dtype", "")):
        raise ValueError(f"hvp returned {raw.dtype}; expected float64 (or float32): half precision loses the diagonal")
    result = np.asarray(raw.detach().cpu() if hasattr(raw, "detach") else raw)
    result = result.astype(np.float64, copy=False)
    if result.shape != v.shape:
        raise ValueError(f"hvp returned shape {result.shape} for a vector of shape {v.shape}; expected the same shape")
    if not np.isfinite(result).all():
        raise ValueError(
            f"hvp returned {int((~np.isfinite(result)).sum())} entries that are not finite; "
            "check the weights and the batch for NaN"
        )
    return result


def exact_entries(hvp: Product, size: int, index: ArrayLike | None = None) -> FloatArray:
    """Diagonal entries H_ii = e_i^T H e_i, one product each.

    Parameters
    ----------
    hvp : callable (n,) -> (n,)
    size : int
        n.
    index : ints, optional
        Which entries; all by default.

    Examples
    --------
    >>> H = np.array([[2.0, 1.0], [1.0, 3.0]])
    >>> exact_entries(lambda v: H @ v, 2)
    array([2., 3.])
    """
    n = count(size, "size")
    wanted = np.arange(n) if index is None else np.atleast_1d(np.asarray(index))
    if wanted.size and (wanted.min() < 0 or wanted.max() >= n):
        raise ValueError(f"index runs from {wanted.min()} to {wanted.max()}; expected 0 to {n - 1}")
    out, unit = np.empty(wanted.size), np.zeros(n)
    for k, i in enumerate(wanted):
        unit[i] = 1.0
        out[k] = apply_product(hvp, unit)[i]
        unit[i] = 0.0
    return out


class SignProbes:
    """Running mean and variance of v * (H v) over Rademacher probes v; more probes may be added later."""

    def __init__(self, hvp: Product, size: int, seed: int) -> None:
        self.hvp, self.rng, self.probes = hvp, np.random.default_rng([int(seed), 1]), 0
        self.mean, self.squares = np.zeros(size), np.zeros(size)

    def extend(self, probes: int) -> None:
        """Add `probes` products (Welford's update)."""
        for _ in range(probes):
            v = self.rng.choice([-1.0, 1.0], self.mean.size)
            product = v * apply_product(self.hvp, v)
            self.probes += 1
            change = product - self.mean
            self.mean += change / self.probes
            self.squares += change * (product - self.mean)


def hutchinson_diagonal(hvp: Product, size: int, probes: int, seed: int = 0) -> DiagonalEstimate:
    """Rademacher estimate of a diagonal: the mean of v * (H v) over random sign vectors v.

    Unbiased, with variance (sum_{j != i} H_ij^2) / probes at entry i. Do not form R_med from it: noise lifts maximum
    and median by different amounts; `estimate_r_med` evaluates entries exactly instead.

    Parameters
    ----------
    hvp : callable (n,) -> (n,)
    size : int
        n.
    probes : int
        Number of products, at least 2.
    seed : int

    Returns
    -------
    DiagonalEstimate
        `estimate` and `standard_error` (from the spread over probes), both (n,).

    Raises
    ------
    ValueError
        If there are fewer than 2 probes, or hvp returns another shape, half precision or NaN.

    Examples
    --------
    >>> hutchinson_diagonal(lambda v: np.array([1.0, 2.0]) * v, 2, probes=4).estimate    # H is diagonal: exact
    array([1., 2.])
    """
    n, m = count(size, "size"), count(probes, "probes", low=2)
    sample = SignProbes(hvp, n, seed)
    sample.extend(m)
    return DiagonalEstimate(sample.mean, np.sqrt(sample.squares / (m - 1) / m))


def xdiag(hvp: Product, size: int, probes: int, seed: int = 0) -> DiagonalEstimate:
    """XDiag: a low-rank sketch takes what it can, sign vectors left out in turn correct the rest (arXiv 2301.07825).

    With k = probes / 2 sign vectors w_i, the orthonormal basis Q_i of the sketch H [w_j, j != i] gives the estimate
    diag(Q_i Q_i^T H) + w_i * (I - Q_i Q_i^T) H w_i; the k estimates are averaged. Unbiased; far better than
    `hutchinson_diagonal` where the spectrum decays fast, about equal where it does not.

    Parameters
    ----------
    hvp : callable (n,) -> (n,)
        H must be symmetric.
    size : int
        n.
    probes : int
        Number of products, even, at least 4.
    seed : int

    Returns
    -------
    DiagonalEstimate
        The standard error is that of the k estimates as if independent, which they are not quite.

    Examples
    --------
    >>> u = np.array([1.0, 2.0, 3.0])
    >>> xdiag(lambda v: u * (u @ v), 3, probes=4).estimate.round(12)       # rank one: exact
    array([1., 4., 9.])
    """
    n, m = count(size, "size"), count(probes, "probes", low=4)
    if m % 2:
        raise ValueError(f"probes = {m}; expected an even number, half for the sketch and half for its product")
    k = min(m // 2, n)
    signs = np.random.default_rng([int(seed), 2]).choice([-1.0, 1.0], (n, k))
    Q, R = np.linalg.qr(np.stack([apply_product(hvp, w) for w in signs.T], axis=1))
    Z = np.stack([apply_product(hvp, q) for q in np.ascontiguousarray(Q.T)], axis=1)
    captured = np.sum(Q * Z, axis=1)
    pivots = np.abs(np.diag(R))
    if k == n or pivots.min() <= 1e-12 * pivots.max():
        return DiagonalEstimate(captured, np.zeros(n))
    left_out = np.linalg.inv(R).T
    left_out /= np.linalg.norm(left_out, axis=0)
    direction = Q @ left_out
    residual = np.sum(left_out * R, axis=0)
    each = captured[:, None] + direction * (signs * residual - Z @ left_out)
    return DiagonalEstimate(each.mean(axis=1), each.std(axis=1, ddof=1) / np.sqrt(k))
