"""How may the step size change? ``step_t = step * factor``, pass a schedule where an optimizer takes a step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from numpy.typing import ArrayLike

from ._support.names import no_such_name
from .compiled.leaf import leaf
from .records import Schedule, count, float_parameter, float_vector, length


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


class Plateau(NamedTuple):
    """Length of a phase in units of 1 / step, and the largest base step."""

    patience: float
    step_size: float


class RestartedSearch(NamedTuple):
    """Ratio of neighboring candidates, their number, steps of one trial, steps without progress before a search."""

    ratio: float
    candidates: int
    trial: int
    tolerance: int


@leaf
def halve_on_plateau_factor(t, value, state, params):
    """Halve where the mean loss over a phase is not below that of the phase before.

    state = (factor, 0 before the first step; steps in the phase; sum of losses; mean of the last phase).
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

    state = (factor, candidate + 1 or 0 outside a search, steps in the trial, log loss at its start, best score, best
    factor, lowest loss, steps without progress).
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


def inverse_sqrt(step_size: ArrayLike) -> Schedule:
    """step / sqrt(t), t = 1, 2, ...

    Examples
    --------
    Two noiseless steps on x^2 / 2 from 1 with steps 1/2 and 1/(2 sqrt 2) leave (1/2)(1 - 1/(2 sqrt 2)).

    >>> import anisotropic as an
    >>> method = an.optimizers.sgd(an.schedules.inverse_sqrt(0.5))
    >>> run = an.simulate(an.problems.quadratic(1.0), method, noise=an.noises.none(), start=1.0, steps=2)
    >>> bool(abs(run.gap[0, -1] - 0.125 * (1 - 8**-0.5) ** 2) < 1e-15)
    True
    """
    return Schedule("inverse_sqrt", inverse_sqrt_factor, step_size=step_size)


def inverse_time(step_size: ArrayLike, offset: float) -> Schedule:
    """step * offset / (offset + t - 1): constant at first, then like 1/t."""
    return Schedule("inverse_time", inverse_time_factor, Offset(float_parameter(offset, "offset")), step_size=step_size)


def halve_on_plateau(step_size: ArrayLike, patience: float = 10.0) -> Schedule:
    """Halve the step where the mean training loss over a phase is not below that of the phase before.

    A phase lasts patience / step steps, hence longer and longer: the sum of the steps diverges, which convergence needs
    (docs/theory/stationary_laws.md). The loss is the exact one, f(w_t).

    Examples
    --------
    Without noise every phase improves, so nothing is ever halved: ten steps of 1/2 divide the distance by 2^10.

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
    """Search the step anew where the loss has not reached a new low for `tolerance` steps, and once at the start.

    Candidates are step ratio^(-(k-1)/2), ..., step ratio^((k-1)/2), each tried for `trial` steps; the one under which
    the logarithm of the loss falls most goes on, so that rates may go up as well as down. The trial steps are kept: one
    trajectory has no way back. In the source they are undone, and losses are estimated on fresh samples. No theorem
    covers either: on a plateau the choice is a random walk in the logarithm of the rate.

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
