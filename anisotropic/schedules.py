"""How may the step size change? Iteration t takes ``step_size * factor(t)``; pass a schedule for a step size.

Some schedules are made for a number of iterations (`steps`), which a run may stop short of but not exceed; the factors
of two others depend on the loss, and no theorem on schedules speaks of those.
"""

from __future__ import annotations

import copy
import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from ._support.names import no_such_name
from .compiled.leaf import leaf
from .records import FloatArray, Schedule, count, float_parameter, float_vector, length, numbers


class Offset(NamedTuple):
    """Number of steps over which the step size stays within a factor of two."""

    offset: float


@leaf
def inverse_sqrt_factor(t, value, state, params):
    """1 / sqrt(t)."""
    return 1.0 / math.sqrt(t)


@leaf
def inverse_time_factor(t, value, state, params):
    """offset / (offset + t - 1)."""
    return params.offset / (params.offset + t - 1.0)


class Decay(NamedTuple):
    """Iterations that the schedule is made for, and the power of the share that is left of them."""

    steps: float
    power: float


class Phases(NamedTuple):
    """Iterations in all, of the warm-up and of the cool-down."""

    steps: float
    warmup: float
    cooldown: float


class Vector(NamedTuple):
    """The factor of each iteration."""

    values: FloatArray


@leaf
def constant_factor(t, value, state, params):
    """1."""
    return 1.0


@leaf
def polynomial_factor(t, value, state, params):
    """((steps + 1 - t) / steps)^power."""
    return ((params.steps + 1.0 - t) / params.steps) ** params.power


@leaf
def cosine_factor(t, value, state, params):
    """(1 + cos(pi (t - 1) / steps)) / 2."""
    return 0.5 * (1.0 + math.cos(math.pi * (t - 1.0) / params.steps))


@leaf
def wsd_factor(t, value, state, params):
    """min(t / warmup, 1, (steps + 1 - t) / (cooldown + 1))."""
    factor = min(1.0, (params.steps + 1.0 - t) / (params.cooldown + 1.0))
    return min(factor, t / params.warmup) if params.warmup > 0.0 else factor


@leaf
def vector_factor(t, value, state, params):
    """The t-th number of the vector."""
    return params.values[t - 1]


class Plateau(NamedTuple):
    """Length of a phase in units of 1 / step size, and the largest base step size."""

    patience: float
    step_size: float


class RestartedSearch(NamedTuple):
    """Ratio of neighboring candidates, their number, iterations of one trial, and without progress before a search."""

    ratio: float
    candidates: int
    trial: int
    tolerance: int


@leaf
def halve_on_plateau_factor(t, value, state, params):
    """Halve where the mean loss over a phase is not below that of the phase before.

    state = (factor, 0 before the first iteration; iterations in the phase; sum of losses; mean of the last phase).
    """
    if state[0] == 0.0:
        state[0], state[3] = 1.0, math.inf
    state[1] += 1.0
    state[2] += value
    if state[1] >= params.patience / (params.step_size * state[0]):
        mean = state[2] / state[1]
        state[0] *= 1.0 if mean < state[3] else 0.5
        state[1], state[2], state[3] = 0.0, 0.0, mean
    return state[0]


@leaf
def restarted_search_factor(t, value, state, params):
    """Try the candidates one after the other, go on with the one under which the loss fell most.

    state = (factor, candidate + 1 or 0 outside a search, iterations in the trial, log loss at its start, best score,
    best factor, lowest loss, iterations without progress).
    """
    log_loss = math.log(max(value, 1e-300))
    if state[0] == 0.0:
        state[0], state[1], state[3], state[4], state[5], state[6] = 1.0, 1.0, log_loss, math.inf, 1.0, value
    if state[1] > 0.0 and state[2] == params.trial:
        score = log_loss - state[3]
        if score < state[4]:
            state[4] = score
            state[5] = state[0] * params.ratio ** (state[1] - 1.0 - 0.5 * (params.candidates - 1))
        state[1], state[2], state[3] = state[1] + 1.0, 0.0, log_loss
        if state[1] > params.candidates:
            state[0], state[1], state[4], state[6], state[7] = state[5], 0.0, math.inf, value, 0.0
    if state[1] > 0.0:
        state[2] += 1.0
        return state[0] * params.ratio ** (state[1] - 1.0 - 0.5 * (params.candidates - 1))
    state[7] += 1.0
    if value < state[6]:
        state[6], state[7] = value, 0.0
    if state[7] >= params.tolerance:
        state[1], state[2], state[3] = 1.0, 0.0, log_loss
    return state[0]


def constant(step_size: ArrayLike) -> Schedule:
    """The same step size in every iteration; a number in place of a schedule says the same."""
    return Schedule("constant", constant_factor, step_size=step_size, slots=0)


def linear(step_size: ArrayLike, steps: int) -> Schedule:
    """step_size (steps + 1 - t) / steps: falls linearly and would reach zero after the last iteration.

    The best schedule for the last iterate of SGD on Lipschitz functions (docs/theory/convex_sgd_last_nonsmooth.md).

    Examples
    --------
    Two noiseless steps on x^2 / 2 from 1, with step sizes 1 and 1/2: the first one arrives.

    >>> import anisotropic as an
    >>> method = an.optimizers.sgd(an.schedules.linear(1.0, steps=2))
    >>> run = an.simulate(an.problems.quadratic(1.0), method, noise=an.noises.none(), start=1.0, steps=2)
    >>> run.constants()["schedule"].tolist(), run.gap[0].tolist()
    ([1.0, 0.5], [0.0, 0.0])

    References
    ----------
    Zamani, Glineur, arXiv 2307.11134; Defazio, Cutkosky, Mehta, Mishchenko, arXiv 2310.07831.
    """
    return _made_for("linear", polynomial_factor, step_size, steps, lambda n: Decay(n, 1.0))


def polynomial(step_size: ArrayLike, steps: int, power: float = 1.0) -> Schedule:
    """step_size ((steps + 1 - t) / steps)^power: `linear` at power 1, constant at power 0."""
    exponent = float_parameter(power, "power", strict=False)
    return _made_for("polynomial", polynomial_factor, step_size, steps, lambda n: Decay(n, exponent))


def cosine(step_size: ArrayLike, steps: int) -> Schedule:
    """step_size (1 + cos(pi (t - 1) / steps)) / 2: half a cosine, which would reach zero after the last iteration."""
    return _made_for("cosine", cosine_factor, step_size, steps, lambda n: Decay(n, 1.0))


def wsd(step_size: ArrayLike, steps: int, share: float = 0.2, warmup: int = 0) -> Schedule:
    """Warm-up, stable, decay: linear up for `warmup` iterations, constant, then linear down over `share` of them all.

    step_size min(t / warmup, 1, (steps + 1 - t) / (k + 1)) with k = share * steps, rounded: the last k iterations take
    less than the full step size.

    Parameters
    ----------
    share : float
        Of the iterations, 0 to 1; 0 never decays.
    warmup : int
        Number of iterations until the full step size.

    Examples
    --------
    >>> from anisotropic.records import factors
    >>> factors(wsd(1.0, steps=5, share=0.6, warmup=2), 5).tolist()
    [0.5, 1.0, 0.75, 0.5, 0.25]
    """
    part = float_parameter(share, "share", strict=False)
    if part > 1.0:
        raise ValueError(f"share = {part:g}; expected a share of all iterations, 0 to 1")
    rise = count(warmup, "warmup", low=0)
    return _made_for("wsd", wsd_factor, step_size, steps, lambda n: Phases(n, float(rise), float(round(part * n))))


def _made_for(name: str, factor: Any, step_size: ArrayLike, steps: int, params: Any) -> Schedule:
    steps = count(steps, "steps")
    return Schedule(name, factor, params(float(steps)), step_size=step_size, slots=0, steps=steps)


def from_vector(values: Any, steps: int | None = None, *, step_size: ArrayLike = 1.0) -> Schedule:
    """The step sizes of a training log, one number per iteration, or those that a PyTorch scheduler would give.

    Parameters
    ----------
    values : array ``(T,)`` or torch.optim.lr_scheduler.LRScheduler
        A scheduler is copied, so that it stands where it stood; its first parameter group counts.
    steps : int, optional
        Number of iterations to ask the scheduler for.
    step_size : float or array ``(d,)``
        Multiplies them all.

    Raises
    ------
    ValueError
        For numbers that are not finite or below 0, a scheduler without `steps`, and one that follows the loss.

    Examples
    --------
    >>> from anisotropic.records import factors
    >>> factors(from_vector([0.3, 0.2, 0.1]), 2).tolist()
    [0.3, 0.2]
    """
    if hasattr(values, "get_last_lr") and hasattr(values, "optimizer"):
        values = _of_scheduler(values, steps)
    elif steps is not None:
        raise ValueError(f"steps = {steps!r} is for a scheduler; a vector has as many iterations as it has entries")
    array = numbers(values, "values", "a vector of step sizes, one per iteration, or a PyTorch scheduler")
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"values has shape {array.shape}; expected a vector of step sizes, one per iteration")
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        t = int(np.argmax(bad))
        raise ValueError(f"values[{t}] = {array[t]:g}; expected a finite step size of at least 0 in every iteration")
    return Schedule("vector", vector_factor, Vector(array), step_size=step_size, slots=0, steps=array.size)


def _of_scheduler(scheduler: Any, steps: int | None) -> list[float]:
    """Learning rates of the first parameter group from where the scheduler stands, on a copy without the weights."""
    kind = type(scheduler).__name__
    if kind == "ReduceLROnPlateau":
        raise ValueError(f"{kind} follows the loss, so nobody knows its step sizes before the run; pass those of a log")
    if steps is None:
        raise ValueError(f"how many iterations of {kind}? pass steps=")
    optimizer = scheduler.optimizer
    shared = [p for group in optimizer.param_groups for p in group["params"]] + [optimizer.state]
    twin = copy.deepcopy(scheduler, {id(x): x for x in shared})
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no optimizer takes a step between those of the copy
        for _ in range(count(steps, "steps")):
            found.append(float(twin.get_last_lr()[0]))
            twin.step()
    return found


def optimal(bound: Any, **constants: Any) -> Schedule:
    """The schedule that minimizes a bound on the last iterate, with the constants of the bound, T among them.

    In closed form where that is proved (linear decay for Lipschitz functions), else constant at the largest step size
    that the theorem allows and then linear to zero, improved numerically where the horizon is short.

    Examples
    --------
    >>> import anisotropic as an
    >>> b = an.bounds.convex_sgd_last_nonsmooth
    >>> best = optimal(b, T=3, R=1.0, G=1.0)
    >>> bool(abs(b(schedule=best, R=1.0, G=1.0) - 1 / 2) < 1e-15)
    True
    """
    return from_vector(bound.optimal_schedule(**constants))


def inverse_sqrt(step_size: ArrayLike) -> Schedule:
    """step_size / sqrt(t), t = 1, 2, ...

    Examples
    --------
    Two noiseless iterations on x^2 / 2 from 1 with step sizes 1/2 and 1/(2 sqrt 2) leave (1/2)(1 - 1/(2 sqrt 2)).

    >>> import anisotropic as an
    >>> method = an.optimizers.sgd(an.schedules.inverse_sqrt(0.5))
    >>> run = an.simulate(an.problems.quadratic(1.0), method, noise=an.noises.none(), start=1.0, steps=2)
    >>> bool(abs(run.gap[0, -1] - 0.125 * (1 - 8**-0.5) ** 2) < 1e-15)
    True
    """
    return Schedule("inverse_sqrt", inverse_sqrt_factor, step_size=step_size)


def inverse_time(step_size: ArrayLike, offset: float) -> Schedule:
    """step_size * offset / (offset + t - 1): constant at first, then like 1/t."""
    return Schedule("inverse_time", inverse_time_factor, Offset(float_parameter(offset, "offset")), step_size=step_size)


def halve_on_plateau(step_size: ArrayLike, patience: float = 10.0) -> Schedule:
    """Halve the step size where the mean training loss over a phase is not below that of the phase before.

    A phase lasts patience / step_size iterations, hence longer and longer: the sum of the step sizes diverges, which
    convergence needs (docs/theory/stationary_laws.md). The loss is the exact one, f(w_t).

    Examples
    --------
    Without noise every phase improves, so nothing is ever halved: ten iterations with 1/2 divide the distance by 2^10.

    >>> import anisotropic as an
    >>> method = an.optimizers.sgd(an.schedules.halve_on_plateau(0.5, patience=1.0))
    >>> run = an.simulate(an.problems.quadratic(1.0), method, noise=an.noises.none(), start=1.0, steps=10)
    >>> bool(run.gap[0, -1] == 0.5 * 4.0**-10)
    True

    References
    ----------
    Dereich, Jentzen, Riekert, arXiv 2406.14340 (rates adjusted by estimates of the objective; this rule is the simplest
    for which quadratics converge).
    """
    base = float_vector(step_size, length(step_size), "step_size", low=0.0, strict=True)
    params = Plateau(float_parameter(patience, "patience"), float(base.max()))
    return Schedule("halve_on_plateau", halve_on_plateau_factor, params, step_size=step_size, slots=4)


def restarted_search(
    step_size: ArrayLike, ratio: float = 4.0, candidates: int = 5, trial: int = 50, tolerance: int = 400
) -> Schedule:
    """Search the step size at the start, and again after `tolerance` iterations without a new low of the loss.

    Candidates are the step size times ratio^(-(k-1)/2), ..., ratio^((k-1)/2), each tried for `trial` iterations; the
    one under which the logarithm of the loss falls most goes on, so that rates may go up as well as down. The
    iterations of the trials are kept: one trajectory has no way back. In the source they are undone, and losses are
    estimated on fresh samples. No theorem covers either: on a plateau the choice is a random walk in the logarithm of
    the rate.

    References
    ----------
    Dereich, Jentzen, Riekert, arXiv 2406.14340 (in the spirit of its practical algorithm).
    """
    ratio = float_parameter(ratio, "ratio", low=1.0)
    params = RestartedSearch(
        ratio, count(candidates, "candidates", low=2), count(trial, "trial"), count(tolerance, "tolerance")
    )
    return Schedule("restarted_search", restarted_search_factor, params, step_size=step_size, slots=8)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
