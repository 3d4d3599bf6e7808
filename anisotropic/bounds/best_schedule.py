"""Which schedule makes a bound on the last iterate smallest? In closed form where proved, else by numbers.

Proved (docs/theory/convex_sgd_last.md): under a cap on the step sizes and with a price of noise that does not depend on
them, the best schedule is constant at the cap and then linear to zero. The true price rises with the step size, so the
best schedule of this form is only the start of a descent over all schedules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..records import FloatArray
from . import tails

#: Longest schedule that is improved beyond "constant, then linear".
REFINED = 1000
_GOLDEN = (np.sqrt(5.0) - 1) / 2


class Price(NamedTuple):
    """What a schedule costs in a bound for smooth functions.

    `R2` is the squared distance of the start; `terms` gives the terms at a factor of the step sizes; `noise` the price
    of one iteration and its derivative, for each of many step sizes.
    """

    R2: float
    terms: Callable[[tails.Smooth, float], dict[str, float]]
    noise: Callable[[FloatArray], tuple[FloatArray, FloatArray]]

    def value(self, of: tails.Smooth, factor: float) -> float:
        """The bound."""
        return sum(self.terms(of, factor).values())


def lowest(value: Callable[[float], float], low: float, high: float, *, grid: int, rounds: int = 16) -> float:
    """Where `value` is smallest on [low, high]: the best of a grid, then golden sections around it."""
    points = np.linspace(low, high, grid)
    k = int(np.argmin([value(float(x)) for x in points]))
    best, a, b = float(points[k]), float(points[max(k - 1, 0)]), float(points[min(k + 1, grid - 1)])
    inner = [b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)]
    levels = [value(x) for x in inner]
    for _ in range(rounds):
        if levels[0] <= levels[1]:
            b, inner[1], levels[1] = inner[1], inner[0], levels[0]
            inner[0] = b - _GOLDEN * (b - a)
            levels[0] = value(inner[0])
        else:
            a, inner[0], levels[0] = inner[0], inner[1], levels[1]
            inner[1] = a + _GOLDEN * (b - a)
            levels[1] = value(inner[1])
    return min((best, *inner), key=value)


def lowest_convex(value: Callable[[float], float], cap: float) -> float:
    """Where a convex function that is infinite at 0 is smallest on (0, cap]."""
    top = float(np.log(cap))
    found = float(np.exp(lowest(lambda x: value(float(np.exp(x))), top - 35.0, top, grid=12, rounds=45)))
    return min(found, cap, key=value)


def linear_decay(c: dict[str, Any]) -> FloatArray:
    """R/G (T + 1)^(-3/2) (T + 1 - t): the best schedule for Lipschitz functions, with the value R G / sqrt(T + 1)."""
    R, G, T = np.linalg.norm(c["R"]), np.linalg.norm(c["G"]), int(c["T"])
    if G == 0.0:
        raise ValueError("no schedule is best where G = 0: the larger the step sizes, the smaller the bound")
    return np.arange(T, 0, -1) * float(max(R / G, np.finfo(float).tiny)) / (T + 1) ** 1.5


def constant_then_linear(steps: int, cooldown: int, level: float, slope: float) -> FloatArray:
    """`level` until `cooldown` iterations are left, then slope times the number of iterations left, at most `level`."""
    left = np.arange(steps, 0, -1)
    return np.where(left > cooldown, level, np.minimum(slope * left, level))


def by_price(
    price: Callable[[dict[str, Any]], Price], room: Callable[[dict[str, Any]], float], c: dict[str, Any]
) -> FloatArray:
    """The best schedule of a bound for smooth functions with this price of noise, its cap `room` over max L."""
    if not c["R"].any():
        raise ValueError("no schedule is best where R = 0: the start is the minimizer")
    if not c["L"].any():
        raise ValueError("no schedule is best where every L is 0: no step size is too large")
    of, cap, T = price(c), room(c) / float(np.max(c["L"])), int(c["T"])
    found = _constant_then_linear(of, cap, T)
    return _refined(of, found, cap) if T <= REFINED else found


def _constant_then_linear(price: Price, cap: float, T: int) -> FloatArray:
    """The best of the family over the length of the cool-down and a factor of all step sizes."""

    def shape(cooldown: int) -> FloatArray:
        return constant_then_linear(T, cooldown, 1.0, 1.0 / cooldown)

    def factor(cooldown: int) -> tuple[float, float]:
        of = tails.compressed(tails.smooth(shape(cooldown)))
        best = lowest_convex(lambda x: price.value(of, x), cap)
        return best, price.value(of, best)

    logs = lowest(lambda x: factor(round(float(np.exp(x))))[1], 0.0, float(np.log(T)), grid=min(T, 12), rounds=8)
    cooldown = round(float(np.exp(logs)))
    return shape(cooldown) * factor(cooldown)[0]


def _refined(price: Price, start: FloatArray, cap: float) -> FloatArray:
    """Descent over all schedules below the cap from a good one; never worse than that.

    With r_t = 2 S_t - S_{t+1}: dS_t/dtheta_t = 1/r_t and dS_t/dS_{t+1} = S_t/r_t, so that one pass forward through the
    tails collects the slopes.
    """
    from scipy.optimize import minimize

    def function(logs: FloatArray) -> tuple[float, FloatArray]:
        of = tails.smooth(np.exp(logs))
        level, change = price.noise(of.step_sizes)
        tail = np.cumsum(of.d[::-1])[::-1]
        pull, roots = of.d * level, tail + of.d
        value = 0.5 * (price.R2 / of.A + float(np.sum(of.d * pull)))
        slopes, carried = [], -price.R2 / tail[0] ** 3
        for push, at, root in zip(pull.tolist(), tail.tolist(), roots.tolist(), strict=True):
            carried += push
            slopes.append(carried / root)
            carried = carried * at / root - push
        gradient = (np.array(slopes) + 0.5 * of.d**2 * change) * of.step_sizes
        return float(np.log(value)), gradient / value

    top = float(np.log(cap))
    result = minimize(
        function, np.minimum(np.log(start), top), jac=True, method="L-BFGS-B",
        bounds=[(top - 60.0, top)] * start.size, options={"maxiter": 300, "ftol": 1e-14, "gtol": 1e-9},
    )  # fmt: skip
    better: FloatArray = np.minimum(np.exp(result.x), cap)
    return better if price.value(tails.smooth(better), 1.0) < price.value(tails.smooth(start), 1.0) else start
