"""Which update rules carry momentum beyond heavy ball and Adam? Nesterov's as deep learning runs it, and signs of it.

Decoupled weight decay multiplies the iterate by 1 - step_size * weight_decay before the step, with the step size of the
iteration, so that it follows a schedule: the convention of torch.optim.AdamW and of optax.
"""

from __future__ import annotations

from typing import NamedTuple

from ..compiled.leaf import leaf
from ..records import Optimizer, float_parameter
from .vector import StepSize, adam_update, probability


class Momentum(NamedTuple):
    """Decay of the momentum."""

    beta1: float


class SignOfMean(NamedTuple):
    """Shares of the past and of the new gradient in the mean that the step follows and in the one that is kept.

    The shares add to one; both are stored, so that no compiler makes 1 - beta of an infinite gradient a difference.
    """

    past: float
    new: float
    kept_past: float
    kept_new: float
    weight_decay: float


class DecoupledDecay(NamedTuple):
    """Decay rates of first and second moments, eps outside the root, weight decay."""

    beta1: float
    beta2: float
    eps: float
    weight_decay: float


@leaf
def nesterov_update(w, gradient, state, step_size, t, params):
    """m <- beta m + g, w <- w - step (g + beta m)."""
    m = state[0]
    for j in range(w.size):
        m[j] = params.beta1 * m[j] + gradient[j]
        w[j] -= step_size[j] * (gradient[j] + params.beta1 * m[j])


@leaf
def sign_momentum_update(w, gradient, state, step_size, t, params):
    """c = beta1 m + (1 - beta1) g, w <- (1 - step decay) w - step sign(c), m <- beta2 m + (1 - beta2) g."""
    m = state[0]
    for j in range(w.size):
        c = params.past * m[j] + params.new * gradient[j]
        m[j] = params.kept_past * m[j] + params.kept_new * gradient[j]
        w[j] *= 1.0 - step_size[j] * params.weight_decay
        w[j] -= step_size[j] * (1.0 if c > 0.0 else (-1.0 if c < 0.0 else c))


@leaf
def adamw_update(w, gradient, state, step_size, t, params):
    """w <- (1 - step_size decay) w, then the update of Adam."""
    for j in range(w.size):
        w[j] *= 1.0 - step_size[j] * params.weight_decay
    adam_update(w, gradient, state, step_size, t, params)


def nesterov(step_size: StepSize, momentum: float) -> Optimizer:
    """Nesterov's momentum as in torch.optim.SGD: m <- momentum m + g, w <- w - step (g + momentum m).

    Its moments on quadratics are known: ``an.exact.linear_method("nesterov", ...)``.

    Examples
    --------
    The first noiseless step from 1 on x^2 / 2 is as long as 1 + momentum plain ones: 1 - 0.1 * 1.5 = 0.85.

    >>> import anisotropic as an
    >>> f, method = an.problems.quadratic(1.0), an.optimizers.nesterov(0.1, 0.5)
    >>> run = an.simulate(f, method, noise=an.noises.none(), start=1.0, steps=1)
    >>> bool(abs(run.gap[0, 0] - 0.85**2 / 2) < 1e-15)
    True
    """
    beta = probability(momentum, "momentum")
    return Optimizer(
        "nesterov", nesterov_update, Momentum(beta), step_size=step_size, state={"momentum": 0.0},
        settings={"momentum": beta}, coordinatewise=True,
    )  # fmt: skip


def _sign_momentum(name: str, step_size: StepSize, beta1: float, beta2: float, decay: float) -> Optimizer:
    follow, keep = probability(beta1, "beta1"), probability(beta2, "beta2")
    rate = float_parameter(decay, "weight_decay", strict=False)
    return Optimizer(
        name, sign_momentum_update, SignOfMean(follow, 1 - follow, keep, 1 - keep, rate), step_size=step_size,
        state={"momentum": 0.0}, settings={"beta1": follow, "beta2": keep, "weight_decay": rate}, coordinatewise=True,
    )  # fmt: skip


def signum(step_size: StepSize, momentum: float = 0.9, *, weight_decay: float = 0.0) -> Optimizer:
    """Signum: m <- momentum m + (1 - momentum) g, w <- (1 - step_size weight_decay) w - step_size sign(m).

    Without momentum and decay this is `sign_sgd`. With decay the iterates stay in \\|w_j\\| <= 1 / weight_decay, once
    there, while step_size * weight_decay <= 1.

    References
    ----------
    Bernstein, Wang, Azizzadenesheli, Anandkumar, ICML 2018, arXiv 1802.04434.
    """
    beta = probability(momentum, "momentum")
    return _sign_momentum("signum", step_size, beta, beta, weight_decay)


def lion(step_size: StepSize, *, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.0) -> Optimizer:
    """Lion: w <- (1 - step weight_decay) w - step sign(beta1 m + (1 - beta1) g), then m <- beta2 m + (1 - beta2) g.

    With beta1 = beta2 this is `signum`.

    References
    ----------
    Chen, Liang, Huang, Real, Wang, Liu, Pham, Dong, Luong, Hsieh, Lu, Le, NeurIPS 2023, arXiv 2302.06675.
    """
    return _sign_momentum("lion", step_size, beta1, beta2, weight_decay)


def adamw(
    step_size: StepSize, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.01
) -> Optimizer:
    """Adam with decoupled weight decay (the convention and the defaults of torch.optim.AdamW).

    References
    ----------
    Loshchilov, Hutter, ICLR 2019, arXiv 1711.05101.
    """
    decay = DecoupledDecay(
        probability(beta1, "beta1"), probability(beta2, "beta2"), float_parameter(eps, "eps"),
        float_parameter(weight_decay, "weight_decay", strict=False),
    )  # fmt: skip
    return Optimizer(
        "adamw", adamw_update, decay, step_size=step_size, state={"first": 0.0, "second": 0.0},
        settings=decay._asdict(), coordinatewise=True,
    )  # fmt: skip
