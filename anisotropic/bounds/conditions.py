"""Do the numbers given meet the conditions of a theorem? Each one that fails becomes a sentence with both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import sympy

from .symbols import compiled, text, varies_in_time

#: Relative room for rounding: a step size set to 1/L exactly must not exceed 1/L.
ROUNDING = 1e-9

_HOLDS: dict[type, tuple[str, Callable[..., Any]]] = {
    sympy.Le: ("<=", lambda a, b, margin: a <= b + margin),
    sympy.Lt: ("<", lambda a, b, margin: a < b),
    sympy.Ge: (">=", lambda a, b, margin: a >= b - margin),
    sympy.Gt: (">", lambda a, b, margin: a > b),
    sympy.Eq: ("=", lambda a, b, margin: np.abs(a - b) <= margin),
}


def check_relationals(name: str, conditions: Iterable[sympy.Basic]) -> tuple[sympy.Basic, ...]:
    """The conditions as a tuple; a TypeError where one is not a SymPy relational."""
    found = tuple(conditions)
    for condition in found:
        if type(condition) not in _HOLDS:
            raise TypeError(f"condition {condition!r} of bound {name!r} is not a SymPy relational: sympy.Le(a, b)")
    return found


def printed(condition: sympy.Basic) -> str:
    """A condition as text.

    >>> from anisotropic.bounds.symbols import L, largest, uniform_step_size
    >>> printed(sympy.Le(uniform_step_size, 1 / largest(L)))
    'step_size <= 1/max_j(L_j)'
    """
    return f"{text(condition.lhs)} {_HOLDS[type(condition)][0]} {text(condition.rhs)}"


def broken(conditions: Iterable[sympy.Basic], values: Mapping[str, Any]) -> list[str]:
    """One sentence for each condition that fails, at the first coordinate or iteration where it does."""
    found = []
    for condition in conditions:
        needed, function = compiled((condition.lhs, condition.rhs))
        with np.errstate(divide="ignore", invalid="ignore"):
            sides = function(*(np.asarray(values[n]) for n in needed))
        left, right = np.broadcast_arrays(*(np.atleast_1d(np.asarray(side, dtype=np.float64)) for side in sides))
        margin = ROUNDING * np.maximum(np.abs(left), np.where(np.isfinite(right), np.abs(right), 0))
        held = _HOLDS[type(condition)][1](left, right, margin)
        if not held.all():
            j = int(np.argmin(held))
            where = f" in coordinate {j}" if left.size > 1 else ""
            if varies_in_time(condition.lhs - condition.rhs):
                where = f" at iteration {j + 1}"
            found.append(f"{printed(condition)} does not hold: {left[j]:.6g} against {right[j]:.6g}{where}")
    return found
