"""Which update rules act on matrices? Each: a compiled leaf, its parameters, and a lower-case factory.

They see the parameter as W = w.reshape((m, n)) of the objective's shape and need no kernel of their own: what they keep
and the room they work in are rows of the state. With side "right" a rule works on W'. The projection of ASGO onto a
ball in the spectral norm is taken in the metric of its accumulator, where clipping singular values would be wrong.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..compiled.leaf import leaf
from ..compiled.matrices import (
    add_gram,
    apply_function,
    copy_to,
    eigenvectors,
    multiply,
    transpose_to,
)
from ..compiled.views import matrix, part
from ..records import FloatArray, Optimizer, float_parameter, numbers, positive_semidefinite
from ..records.vocabulary import one_of
from .spectral_ball import into_ball
from .vector import StepSize

SIDES = ("left", "right")
SINGULAR = 1e-14  # eigenvalue of the accumulator, relative to the largest, that counts as zero
LARGEST_FULL = 64  # coordinates of full-matrix AdaGrad, whose accumulator has as many rows

Shape = tuple[int, int]


class Asgo(NamedTuple):
    """Shape, the number added to the root, the side, and the ball."""

    shape: Shape
    eps: float
    right: bool
    radius: float
    centre: FloatArray


class Rows(NamedTuple):
    """Shape and the number added to the root."""

    shape: Shape
    eps: float


class Left(NamedTuple):
    """Shape and the matrix that multiplies gradients from the left."""

    shape: Shape
    preconditioner: FloatArray


class Full(NamedTuple):
    """The number added to the root."""

    eps: float


# ---- room in the state ----------------------------------------------------------------------------------------------


def _lines(entries: int, shape: Shape) -> int:
    """Rows of the state that hold so many numbers."""
    return -(-entries // (shape[0] * shape[1]))


def _square(side: str, value: float, shape: Shape) -> FloatArray:
    """Rows for a (k, k) matrix, `value` times the identity; k counts the rows (left) or the columns (right)."""
    k = shape[SIDES.index(side)]
    flat = np.zeros(_lines(k * k, shape) * shape[0] * shape[1])
    flat[: k * k] = (value * np.eye(k)).ravel()
    return flat.reshape(-1, shape[0] * shape[1])


def _identity(value: float, dim: int) -> FloatArray:
    """`value` times the identity in d coordinates."""
    if dim > LARGEST_FULL:
        raise ValueError(
            f"full-matrix AdaGrad keeps a {dim} x {dim} matrix; it is meant for at most {LARGEST_FULL} coordinates: "
            "use asgo, which keeps one of the rows alone"
        )
    return value * np.eye(dim)


@leaf
def _lines_of(entries, d):
    """Rows of d entries that hold so many numbers."""
    return (entries + d - 1) // d


# ---- ASGO -----------------------------------------------------------------------------------------------------------


@leaf
def _roots(values, eps):
    """values <- 1 / (sqrt(values) + eps), 0 where that is 1/0; eigenvalues that are rounding count as zero."""
    top = 0.0
    for i in range(values.size):
        top = max(top, values[i])
    for i in range(values.size):
        root = (math.sqrt(values[i]) if values[i] > SINGULAR * top else 0.0) + eps
        values[i] = 1.0 / root if root > 0.0 else 0.0


@leaf
def asgo_step(w, gradient, state, step_size, params):
    """V <- V + G G', W <- W - step (V^(1/2) + eps I)^(-1) G; eigenvectors and 1 / roots stay in the state."""
    m, n = params.shape
    k, other, d = (n, m, w.size) if params.right else (m, n, w.size)
    lines = _lines_of(k * k, d)
    V, Q = matrix(state, 0, k, k), matrix(state, lines * d, k, k)
    values, room = part(state, 2 * lines * d, k), part(state, (2 * lines + 1) * d, k)
    X, Y = matrix(state, (2 * lines + 2) * d, k, other), matrix(state, (2 * lines + 3) * d, k, other)
    if params.right:
        transpose_to(matrix(gradient, 0, m, n), X)
    else:
        copy_to(matrix(gradient, 0, m, n), X)
    add_gram(X, V)
    copy_to(V, Q)
    eigenvectors(Q, values, room)
    _roots(values, params.eps)
    apply_function(Q, values, X, Y, X)
    for i in range(m):
        for j in range(n):
            w[i * n + j] -= step_size[i * n + j] * (X[j, i] if params.right else X[i, j])


@leaf
def asgo_update(w, gradient, state, step_size, t, params):
    """ASGO without a ball."""
    asgo_step(w, gradient, state, step_size, params)


@leaf
def asgo_in_ball_update(w, gradient, state, step_size, t, params):
    """ASGO, then the projection onto the ball in the metric of V^(1/2) + eps I."""
    asgo_step(w, gradient, state, step_size, params)
    m, n = params.shape
    k, d = (n, w.size) if params.right else (m, w.size)
    lines = _lines_of(k * k, d)
    Q, values = matrix(state, lines * d, k, k), part(state, 2 * lines * d, k)
    into_ball(matrix(w, 0, m, n), Q, values, params.centre, params.radius, params.right)


def _ball(ball: Any) -> tuple[float, FloatArray]:
    """Radius and centre of a ball, given as a radius or as (center, radius)."""
    if ball is None:
        return math.inf, np.zeros((1, 1))
    center, radius = ball if isinstance(ball, (tuple, list)) and len(ball) == 2 else (0.0, ball)
    centre = numbers(center, "center of the ball", "a number or a matrix (m, n)")
    if centre.ndim not in (0, 2) or not np.isfinite(centre).all():
        raise ValueError(f"center of the ball has shape {centre.shape}; expected one finite number or a matrix (m, n)")
    return float_parameter(radius, "radius of the ball"), np.ascontiguousarray(np.atleast_2d(centre))


def asgo(
    step_size: StepSize, *, eps: float = 0.0, side: str = "left", ball: Any = None, preset: str = "convex"
) -> Optimizer:
    """ASGO (one-sided Shampoo), V <- V + G G', W <- W - step (V^(1/2) + eps I)^(-1) G, projected onto a ball.

    Parameters
    ----------
    step_size : float, array ``(d,)`` or schedule
    eps : float
    side : {"left", "right"}
        "right" accumulates G' G and multiplies from the right; it is the same method on W'. The matrix has m (left) or
        n (right) rows: take the smaller side, unless the geometry says otherwise.
    ball : radius, or pair (center, radius), optional
        Iterates stay where the largest singular value of W - center is at most the radius. The projection is taken in
        the metric of V^(1/2) + eps I and proved at every step (Fejer); clipping singular values would break the regret
        bound. The convex theorem needs a ball.
    preset : {"convex", "nonconvex"}
        "convex": V_0 = 0, eps outside the root; with eps = 0 the inverse is the pseudo-inverse and the first step is
        step times the polar factor of G. "nonconvex": V_0 = eps^2 I, nothing else; eps > 0 is required, and no ball is
        taken.

    References
    ----------
    An, Liu, Pan, Ren, Ma, Goldfarb, Zhang, arXiv 2503.20762; Gupta, Koren, Singer, arXiv 1802.09568. The public code of
    ASGO keeps a running mean instead of the sum and rescales each step: that is another method.

    Examples
    --------
    From W = diag(1, 0.01) the first step has length `step_size` in every singular direction:

    >>> import anisotropic as an
    >>> f = an.problems.kronecker(np.eye(2))
    >>> run = an.simulate(f, an.optimizers.asgo(0.5), noise=an.noises.none(), start=[1.0, 0, 0, 0.01], steps=1)
    >>> bool(abs(run.gap[0, 0] - 0.5 * (0.5**2 + 0.49**2)) < 1e-15)
    True
    """
    one_of(side, SIDES, "side")
    one_of(preset, ("convex", "nonconvex"), "preset")
    nonconvex = preset == "nonconvex"
    number = float_parameter(eps, "eps", strict=nonconvex)
    radius, centre = _ball(ball)
    if nonconvex and ball is not None:
        raise ValueError("preset 'nonconvex' takes no ball: its theorem is about free iterates; leave ball out")
    state: dict[str, Any] = {
        "second_moment": partial(_square, side, number**2 if nonconvex else 0.0),
        "eigenvectors": partial(_square, side, 0.0), "values": 0.0, "room": 0.0, "direction": 0.0, "product": 0.0,
    }  # fmt: skip
    settings = {"preset": preset, "eps": number, "side": side, "ball": None if ball is None else radius}
    return Optimizer(
        "asgo" if side == "left" else "asgo_right", asgo_update if ball is None else asgo_in_ball_update,
        Asgo((0, 0), 0.0 if nonconvex else number, side == "right", radius, centre), step_size=step_size, state=state,
        settings=settings,
    )  # fmt: skip


# ---- others ---------------------------------------------------------------------------------------------------------


@leaf
def row_adagrad_update(w, gradient, state, step_size, t, params):
    """v_i <- v_i + |row i of G|^2, row i <- row i - step (row i of G) / (sqrt(v_i) + eps), with 0/0 = 0."""
    m, n = params.shape
    for i in range(m):
        total = state[0, i * n]
        for j in range(i * n, i * n + n):
            total += gradient[j] * gradient[j]
        state[0, i * n] = total
        root = math.sqrt(total) + params.eps
        for j in range(i * n, i * n + n):
            w[j] -= step_size[j] * gradient[j] / root if root > 0.0 else 0.0


def row_adagrad(step_size: StepSize, *, eps: float = 0.0) -> Optimizer:
    """AdaGrad with one accumulator a row, v_i <- v_i + \\|row i of G\\|^2: between AdaGrad-Norm and AdaGrad.

    Examples
    --------
    >>> import anisotropic as an
    >>> f = an.problems.kronecker(np.eye(2))
    >>> run = an.simulate(f, an.optimizers.row_adagrad(5.0), noise=an.noises.none(), start=[3.0, 4.0, 0, 0], steps=1)
    >>> bool(run.gap[0, 0] < 1e-28)
    True
    """
    number = float_parameter(eps, "eps", strict=False)
    return Optimizer(
        "row_adagrad", row_adagrad_update, Rows((0, 0), number), step_size=step_size, state={"accumulator": 0.0},
        settings={"preset": "convex", "eps": number},
    )


@leaf
def left_sgd_update(w, gradient, state, step_size, t, params):
    """W <- W - step P G."""
    m, n = params.shape
    direction = matrix(state, 0, m, n)
    multiply(params.preconditioner, matrix(gradient, 0, m, n), direction)
    for i in range(m):
        for j in range(n):
            w[i * n + j] -= step_size[i * n + j] * direction[i, j]


def left_sgd(step_size: StepSize, preconditioner: ArrayLike) -> Optimizer:
    """SGD with a fixed positive definite matrix on the left, W <- W - step P G: the yardstick for ASGO.

    Examples
    --------
    With P the inverse of the curvature one step of size 1 solves a quadratic:

    >>> import anisotropic as an
    >>> f, P = an.problems.kronecker(np.diag([1.0, 4.0])), np.diag([1.0, 0.25])
    >>> run = an.simulate(f, an.optimizers.left_sgd(1.0, P), noise=an.noises.none(), start=1.0, steps=1)
    >>> float(run.gap[0, 0])
    0.0
    """
    P = positive_semidefinite(preconditioner, "preconditioner")
    lowest = float(np.linalg.eigvalsh(P)[0])
    if not lowest > 0.0:
        raise ValueError(f"preconditioner has the eigenvalue {lowest:g}; expected a positive definite matrix")
    return Optimizer("left_sgd", left_sgd_update, Left((0, 0), P), step_size=step_size, state={"direction": 0.0})


@leaf
def _fourth_roots(values):
    """values <- values^(-1/4), 0 where a value is not positive."""
    for i in range(values.size):
        values[i] = 1.0 / math.sqrt(math.sqrt(values[i])) if values[i] > 0.0 else 0.0


@leaf
def _preconditioned(X, V, Q, values, room, Y):
    """X <- V^(-1/4) X."""
    copy_to(V, Q)
    eigenvectors(Q, values, room)
    _fourth_roots(values)
    apply_function(Q, values, X, Y, X)


@leaf
def shampoo_update(w, gradient, state, step_size, t, params):
    """L <- L + G G', R <- R + G' G, W <- W - step L^(-1/4) G R^(-1/4)."""
    m, n = params.shape
    d = w.size
    a, b = _lines_of(m * m, d), _lines_of(n * n, d)
    L, R, Q = matrix(state, 0, m, m), matrix(state, a * d, n, n), matrix(state, (a + b) * d, m, m)
    P, at = matrix(state, (2 * a + b) * d, n, n), 2 * (a + b) * d
    X, Y, Z = matrix(state, at, m, n), matrix(state, at + d, n, m), matrix(state, at + 2 * d, m, n)
    G = matrix(gradient, 0, m, n)
    copy_to(G, X)
    transpose_to(G, Y)
    add_gram(X, L)
    add_gram(Y, R)
    _preconditioned(X, L, Q, part(state, at + 3 * d, m), part(state, at + 4 * d, m), Z)
    transpose_to(X, Y)
    _preconditioned(Y, R, P, part(state, at + 3 * d, n), part(state, at + 4 * d, n), matrix(state, at + 2 * d, n, m))
    for i in range(m):
        for j in range(n):
            w[i * n + j] -= step_size[i * n + j] * Y[j, i]


def shampoo(step_size: StepSize, *, eps: float) -> Optimizer:
    """Shampoo of order 4, L_0 = R_0 = eps I, W <- W - step L^(-1/4) G R^(-1/4).

    References
    ----------
    Gupta, Koren, Singer, arXiv 1802.09568.

    Examples
    --------
    With a small eps the first step is nearly step times the polar factor of G:

    >>> import anisotropic as an
    >>> f = an.problems.kronecker(np.eye(2))
    >>> method = an.optimizers.shampoo(0.5, eps=1e-14)
    >>> run = an.simulate(f, method, noise=an.noises.none(), start=[1.0, 0, 0, 0.5], steps=1)
    >>> round(float(run.gap[0, 0]), 9)
    0.125
    """
    number = float_parameter(eps, "eps")
    state: dict[str, Any] = {
        "left": partial(_square, "left", number), "right": partial(_square, "right", number),
        "left_vectors": partial(_square, "left", 0.0), "right_vectors": partial(_square, "right", 0.0),
    } | dict.fromkeys(("direction", "transposed", "product", "values", "room"), 0.0)  # fmt: skip
    return Optimizer(
        "shampoo", shampoo_update, Rows((0, 0), number), step_size=step_size, state=state, settings={"eps": number}
    )


@leaf
def full_adagrad_update(w, gradient, state, step_size, t, params):
    """V <- V + g g', w <- w - step (V^(1/2) + eps I)^(-1) g, with the pseudo-inverse at eps = 0."""
    d = w.size
    V, Q = matrix(state, 0, d, d), matrix(state, d * d, d, d)
    values, room = part(state, 2 * d * d, d), part(state, (2 * d + 1) * d, d)
    x, y = matrix(state, (2 * d + 2) * d, d, 1), matrix(state, (2 * d + 3) * d, d, 1)
    copy_to(matrix(gradient, 0, d, 1), x)
    add_gram(x, V)
    copy_to(V, Q)
    eigenvectors(Q, values, room)
    _roots(values, params.eps)
    apply_function(Q, values, x, y, x)
    for j in range(d):
        w[j] -= step_size[j] * x[j, 0]


def full_adagrad(step_size: StepSize, *, eps: float = 0.0) -> Optimizer:
    """AdaGrad with the full matrix, V <- V + g g', w <- w - step (V^(1/2) + eps I)^(-1) g; at most 64 coordinates.

    Examples
    --------
    >>> import anisotropic as an
    >>> f = an.problems.quadratic([1.0, 1.0])
    >>> run = an.simulate(f, an.optimizers.full_adagrad(5.0), noise=an.noises.none(), start=[3.0, 4.0], steps=1)
    >>> bool(run.gap[0, 0] < 1e-28)
    True
    """
    number = float_parameter(eps, "eps", strict=False)
    state: dict[str, Any] = {"second_moment": partial(_identity, 0.0), "eigenvectors": partial(_identity, 0.0)}
    state |= dict.fromkeys(("values", "room", "direction", "product"), 0.0)
    return Optimizer(
        "full_adagrad", full_adagrad_update, Full(number), step_size=step_size, state=state,
        settings={"preset": "convex", "eps": number},
    )

