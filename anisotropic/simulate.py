"""How is a run made? Checks, chunks of replicas, threads, progress; and the tuning of a step size.

The kernel releases the interpreter lock, so chunks of replicas run in a thread pool. The numbers do not depend on the
number of threads or chunks: replica r of seed s is the same trajectory wherever it runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple

import numpy as np
from numba import config
from numpy.typing import ArrayLike

from . import kernels
from .random import key_words
from .records import (
    FloatArray,
    Noise,
    NoParameters,
    Objective,
    Optimizer,
    Run,
    Schedule,
    count,
    float_vector,
    module_level,
)

Measure = Callable[..., float]
Progress = Callable[[int, int], None]


class Plan(NamedTuple):
    """Everything the kernel takes but the range of replicas and the output."""

    functions: tuple[Any, ...]
    arguments: tuple[Any, ...]
    tile: int
    columns: int


def record_steps(steps: int, records: int) -> np.ndarray:
    """At most `records` about log-spaced numbers of updates, first 1, last `steps`."""
    if records == 1:
        return np.array([steps], dtype=np.int64)
    spaced = np.round(np.geomspace(1, steps, min(records, steps))).astype(np.int64)
    return np.unique(np.concatenate([[1], spaced, [steps]]))


def _spread(params: Any, dim: int, tile: int) -> Any:
    """Repeat every ``(d,)`` array field for the tile; arrays of one entry are broadcast first."""
    fields = {}
    for name, value in params._asdict().items():
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.size in (1, dim) and value.dtype == np.float64:
            value = np.tile(float_vector(value, dim, name), tile)
        fields[name] = value
    return type(params)(**fields)


def _tile(objective: Objective, noise: Noise, optimizer: Optimizer) -> int:
    if noise.law == "rows" or not (noise.coordinatewise and optimizer.coordinatewise):
        return 1
    return min(32, max(1, kernels.LANES // objective.dim))


def _state(optimizer: Optimizer, dim: int) -> FloatArray:
    rows = [v(dim) if callable(v) else float_vector(v, dim, name) for name, v in optimizer.state.items()]
    return np.array(rows, dtype=np.float64).reshape(len(rows), dim)


def _plan(
    objective: Objective,
    optimizer: Optimizer,
    noise: Noise,
    start: FloatArray,
    record: np.ndarray,
    batch_size: int,
    seed: int,
    measures: Mapping[str, Measure],
    running_means: bool,
) -> Plan:
    d, tile = objective.dim, _tile(objective, noise, optimizer)
    rows = noise.law == "rows"
    schedule = optimizer.step if isinstance(optimizer.step, Schedule) else None
    step = float_vector(schedule.step if schedule else optimizer.step, d, "step", strict=True, low=0.0)
    lo, hi = objective.box or (np.full(d, -np.inf), np.full(d, np.inf))
    names = list(optimizer.state)
    composed = kernels.compose(*(module_level(f, f"measure {name!r}") for name, f in measures.items()))
    functions = (
        objective.value,
        objective.gradient,
        objective.sample_gradient if rows else kernels.no_rows,
        noise.apply,
        optimizer.update,
        schedule.factor if schedule else kernels.one,
        composed,
    )
    parameters = (
        _spread(objective.params, d, tile) if tile > 1 else objective.params,
        _spread(noise.params, d, tile),
        _spread(optimizer.params, d, tile),
        schedule.params if schedule else NoParameters(),
    )
    arrays = tuple(np.tile(a, tile) for a in (start, step)) + (
        np.tile(_state(optimizer, d), (1, tile)),
        np.tile(lo, tile),
        np.tile(hi, tile),
    )
    sizes = (
        d,
        tile,
        batch_size,
        objective.samples if rows else 0,
        schedule.slots if schedule else 1,
        names.index("accumulator") if "accumulator" in names else -1,
    )
    separable = tile > 1 and "separable" in objective.properties
    switches = (separable, noise.replace, not rows, schedule is not None, running_means)
    arguments = (parameters, arrays, sizes, switches, key_words(seed), record)
    return Plan(functions, arguments, tile, len(kernels.COLUMNS) + 2 * len(measures))


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


def _check(objective: Objective, noise: Noise, start: FloatArray, batch_size: int) -> None:
    if not isinstance(noise, Noise):
        raise TypeError(f"noise = {noise!r}; expected a Noise such as an.noises.gaussian(1.0)")
    if objective.box is not None:
        lo, hi = objective.box
        outside = (start < lo) | (start > hi)
        if outside.any():
            j = int(np.argmax(outside))
            raise ValueError(
                f"start[{j}] = {start[j]:g} lies outside the box [{lo[j]:g}, {hi[j]:g}]; "
                "start inside it, or clip the start"
            )
    if noise.max_batch is not None and batch_size > noise.max_batch:
        raise ValueError(
            f"batch_size = {batch_size} is above {noise.max_batch}, the most that {noise.name} noise draws one by one; "
            "use a smaller batch, or gaussian noise for the limit"
        )
    if noise.law == "rows":
        if objective.samples is None or objective.sample_gradient is None:
            raise ValueError(
                f"minibatch noise needs a finite sum; {objective.name} has no rows, use e.g. an.noises.gaussian"
            )
        if not noise.replace and batch_size > objective.samples:
            raise ValueError(
                f"batch_size = {batch_size} exceeds the {objective.samples} rows; "
                "without replacement it can be at most that"
            )


def _known(
    objective: Objective, optimizer: Optimizer, noise: Noise, start: FloatArray, steps: int, batch_size: int
) -> dict[str, Any]:
    """What is certified, under the names that bounds use."""
    d = objective.dim
    known: dict[str, Any] = {"T": steps, "M": batch_size, "d": d}
    if objective.smoothness is not None:
        known["L"] = objective.smoothness
    sigma = objective.sample_sigma if noise.law == "rows" else noise.sigma
    if sigma is not None:
        known["sigma"] = float_vector(sigma, d, "sigma", low=0.0)
        known["rho"] = noise.rho
    if objective.box is not None and np.isfinite(width := objective.box[1] - objective.box[0]).all():
        known["D"] = width
    if objective.minimizer is not None:
        known["R"] = np.abs(start - objective.minimizer)
    if objective.gradient_bound is not None and sigma is not None and noise.rho == 0.0:
        known["G"] = np.sqrt(objective.gradient_bound**2 + known["sigma"] ** 2 / batch_size)
    if objective.generalized_smoothness is not None:
        known["L0"], known["L1"] = objective.generalized_smoothness
    if objective.pl_constant is not None:
        known["mu"] = objective.pl_constant
    if not isinstance(optimizer.step, Schedule):
        known["step"] = float_vector(optimizer.step, d, "step") if np.ndim(optimizer.step) else float(optimizer.step)
    for name in ("eps", "beta", "momentum"):
        if name in optimizer.settings:
            value = optimizer.settings[name]
            known[name] = np.asarray(value) if isinstance(value, list) else value
    return known


def simulate(
    objective: Objective,
    optimizer: Optimizer,
    *,
    noise: Noise,
    start: ArrayLike,
    steps: int,
    batch_size: int = 1,
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
    batch_size : int
        Samples M averaged in each gradient.
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
    steps, batch_size = count(steps, "steps"), count(batch_size, "batch_size")
    replicas, records = count(replicas, "replicas"), count(records, "records")
    threads = (os.cpu_count() or 1) if threads is None else count(threads, "threads")
    w1 = float_vector(start, objective.dim, "start")
    _check(objective, noise, w1, batch_size)
    measures = dict(measures or {})
    reserved = {*kernels.COLUMNS, "gap", "mean_gap", "average_gap"}
    clash = sorted({n for m in measures for n in (m, f"mean_{m}")} & reserved)
    if clash:
        raise ValueError(f"measure {clash[0]!r} is a statistic that every run records; choose another name")
    record = record_steps(steps, records)
    plan = _plan(objective, optimizer, noise, w1, record, batch_size, seed, measures, running_means)
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
    known = _known(objective, optimizer, noise, w1, steps, batch_size)
    initial_gap = _initial_gap(objective, w1, minimum)
    if np.isfinite(initial_gap):
        known["Delta"] = initial_gap
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
        "batch": "constant",
        "seed": int(seed),
    }
    return Run(record, w1, statistics, status, initial_gap, known, facts)


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
    batch_size: int = 1,
    replicas: int = 64,
    seed: int = 0,
    measure: str = "mean_gap",
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
            replicas=replicas, seed=seed, records=1, threads=threads, running_means=measure in RUNNING_MEANS,
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
