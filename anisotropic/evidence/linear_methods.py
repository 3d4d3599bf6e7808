"""What is the expected gap on a quadratic of a method with memory, under any schedule, exactly?

On f(w) = 1/2 sum_j h_j (w_j - w*_j)^2 every method here moves (1, w, m) of a coordinate, m its memory, by a matrix A_t
and the noise by a vector b_t, so that the second moments P of the three obey P+ = A_t P A_t^T + s_t^2 b_t b_t^T with
s_t^2 = (sigma^2 + rho E(h x)^2) / M: an equality, whatever the law of the noise. Derived here; docs/theory/exact.md.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._support.names import nearest
from ..records import FloatArray, Schedule, count, factors, float_parameter, float_vector, length, numbers

METHODS = ("sgd", "heavy_ball", "ema", "nesterov", "schedule_free")
DECAYS = ("l2", "decoupled")


class Moments(NamedTuple):
    """After t = 1, ..., T updates: E f - f*, ``(T,)``; E w and E (w - w*)^2, ``(T, d)``, x for schedule-free SGD."""

    gap: FloatArray
    mean: FloatArray
    second: FloatArray


class StationaryLaw(NamedTuple):
    """Limits of E w and of the variance of w, ``(d,)``; an infinite variance where there is no limit."""

    mean: FloatArray
    variance: FloatArray


def linear_method(
    method: str,
    curvature: ArrayLike,
    sigma: ArrayLike,
    *,
    schedule: Any,
    start: ArrayLike,
    minimizer: ArrayLike = 0.0,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    decay: str = "l2",
    rho: float = 0.0,
    batch_size: int = 1,
) -> Moments:
    """Exact moments of a linear method with memory on a quadratic, for any step sizes fixed before the run.

    Parameters
    ----------
    method : str
        With g the gradient with noise, m = 0 at the start: "sgd", w <- w - eta g; "heavy_ball", m <- beta m + g,
        w <- w - eta m; "ema", m <- beta m + (1 - beta) g, w <- w - eta m; "nesterov" (that of torch.optim.SGD),
        m <- beta m + g, w <- w - eta (g + beta m); "schedule_free", z <- z - eta g(y) at y = (1 - beta) z + beta x, and
        x the mean of z_1, ..., z_{t+1}.
    curvature, sigma, start, minimizer : float or array ``(d,)``
        h, the standard deviation of one sample, w_1 and w*.
    schedule : vector of T step sizes, or a Schedule made for T iterations
    momentum : float
        beta, in [0, 1).
    weight_decay, decay : float, "l2" or "decoupled"
        lambda: "l2" adds lambda w to the gradient, as torch.optim.SGD; "decoupled" multiplies w by 1 - eta lambda.
    rho : float
        Relative noise of one sample: variance sigma^2 + rho (h x)^2.
    batch_size : int

    Raises
    ------
    ValueError
        For an unknown method or decay, wrong shapes, weight decay with "schedule_free", a schedule that follows the
        loss.

    Examples
    --------
    With h = eta = 1 plain SGD forgets all but the last noise:

    >>> linear_method("sgd", 1.0, 0.5, schedule=[1.0, 1.0], start=2.0).gap.tolist()
    [0.125, 0.125]
    """
    if method not in METHODS:
        raise ValueError(f"method = {method!r}; expected one of {', '.join(METHODS)}{nearest(method, METHODS)}")
    if decay not in DECAYS:
        raise ValueError(f"decay = {decay!r}; expected one of {', '.join(DECAYS)}")
    if method == "schedule_free" and weight_decay:
        raise ValueError("weight decay has two places in schedule-free SGD, x or y, and neither is here; leave it out")
    beta, rate = _momentum(momentum), float_parameter(weight_decay, "weight_decay", strict=False)
    dim = length(curvature, sigma, start, minimizer)
    h, sd = (float_vector(v, dim, n, low=0.0) for v, n in ((curvature, "curvature"), (sigma, "sigma")))
    w, centre = float_vector(start, dim, "start"), float_vector(minimizer, dim, "minimizer")
    M, relative = count(batch_size, "batch_size"), float_parameter(rho, "rho", strict=False)
    step_sizes = _step_sizes(schedule)

    memory = w if method == "schedule_free" else np.zeros(dim)
    state = np.stack([np.ones(dim), w, memory], axis=1)
    P = state[:, :, None] * state[:, None, :]
    error, means, seconds = np.stack([-centre, np.ones(dim), np.zeros(dim)], axis=1), [], []
    with np.errstate(over="ignore", invalid="ignore"):
        for t, eta in enumerate(step_sizes.tolist(), 1):
            A, b, read = _map(method, h, centre, eta, t, beta, rate, decay)
            noise = (sd**2 + relative * h**2 * _form(read, P)) / M
            P = A @ P @ A.transpose(0, 2, 1) + noise[:, None, None] * (b[:, :, None] * b[:, None, :])
            means.append(P[:, 0, 1])
            seconds.append(_form(error, P))
    second = np.array(seconds)
    second = np.where(np.isnan(second), np.inf, second)
    gap = 0.5 * np.sum(np.where(h == 0.0, 0.0, h * np.where(h == 0.0, 0.0, second)), axis=1)
    return Moments(gap, np.array(means), second)


def _form(vector: FloatArray, P: FloatArray) -> FloatArray:
    """v^T P v, coordinate by coordinate."""
    return np.einsum("di,dij,dj->d", vector, P, vector)


def _momentum(momentum: float) -> float:
    beta = float_parameter(momentum, "momentum", strict=False)
    if beta >= 1.0:
        raise ValueError(f"momentum = {beta:g}; expected a number of at least 0 and below 1")
    return beta


def _step_sizes(schedule: Any) -> FloatArray:
    if isinstance(schedule, Schedule):
        if schedule.steps is None:
            raise ValueError(f"schedule {schedule.name!r} never ends; pass its step sizes as a vector")
        return factors(schedule, schedule.steps) * float_parameter(schedule.step_size, "step_size")
    array = numbers(schedule, "schedule", "a vector with the step size of each iteration")
    if array.ndim != 1 or array.size == 0 or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"schedule has shape {array.shape}; expected a vector of finite step sizes of at least 0")
    return array


def _map(
    method: str, h: FloatArray, centre: FloatArray, eta: float, t: int, beta: float, rate: float, decay: str
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A_t and b_t of (1, w, m), or (1, x, z), and what the gradient's distance from w* reads of them."""
    def row(one: Any = 0.0, first: Any = 0.0, second: Any = 0.0) -> FloatArray:
        return np.stack(np.broadcast_arrays(one, first, second, h)[:3], axis=1).astype(np.float64)

    unit = row(1.0)
    if method == "schedule_free":
        read = row(-centre, beta, 1 - beta)
        z = row(0.0, 0.0, 1.0) - eta * h[:, None] * read
        share = 1.0 / (t + 1)
        x = row(0.0, 1 - share, 0.0) + share * z
        return np.stack([unit, x, z], axis=1), row(0.0, -share * eta, -eta), read
    read = row(-centre, 1.0)
    shrink = eta * rate if decay == "decoupled" else 0.0
    g = h[:, None] * read + (row(0.0, rate) if decay == "l2" else 0.0)
    fresh = 1 - beta if method == "ema" else 1.0
    m = row(0.0, 0.0, 0.0 if method == "sgd" else beta) + fresh * g
    ahead = method == "nesterov"
    move, kick = (g + beta * m, 1 + beta * fresh) if ahead else (m, fresh)
    w = row(0.0, 1 - shrink) - eta * move
    return np.stack([unit, w, m], axis=1), row(0.0, -eta * kick, fresh), read


def stationary_law(
    method: str,
    curvature: ArrayLike,
    sigma: ArrayLike,
    *,
    step_size: float,
    minimizer: ArrayLike = 0.0,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    decay: str = "l2",
    batch_size: int = 1,
) -> StationaryLaw:
    """Where a method with memory and a constant step size ends on a quadratic: mean and variance in closed form.

    With a = eta h and s^2 = sigma^2 / M the variance is

    * heavy ball: eta s^2 (1 + beta) / ((1 - beta) h (2 (1 + beta) - a)),
    * ema: eta s^2 (1 + beta) / (h (2 (1 + beta) - (1 - beta) a)),
    * nesterov: eta s^2 (1 + beta + beta a + 2 beta^2 a) / (h (1 - beta + beta a) (2 (1 + beta) - a (1 + 2 beta))),

    with h + lambda for h under "l2", around h w* / (h + lambda). Decoupled decay of heavy ball, with u = eta lambda:
    eta s^2 (1 + beta - beta u) / ((h + (1 - beta) lambda) (1 - beta + beta u) (2 (1 + beta) - a - u (1 + beta))),
    around h w* / (h + (1 - beta) lambda): with this momentum it is 1 / (1 - beta) times weaker than "l2".

    The parameters are those of `linear_method`, "schedule_free" excepted. Derived here.

    Examples
    --------
    >>> stationary_law("sgd", 1.0, 0.5, step_size=1.0).variance.tolist()
    [0.25]
    """
    closed = {"l2": METHODS[:-1], "decoupled": METHODS[:2]}
    if method not in closed.get(decay, ()):
        raise ValueError(
            f"no closed form for {method!r} with decay {decay!r}; one is for sgd, heavy_ball, ema and nesterov with "
            "'l2', and for sgd and heavy_ball with 'decoupled'"
        )
    beta = 0.0 if method == "sgd" else _momentum(momentum)
    eta, rate = float_parameter(step_size, "step_size"), float_parameter(weight_decay, "weight_decay", strict=False)
    dim = length(curvature, sigma, minimizer)
    h = float_vector(curvature, dim, "curvature", low=0.0, strict=True)
    centre = float_vector(minimizer, dim, "minimizer")
    power = eta * float_vector(sigma, dim, "sigma", low=0.0) ** 2 / count(batch_size, "batch_size")
    if decay == "decoupled":
        pull, u = h + (1 - beta) * rate, eta * rate
        room = 2 * (1 + beta) - eta * h - u * (1 + beta)
        variance, mean = power * (1 + beta - beta * u) / (pull * (1 - beta + beta * u) * room), h * centre / pull
        return StationaryLaw(mean, np.where((room > 0) & (beta * (u - 1) < 1), variance, np.inf))
    steep, mean = h + rate, h * centre / (h + rate)
    a = eta * steep
    if method == "nesterov":
        room = 2 * (1 + beta) - a * (1 + 2 * beta)
        variance = power * (1 + beta + beta * a + 2 * beta**2 * a) / (steep * (1 - beta + beta * a) * room)
    elif method == "ema":
        room = 2 * (1 + beta) - (1 - beta) * a
        variance = power * (1 + beta) / (steep * room)
    else:
        room = 2 * (1 + beta) - a
        variance = power * (1 + beta) / ((1 - beta) * steep * room)
    return StationaryLaw(mean, np.where(room > 0, variance, np.inf))
