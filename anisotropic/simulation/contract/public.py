"""Which nouns are probed, and when? Any on request; those of a simulation that the package did not make, once each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike

from ...records import BatchRule, FloatArray, Noise, Objective, Optimizer, Schedule, count
from .batch_rule import check_batch_rule
from .findings import ContractViolation, Finding, Findings
from .measure import check_measure
from .noise import check_noise
from .objective import check_objective
from .optimizer import check_optimizer
from .schedule import check_schedule

#: What has been looked at without a finding: a function or a record, with the shapes it was used with.
_CLEAN: WeakKeyDictionary[Any, set[Any]] = WeakKeyDictionary()


def check(noun: Any, *others: Any, points: int | ArrayLike = 4, seed: int = 0) -> Findings:
    """Probe a draft of an objective, noise, optimizer, schedule, batch rule or measure before it is simulated.

    The Python text of its functions runs on arrays that check every index, at a few random points and sizes. Looked
    for are: access outside of the arrays, undeclared state, writes where none are allowed, a gradient that is not the
    value's, ``coordinatewise=True`` that is not, constants and properties that do not hold, an update that moves
    nothing, a noise whose mean or variance contradicts sigma and rho, results that are NaN or no number.

    Parameters
    ----------
    noun : Objective, Noise, Optimizer, Schedule, BatchRule, or a measure (a compiled function)
    *others : nouns it is used with
        An objective gives an optimizer, a noise or a batch rule its number of coordinates; a measure needs it.
    points : int or array ``(k, d)``
        For an objective: how many random points, or the points.
    seed : int
        Of the random points and numbers; the same seed finds the same.

    Returns
    -------
    Findings
        False where nothing was found. Sound nouns pass, but for the moments of a noise, which are rejected by mistake
        with a probability of at most 1e-6. Finding nothing proves nothing.

    Examples
    --------
    >>> import anisotropic as an
    >>> an.check(an.problems.quadratic([1.0, 0.1]))
    no findings
    >>> f = an.problems.quadratic([1.0, 0.1])
    >>> wrong = an.Objective("mine", 2, f.value, f.gradient, f.params, smoothness=0.5)
    >>> [finding.rule for finding in an.check(wrong)]
    ['smoothness']
    """
    objective = next((o for o in others if isinstance(o, Objective)), None)
    dim = objective.dim if objective is not None else None
    given: Any = points if np.ndim(points) else count(points, "points")
    if isinstance(noun, Objective):
        return Findings(check_objective(noun, given, seed=seed))
    if isinstance(noun, Noise):
        return Findings(check_noise(noun, dim, seed))
    if isinstance(noun, Optimizer):
        return Findings([*check_optimizer(noun, dim, seed), *_schedule(noun, None)])
    if isinstance(noun, Schedule):
        return Findings(check_schedule(noun))
    if isinstance(noun, BatchRule):
        return Findings(check_batch_rule(noun, dim, seed))
    if callable(noun) and objective is not None:
        return Findings(check_measure(noun, objective, seed=seed))
    raise TypeError(
        f"noun = {noun!r}; expected an Objective, Noise, Optimizer, Schedule or BatchRule, or a measure together with "
        "its objective"
    )


def require(
    objective: Objective,
    optimizer: Optimizer,
    noise: Noise,
    *,
    rule: BatchRule | None = None,
    measures: Mapping[str, Callable] | None = None,
    start: FloatArray | None = None,
    steps: int | None = None,
) -> None:
    """Raise `ContractViolation` where a noun that the package did not make breaks a promise.

    A function is looked at once for each layout of its parameters, the constants of an objective once a record.
    """
    found = [
        *_objective(objective, start),
        *_once(optimizer, optimizer.update, objective, lambda: check_optimizer(optimizer, objective.dim)),
        *_schedule(optimizer, objective, steps),
        *_once(noise, noise.apply, objective, lambda: check_noise(noise, objective.dim)),
    ]
    if rule is not None:
        found += _once(rule, rule.decide, objective, lambda: check_batch_rule(rule, objective.dim))
    for name, measure in (measures or {}).items():
        found += _once(None, measure, objective, partial(check_measure, measure, objective, start, name=name))
    if found:
        raise ContractViolation(found)


def _schedule(optimizer: Optimizer, objective: Objective | None, steps: int | None = None) -> list[Finding]:
    schedule = optimizer.step_size
    if not isinstance(schedule, Schedule):
        return []
    if objective is None:
        return list(check_schedule(schedule, steps))
    return _once(schedule, schedule.factor, objective, lambda: check_schedule(schedule, steps))


def _objective(objective: Objective, start: FloatArray | None) -> list[Finding]:
    if objective.ours or objective in _CLEAN:
        return []
    layout = _layout(objective, objective)
    known = all(layout in _CLEAN.get(f, ()) for f in (objective.value, objective.gradient))
    found = list(check_objective(objective, 2, start, functions=not known))
    if not found:
        for thing in (objective, objective.value, objective.gradient):
            _CLEAN.setdefault(thing, set()).add(layout)
    return found


def _once(
    noun: Any, function: Callable, objective: Objective, look: Callable[[], Iterable[Finding]]
) -> list[Finding]:
    """What `look` finds, unless the package made the noun or the function was found clean with these shapes."""
    if getattr(noun, "ours", False):
        return []
    layout = _layout(noun if noun is not None else objective, objective)
    if layout in _CLEAN.get(function, ()):
        return []
    found = list(look())
    if not found:
        _CLEAN.setdefault(function, set()).add(layout)
    return found


def _layout(noun: Any, objective: Objective) -> tuple[Any, ...]:
    """Everything but numbers that a probe depends on: shapes and types of parameters, flags, number of slots."""
    def shapes(params: Any) -> Iterator[Any]:
        for value in params:
            yield shapes_of(value)

    def shapes_of(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value.shape, value.dtype.str
        return (type(value), *shapes(value)) if isinstance(value, tuple) else type(value)

    flags = tuple(getattr(noun, name, None) for name in ("coordinatewise", "slots", "law", "exact"))
    arrays = any(isinstance(v, np.ndarray) for v in noun.params) or isinstance(noun, Objective)
    return shapes_of(noun.params), flags, tuple(getattr(noun, "state", ())), objective.dim if arrays else None
