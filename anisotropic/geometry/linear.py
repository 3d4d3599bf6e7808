"""What is the exact Hessian diagonal of a linear network? Closed forms for any depth, no differentiation.

f(x) = W_N ... W_1 x with loss (1/2) E ||f(x) - y||^2 is quadratic in each layer alone. With B = W_N ... W_{l+1},
A = W_{l-1} ... W_1 and S = E[x x^T],

    d^2 loss / dW_l[i, j]^2 = ||B[:, i]||^2 (A S A^T)[j, j],

which does not involve y. Derivation: docs/theory/geometry_linear_networks.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..records import FloatArray


def as_weights(weights: Sequence[ArrayLike]) -> list[FloatArray]:
    """Weight matrices W_1, ..., W_N as contiguous float64 arrays whose shapes chain; refuse anything else."""
    matrices = [np.ascontiguousarray(w, dtype=np.float64) for w in weights]
    if not matrices:
        raise ValueError("no weight matrices; expected W_1, ..., W_N, the first of which acts on the input")
    for l, w in enumerate(matrices, 1):
        if w.ndim != 2 or w.size == 0:
            raise ValueError(f"W{l} has shape {w.shape}; expected a matrix (outputs, inputs)")
        if not np.isfinite(w).all():
            raise ValueError(f"W{l} has {int((~np.isfinite(w)).sum())} entries that are not finite")
        if l > 1 and w.shape[1] != matrices[l - 2].shape[0]:
            raise ValueError(
                f"W{l} has shape {w.shape} but W{l - 1} has {matrices[l - 2].shape[0]} outputs; "
                f"expected W{l} with {matrices[l - 2].shape[0]} columns"
            )
    return matrices


def as_covariance(S: ArrayLike | None, inputs: int) -> FloatArray:
    """E[x x^T] as a matrix, from None (whitened inputs), its diagonal `(d,)`, or the matrix itself."""
    if S is None:
        return np.eye(inputs)
    array = np.array(S, dtype=np.float64)
    if array.shape == (inputs,):
        array = np.diag(array)
    if array.shape != (inputs, inputs):
        raise ValueError(f"S has shape {np.shape(S)}; expected ({inputs},) or ({inputs}, {inputs}), the inputs of W1")
    if not np.allclose(array, array.T, rtol=1e-10, atol=1e-12 * np.abs(array).max()):
        raise ValueError("S is not symmetric; expected the second moment E[x x^T] of the inputs")
    if np.linalg.eigvalsh(array)[0] < -1e-10 * np.abs(array).max():
        raise ValueError("S has a negative eigenvalue; expected the second moment E[x x^T] of the inputs")
    return np.ascontiguousarray((array + array.T) / 2)


def deep_linear_diagonals(weights: Sequence[ArrayLike], S: ArrayLike | None = None) -> list[FloatArray]:
    """Hessian diagonals of (1/2) E ||W_N ... W_1 x - y||^2, one array per layer, of the layer's shape.

    Parameters
    ----------
    weights : sequence of arrays
        W_1, ..., W_N; W_l has shape (outputs of layer l, inputs of layer l).
    S : array (d,) or (d, d), optional
        E[x x^T], or its diagonal where it is diagonal; whitened inputs (the identity) by default.

    Raises
    ------
    ValueError
        On shapes that do not chain, entries that are not finite, or an S that is no second moment.

    Examples
    --------
    >>> deep_linear_diagonals([[[1.0]], [[2.0]], [[3.0]]])    # (w3 w2)^2, (w3 w1)^2, (w2 w1)^2
    [array([[36.]]), array([[9.]]), array([[4.]])]
    """
    matrices = as_weights(weights)
    moment = as_covariance(S, matrices[0].shape[1])
    inputs = []
    for w in matrices:
        inputs.append(np.diag(moment).copy())
        moment = w @ moment @ w.T
    back, diagonals = np.eye(matrices[-1].shape[0]), []
    for w, second_moment in zip(reversed(matrices), reversed(inputs), strict=True):
        diagonals.append(np.outer(np.sum(back**2, axis=0), second_moment))
        back = back @ w
    return diagonals[::-1]


def linear_network_diagonals(
    W1: ArrayLike, W2: ArrayLike, S: ArrayLike | None = None
) -> tuple[FloatArray, FloatArray]:
    """Hessian diagonals of the two-layer network f(x) = W2 W1 x under (1/2) E ||f(x) - y||^2.

    d^2 loss / dW1[i, j]^2 = (W2^T W2)_ii S_jj and d^2 loss / dW2[k, i]^2 = (W1 S W1^T)_ii, the same for every output k.

    Parameters
    ----------
    W1 : array (h, d)
    W2 : array (o, h)
    S : array (d,) or (d, d), optional
        E[x x^T]; whitened inputs by default.

    Returns
    -------
    (h, d) array, (o, h) array
        The diagonals of the blocks of W1 and of W2; both are at least zero.

    Examples
    --------
    >>> first, second = linear_network_diagonals([[1.0, 2.0], [0.0, 1.0]], [[3.0, 1.0]])
    >>> first
    array([[9., 9.],
           [1., 1.]])
    >>> second
    array([[5., 1.]])
    """
    first, second = deep_linear_diagonals([W1, W2], S)
    return first, second


def data_floor(S: ArrayLike) -> float:
    """max_j S_jj / median_j S_jj: what R_med of the first layer keeps even for perfectly uniform weights.

    Parameters
    ----------
    S : array (d,) or (d, d)
        E[x x^T] or its diagonal.

    Examples
    --------
    >>> data_floor([1.0, 2.0, 8.0])
    4.0
    """
    array = np.asarray(S, dtype=np.float64)
    s = np.diag(array) if array.ndim == 2 else array
    if s.size == 0 or not np.isfinite(s).all() or s.min() < 0:
        raise ValueError("S has an empty, negative or non-finite diagonal; expected second moments of the inputs")
    median = float(np.median(s))
    return float(s.max()) / median if median > 0 else float("nan")
