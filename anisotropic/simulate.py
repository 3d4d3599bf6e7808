"""How is a run made? Checks, chunks of replicas, threads, progress; and the tuning of a step size.

The kernel releases the interpreter lock, so chunks of replicas run in a thread pool. The numbers do not depend on the
number of threads or chunks: replica r of seed s is the same trajectory wherever it runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple

import numpy as np
from numba import config
from numpy.typing import ArrayLike

from . import kernels
from .batching.rules import relative_noise
from .plan import Measure, Plan, check_rule, check_setup, known_constants, largest_batch, make_plan, record_steps
from .records import (
    BatchRule,
    FloatArray,
    Noise,
    Objective,
    Optimizer,
    Run,
    Schedule,
    count,
    float_vector,
)

Progress = Callable[[int, int], None]


def _execute(plan: Plan, replicas: int, records: int, threads: int, progress: Progress | None) -> FloatArray:
    out = np.empty((replicas, records, plan.columns))
    if progress is not None:
        progress(0, replicas)
    kernels.trajectories(*plan.functions, *plan.arguments, 0, 0, out)  # compiles in this thread, simulates nothing
    pieces = max(threads, min(8 * threads, replicas)) if progress is not None else threads
    size = -(-replicas // pieces)
    size = -(-size // plan.tile) * plan.tile
    chunks = [(a, min(a + size, replicas)) for a in range(0, replicas, size)]

    def work(chunk: tuple[int, int]) -> int:
        kernels.trajectories(*plan.functions, *plan.arguments, *chunk, out)
        return chunk[1] - chunk[0]

    done = 0
    if threads == 1 or len(chunks) == 1:
        for chunk in chunks:
            done += work(chunk)
            if progress is not None:
                progress(done, replicas)
        return out
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, chunk) for chunk in chunks]
        try:
            for future in as_completed(futures):
                done += future.result()
                if progress is not None:
                    progress(done, replicas)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return out


def simulate(
    objective: Objective,
    optimizer: Optimizer,
    *,
    noise: Noise,
    start: ArrayLike,
    steps: int,
    batch_size: int | BatchRule = 1,
    replicas: int = 64,
    seed: int = 0,
    records: int = 100,
    measures: Mapping[str, Measure] | None = None,
    running_means: bool = True,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Run:
    """Simulate independent trajectories of `optimizer` on `objective` and record the statistics that theorems bound.

    Parameters
    ----------
    objective, optimizer, noise : records
    start : number or array ``(d,)``
        w_1, inside the box.
    steps : int
        Number of updates T.
    batch_size : int or BatchRule
        Samples M averaged in each gradient, or the rule that chooses them (`an.batching`).
    replicas : int
        Number of independent trajectories.
    seed : int
        0 <= seed < 2**64. The same seed gives every optimizer the same noise.
    records : int
        About how many log-spaced steps are recorded.
    measures : mapping of str to njit function ``(w, gradient, params) -> float``, optional
        Statistics of your own, evaluated at the iterate with its true gradient; "m" is recorded as `m` (at w_{t+1}) and
        `mean_m` (mean over w_1..w_t).
    running_means : bool
        False evaluates value and gradient at the records only, for finite sums whose full gradient is dear: the
        statistics that average over all steps are then NaN.
    threads : int, optional
        Default: all cores. Results do not depend on it.
    progress : callable ``(done, replicas)``, optional

    Returns
    -------
    Run

    Raises
    ------
    ValueError, TypeError
        On wrong shapes, a start outside the box, NaN, counts below 1, a closure where a compiled function is needed.

    Examples
    --------
    Noiseless SGD with step 1/2 halves the distance on x^2 / 2, so the gap falls by 4 at every step.

    >>> import anisotropic as an
    >>> f, method = an.problems.quadratic(1.0), an.optimizers.sgd(0.5)
    >>> run = an.simulate(f, method, noise=an.noises.none(), start=1.0, steps=3)
    >>> run.gap[0].tolist()
    [0.125, 0.03125, 0.0078125]
    """
    steps = count(steps, "steps")
    rule = batch_size if isinstance(batch_size, BatchRule) else None
    first_batch = rule.start if rule else count(batch_size, "batch_size")
    replicas, records = count(replicas, "replicas"), count(records, "records")
    threads = (os.cpu_count() or 1) if threads is None else count(threads, "threads")
    w1 = float_vector(start, objective.dim, "start")
    check_setup(objective, noise, w1, first_batch)
    cap = largest_batch(rule, objective, noise) if rule else first_batch
    if rule is not None:
        check_rule(rule, objective, noise, cap)
    measures = dict(measures or {})
    reserved = {*kernels.COLUMNS, "gap", "mean_gap", "average_gap"}
    clash = sorted({n for m in measures for n in (m, f"mean_{m}")} & reserved)
    if clash:
        raise ValueError(f"measure {clash[0]!r} is a statistic that every run records; choose another name")
    record = record_steps(steps, records)
    plan = make_plan(objective, optimizer, noise, w1, record, batch_size, seed, measures, running_means)
    out = _execute(plan, replicas, record.size, 1 if config.DISABLE_JIT else threads, progress)

    columns = {name: np.ascontiguousarray(out[:, :, i]) for i, name in enumerate(kernels.COLUMNS)}
    for i, name in enumerate(measures):
        columns[name] = np.ascontiguousarray(out[:, :, len(kernels.COLUMNS) + i])
        columns[f"mean_{name}"] = np.ascontiguousarray(out[:, :, len(kernels.COLUMNS) + len(measures) + i])
    minimum = np.nan if objective.minimum is None else objective.minimum
    statistics = {
        "gap": columns["value"] - minimum,
        "mean_gap": columns.pop("mean_value") - minimum,
        "average_gap": columns.pop("average_value") - minimum,
        **columns,
    }
    status = np.where(np.isnan(columns["value"]).any(axis=1), "diverged", "ok")
    known = known_constants(objective, optimizer, noise, w1, steps, None if rule else first_batch)
    initial_gap = _initial_gap(objective, w1, minimum)
    if np.isfinite(initial_gap):
        known["Delta"] = initial_gap
    if rule is not None and rule.exact:
        known["rho"] = relative_noise(rule)
    facts = {
        "objective": objective.name,
        "dim": objective.dim,
        "properties": sorted(objective.properties),
        "box": objective.box is not None,
        "optimizer": optimizer.name,
        "settings": dict(optimizer.settings),
        "schedule": optimizer.step.name if isinstance(optimizer.step, Schedule) else "constant",
        "noise": noise.name,
        "law": noise.law,
        "batch": rule.name if rule else "constant",
        "rule": ({"form": rule.form, **rule.params._asdict()} if rule else {}),
        "tested": _tested(rule, cap, columns["batch_size"]),
        "seed": int(seed),
    }
    return Run(record, w1, statistics, status, initial_gap, known, facts)


def _tested(rule: BatchRule | None, cap: int, batches: FloatArray) -> bool:
    """Whether the inequality of the rule held at every step: an oracle asked at each, that never met its cap."""
    return rule is not None and rule.exact and rule.interval == 1 and not (batches >= cap).any()


def _initial_gap(objective: Objective, w1: FloatArray, minimum: float) -> float:
    value = getattr(objective.value, "py_func", objective.value) if objective.samples is None else objective.value
    return float(value(w1, objective.params)) - minimum


class Tuning(NamedTuple):
    """The best entry of a grid, the measure at every entry with its interval, and whether the best lies at an end."""

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
) -> Tuning:
    """Try every step size of `grid` with the same noise and keep the one with the smallest mean `measure` at the end.

    Report the winner on another seed: the minimum over a grid is biased low on the seed that chose it.

    Parameters
    ----------
    make_optimizer : callable ``(float) -> Optimizer``
    grid : sequence of increasing positive numbers
    measure : str
        A statistic of the run; its mean over replicas at the last record is compared. A diverged step counts as
        infinite.
    measures : mapping of str to njit function, optional
        Statistics of your own, as in `simulate`, that `measure` may name.

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
    values, intervals = np.empty(steps_grid.size), np.empty((steps_grid.size, 2))
    for i, step in enumerate(steps_grid):
        run = simulate(
            objective, make_optimizer(float(step)), noise=noise, start=start, steps=steps, batch_size=batch_size,
            replicas=replicas, seed=seed, records=1, threads=threads, measures=measures,
            running_means=measure in RUNNING_MEANS or measure.removeprefix("mean_") in (measures or {}),
        )  # fmt: skip
        last = run[measure][:, -1]
        values[i] = last.mean() if np.isfinite(last).all() else np.inf
        error = 1.96 * last.std(ddof=1) / np.sqrt(replicas) if replicas > 1 and np.isfinite(values[i]) else np.inf
        intervals[i] = values[i] - error, values[i] + error
    if not np.isfinite(values).any():
        raise ValueError(f"every step of the grid diverged or has no {measure}; pass steps below {steps_grid[0]:g}")
    best = int(np.argmin(values))
    return Tuning(float(steps_grid[best]), values, intervals, steps_grid, best in (0, steps_grid.size - 1))


RUNNING_MEANS = ("mean_gap", "gradient_l1", "gradient_l2", "gradient_l2_squared")
