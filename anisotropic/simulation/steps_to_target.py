"""How many iterations does a method need? The first number of them after which a measure's mean is below a target."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._support.progress import working
from ..intervals import t_limits
from ..records import Objective, Optimizer, count, float_parameter
from .compatibility import check_nouns
from .run import simulate


class StepsToTarget(NamedTuple):
    """Iterations to the target with limits; NaN where it was not reached within the largest number allowed.

    `low` and `high` are where the lower and the upper limit of the mean cross the target.
    """

    steps: float
    low: float
    high: float


class TunedStepsToTarget(NamedTuple):
    """The grid's best step size, its reach on fresh seeds, whether it is at the edge, and how many sizes diverged."""

    best: float
    reach: StepsToTarget
    at_edge: bool
    diverged: int = 0


def _first(steps: np.ndarray, values: np.ndarray, target: float) -> float:
    below = values <= target
    return float(steps[np.argmax(below)]) if below.any() else math.nan


def _reach_any_time(
    objective: Objective, optimizer: Optimizer, target: float, max_steps: int, level: float, run: dict
) -> StepsToTarget:
    horizon = min(256, max_steps)
    while True:
        found = simulate(objective, optimizer, steps=horizon, records=600, **run["simulate"])
        values = found[run["measure"]]
        if not np.isfinite(values[:, -1]).all():
            return StepsToTarget(math.nan, math.nan, math.nan)
        mean, low, high = t_limits(values, level)
        reach = StepsToTarget(*(_first(found.steps, v, target) for v in (mean, low, high)))
        if horizon == max_steps or math.isfinite(reach.high):
            return reach
        horizon = min(4 * horizon, max_steps)


def _reach_by_horizon(
    objective: Objective, optimizer: Callable[[int], Optimizer], target: float, max_steps: int, level: float, run: dict
) -> StepsToTarget:
    seen: dict[int, tuple[float, float, float]] = {}

    def limits(steps: int) -> tuple[float, float, float]:
        if steps not in seen:
            values = simulate(objective, optimizer(steps), steps=steps, records=1, **run["simulate"])[run["measure"]]
            mean, low, high = t_limits(values, level)
            a, b, c = (float(v[0]) if np.isfinite(v[0]) else math.inf for v in (mean, low, high))
            seen[steps] = a, b, c
        return seen[steps]

    def crossing(which: int) -> float:
        top = 16
        while top < max_steps and limits(top)[which] > target:
            top *= 4
        top = min(top, max_steps)
        if limits(top)[which] > target:
            return math.nan
        bottom = max(top // 4, 1)
        if bottom == 1 and limits(1)[which] <= target:
            return 1.0
        while top > bottom * 1.01 and top - bottom > 1:
            middle = round(math.sqrt(top * bottom))
            middle = min(max(middle, bottom + 1), top - 1)
            bottom, top = (bottom, middle) if limits(middle)[which] <= target else (middle, top)
        return float(top)

    return StepsToTarget(crossing(0), crossing(1), crossing(2))


@working("iterations to a target")
def steps_to_target(
    objective: Objective,
    optimizer: Optimizer | Callable[[int], Optimizer],
    *,
    target: float,
    max_steps: int,
    measure: str = "mean_gap",
    level: float = 0.05,
    **simulation: Any,
) -> StepsToTarget:
    """The smallest number of updates T after which the mean over replicas of `measure` is at most `target`.

    Parameters
    ----------
    optimizer : Optimizer or callable ``T -> Optimizer``
        A callable is a method whose step size depends on the horizon, as in many theorems: then each T is a run of its
        own and T is found by bisection to 1 %.
    target : float
    max_steps : int
        Give up beyond: the result is NaN.
    measure : str
        A statistic of the run.
    level : float
        Of the t interval that `low` and `high` come from.
    **simulation
        Passed to `simulate`: noise, start, batch_size, replicas, seed, threads.

    Examples
    --------
    Noiseless SGD with step size 1/2 on x^2/2 from 1: the gap 4^-t / 2 falls below 1/100 at t = 3.

    >>> import anisotropic as an
    >>> f = an.problems.quadratic(1.0)
    >>> arguments = dict(noise=an.noises.none(), start=1.0, replicas=2)
    >>> an.steps_to_target(f, an.optimizers.sgd(0.5), target=0.01, max_steps=100, measure="gap", **arguments).steps
    3.0
    """
    target, max_steps = float_parameter(target, "target"), count(max_steps, "max_steps")
    run = {"simulate": simulation, "measure": measure}
    if not callable(optimizer) or str(getattr(optimizer, "__module__", "")).startswith("anisotropic.optimizers"):
        check_nouns(objective, optimizer, simulation.get("noise"))  # a factory of step sizes is no method of horizons
    if isinstance(optimizer, Optimizer):
        return _reach_any_time(objective, optimizer, target, max_steps, level, run)
    return _reach_by_horizon(objective, optimizer, target, max_steps, level, run)


@working("iterations to a target")
def tuned_steps_to_target(
    objective: Objective,
    make_optimizer: Callable[[float], Optimizer],
    grid: Sequence[float],
    *,
    target: float,
    max_steps: int,
    measure: str = "mean_gap",
    level: float = 0.05,
    seed: int = 0,
    tuning_seed: int | None = None,
    replicas: int = 64,
    tuning_replicas: int | None = None,
    **simulation: Any,
) -> TunedStepsToTarget:
    """Choose the step size of `grid` that reaches the target soonest on `tuning_seed`, and report it on `seed`.

    Parameters
    ----------
    make_optimizer : callable ``step_size -> Optimizer``
    grid : increasing step sizes
    tuning_seed : int, optional
        Default: `seed` with its lowest bit flipped.
    replicas, tuning_replicas : int
        For the report, and (default: a quarter, at least 4) for each step size of the grid.
    **simulation
        Passed to `simulate`.

    Returns
    -------
    TunedStepsToTarget
        Where no step size of the grid reaches the target, `best` and the reach are NaN.
    """
    steps_grid = [float_parameter(step_size, "grid") for step_size in grid]
    other = seed ^ 1 if tuning_seed is None else tuning_seed
    few = max(4, replicas // 4) if tuning_replicas is None else tuning_replicas
    trial = {"records": 600, "seed": other, "replicas": few, **simulation}
    horizon = min(256, max_steps)
    while True:
        found, diverged = [], 0
        for step_size in steps_grid:
            run = simulate(objective, make_optimizer(step_size), steps=horizon, **trial)
            found.append(_first(run.steps, run[measure].mean(axis=0), target))
            diverged += not np.isfinite(run[measure][:, -1]).all()
        if np.isfinite(found).any():
            break
        if horizon == max_steps:
            return TunedStepsToTarget(math.nan, StepsToTarget(math.nan, math.nan, math.nan), False, diverged)
        horizon = min(4 * horizon, max_steps)
    best = int(np.nanargmin(found))
    reach = steps_to_target(
        objective, make_optimizer(steps_grid[best]), target=target, max_steps=max_steps, measure=measure, level=level,
        seed=seed, replicas=replicas, **simulation,
    )  # fmt: skip
    return TunedStepsToTarget(steps_grid[best], reach, best in (0, len(steps_grid) - 1), diverged)
