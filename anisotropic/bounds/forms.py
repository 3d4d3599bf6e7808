"""In which forms may a bound be given? As terms that add up, or as something solved for by numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import sympy

from . import symbols as s

Terms = Mapping[str, sympy.Expr]


@dataclass(frozen=True)
class Solver:
    """A form of a bound that is solved for by numbers.

    `solve` maps the checked constants (floats and ``(d,)`` arrays by name) to the parts of the value at the solution,
    `needs` are the symbols that it uses, and `equation` is what is solved, for the reader.
    """

    solve: Callable[[dict[str, Any]], dict[str, float]]
    needs: tuple[sympy.Symbol, ...]
    equation: sympy.Basic | None = None


def weighted(content: Terms | Solver, factor: float, factors: Mapping[str, float]) -> Terms | Solver:
    """The same form with every term times `factor`, and single terms times a factor of their own."""
    if isinstance(content, Solver):
        return Solver(partial(_weighted_parts, content.solve, factor, factors), content.needs, content.equation)
    weights = {term: sympy.nsimplify(factor * factors.get(term, 1.0), rational=True) for term in content}
    return {term: weights[term] * expression for term, expression in content.items()}


def _weighted_parts(
    solve: Callable[..., dict[str, float]], factor: float, factors: Mapping[str, float], values: dict[str, Any]
) -> dict[str, float]:
    return {term: factor * factors.get(term, 1.0) * value for term, value in solve(values).items()}


def checked_terms(name: str, terms: Terms) -> dict[str, sympy.Expr]:
    """Terms as expressions; refuse one that still depends on the coordinate or that NumPy cannot evaluate."""
    checked = {}
    for term, expression in terms.items():
        expression = sympy.sympify(expression)
        if s.varies(expression):
            raise ValueError(
                f"term {term!r} of bound {name!r} depends on the coordinate: {s.text(expression)}; "
                "add it up with total(...) or take largest(...)"
            )
        if unknown := s.unknown_functions(expression):
            raise ValueError(f"term {term!r} of bound {name!r} uses {', '.join(unknown)}, which NumPy cannot evaluate")
        checked[term] = expression
    return checked
