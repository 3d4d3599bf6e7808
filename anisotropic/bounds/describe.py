"""How is a bound shown? LaTeX, with symbols or with the reader's numbers, and a plain statement in 80 columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import sympy

from . import symbols as s
from .conditions import printed
from .constants import KNOWN
from .derive import StepRule, stationary_step_size
from .matrices import MatrixConstant

RELATION = {"upper": ("<=", r"\le"), "lower": (">=", r"\ge"), "equality": ("=", "=")}
#: What a bound's claim about iterations is, by its field `horizon`.
HORIZON = {
    None: (),
    False: ("the claim holds at every T",),
    True: ("the claim is about the last iteration T = N alone, for which the step size is chosen",),
}


class Statement(NamedTuple):
    """What a printed statement is made of: texts, and the terms or the equation of the default form."""

    name: str
    title: str
    claim: str
    terms: Mapping[str, sympy.Expr] | None
    equation: sympy.Basic | None
    step_rule: StepRule | None
    tuned: Mapping[str, sympy.Expr]
    forms: tuple[str, ...]
    assumptions: tuple[str, ...]
    conditions: Mapping[str, tuple[sympy.Basic, ...]]
    constants: tuple[str, ...]
    source: str


def substituted(expression: sympy.Expr, values: Mapping[str, Any], digits: int = 6) -> sympy.Expr:
    """`expression` with each reduction and each scalar replaced by its number, where `values` holds its constants."""
    numbers = {}
    for node in s.reductions(expression):
        needed, function = s.compiled((node,))
        if set(needed) <= set(values):
            numbers[node] = sympy.Float(float(function(*(values[name] for name in needed))[0]), digits)
    reduced = expression.xreplace(numbers)
    scalars = {}
    for symbol in reduced.free_symbols:
        value = values.get(s.constant_name(symbol))
        if value is not None and not isinstance(symbol, (s.Coordinate, MatrixConstant)):
            scalars[symbol] = sympy.Float(value, digits) if float(value) != int(value) else sympy.Integer(int(value))
    return reduced.xreplace(scalars)


def sum_latex(terms: Mapping[str, sympy.Expr]) -> str:
    """The terms in the order in which the bound lists them, joined by plus signs."""
    printed = [s.latex(t) for t in terms.values() if t != 0]
    return " + ".join(printed).replace("+ -", "- ") if printed else "0"


def numbers_latex(terms: Mapping[str, float], digits: int) -> str:
    """The terms as numbers, and their sum."""
    shown = sum_latex({name: sympy.Float(value, digits) if value else 0 for name, value in terms.items()})
    whole = s.latex(sympy.Float(sum(terms.values()), digits))
    return f"{shown} = {whole}" if sum(value != 0 for value in terms.values()) > 1 else shown


def equation_latex(equation: sympy.Basic | None, values: Mapping[str, Any], digits: int) -> str:
    """S and the equation that it solves, with numbers where they are known."""
    if equation is None:
        return r"\text{the solution found numerically}"
    sides = [substituted(side, values, digits) for side in equation.args]
    return rf"S, \quad {s.latex(equation.func(*sides, evaluate=False))}"


def statement(of: Statement) -> str:
    """Assumptions, inequality, tuned step size, constants and source, wrapped at 80 columns."""
    lines = [of.name, *_wrapped("  ", of.title), *_wrapped("  ", of.claim)]
    if of.terms is not None:
        lines += _aligned({name: s.text(term) for name, term in of.terms.items()})
    else:
        solved = "a numeric solution" if of.equation is None else f"S, where {s.text(of.equation)}"
        lines += _wrapped("      ", solved)
    if of.tuned:
        lines += _tuned_lines(of)
    if len(of.forms) > 1:
        lines += _wrapped("  forms       ", f"{of.forms[0]} (above), {', '.join(of.forms[1:])}")
    for sentence in of.assumptions:
        lines += _wrapped("  assumes     ", sentence)
    for form, conditions in ((f, c) for f, c in of.conditions.items() if c):
        told = "; ".join(map(printed, conditions))
        lines += _wrapped("  conditions  ", f"{told} (form {form})" if form else told)
    for name in of.constants:
        known = KNOWN.get(name)
        default = "" if known is None or known.default is None else f" (default {known.default:g})"
        meaning = known.meaning if known else "a constant of this bound"
        lines += _wrapped("  " + f"{name + ' ':<12}", meaning + default)
    if of.source:
        lines += _wrapped("  source      ", of.source)
    return "\n".join(lines)


def _tuned_lines(of: Statement) -> list[str]:
    assert of.step_rule is not None
    best = s.text(stationary_step_size(of.step_rule.minimise))
    if of.step_rule.cap is not None:
        best = f"min({s.text(of.step_rule.cap)}, {best})"
    at_most = ", at most" if of.step_rule.cap is not None else ""
    head = _wrapped("  tuned       ", f"at step_size = {best}{at_most}")
    return head + _aligned({name: s.text(term) for name, term in of.tuned.items()})


def _aligned(printed: Mapping[str, str]) -> list[str]:
    width = max(len(name) for name in printed)
    return [line for name, body in printed.items() for line in _wrapped(f"      {name:<{width}}  ", body)]


def _wrapped(head: str, body: str) -> list[str]:
    """`body` beside `head` in at most 79 columns; a formula too long for a line breaks after a ``*`` or ``/``."""
    width = 79 - len(head)
    lines: list[str] = []
    for word in body.split():
        for i, part in enumerate(re.findall(r"[^*/]+[*/]?", word) if len(word) > width else [word]):
            glue = "" if i else " "
            if lines and len(lines[-1]) + len(glue) + len(part) <= width:
                lines[-1] += glue + part
            else:
                lines.append(part)
    return [(" " * len(head) if i else head) + line for i, line in enumerate(lines)]
