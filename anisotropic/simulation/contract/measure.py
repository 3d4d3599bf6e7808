"""Is a statistic of one's own a number that leaves the iterate and the gradient alone?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from ...records import FloatArray, Objective, takes_shape
from .findings import Finding
from .guarded import Fault, Guarded
from .objective import LARGE, Landscape


def check_measure(
    measure: Callable, objective: Objective, start: FloatArray | None = None, seed: int = 0, name: str = ""
) -> Iterator[Finding]:
    """Everything found wrong with a measure, at points of its objective."""
    land = Landscape(objective, 2, start, seed)
    guarded = Guarded(measure, "measure", large=land.size > LARGE)
    shape = {"shape": objective.shape or (1, objective.dim)} if takes_shape(measure) else {}
    name = f"measure '{name or guarded.name}'"
    try:
        for w in land.points:
            gradient = land.gradient(w)
            if not np.isfinite(gradient).all():
                continue
            value = guarded.number(w=w, gradient=gradient, params=objective.params, **shape)
            if math.isnan(value):
                yield Finding(name, "finite", f"it is NaN at w = {w[:4].tolist()}, where the gradient is finite")
                return
    except Fault as fault:
        yield Finding(name, fault.rule, fault.sentence)
