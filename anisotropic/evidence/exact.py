"""What is the expected gap of SGD on a quadratic, exactly? Equalities to test a simulator against.

On f(w) = 1/2 sum_j h_j (w_j - w*_j)^2 with additive noise every coordinate is a linear recursion, so that second
moments are known in closed form: no inequality, no constant to tune. With x = w_j - w*_j, eta the step size, a = eta
h_j, q = 1 - a and s^2 = sigma_j^2 / M one update is x+ = q x - eta xi, E xi^2 = s^2, and

* E x_{t+1}^2 = q^{2t} x_1^2 + eta^2 s^2 g_t(q^2),
* sum_{t=1..T} E x_t^2 = g_T(q^2) x_1^2 + eta^2 s^2 W_{T-1}(q^2),
* E (sum_{t=1..T} x_t)^2 = g_T(q)^2 x_1^2 + eta^2 s^2 S_{T-1}(q),

where g_n(r) = 1 + r + ... + r^{n-1}, W_n = g_1 + ... + g_n and S_n = g_1^2 + ... + g_n^2. The three sums are built by
doubling n, from terms of one sign where q >= 0, so that nothing cancels however small a is.

Derived here; docs/theory/exact.md has the derivation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._support.names import no_such_name
from ..records import FloatArray, count, float_vector
from .linear_methods import Moments, StationaryLaw, linear_method, stationary_law

__all__ = [
    "Exact",
    "Moments",
    "StationaryLaw",
    "heavy_ball_quadratic",
    "linear_method",
    "sgd_multiplicative",
    "sgd_quadratic",
    "stationary",
    "stationary_law",
]


class Exact(NamedTuple):
    """Expected gaps: floats, or one entry for each entry of `steps`.

    `last` = E f(w_{T+1}) - f*, after T updates; `mean` = (1/T) sum_{t=1..T} E f(w_t) - f*, over the T points at which
    gradients were taken; `average` = E f((w_1 + ... + w_T) / T) - f*.
    """

    last: Any
    mean: Any
    average: Any


def _vectors(**values: tuple[ArrayLike, float]) -> list[FloatArray]:
    """Broadcast to the longest; each value comes with the smallest number allowed."""
    dim = max(np.size(v) for v, _ in values.values())
    return [float_vector(v, dim, name, low=low, strict=name == "step_size") for name, (v, low) in values.items()]


def _horizons(steps: Any) -> NDArray[np.int64]:
    array = np.atleast_1d(np.asarray(steps))
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"steps has shape {np.shape(steps)}; expected a whole number or a list of them")
    return np.array([count(t.item(), "steps") for t in array], dtype=np.int64)


def _collect(steps: Any, at: Callable[[int], tuple[float, float, float]]) -> Exact:
    table = np.array([at(int(t)) for t in _horizons(steps)])
    return Exact(*(map(float, table[0]) if np.ndim(steps) == 0 else table.T))


class _Ratio:
    """Powers and sums of a ratio r, given so that 1 - r and log |r| carry full relative accuracy."""

    def __init__(self, ratio: FloatArray, complement: FloatArray, log: FloatArray) -> None:
        self.ratio, self.complement, self.log = ratio, complement, log

    def power(self, n: int) -> FloatArray:
        """r^n."""
        if n == 0:
            return np.ones_like(self.ratio)
        return np.where((self.ratio < 0) & (n % 2 == 1), -1.0, 1.0) * np.exp(n * self.log)

    def sum(self, n: int) -> FloatArray:
        """g_n = 1 + r + ... + r^{n-1}."""
        if n == 0:
            return np.zeros_like(self.ratio)
        flipped = (self.ratio < 0) & (n % 2 == 1)
        numerator = np.where(flipped, 1.0 + np.exp(n * self.log), -np.expm1(n * self.log))
        level = self.complement == 0.0
        return np.where(level, float(n), numerator / np.where(level, 1.0, self.complement))

    def sums(self, n: int) -> tuple[FloatArray, FloatArray]:
        """W_n = g_1 + ... + g_n and S_n = g_1^2 + ... + g_n^2, by the binary digits of n.

        With m terms done, g_{m+k} = g_m + r^m g_k for k = 1..m doubles both.
        """
        total = np.zeros_like(self.ratio)
        squares = np.zeros_like(self.ratio)
        m = 0
        for digit in f"{n:b}":
            power, g = self.power(m), self.sum(m)
            squares = (1.0 + power**2) * squares + m * g**2 + 2.0 * power * g * total
            total = (1.0 + power) * total + m * g
            m *= 2
            if digit == "1":
                m += 1
                g = self.sum(m)
                total = total + g
                squares = squares + g**2
        return total, np.where(np.isnan(squares), np.inf, squares)


def sgd_quadratic(
    curvature: ArrayLike,
    sigma: ArrayLike,
    *,
    step_size: ArrayLike,
    start: ArrayLike,
    minimizer: ArrayLike = 0.0,
    steps: Any,
    batch_size: int = 1,
) -> Exact:
    """Exact expected gaps of SGD with constant step sizes on f(w) = 1/2 sum_j h_j (w_j - w*_j)^2, without a box.

    Parameters
    ----------
    curvature : float or array ``(d,)``
        h >= 0.
    sigma : float or array ``(d,)``
        Standard deviation of the gradient noise of one sample; the law of the noise does not matter.
    step_size : float or array ``(d,)``
        Positive; above 2/h_j the gaps grow, and become infinite where they overflow.
    start, minimizer : float or array ``(d,)``
        w_1 and w*.
    steps : int or array of ints
        T, the number of updates.
    batch_size : int
        M; the noise has variance sigma_j^2 / M.

    Returns
    -------
    Exact
        `last`, `mean`, `average`: floats, or arrays in the shape of `steps`.

    Raises
    ------
    ValueError
        On a wrong shape, NaN, a negative curvature or sigma, or steps that are not whole numbers of at least 1.

    Notes
    -----
    Derived here. Relative rounding error is a few units in the last place times log2(T), for every step size and
    curvature, h = 0 and step_size h = 1 included.

    Examples
    --------
    With h = step_size = 1 the point forgets all but the last noise, so that E f = sigma^2 / 2 from the second point on:

    >>> sgd_quadratic(1.0, 0.5, step_size=1.0, start=2.0, steps=2)
    Exact(last=0.125, mean=1.0625, average=0.53125)
    """
    h, sd, eta, w, centre = _vectors(
        curvature=(curvature, 0.0),
        sigma=(sigma, 0.0),
        step_size=(step_size, 0.0),
        start=(start, -np.inf),
        minimizer=(minimizer, -np.inf),
    )
    x2, noise = (w - centre) ** 2, eta**2 * sd**2 / count(batch_size, "batch_size")
    a = eta * h
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        log = np.where(a < 1.0, np.log1p(-np.minimum(a, 1.0)), np.log1p(np.maximum(a, 1.0) - 2.0))
        first = _Ratio(1.0 - a, a, log)
        second = _Ratio((1.0 - a) ** 2, a * (2.0 - a), 2.0 * log)

        def at(t: int) -> tuple[float, float, float]:
            last = x2 * second.power(t) + noise * second.sum(t)
            mean = (x2 * second.sum(t) + noise * second.sums(t - 1)[0]) / t
            average = x2 * (first.sum(t) / t) ** 2 + noise * (first.sums(t - 1)[1] / t / t)
            return _gap(h, last), _gap(h, mean), _gap(h, average)

        return _collect(steps, at)


def _gap(h: FloatArray, second_moment: FloatArray) -> float:
    """1/2 sum_j h_j E x_j^2, where flat coordinates count nothing even if they wander to infinity."""
    flat = h == 0.0
    return float(0.5 * np.sum(np.where(flat, 0.0, h * np.where(flat, 0.0, second_moment))))


def _from_linear_map(
    table: FloatArray, state: FloatArray, rows: tuple[int, int, int], h: FloatArray, steps: Any
) -> Exact:
    """Advance moments by powers of a linear map; `rows` hold E x^2, sum of E x^2 and E S^2, S the sum of the points."""
    found: dict[int, tuple[float, float, float]] = {}
    done = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for t in sorted(set(_horizons(steps).tolist())):
            state = np.linalg.matrix_power(table, t - done) @ state
            done = t
            moments = np.where(np.isnan(state[:, rows, 0]), np.inf, state[:, rows, 0])
            found[t] = (_gap(h, moments[:, 0]), _gap(h, moments[:, 1] / t), _gap(h, moments[:, 2] / t / t))
    return _collect(steps, found.__getitem__)


def sgd_multiplicative(
    curvature: ArrayLike,
    sigma: ArrayLike,
    rho: ArrayLike,
    *,
    step_size: ArrayLike,
    start: ArrayLike,
    minimizer: ArrayLike = 0.0,
    steps: Any,
    batch_size: int = 1,
) -> Exact:
    """Exact expected gaps of SGD on a quadratic whose noise grows with the gradient.

    The noise of one sample has variance sigma_j^2 + rho_j (h_j x_j)^2 given the point, as with
    ``an.noises.affine(sigma, rho)``. Sparse features seen with probability p, g = (b/p) h x, have rho = 1/p - 1 and
    sigma = 0. Then E x+^2 = (q^2 + a^2 rho / M) E x^2 + step_size^2 sigma^2 / M with a = step_size h, q = 1 - a: the
    gap stays bounded only while that factor is below 1, for M = 1 and rho = 3 until a = 1/2.

    Parameters
    ----------
    rho : float or array ``(d,)``
        Relative variance of one sample's gradient, at least 0.

    The other parameters, the result and the errors are those of `sgd_quadratic`. Derived here.

    Examples
    --------
    Noise alone moves a point that would jump to the minimizer: after one iteration E f = rho x_1^2 / 2.

    >>> sgd_multiplicative(1.0, 0.0, 0.25, step_size=1.0, start=2.0, steps=1)
    Exact(last=0.5, mean=2.0, average=2.0)
    """
    h, sd, r, eta, w, centre = _vectors(
        curvature=(curvature, 0.0),
        sigma=(sigma, 0.0),
        rho=(rho, 0.0),
        step_size=(step_size, 0.0),
        start=(start, -np.inf),
        minimizer=(minimizer, -np.inf),
    )
    m, a = count(batch_size, "batch_size"), eta * h
    q = 1.0 - a
    # Rows: E x^2, sum of E x^2, E S^2, E x S and 1, with S the sum of the points before this one.
    table = np.zeros((h.size, 5, 5))
    table[:, 0, 0], table[:, 0, 4] = q**2 + a**2 * r / m, eta**2 * sd**2 / m
    table[:, 1, 0] = table[:, 1, 1] = 1.0
    table[:, 2, 0], table[:, 2, 2], table[:, 2, 3] = 1.0, 1.0, 2.0
    table[:, 3, 0] = table[:, 3, 3] = q
    table[:, 4, 4] = 1.0
    state = np.zeros((h.size, 5, 1))
    state[:, 0, 0], state[:, 4, 0] = (w - centre) ** 2, 1.0
    return _from_linear_map(table, state, (0, 1, 2), h, steps)


def _momentum(momentum: float) -> float:
    beta = float(momentum)
    if not 0.0 <= beta < 1.0:
        raise ValueError(f"momentum = {beta:g}; expected a number of at least 0 and below 1")
    return beta


def heavy_ball_quadratic(
    curvature: ArrayLike,
    sigma: ArrayLike,
    *,
    step_size: ArrayLike,
    momentum: float,
    start: ArrayLike,
    minimizer: ArrayLike = 0.0,
    steps: Any,
    batch_size: int = 1,
) -> Exact:
    """Exact expected gaps of heavy-ball SGD on a quadratic: m+ = momentum m + g, w+ = w - eta m+, m = 0 at the start.

    The pair (x, m) is a linear recursion with matrix A = [[1 - eta h, -eta momentum], [h, momentum]] and noise vector
    b = (-eta, 1), eta the step size, hence second moments P+ = A P A^T + s^2 b b^T. The sum of the points rides along
    as a third entry, and the map of moments is raised to the power T by squaring.

    Parameters
    ----------
    momentum : float
        In [0, 1); at 0 this is `sgd_quadratic`.

    The other parameters, the result and the errors are those of `sgd_quadratic`. Derived here.

    Examples
    --------
    One iteration does not feel the momentum:

    >>> heavy_ball_quadratic(1.0, 0.5, step_size=1.0, momentum=0.9, start=2.0, steps=1)
    Exact(last=0.125, mean=2.0, average=2.0)
    """
    h, sd, eta, w, centre = _vectors(
        curvature=(curvature, 0.0),
        sigma=(sigma, 0.0),
        step_size=(step_size, 0.0),
        start=(start, -np.inf),
        minimizer=(minimizer, -np.inf),
    )
    beta, m = _momentum(momentum), count(batch_size, "batch_size")
    # z = (x, S, m) with S the sum of the points before this one; z+ = F z + noise b.
    f = np.zeros((h.size, 3, 3))
    f[:, 0, 0], f[:, 0, 2] = 1.0 - eta * h, -eta * beta
    f[:, 1, 0] = f[:, 1, 1] = 1.0
    f[:, 2, 0], f[:, 2, 2] = h, beta
    b = np.stack([-eta, 0.0 * eta, 0.0 * eta + 1.0], axis=1)
    # The nine entries of E z z^T row by row, then the sum of E x^2, then 1.
    table = np.zeros((h.size, 11, 11))
    table[:, :9, :9] = np.einsum("dij,dkl->dikjl", f, f).reshape(-1, 9, 9)
    table[:, :9, 10] = (b[:, :, None] * b[:, None, :]).reshape(-1, 9) * (sd**2 / m)[:, None]
    table[:, 9, 0] = table[:, 9, 9] = table[:, 10, 10] = 1.0
    state = np.zeros((h.size, 11, 1))
    state[:, 0, 0], state[:, 10, 0] = (w - centre) ** 2, 1.0
    return _from_linear_map(table, state, (0, 9, 4), h, steps)


def stationary(
    curvature: ArrayLike, sigma: ArrayLike, *, step_size: ArrayLike, momentum: float = 0.0, batch_size: int = 1
) -> float:
    """Limit of E f(w_t) - f* as t grows, for SGD or heavy-ball SGD with constant step size on a quadratic.

    sum_j eta_j s_j^2 (1 + beta) / (2 (1 - beta) (2 (1 + beta) - eta_j h_j)), eta the step sizes, s_j^2 = sigma_j^2 / M,
    beta = momentum: the fixed point of P = A P A^T + s^2 b b^T (see `heavy_ball_quadratic`). Infinite if some
    eta_j h_j >= 2 (1 + beta), since the recursion is then no contraction. Coordinates with h_j = 0 count nothing.

    Raises
    ------
    ValueError
        As `sgd_quadratic`; also if momentum is outside [0, 1).

    Examples
    --------
    >>> stationary(1.0, 0.5, step_size=1.0)
    0.125
    """
    h, sd, eta = _vectors(curvature=(curvature, 0.0), sigma=(sigma, 0.0), step_size=(step_size, 0.0))
    beta, m = _momentum(momentum), count(batch_size, "batch_size")
    room = 2.0 * (1.0 + beta) - eta * h
    if np.any((room <= 0.0) & (h > 0.0)):
        return float("inf")
    moment = eta * sd**2 / m * (1.0 + beta) / ((1.0 - beta) * np.where(h > 0.0, h, 1.0) * room)
    return _gap(h, moment)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
