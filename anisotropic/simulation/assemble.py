"""What becomes of the kernel's columns? A Run: statistics, certified constants and the facts a theorem asks about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from ..batching.rules import relative_noise
from ..compiled.disk import ready
from ..records import (
    BatchRule,
    Facts,
    FloatArray,
    Noise,
    Objective,
    Optimizer,
    Run,
    Schedule,
    factors,
    float_vector,
    watches_loss,
)
from ..records.vocabulary import OPTIMIZERS
from .loop import columns as names_of_columns


def assemble(
    out: FloatArray,
    record: np.ndarray,
    start: FloatArray,
    objective: Objective,
    optimizer: Optimizer,
    noise: Noise,
    batch_size: int | BatchRule,
    measures: Sequence[str],
    facts: Facts,
) -> Run:
    """The run whose columns a kernel wrote into `out`, shape (replicas, records, columns)."""
    names = names_of_columns(measures)
    columns = {name: np.ascontiguousarray(out[:, :, i]) for i, name in enumerate(names)}
    minimum = np.nan if objective.minimum is None else objective.minimum
    statistics = {
        "gap": columns["value"] - minimum,
        "mean_gap": columns.pop("mean_value") - minimum,
        "average_gap": columns.pop("average_value") - minimum,
        **columns,
    }
    status = np.where(np.isnan(columns["value"]).any(axis=1), "diverged", "ok")
    rule = batch_size if isinstance(batch_size, BatchRule) else None
    known = certified_constants(objective, optimizer, noise, start, int(record[-1]), batch_size)
    initial_gap = _value_at(start, objective) - minimum
    if np.isfinite(initial_gap):
        known["Delta"] = initial_gap
    if rule is not None and rule.exact:
        known["rho"] = relative_noise(rule)
    return Run(record, start, statistics, status, initial_gap, known, facts)


def facts_of(
    objective: Objective, optimizer: Optimizer, noise: Noise, batch_size: int | BatchRule, seed: int
) -> Facts:
    """What a theorem may ask about how these nouns are simulated."""
    rule = batch_size if isinstance(batch_size, BatchRule) else None
    schedule = optimizer.step_size if isinstance(optimizer.step_size, Schedule) else None
    return Facts(
        objective=objective.name,
        dim=objective.dim,
        properties=tuple(sorted(objective.properties)),
        box=objective.box is not None,
        optimizer=_told_apart(optimizer),
        settings=dict(optimizer.settings),
        schedule=schedule.name if schedule else "constant",
        schedule_watches_loss=schedule is not None and watches_loss(schedule),
        noise=noise.name,
        law=noise.law,
        batch=rule.name if rule else "constant",
        rule={"form": rule.form, **rule.params._asdict()} if rule else {},
        seed=int(seed),
    )


def _told_apart(optimizer: Optimizer) -> str:
    """The name of the update rule; one of the user's own that bears a name of the package is not that rule."""
    home = str(getattr(optimizer.update, "__module__", "")).partition(".")[0]
    borrowed = home != __name__.partition(".")[0] and optimizer.name in OPTIMIZERS
    return f"{optimizer.name} (your own)" if borrowed else optimizer.name


def _step_sizes(size: Any, dim: int, steps: int) -> dict[str, Any]:
    """`step_size`, or `schedule`: the step sizes of all iterations, and `step_size` beside it where coordinates differ.

    Nothing where the step sizes depend on the loss, so that each replica has its own.
    """
    if not isinstance(size, Schedule):
        return {"step_size": float_vector(size, dim, "step_size") if np.ndim(size) else float(size)}
    if watches_loss(size):
        return {}
    base, used = float_vector(size.step_size, dim, "step_size"), factors(size, steps)
    if size.name == "constant" and np.all(used == 1.0):
        return {"step_size": base if np.ndim(size.step_size) else float(base[0])}
    if np.all(base == base[0]):
        return {"schedule": base[0] * used}
    return {"schedule": used, "step_size": base}


@njit
def _value(value, w, params):
    return value(w, params)


def _value_at(w: FloatArray, objective: Objective) -> float:
    if objective.samples is None:
        return float(getattr(objective.value, "py_func", objective.value)(w, objective.params))
    return float(ready(_value, (objective.value,), (w, objective.params))(w, objective.params))


def _gradient_at_minimizer(objective: Objective) -> FloatArray:
    """|f_j| at the minimizer over the box: zero unless a constraint is active."""
    out = np.zeros(objective.dim)
    if "interior minimizer" not in objective.properties:
        getattr(objective.gradient, "py_func", objective.gradient)(objective.minimizer, objective.params, out)
    return np.abs(out)


def certified_constants(
    objective: Objective, optimizer: Optimizer, noise: Noise, start: FloatArray, steps: int,
    batch_size: int | BatchRule,
) -> dict[str, Any]:
    """What is certified, under the names that bounds use."""
    d = objective.dim
    known: dict[str, Any] = {"T": steps, "d": d}
    if not isinstance(batch_size, BatchRule):
        known["M"] = batch_size
    if objective.smoothness is not None:
        known["L"] = objective.smoothness
    sigma = objective.sample_sigma if noise.law == "rows" else noise.sigma
    if sigma is not None:
        known["sigma"] = float_vector(sigma, d, "sigma", low=0.0)
        known["rho"] = noise.rho
    if noise.bound is not None:
        known["noise_bound"] = float_vector(noise.bound, d, "noise_bound", low=0.0)
    if objective.box is not None and np.isfinite(width := objective.box[1] - objective.box[0]).all():
        known["D"] = width
    if objective.minimizer is not None:
        known["R"] = np.abs(start - objective.minimizer)
        if objective.smoothness is not None:
            known["G_star"] = _gradient_at_minimizer(objective)
    if objective.gradient_bound is not None and sigma is not None and noise.rho == 0.0 and "M" in known:
        known["G"] = np.sqrt(objective.gradient_bound**2 + known["sigma"] ** 2 / batch_size)
    if objective.gradient_bound is not None:
        known["gradient_bound"] = objective.gradient_bound
    for name in ("jump_probability", "first_phase"):
        if isinstance(value := getattr(noise.params, name, None), float):
            known[name] = value
    if objective.generalized_smoothness is not None:
        known["L0"], known["L1"] = objective.generalized_smoothness
    if objective.pl_constant is not None:
        known["mu"] = objective.pl_constant
    known |= _step_sizes(optimizer.step_size, d, steps)
    for name in ("eps", "beta", "momentum"):
        if name in optimizer.settings:
            value = optimizer.settings[name]
            known[name] = np.asarray(value) if isinstance(value, list) else value
    return known
