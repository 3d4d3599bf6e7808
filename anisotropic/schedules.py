"""How may the step size change? ``step_t = step * factor``, pass a schedule where an optimizer takes a step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from numpy.typing import ArrayLike

from .elementary import leaf
from .names import no_such_name
from .records import NoParameters, Schedule, float_parameter


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


def inverse_sqrt(step: ArrayLike) -> Schedule:
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
    return Schedule("inverse_sqrt", inverse_sqrt_factor, NoParameters(), step)


def inverse_time(step: ArrayLike, offset: float) -> Schedule:
    """step * offset / (offset + t - 1): constant at first, then like 1/t."""
    return Schedule("inverse_time", inverse_time_factor, Offset(float_parameter(offset, "offset")), step)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
