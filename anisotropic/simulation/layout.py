"""What does the kernel get? Broadcast arrays, repeated for a tile of replicas, and the functions that it calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..batching.resize import Sampling, by_law, by_rows, compiled
from ..compiled.random import fill_normals, key_words
from ..records import (
    BatchRule,
    FloatArray,
    Noise,
    NoParameters,
    Objective,
    Optimizer,
    Schedule,
    float_vector,
    module_level,
)
from . import loop
from .compatibility import largest_batch

Measure = Callable[..., float]


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


def _tile(objective: Objective, noise: Noise, rule: BatchRule | None) -> int:
    if rule is not None or noise.law == "rows" or not noise.coordinatewise:
        return 1
    return min(32, max(1, loop.LANES // objective.dim))


def _state(optimizer: Optimizer, dim: int) -> FloatArray:
    rows = [v(dim) if callable(v) else float_vector(v, dim, name) for name, v in optimizer.state.items()]
    return np.array(rows, dtype=np.float64).reshape(len(rows), dim)


def make_plan(
    objective: Objective,
    optimizer: Optimizer,
    noise: Noise,
    start: FloatArray,
    record: np.ndarray,
    batch_size: int | BatchRule,
    seed: int,
    measures: Mapping[str, Measure],
    running_means: bool,
) -> Plan:
    """Everything the kernel needs, as plain arrays, from what the user gave."""
    rule = batch_size if isinstance(batch_size, BatchRule) else None
    d, tile = objective.dim, _tile(objective, noise, rule)
    rows, separable = noise.law == "rows", tile > 1 and objective.coordinatewise
    first_batch = rule.start if rule else int(batch_size)  # type: ignore[arg-type]
    cap = largest_batch(rule, objective, noise) if rule else first_batch
    schedule = optimizer.step_size if isinstance(optimizer.step_size, Schedule) else None
    base = schedule.step_size if schedule else optimizer.step_size
    step_size = float_vector(base, d, "step_size", strict=True, low=0.0)
    lo, hi = objective.box or (np.full(d, -np.inf), np.full(d, np.inf))
    names = list(optimizer.state)
    composed = loop.compose(*(module_level(f, f"measure {name!r}") for name, f in measures.items()))
    functions = (
        objective.value,
        objective.gradient,
        objective.sample_gradient if rows else None,
        None if rows else fill_normals,
        noise.apply,
        optimizer.update,
        schedule.factor if schedule else None,
        (by_rows if rows else by_law) if rule else None,
        compiled(rule.decide) if rule else None,
        composed,
    )
    parameters = (
        _spread(objective.params, d, tile) if separable else objective.params,
        _spread(noise.params, d, tile),
        _spread(optimizer.params, d, tile if optimizer.coordinatewise else 1),
        schedule.params if schedule else NoParameters(),
        rule.params if rule else NoParameters(),
        _sampling(rule, objective, noise, cap),
    )
    arrays = (
        *(np.tile(a, tile) for a in (start, step_size)),
        np.tile(_state(optimizer, d), (1, 1, tile) if optimizer.coordinatewise else (tile, 1, 1)),
        *(np.tile(a, tile) for a in (lo, hi)),
        *loop.lanes(d, tile, max(1, -(-loop.LANES // (d * tile)))),
    )
    sizes = (
        d,
        tile,
        first_batch,
        objective.samples if rows else 0,
        cap if rows else 0,
        schedule.slots if schedule else 1,
        names.index("accumulator") if "accumulator" in names else -1,
        rule.slots if rule else 0,
    )
    switches = (separable, noise.replace, running_means)
    arguments = (parameters, arrays, sizes, switches, key_words(seed), record)
    return Plan(functions, arguments, tile, len(loop.COLUMNS) + 2 * len(measures))


def _sampling(rule: BatchRule | None, objective: Objective, noise: Noise, cap: int) -> Sampling:
    """What the rule may know of the samples."""
    sigma = float_vector(0.0 if noise.sigma is None else noise.sigma, objective.dim, "sigma", low=0.0)
    population = (objective.samples or 0) if noise.law == "rows" else 0
    if rule is None:
        return Sampling(sigma, noise.rho, population, 1, cap, False, False)
    return Sampling(sigma, noise.rho, population, rule.interval, cap, rule.shrink, rule.exact)
