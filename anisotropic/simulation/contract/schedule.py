"""Does a schedule return a usable factor from its own slots?"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...records import Schedule
from .findings import Finding
from .guarded import Fault, Guarded


def check_schedule(schedule: Schedule, steps: int | None = None) -> Iterator[Finding]:
    """Everything found wrong with a schedule in its first iterations, at most `steps`."""
    name = f"schedule '{schedule.name}'"
    try:
        found = list(_check(schedule, min(4 if steps is None else min(steps, 16), schedule.steps or 16)))
    except Fault as fault:
        slots = f"; it has slots = {schedule.slots}: declare as many as it uses" if fault.rule == "bounds" else ""
        found = [(fault.rule, fault.sentence + slots)]
    yield from (Finding(name, rule, sentence) for rule, sentence in found)


def _check(schedule: Schedule, steps: int) -> Iterator[tuple[str, str]]:
    factor = Guarded(schedule.factor, "factor", ("state",))
    for losses in ((1.0, 0.5, 0.25, 0.125), (1.0, 2.0, 1.5, 3.0)):
        state = np.zeros(schedule.slots)
        for t in range(1, steps + 1):
            value = losses[(t - 1) % 4]
            size = factor.number(t=t, value=np.float64(value), state=state, params=schedule.params)
            if not math.isfinite(size) or size < 0.0:
                yield "finite", (
                    f"the factor at t = {t} with the loss {value:g} is {size:g}; expected a finite number of at least 0"
                )
                return
