"""In which forms may a bound be given? As terms that add up, or as something solved for by numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy

from . import symbols as s
from .conditions import check_relationals

Terms = Mapping[str, sympy.Expr]


@dataclass(frozen=True)
class Form:
    """A form of a bound that is given by terms; `conditions` are those of this form alone.

    Examples
    --------
    >>> from anisotropic.bounds.symbols import T, uniform_eps
    >>> sorted(Form({"bias": 1 / (uniform_eps * T)}, conditions=[sympy.Gt(uniform_eps, 0)]).needs, key=str)
    [T, epsilon]
    """

    terms: Terms
    conditions: tuple[sympy.Basic, ...] = ()

    @property
    def needs(self) -> frozenset[sympy.Symbol]:
        """The symbols in the terms."""
        return frozenset().union(*(term.free_symbols for term in self.terms.values()))

    def values(self, constants: Mapping[str, Any]) -> dict[str, float]:
        """The terms at checked constants: infinite where one divides by zero, NaN for the root of a negative number."""
        needed, function = s.compiled(tuple(self.terms.values()))
        with np.errstate(all="ignore"):
            found = function(*(np.asarray(constants[n], dtype=np.float64)[()] for n in needed))
        return dict(zip(self.terms, map(float, found), strict=True))


@dataclass(frozen=True)
class Solver:
    """A form of a bound that is solved for by numbers.

    `solve` maps the checked constants (floats and ``(d,)`` arrays by name) to the parts of the value at the solution,
    `needs` are the symbols that it uses, `equation` is what is solved, for the reader, and `conditions` are those of
    this form alone.
    """

    solve: Callable[[dict[str, Any]], dict[str, float]]
    needs: tuple[sympy.Symbol, ...]
    equation: sympy.Basic | None = None
    conditions: tuple[sympy.Basic, ...] = ()

    def values(self, constants: Mapping[str, Any]) -> dict[str, float]:
        """The parts of the solution at checked constants."""
        return {name: float(part) for name, part in self.solve(dict(constants)).items()}


def weighted(form: Form | Solver, factor: float, factors: Mapping[str, float]) -> Form | Solver:
    """The same form with every term times `factor`, and single terms times a factor of their own."""
    if isinstance(form, Solver):
        return replace(form, solve=partial(_weighted_parts, form.solve, factor, factors))
    weights = {term: sympy.nsimplify(factor * factors.get(term, 1.0), rational=True) for term in form.terms}
    return replace(form, terms={term: weights[term] * expression for term, expression in form.terms.items()})


def _weighted_parts(
    solve: Callable[..., dict[str, float]], factor: float, factors: Mapping[str, float], values: dict[str, Any]
) -> dict[str, float]:
    return {term: factor * factors.get(term, 1.0) * value for term, value in solve(values).items()}


def checked_form(name: str, content: sympy.Expr | Terms | Form | Solver) -> Form | Solver:
    """A form as a record; refuse a term that still depends on the coordinate or that NumPy cannot evaluate."""
    if isinstance(content, Solver):
        return replace(content, conditions=check_relationals(name, content.conditions))
    if not isinstance(content, Form):
        content = Form(content if isinstance(content, Mapping) else {"bound": content})
    checked = {}
    for term, expression in content.terms.items():
        expression = sympy.sympify(expression)
        if s.varies(expression):
            raise ValueError(
                f"term {term!r} of bound {name!r} depends on the coordinate: {s.text(expression)}; "
                "add it up with total(...) or take largest(...)"
            )
        if s.varies_in_time(expression):
            raise ValueError(
                f"term {term!r} of bound {name!r} depends on the iteration: {s.text(expression)}; add it up with "
                "along(...)"
            )
        if unknown := s.unknown_functions(expression):
            raise ValueError(f"term {term!r} of bound {name!r} uses {', '.join(unknown)}, which NumPy cannot evaluate")
        checked[term] = expression
    return Form(checked, check_relationals(name, content.conditions))
