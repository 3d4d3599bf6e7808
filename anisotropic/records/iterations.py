"""Which step sizes does a schedule give? Its factors, iteration by iteration, where they are fixed before the run."""

from __future__ import annotations

import dis
from collections.abc import Callable

import numpy as np

from .checks import FloatArray, count
from .nouns import Schedule

_ARGUMENTS = ("t", "value", "state", "params")


def reads(function: Callable, argument: str) -> bool:
    """Whether a compiled function reads its argument (a schedule's are t, value, state, params), by its byte code."""
    code = getattr(function, "py_func", function).__code__
    name = code.co_varnames[_ARGUMENTS.index(argument)]
    loads = (i.argval for i in dis.get_instructions(code) if not i.opname.startswith(("STORE", "DELETE")))
    return name in code.co_cellvars or any(name == v or (isinstance(v, tuple) and name in v) for v in loads)


def watches_loss(schedule: Schedule) -> bool:
    """Whether the factors depend on the training loss, so that nobody knows them before the run."""
    return reads(schedule.factor, "value")


def factors(schedule: Schedule, steps: int) -> FloatArray:
    """The factors of iterations 1, ..., `steps`, array ``(steps,)``; the base step size is not in them.

    Raises
    ------
    ValueError
        For a schedule that depends on the loss, for more iterations than it is made for, and for a factor that is no
        finite number of at least 0.
    """
    steps = count(steps, "steps")
    if watches_loss(schedule):
        raise ValueError(
            f"the step sizes of schedule {schedule.name!r} depend on the loss; they are known after a run only, and "
            "theorems on schedules are about step sizes fixed before it"
        )
    refuse_longer(schedule, steps)
    python, state = getattr(schedule.factor, "py_func", schedule.factor), np.zeros(schedule.slots)
    found = np.array([python(t, np.nan, state, schedule.params) for t in range(1, steps + 1)], dtype=np.float64)
    bad = ~(np.isfinite(found) & (found >= 0))
    if bad.any():
        t = int(np.argmax(bad))
        raise ValueError(
            f"schedule {schedule.name!r} gives the factor {found[t]:g} at iteration {t + 1}; expected a finite number "
            "of at least 0"
        )
    return found


def refuse_longer(schedule: Schedule, steps: int) -> None:
    """A ValueError where more iterations are asked for than the schedule is made for."""
    if schedule.steps is not None and steps > schedule.steps:
        raise ValueError(
            f"schedule {schedule.name!r} is made for {schedule.steps:,} iterations, and {steps:,} are asked for; make "
            "it for as many"
        )
