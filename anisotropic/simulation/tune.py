"""Which step size of a grid is best? Every one is tried with the same noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._support.progress import working
from ..records import BatchRule, FloatArray, Noise, Objective, Optimizer, Run, count
from .layout import Measure
from .run import simulate

RUNNING_MEANS = ("mean_gap", "gradient_l1", "gradient_l2", "gradient_l2_squared")


class EveryStepSizeDiverged(ValueError):
    """No step size of a grid has a finite measure."""


class Tuning(NamedTuple):
    """The best entry of a grid, the measure at every entry with its interval, and whether the best is at its edge."""

    best: float
    values: FloatArray
    intervals: FloatArray
    grid: FloatArray
    at_edge: bool


def tune(
    objective: Objective,
    make_optimizer: Callable[[float], Optimizer],
    grid: Sequence[float],
    *,
    noise: Noise,
    start: ArrayLike,
    steps: int,
    batch_size: int | BatchRule = 1,
    replicas: int = 64,
    seed: int = 0,
    measure: str = "mean_gap",
    measures: Mapping[str, Measure] | None = None,
    threads: int | None = None,
    check: bool = True,
) -> Tuning:
    """Try every step size of `grid` with the same noise and keep the one with the smallest mean `measure` at the end.

    Report the winner on another seed: the minimum over a grid is biased low on the seed that chose it.

    Parameters
    ----------
    make_optimizer : callable ``(float) -> Optimizer``
    grid : sequence of increasing positive numbers
    measure : str
        A statistic of the run; its mean over replicas at the last record is compared. A step size that diverges
        counts as infinite. On rows of data "mean_gap" and the gradient norms take a pass over all rows at each
        iteration; "average_gap" and "gap" take one at the end.
    measures : mapping of str to njit function, optional
        Statistics of your own, as in `simulate`, that `measure` may name.
    check : bool
        Whether functions of your own are probed first, as in `simulate`.

    Returns
    -------
    Tuning
        `intervals` has shape ``(len(grid), 2)``: mean -+ 1.96 standard errors. `at_edge` is True where the best entry
        is the first or the last: then widen the grid.

    Examples
    --------
    >>> import anisotropic as an
    >>> f = an.problems.quadratic(1.0)
    >>> an.tune(f, an.optimizers.sgd, [0.5, 1.0, 1.5], noise=an.noises.none(), start=1.0, steps=2, measure="gap").best
    1.0
    """
    steps_grid = np.asarray(list(grid), dtype=np.float64)
    if steps_grid.ndim != 1 or steps_grid.size == 0 or not np.all(np.diff(steps_grid) > 0) or not steps_grid[0] > 0:
        raise ValueError(f"grid = {list(grid)!r}; expected increasing positive numbers")
    replicas, steps = count(replicas, "replicas"), count(steps, "steps")

    def run_with(step_size: float) -> Run:
        return simulate(
            objective, make_optimizer(step_size), noise=noise, start=start, steps=steps, batch_size=batch_size,
            replicas=replicas, seed=seed, records=1, threads=threads, measures=measures, check=check,
            running_means=measure in RUNNING_MEANS or measure.removeprefix("mean_") in (measures or {}),
        )  # fmt: skip

    with working(f"{steps_grid.size} step sizes", steps_grid.size * replicas * steps):
        lasts = [run_with(float(step_size))[measure][:, -1] for step_size in steps_grid]
    values, intervals = np.empty(steps_grid.size), np.empty((steps_grid.size, 2))
    for i, last in enumerate(lasts):
        if not np.isfinite(last).all():
            values[i] = intervals[i] = np.inf
            continue
        values[i] = last.mean()
        error = 1.96 * last.std(ddof=1) / np.sqrt(replicas) if replicas > 1 else np.inf
        intervals[i] = values[i] - error, values[i] + error
    if not np.isfinite(values).any():
        raise EveryStepSizeDiverged(
            f"every step size of the grid diverged or has no {measure}; pass step sizes below {steps_grid[0]:g}"
        )
    best = int(np.argmin(values))
    return Tuning(float(steps_grid[best]), values, intervals, steps_grid, best in (0, steps_grid.size - 1))
