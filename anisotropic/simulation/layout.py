"""What does the kernel get? Its functions, their parameters, and where everything lies in a pass over coordinates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..batching.resize import Sampling, by_law, by_rows, compiled
from ..batching.rules import Coordinates, relative_noise
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
    initial_state,
    module_level,
    spread,
    watches_loss,
)
from . import loop
from .compatibility import largest_batch

Measure = Callable[..., float]
Words = NDArray[np.uint64]

#: Lanes in which one pass runs: short vectors are joined to about this many, long ones cut into about as many.
TOGETHER = 256
#: Steps that a block of a long vector takes before the next block: a group of normals is four.
SPAN = 32


class Params(NamedTuple):
    """What the functions of each noun get as `params`, and what a batch rule may know of the samples."""

    objective: Any
    noise: Any
    optimizer: Any
    schedule: Any
    rule: Any
    sampling: Sampling


class Lanes(NamedTuple):
    """Where everything lies in one pass over coordinates: a lane is one coordinate of one replica.

    A tile of replicas lies side by side, replica after replica. `width` lanes are a block, which takes `span` steps
    before the next. `separable` says that the gradient may be taken over any lanes at once, `together` that the update
    may; else each replica is given to them by itself. Of the lanes, in order: start, step size, box; the rows of the
    state for the lanes that are updated at once, one such piece after another. Of a block of normals: coordinate,
    replica within the tile, and group of four steps.
    """

    dim: int
    tile: int
    width: int
    span: int
    separable: bool
    together: bool
    start: FloatArray
    step_size: FloatArray
    state: FloatArray
    lo: FloatArray
    hi: FloatArray
    coordinate: Words
    replica: Words
    group: Words


class Setting(NamedTuple):
    """First batch; rows of a finite sum or 0; room for drawn rows; slots of the schedule; whether it reads the value;
    row of the accumulator in the state or -1; slots of the batch rule; whether rows are drawn with replacement; whether
    statistics are taken at every iteration, or only at the records (running means are then NaN).
    """

    first_batch: int
    population: int
    room: int
    schedule_slots: int
    watched: bool
    accumulator: int
    rule_slots: int
    replace: bool
    means: bool


class Layout(NamedTuple):
    """Everything the kernel takes but the range of replicas, the output and the signal."""

    functions: tuple[Any, ...]
    params: Params
    lanes: Lanes
    setting: Setting
    key: tuple[np.uint64, np.uint64]
    record: np.ndarray


def record_steps(steps: int, records: int) -> np.ndarray:
    """At most `records` about log-spaced numbers of updates, first 1, last `steps`."""
    if records == 1:
        return np.array([steps], dtype=np.int64)
    spaced = np.round(np.geomspace(1, steps, min(records, steps))).astype(np.int64)
    return np.unique(np.concatenate([[1], spaced, [steps]]))


def lanes_of_normals(dim: int, tile: int, groups: int) -> tuple[Words, Words, Words]:
    """Coordinate, replica within the tile, and group of four steps of each lane of a block of normals."""
    i = np.arange(groups * tile * dim, dtype=np.uint64)
    return i % np.uint64(dim), i // np.uint64(dim) % np.uint64(tile), i // np.uint64(dim * tile)


def make_layout(
    objective: Objective,
    optimizer: Optimizer,
    noise: Noise,
    start: FloatArray,
    record: np.ndarray,
    batch_size: int | BatchRule,
    seed: int,
    measures: Mapping[str, Measure] | None = None,
    *,
    means: bool = True,
    alone: bool = False,
) -> Layout:
    """Everything the kernel needs, as plain arrays, from what the user gave; `alone` keeps each replica by itself."""
    rule = batch_size if isinstance(batch_size, BatchRule) else None
    schedule = optimizer.step_size if isinstance(optimizer.step_size, Schedule) else None
    measures, rows = measures or {}, noise.law == "rows"
    first_batch = rule.start if rule else int(batch_size)  # type: ignore[arg-type]
    cap = largest_batch(rule, objective, noise) if rule else first_batch
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
    alone = alone or rule is not None or rows or not noise.coordinatewise
    lanes = make_lanes(objective, optimizer, start, alone=alone, whole=bool(measures))
    params = Params(
        spread(objective.params, lanes.dim, lanes.tile) if lanes.separable else objective.params,
        spread(noise.params, lanes.dim, lanes.tile),
        spread(optimizer.params, lanes.dim, lanes.tile if lanes.together else 1),
        schedule.params if schedule else NoParameters(),
        rule.params if rule else NoParameters(),
        _sampling(rule, objective, noise, cap),
    )
    setting = Setting(
        first_batch,
        (objective.samples or 0) if rows else 0,
        cap if rows else 0,
        schedule.slots if schedule else 1,
        _watched(optimizer),
        names.index("accumulator") if "accumulator" in names else -1,
        rule.slots if rule else 0,
        noise.replace,
        means,
    )
    return Layout(functions, params, lanes, setting, key_words(seed), record)


def _base(optimizer: Optimizer, dim: int) -> FloatArray:
    """Step sizes before the schedule."""
    size = optimizer.step_size
    values = size.step_size if isinstance(size, Schedule) else size
    return float_vector(values, dim, "step_size", strict=True, low=0.0)


def _watched(optimizer: Optimizer) -> bool:
    return isinstance(optimizer.step_size, Schedule) and watches_loss(optimizer.step_size)


def _blocks(objective: Objective, optimizer: Optimizer, whole: bool) -> tuple[int, int]:
    """Lanes of a block, and steps that it takes, where each replica runs by itself.

    `whole` says that some function sees all coordinates of an iterate at once. A block is a multiple of 64 lanes, so
    that only the last has a remainder; under an optimizer that couples coordinates it takes one step, and that pays
    only where the state has left the cache.
    """
    d, most = objective.dim, TOGETHER + 64
    alone = whole or _watched(optimizer) or not objective.coordinatewise
    if alone or d <= (most if optimizer.coordinatewise else 4096):
        return d, 4
    if not optimizer.coordinatewise:
        return 1024, 1
    return -(-d // (64 * -(-d // most))) * 64, SPAN


def make_lanes(objective: Objective, optimizer: Optimizer, start: FloatArray, *, alone: bool, whole: bool) -> Lanes:
    """Where everything lies: replicas joined unless `alone`, long vectors in blocks unless `whole`."""
    d = objective.dim
    tile = 1 if alone or d > TOGETHER // 2 else 2 ** min(5, int(np.log2(1.5 * TOGETHER / d)))
    n, groups = tile * d, max(1, -(-TOGETHER // (tile * d)))
    width, span = (n, 4 * groups) if tile > 1 or n <= TOGETHER else _blocks(objective, optimizer, alone or whole)
    state = np.tile(initial_state(optimizer, d), (1, tile))
    piece = width if optimizer.coordinatewise else d
    lo, hi = objective.box or (np.full(d, -np.inf), np.full(d, np.inf))
    coordinate, replica, group = lanes_of_normals(d, tile, groups)
    return Lanes(
        dim=d,
        tile=tile,
        width=width,
        span=span,
        separable=objective.coordinatewise,
        together=optimizer.coordinatewise,
        start=np.tile(start, tile),
        step_size=np.tile(_base(optimizer, d), tile),
        state=np.concatenate([state[:, a : a + piece].ravel() for a in range(0, n, piece)]),
        lo=np.tile(lo, tile),
        hi=np.tile(hi, tile),
        coordinate=coordinate,
        replica=replica[: groups * width],
        group=group[: groups * width],
    )


def _sampling(rule: BatchRule | None, objective: Objective, noise: Noise, cap: int) -> Sampling:
    """What the rule may know of the samples, and what it promises of them."""
    sigma = float_vector(0.0 if noise.sigma is None else noise.sigma, objective.dim, "sigma", low=0.0)
    population = (objective.samples or 0) if noise.law == "rows" else 0
    if rule is None:
        return Sampling(sigma, noise.rho, population, 1, cap, False, False)
    return Sampling(
        sigma, noise.rho, population, rule.interval, cap, rule.shrink, rule.exact, relative_noise(rule),
        isinstance(rule.params, Coordinates), noise.replace, np.zeros(1, np.int64),
    )  # fmt: skip
