"""Which step size does each iteration take? A schedule given to a bound becomes a vector of T numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..records import FloatArray, Schedule, count, factors, numbers

_WANTED = "a vector with the step size of each iteration, or a schedule such as an.schedules.cosine(0.1, steps=T)"


def with_schedule(takes: Collection[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """The constants with `schedule` as a vector of T step sizes, for a bound that takes one.

    `step_size` multiplies the schedule. Beside a schedule it is 1 where it is left out; without a schedule the step
    size is the same in all T iterations.
    """
    found = dict(given)
    if "schedule" not in takes:
        return found
    schedule, T = found.get("schedule"), found.get("T")
    if schedule is None:
        if T is not None:
            found["schedule"] = np.ones(count(T, "T"))
        return found
    if isinstance(schedule, Schedule):
        found["schedule"], base = _of_record(schedule, T)
        found["step_size"] = np.asarray(base) * np.asarray(found.get("step_size", 1.0))
    else:
        found["schedule"] = _of_vector(schedule, T)
        found.setdefault("step_size", 1.0)
    found["T"] = found["schedule"].size
    return found


def _of_record(schedule: Schedule, T: Any) -> tuple[FloatArray, Any]:
    """Step sizes, and what is left to multiply them with: one number per coordinate, or 1."""
    if T is None and schedule.steps is None:
        raise ValueError(f"schedule {schedule.name!r} never ends; say for how many iterations, T")
    steps = count(schedule.steps if T is None else T, "T")
    if schedule.steps is not None and schedule.steps != steps:
        raise ValueError(
            f"schedule {schedule.name!r} is made for {schedule.steps:,} iterations, and T = {steps:,}; make it for as "
            "many, or leave T out"
        )
    used, base = factors(schedule, steps), schedule.step_size
    return (used, base) if np.ndim(base) else (_usable(float(base) * used), 1.0)


def _of_vector(values: Any, T: Any) -> FloatArray:
    array = numbers(values, "schedule", _WANTED)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"schedule has shape {array.shape}; expected {_WANTED}")
    if T is not None and array.size != T:
        raise ValueError(f"schedule has {array.size:,} entries and T = {T:,}; expected one step size per iteration")
    return _usable(array)


def _usable(array: FloatArray) -> FloatArray:
    """The step sizes, where all are finite and none is negative."""
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        t = int(np.argmax(bad))
        raise ValueError(f"schedule[{t}] = {array[t]:g}; expected a finite step size of at least 0 in every iteration")
    return array


def cut(constants: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The constants after `steps` iterations of a run: T, and as much of a vector `schedule`."""
    found = dict(constants) | {"T": int(steps)}
    if isinstance(schedule := found.get("schedule"), np.ndarray):
        found["schedule"] = schedule[: int(steps)]
    return found


def prefixes(at: Any, T: int) -> list[int]:
    """Numbers of iterations, 1 to T: all, or those asked for."""
    if at is None:
        return list(range(1, T + 1))
    return [count(t, "at", high=T) for t in np.atleast_1d(np.asarray(at)).tolist()]
