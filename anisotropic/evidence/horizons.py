"""Are these runs one experiment at several horizons? The same problem and method, run to several numbers of updates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..bounds.theorem import Bound
from ..records import FloatArray, Run
from .hypotheses import known_constants

#: What must agree; the step size, the batch size and epsilon may be chosen for the horizon.
_FACTS = ("objective", "dim", "properties", "box", "optimizer", "schedule", "noise", "law", "batch")
_CONSTANTS = ("L", "sigma", "rho", "D", "R", "G_star", "L0", "L1", "Delta", "mu")


def checked_runs(runs: Run | Iterable[Run]) -> list[Run]:
    """The runs, sorted by their horizon; a ValueError where they differ in more than T."""
    many = [runs] if isinstance(runs, Run) else list(runs) if isinstance(runs, Iterable) else [runs]
    strange = next((r for r in many if not isinstance(r, Run)), None)
    if isinstance(runs, str) or strange is not None:
        got = runs if isinstance(runs, str) else strange
        raise TypeError(f"expected a Run or a list of them, got {type(got).__name__}; an.simulate makes one")
    if not many:
        raise ValueError("no run to look at; expected a Run or a list of them")
    many.sort(key=lambda run: int(run.steps[-1]))
    for first, second in zip(many, many[1:], strict=False):
        if first.steps[-1] == second.steps[-1]:
            raise ValueError(f"two runs end at T = {first.steps[-1]:,}; give one run for each horizon")
        if told := differences(first, second):
            raise ValueError(
                f"the runs differ in more than T: {'; '.join(told)}; several runs are one experiment at several "
                "horizons, so verify these one by one"
            )
    return many


def claims_at(bound: Bound, form: str | None, runs: list[Run], constants: Mapping[str, Any]) -> FloatArray:
    """The bound at the last iteration of each run, with the constants of that run."""
    return np.array([bound(form=form, **known_constants(bound, run) | dict(constants)) for run in runs])


def differences(first: Run, second: Run) -> list[str]:
    """One phrase for each fact and constant of the problem that two runs do not share."""
    a, b = first.facts, second.facts
    found = [f"{n} is {getattr(a, n)!r} and {getattr(b, n)!r}" for n in _FACTS if getattr(a, n) != getattr(b, n)]
    if found:
        return found
    one, two = first.constants(), second.constants()
    unlike = [n for n in _CONSTANTS if not _same(one.get(n), two.get(n))]
    return [f"{n} is {_short(one.get(n))} and {_short(two.get(n))}" for n in unlike]


def _same(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=1e-12, atol=0.0))


def _short(value: Any) -> str:
    if value is None:
        return "unknown"
    array = np.asarray(value, dtype=np.float64)
    return f"{array:g}" if array.ndim == 0 else np.array2string(array, precision=4, threshold=3, edgeitems=2)
