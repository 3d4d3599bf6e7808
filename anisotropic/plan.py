"""What does the kernel get? Checked, broadcast and repeated arrays, and what is certified about a run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from . import kernels
from .batching.resize import LARGEST, Sampling, by_law, by_rows, compiled
from .random import fill_normals, key_words
from .records import (
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
    return min(32, max(1, kernels.LANES // objective.dim))


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
    schedule = optimizer.step if isinstance(optimizer.step, Schedule) else None
    step = float_vector(schedule.step if schedule else optimizer.step, d, "step", strict=True, low=0.0)
    lo, hi = objective.box or (np.full(d, -np.inf), np.full(d, np.inf))
    names = list(optimizer.state)
    composed = kernels.compose(*(module_level(f, f"measure {name!r}") for name, f in measures.items()))
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
        *(np.tile(a, tile) for a in (start, step)),
        np.tile(_state(optimizer, d), (1, 1, tile) if optimizer.coordinatewise else (tile, 1, 1)),
        *(np.tile(a, tile) for a in (lo, hi)),
        *kernels.lanes(d, tile, max(1, -(-kernels.LANES // (d * tile)))),
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
    return Plan(functions, arguments, tile, len(kernels.COLUMNS) + 2 * len(measures))


def largest_batch(rule: BatchRule, objective: Objective, noise: Noise) -> int:
    """The largest batch that rule, law and data allow."""
    caps = (rule.max_batch, noise.max_batch, objective.samples if noise.law == "rows" else None)
    return min((c for c in caps if c is not None), default=LARGEST)


def _sampling(rule: BatchRule | None, objective: Objective, noise: Noise, cap: int) -> Sampling:
    """What the rule may know of the samples."""
    sigma = float_vector(0.0 if noise.sigma is None else noise.sigma, objective.dim, "sigma", low=0.0)
    population = (objective.samples or 0) if noise.law == "rows" else 0
    if rule is None:
        return Sampling(sigma, noise.rho, population, 1, cap, False, False)
    return Sampling(sigma, noise.rho, population, rule.interval, cap, rule.shrink, rule.exact)


def check_rule(rule: BatchRule, objective: Objective, noise: Noise, cap: int) -> None:
    """Refuse a batch rule that this noise cannot serve; warn where the test is blind."""
    if rule.start > cap:
        raise ValueError(
            f"the batch rule starts at {rule.start}, above the {cap} that {noise.name} noise and the data allow; "
            "start lower"
        )
    if not rule.exact and noise.law not in ("gaussian", "rows", "none"):
        raise ValueError(
            f"the {rule.form} form of the {rule.name} needs sample variances, which are drawn for gaussian, affine and "
            f"minibatch noise; {noise.name} noise has none: use form='exact'"
        )
    if rule.exact and noise.sigma is None and noise.law != "rows":
        raise ValueError(f"the exact form of the {rule.name} needs sigma, which {noise.name} noise does not state")
    theta = getattr(rule.params, "theta", None)
    if theta is not None and noise.sigma is not None and rule.form == "plug_in":
        variances = float_vector(noise.sigma, objective.dim, "sigma", low=0.0) ** 2
        rank = float(variances.sum() ** 2 / max((variances**2).sum(), 1e-300))
        reach = max(1, rule.params.backup) / theta**2
        if rank > reach and rule.params.nu >= 1.0:
            warnings.warn(
                f"the inner-product test with theta = {theta:g}, nu = {rule.params.nu:g} is blind at the noise floor: "
                f"the noise has effective rank {rank:.1f}, above {reach:.3g}; use a smaller theta and nu < 1, "
                "or the norm test",
                stacklevel=3,
            )


def check_setup(objective: Objective, noise: Noise, start: FloatArray, batch_size: int) -> None:
    """Refuse a start outside the box, and noise that does not fit the objective or the batch size."""
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


def _gradient_at_minimizer(objective: Objective) -> FloatArray:
    """|f_j| at the minimizer over the box: zero unless a constraint is active."""
    out = np.zeros(objective.dim)
    if "interior minimizer" not in objective.properties:
        getattr(objective.gradient, "py_func", objective.gradient)(objective.minimizer, objective.params, out)
    return np.abs(out)


def known_constants(
    objective: Objective, optimizer: Optimizer, noise: Noise, start: FloatArray, steps: int, batch: int | None
) -> dict[str, Any]:
    """What is certified, under the names that bounds use."""
    d = objective.dim
    known: dict[str, Any] = {"T": steps, "d": d} | ({"M": batch} if batch else {})
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
        if objective.smoothness is not None:
            known["G_star"] = _gradient_at_minimizer(objective)
    if objective.gradient_bound is not None and sigma is not None and noise.rho == 0.0 and batch:
        known["G"] = np.sqrt(objective.gradient_bound**2 + known["sigma"] ** 2 / batch)
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
