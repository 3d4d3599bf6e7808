"""Where does an optimizer take a linear network? Full-batch training with exact diagonals at chosen losses.

The loss is (1/2) tr((W - A) S (W - A)^T) for W = W_N ... W_1 and a target map A, so it ends at zero. One compiled loop
runs gradient, noise and update; `update` is that of any `anisotropic.optimizers` record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ..compiled.disk import ready
from ..compiled.leaf import leaf
from ..compiled.random import fill_normals, key_words
from ..records import (
    FloatArray,
    Optimizer,
    Schedule,
    count,
    float_parameter,
    float_vector,
    initial_state,
    spread,
)
from .linear import as_covariance, as_weights, deep_linear_diagonals
from .statistic import r_med


class LinearRun(NamedTuple):
    """One training run of a linear network, seen where its loss first falls to each level.

    Attributes
    ----------
    levels : array (levels,)
        The levels asked for, as fractions of the initial loss.
    steps, loss : arrays (levels,)
        Updates done, and the loss there as a fraction of the initial loss; NaN loss where the level was not reached.
    r_med : array (levels, layers)
        R_med of each layer's exact diagonal.
    stable_rank : array (levels, layers)
        ||W_l||_F^2 / ||W_l||_2^2.
    weights : tuple of lists of arrays
        The weight matrices at each level that was reached.
    final : list of arrays
        The weight matrices where training stopped.
    status : str
        "ok", "not reached" (within max_steps) or "diverged".
    """

    levels: FloatArray
    steps: NDArray[np.int64]
    loss: FloatArray
    r_med: FloatArray
    stable_rank: FloatArray
    weights: tuple[list[FloatArray], ...]
    final: list[FloatArray]
    status: str


def linear_target(inputs: int, rank: int = 1, *, equal: bool = True, seed: int = 0) -> FloatArray:
    """A random target map A of shape (rank, inputs) with spectral norm 1.

    Rank 1: entries of random sign whose sizes are uniform on [1/2, 3/2] before the row is normalized, hence comparable.
    Higher rank: orthonormal rows, or Gaussian rows with unequal singular values where `equal` is false.

    Examples
    --------
    >>> A = linear_target(6, rank=2, seed=1)
    >>> bool(np.allclose(A @ A.T, np.eye(2)))
    True
    """
    count(inputs, "inputs")
    if not 1 <= rank <= inputs:
        raise ValueError(f"rank = {rank}; expected 1 to {inputs}, the number of inputs")
    rng = np.random.default_rng(seed)
    if rank == 1:
        A = rng.choice([-1.0, 1.0], (1, inputs)) * rng.uniform(0.5, 1.5, (1, inputs))
    elif equal:
        return np.linalg.qr(rng.standard_normal((inputs, rank)))[0].T.copy()
    else:
        A = rng.standard_normal((rank, inputs))
    return A / np.linalg.norm(A, 2)


def initial_weights(widths: Sequence[int], scales: Sequence[float] | float, *, seed: int = 0) -> list[FloatArray]:
    """Gaussian weights for a network of the given widths (inputs, hidden units, ..., outputs).

    Parameters
    ----------
    widths : sequence of N + 1 ints
    scales : number or N numbers
        Standard deviation of the entries of W_1, ..., W_N.

    Examples
    --------
    >>> [w.shape for w in initial_weights([4, 3, 1], [1e-2, 1e-1])]
    [(3, 4), (1, 3)]
    """
    sizes = [count(n, "width") for n in widths]
    if len(sizes) < 2:
        raise ValueError(f"widths = {list(widths)}; expected at least two numbers, inputs and outputs")
    spread = float_vector(scales, len(sizes) - 1, "scales", low=0.0)
    rng = np.random.default_rng(seed)
    return [s * rng.standard_normal((n, m)) for s, m, n in zip(spread, sizes[:-1], sizes[1:], strict=True)]


def train_linear_network(
    weights: Sequence[ArrayLike],
    target: ArrayLike,
    optimizer: Optimizer,
    *,
    S: ArrayLike | None = None,
    gradient_noise: float = 0.0,
    levels: Sequence[float] = (0.5, 0.1),
    max_steps: int = 100_000,
    seed: int = 0,
) -> LinearRun:
    """Train W_N ... W_1 towards a target map and record R_med where the loss first falls to each level.

    Parameters
    ----------
    weights : sequence of arrays
        W_1, ..., W_N at the start (`initial_weights`); they are not changed.
    target : array (outputs, inputs)
        A, with y = A x.
    optimizer : Optimizer
        For example ``an.optimizers.heavy_ball(0.05, 0.9)``; its step size must not be a schedule.
    S : array (d,) or (d, d), optional
        E[x x^T]; whitened inputs by default.
    gradient_noise : float
        Standard deviation of independent Gaussian noise on every gradient entry at every iteration.
    levels : decreasing sequence of numbers in (0, 1)
        Fractions of the initial loss.
    max_steps : int
    seed : int
        Of the gradient noise.

    Raises
    ------
    ValueError
        On shapes that do not fit, levels that do not decrease, or an initial loss of zero.

    Examples
    --------
    >>> from anisotropic import optimizers
    >>> start = [np.full((2, 1), 1e-3), np.array([[1e-3, 2e-3]])]           # grows along (2, 3): R_med = 9 / 6.5
    >>> run = train_linear_network(start, [[1.0]], optimizers.sgd(0.01), levels=[0.01])
    >>> run.status, run.r_med.round(2).tolist()
    ('ok', [[1.38, 1.38]])
    """
    matrices = as_weights(weights)
    widths = np.array([matrices[0].shape[1], *(w.shape[0] for w in matrices)], dtype=np.int64)
    problem = _problem(widths, target, S)
    fractions = _levels(levels)
    limit = count(max_steps, "max_steps")
    flat = np.concatenate([w.ravel() for w in matrices])
    noise, gradient = _gradient_noise(gradient_noise, flat.size, seed), np.empty_like(flat)
    if isinstance(optimizer.step_size, Schedule):
        raise ValueError("the step size is a schedule; expected a number or an array with one step size per weight")
    step_size = float_vector(optimizer.step_size, flat.size, "step_size", strict=True, low=0.0)
    state, params = initial_state(optimizer, flat.size), spread(optimizer.params, flat.size)
    initial = ready(loss_and_gradient, (), (flat, gradient, problem))(flat, gradient, problem)
    if not initial > 0:
        raise ValueError("the initial loss is zero; expected a start that does not solve the problem already")

    steps = np.full(fractions.size, -1, dtype=np.int64)
    loss = np.full(fractions.size, np.nan)
    values = np.full((fractions.size, len(matrices)), np.nan)
    ranks = np.full_like(values, np.nan)
    kept: list[list[FloatArray]] = []
    status, t = "ok", 0
    carried = params, flat, gradient, state, step_size
    advance = ready(_advance, (optimizer.update,), (*carried, t, limit, initial, noise, problem))
    for k, goal in enumerate(fractions * initial):
        t, now = advance(*carried, t, limit, goal, noise, problem)
        if not now <= goal:
            status = "not reached" if now < 1e6 * initial else "diverged"
            break
        kept.append(_matrices(flat, widths))
        steps[k], loss[k] = t, now / initial
        values[k] = [r_med(h).value for h in deep_linear_diagonals(kept[-1], S)]
        ranks[k] = [np.sum(w**2) / np.linalg.norm(w, 2) ** 2 for w in kept[-1]]
    return LinearRun(fractions, steps, loss, values, ranks, tuple(kept), _matrices(flat, widths), status)


def _problem(widths: NDArray[np.int64], target: ArrayLike, S: ArrayLike | None) -> Problem:
    A = np.ascontiguousarray(np.atleast_2d(np.asarray(target, dtype=np.float64)))
    inputs, outputs = int(widths[0]), int(widths[-1])
    if A.shape != (outputs, inputs) or not np.isfinite(A).all():
        raise ValueError(f"target has shape {A.shape}; expected a finite ({outputs}, {inputs}) matrix, as W_N ... W_1")
    back, forward = np.empty(outputs * widths.sum()), np.empty(outputs * widths[:-1].sum())
    return Problem(widths, A.ravel(), as_covariance(S, inputs).ravel(), S is None, back, forward)


def _levels(levels: Sequence[float]) -> FloatArray:
    fractions = np.asarray(levels, dtype=np.float64)
    if fractions.ndim != 1 or fractions.size == 0 or not np.all((fractions > 0) & (fractions < 1)):
        raise ValueError(f"levels = {levels!r}; expected fractions of the initial loss, numbers between 0 and 1")
    if np.any(np.diff(fractions) >= 0):
        raise ValueError(f"levels = {levels!r}; expected decreasing numbers, the order in which a run meets them")
    return fractions


def _matrices(flat: FloatArray, widths: NDArray[np.int64]) -> list[FloatArray]:
    ends = np.cumsum(widths[1:] * widths[:-1])
    return [part.reshape(n, -1).copy() for part, n in zip(np.split(flat, ends[:-1]), widths[1:], strict=True)]


class Problem(NamedTuple):
    """Target, second moment and scratch of `loss_and_gradient`; `widths` are n_0 = d, n_1, ..., n_N = o."""

    widths: NDArray[np.int64]
    target: FloatArray
    moment: FloatArray
    whitened: bool
    back: FloatArray
    forward: FloatArray


class GradientNoise(NamedTuple):
    """Standard deviation of every gradient entry's noise; key, places and buffer of its normals for four steps."""

    sigma: float
    key0: np.uint64
    key1: np.uint64
    entry: NDArray[np.uint64]
    zero: NDArray[np.uint64]
    normals: FloatArray


def _gradient_noise(sigma: float, size: int, seed: int) -> GradientNoise:
    sigma = float_parameter(sigma, "gradient_noise", strict=False)
    used = size if sigma > 0 else 0
    places = np.arange(used, dtype=np.uint64), np.zeros(used, dtype=np.uint64)
    return GradientNoise(sigma, *key_words(seed), *places, np.empty((4, used)))


@leaf
def _product(a, b, rows, inner, columns, out):
    """out = a b for flat row-major matrices (rows, inner) and (inner, columns)."""
    for i in range(rows):
        row = out[i * columns : (i + 1) * columns]
        row[:] = 0.0
        for k in range(inner):
            factor, other = a[i * inner + k], b[k * columns : (k + 1) * columns]
            for j in range(columns):
                row[j] += factor * other[j]


@leaf
def _product_transposed(a, b, rows, inner, columns, out):
    """out = a b^T for flat row-major matrices (rows, inner) and (columns, inner)."""
    for i in range(rows):
        for k in range(columns):
            total, left, right = 0.0, a[i * inner : (i + 1) * inner], b[k * inner : (k + 1) * inner]
            for j in range(inner):
                total += left[j] * right[j]
            out[i * columns + k] = total


@leaf
def _transposed_product(a, b, rows, inner, columns, out):
    """out = a^T b for flat row-major matrices (inner, rows) and (inner, columns)."""
    for i in range(rows):
        row = out[i * columns : (i + 1) * columns]
        row[:] = 0.0
        for k in range(inner):
            factor, other = a[k * rows + i], b[k * columns : (k + 1) * columns]
            for j in range(columns):
                row[j] += factor * other[j]


@leaf
def loss_and_gradient(w, gradient, problem):
    """Loss at the flat weights `w`; writes the gradient.

    back[l] = B_l = W_N ... W_{l+1} and forward[l] = R_l = G A_l^T, with G = (W - A) S and A_l = W_l ... W_1, both of
    shape (o, n_l); the gradient of W_l is B_l^T R_{l-1}. BLAS calls instead of these loops would triple the time to
    compile for every new optimizer.
    """
    widths, back, forward = problem.widths, problem.back, problem.forward
    depth, o, d = widths.size - 1, widths[-1], widths[0]
    at, end = w.size, back.size - o * o
    back[end:] = 0.0
    for k in range(o):
        back[end + k * o + k] = 1.0
    for l in range(depth, 0, -1):
        r, c = widths[l], widths[l - 1]
        at, below = at - r * c, end - o * c
        _product(back[end:], w[at:], o, r, c, back[below:end])
        end = below
    for k in range(o * d):
        back[k] -= problem.target[k]
    if problem.whitened:
        forward[: o * d] = back[: o * d]
    else:
        _product(back, problem.moment, o, d, d, forward)
    loss = 0.0
    for k in range(o * d):
        loss += 0.5 * back[k] * forward[k]
    at, start = 0, o * d
    for l in range(1, depth + 1):
        r, c = widths[l], widths[l - 1]
        residual = forward[start - o * c : start]
        _transposed_product(back[start:], residual, r, o, c, gradient[at:])
        if l < depth:
            _product_transposed(residual, w[at:], o, c, r, forward[start:])
        at, start = at + r * c, start + o * r
    return loss


@njit(nogil=True, error_model="numpy")
def _advance(update, params, w, gradient, state, step_size, t, limit, goal, noise, problem):
    """Update until the loss is at most `goal`, is not a number or has exploded, or `limit` updates are done."""
    group, z = -1, noise.normals
    while True:
        loss = loss_and_gradient(w, gradient, problem)
        if not goal < loss < 1e300 or t >= limit:
            return t, loss
        if noise.sigma > 0:
            if t >> 2 != group:
                group = t >> 2
                entry, zero = noise.entry, noise.zero
                fill_normals(noise.key0, noise.key1, 0, group, entry, zero, zero, z[0], z[1], z[2], z[3])
            for j in range(w.size):
                gradient[j] += noise.sigma * z[t & 3, j]
        t += 1
        update(w, gradient, state, step_size, t, params)
