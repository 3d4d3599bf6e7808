"""Which update rules act on vectors? Each: a compiled leaf, its parameters, and a lower-case factory.

"AdaGrad" is not one algorithm across libraries: where the accumulator starts and on which side of the root eps stands
changes results by orders of magnitude, so both are named by `preset`.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..compiled.leaf import leaf
from ..records import FloatArray, Optimizer, Schedule, float_parameter, float_vector, length
from ..records.vocabulary import one_of

StepSize = ArrayLike | Schedule

#: preset -> (initial accumulator, eps inside the root, eps outside it) as functions of eps, and the default eps.
PRESETS = {
    "convex": (lambda e: 0.0 * e, lambda e: 0.0 * e, lambda e: e, 0.0),
    "nonconvex": (lambda e: e * e, lambda e: 0.0 * e, lambda e: 0.0 * e, None),
    "torch": (lambda e: 0.0 * e, lambda e: 0.0 * e, lambda e: e, 1e-10),
    "optax": (lambda e: 0.0 * e + 0.1, lambda e: e, lambda e: 0.0 * e, 1e-7),
}


class Epsilon(NamedTuple):
    """Numbers added inside and outside the square root."""

    inside: FloatArray
    outside: FloatArray


class Decay(NamedTuple):
    """Decay rates of first and second moments, and eps outside the root."""

    beta1: float
    beta2: float
    eps: float


def _preset(preset: str, eps: ArrayLike | None) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    initial, inside, outside, default = PRESETS[one_of(preset, tuple(PRESETS), "preset")]
    if eps is None:
        eps = default
    if eps is None:
        raise ValueError(f"preset {preset!r} has no default eps; pass eps > 0, the root of the initial accumulator")
    e = float_vector(eps, length(eps), "eps", strict=preset == "nonconvex", low=0.0)
    return e, initial(e), inside(e), outside(e)


def probability(value: float, name: str) -> float:
    """A decay rate: a number from 0 to below 1."""
    number = float_parameter(value, name, strict=False)
    if number >= 1.0:
        raise ValueError(f"{name} = {number:g}; expected a number from 0 to below 1")
    return number


@leaf
def sgd_update(w, gradient, state, step_size, t, params):
    """w <- w - step_size g."""
    for j in range(w.size):
        w[j] -= step_size[j] * gradient[j]


@leaf
def heavy_ball_update(w, gradient, state, step_size, t, params):
    """m <- beta m + g, w <- w - step_size m."""
    m = state[0]
    for j in range(w.size):
        m[j] = params.beta1 * m[j] + gradient[j]
        w[j] -= step_size[j] * m[j]


@leaf
def adagrad_update(w, gradient, state, step_size, t, params):
    """v <- v + g^2, w <- w - step_size g / (sqrt(v + inside) + outside), with 0/0 = 0."""
    v = state[0]
    for j in range(w.size):
        v[j] += gradient[j] * gradient[j]
        root = math.sqrt(v[j] + params.inside[j]) + params.outside[j]
        w[j] -= step_size[j] * gradient[j] / root if root != 0.0 else 0.0


@leaf
def adagrad_norm_update(w, gradient, state, step_size, t, params):
    """v <- v + |g|^2, one number for all coordinates, kept in the first place of its row."""
    total = 0.0
    for j in range(w.size):
        total += gradient[j] * gradient[j]
    state[0, 0] += total
    root = math.sqrt(state[0, 0] + params.inside[0]) + params.outside[0]
    if root != 0.0:
        for j in range(w.size):
            w[j] -= step_size[j] * gradient[j] / root


@leaf
def rmsprop_update(w, gradient, state, step_size, t, params):
    """v <- beta v + (1 - beta) g^2, w <- w - step_size g / sqrt(v)."""
    v = state[0]
    for j in range(w.size):
        v[j] = params.beta2 * v[j] + (1.0 - params.beta2) * gradient[j] * gradient[j]
        w[j] -= step_size[j] * gradient[j] / math.sqrt(v[j])


@leaf
def adam_update(w, gradient, state, step_size, t, params):
    """Bias-corrected first over root of second moment, eps outside the root."""
    m, v = state[0], state[1]
    scale = 1.0 / (1.0 - params.beta1**t)
    root = 1.0 / math.sqrt(1.0 - params.beta2**t)
    for j in range(w.size):
        m[j] = params.beta1 * m[j] + (1.0 - params.beta1) * gradient[j]
        v[j] = params.beta2 * v[j] + (1.0 - params.beta2) * gradient[j] * gradient[j]
        w[j] -= step_size[j] * scale * m[j] / (math.sqrt(v[j]) * root + params.eps)


@leaf
def amsgrad_update(w, gradient, state, step_size, t, params):
    """Adam with the largest second moment so far."""
    m, v, largest = state[0], state[1], state[2]
    scale = 1.0 / (1.0 - params.beta1**t)
    root = 1.0 / math.sqrt(1.0 - params.beta2**t)
    for j in range(w.size):
        m[j] = params.beta1 * m[j] + (1.0 - params.beta1) * gradient[j]
        v[j] = params.beta2 * v[j] + (1.0 - params.beta2) * gradient[j] * gradient[j]
        largest[j] = max(v[j], largest[j])
        w[j] -= step_size[j] * scale * m[j] / (math.sqrt(largest[j]) * root + params.eps)


@leaf
def sign_update(w, gradient, state, step_size, t, params):
    """w <- w - step_size sign(g), with sign(0) = 0."""
    for j in range(w.size):
        g = gradient[j]
        w[j] -= step_size[j] * (1.0 if g > 0.0 else (-1.0 if g < 0.0 else g))


def sgd(step_size: StepSize) -> Optimizer:
    """Stochastic gradient descent, w <- w - step_size g.

    Parameters
    ----------
    step_size : float, array ``(d,)`` or schedule

    Examples
    --------
    One noiseless iteration on x^2 / 2 from 1 with step size 1/4 leaves 3/4, hence a gap of 9/32.

    >>> import anisotropic as an
    >>> f, method = an.problems.quadratic(1.0), an.optimizers.sgd(0.25)
    >>> run = an.simulate(f, method, noise=an.noises.none(), start=1.0, steps=1)
    >>> float(run.gap[0, 0])
    0.28125
    """
    return Optimizer("sgd", sgd_update, step_size=step_size, coordinatewise=True)


def heavy_ball(step_size: StepSize, momentum: float) -> Optimizer:
    """Heavy ball, m <- momentum m + g, w <- w - step_size m (the convention of torch.optim.SGD without dampening)."""
    beta = probability(momentum, "momentum")
    decay, settings = Decay(beta, 0.0, 0.0), {"momentum": beta}
    return Optimizer(
        "heavy_ball", heavy_ball_update, decay, step_size=step_size, state={"momentum": 0.0}, settings=settings,
        coordinatewise=True,
    )


def adagrad(step_size: StepSize, *, eps: ArrayLike | None = None, preset: str = "convex") -> Optimizer:
    """AdaGrad, v <- v + g^2, w <- w - step_size g / (sqrt(v + inside) + outside), coordinate by coordinate.

    Parameters
    ----------
    step_size : float, array ``(d,)`` or schedule
    eps : float or array ``(d,)``, optional
    preset : {"convex", "nonconvex", "torch", "optax"}
        "convex": v_0 = 0, eps outside the root, default 0, and 0/0 moves nothing. "nonconvex": v_0 = eps^2, nothing
        else; eps is required. "torch": v_0 = 0, eps = 1e-10 outside. "optax": v_0 = 0.1, eps = 1e-7 inside.

    References
    ----------
    Duchi, Hazan, Singer, JMLR 12, 2011.

    Examples
    --------
    With eps = 0 the first update has length `step_size` in every coordinate, whatever the gradient.

    >>> import anisotropic as an
    >>> f = an.problems.quadratic([1.0, 1e-6])
    >>> run = an.simulate(f, an.optimizers.adagrad(0.5), noise=an.noises.none(), start=1.0, steps=1)
    >>> bool(abs(run.gap[0, 0] - 0.125 * (1 + 1e-6)) < 1e-15)
    True
    """
    e, initial, inside, outside = _preset(preset, eps)
    settings = {"preset": preset, "eps": e.tolist() if e.size > 1 else float(e[0])}
    state = {"accumulator": initial if initial.size > 1 else float(initial[0])}
    return Optimizer(
        "adagrad", adagrad_update, Epsilon(inside, outside), step_size=step_size, state=state, settings=settings,
        coordinatewise=True,
    )


def _first_place(value: float, dim: int) -> FloatArray:
    row = np.zeros(dim)
    row[0] = value
    return row


def adagrad_norm(step_size: StepSize, *, eps: float | None = None, preset: str = "convex") -> Optimizer:
    """AdaGrad-Norm, v <- v + \\|g\\|_2^2: one decaying step size for all coordinates, the control of comparisons.

    Presets as for `adagrad`, with one number eps.

    References
    ----------
    Ward, Wu, Bottou, JMLR 21, 2020, arXiv 1806.01811.
    """
    e, initial, inside, outside = _preset(preset, eps)
    if e.size > 1:
        raise ValueError(f"eps has shape {e.shape}; AdaGrad-Norm has one accumulator and takes one number")
    state = {"accumulator": partial(_first_place, float(initial[0]))}
    settings = {"preset": preset, "eps": float(e[0])}
    return Optimizer(
        "adagrad_norm", adagrad_norm_update, Epsilon(inside, outside), step_size=step_size, state=state,
        settings=settings,
    )


def rmsprop(step_size: StepSize, beta: float, *, eps: float) -> Optimizer:
    """RMSProp, v_0 = eps^2 > 0, v <- beta v + (1 - beta) g^2, w <- w - step_size g / sqrt(v), not bias-corrected."""
    beta, eps = probability(beta, "beta"), float_parameter(eps, "eps")
    decay, settings = Decay(0.0, beta, 0.0), {"preset": "nonconvex", "eps": eps, "beta": beta}
    return Optimizer(
        "rmsprop", rmsprop_update, decay, step_size=step_size, state={"second": eps**2}, settings=settings,
        coordinatewise=True,
    )


def adam(step_size: StepSize, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """Adam with bias correction and eps outside the root (the convention of torch.optim.Adam)."""
    decay = Decay(probability(beta1, "beta1"), probability(beta2, "beta2"), float_parameter(eps, "eps"))
    state = {"first": 0.0, "second": 0.0}
    return Optimizer(
        "adam", adam_update, decay, step_size=step_size, state=state, settings=decay._asdict(), coordinatewise=True
    )


def amsgrad(step_size: StepSize, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """AMSGrad: Adam with the running maximum of the second moment (torch.optim.Adam with amsgrad=True)."""
    decay = Decay(probability(beta1, "beta1"), probability(beta2, "beta2"), float_parameter(eps, "eps"))
    state = {"first": 0.0, "second": 0.0, "largest": 0.0}
    return Optimizer(
        "amsgrad", amsgrad_update, decay, step_size=step_size, state=state, settings=decay._asdict(),
        coordinatewise=True,
    )


def sign_sgd(step_size: StepSize) -> Optimizer:
    """Sign descent, w <- w - step_size sign(g).

    References
    ----------
    Bernstein, Wang, Azizzadenesheli, Anandkumar, ICML 2018, arXiv 1802.04434.
    """
    return Optimizer("sign_sgd", sign_update, step_size=step_size, coordinatewise=True)
