"""How is a bound shown? LaTeX, with symbols or with the reader's numbers, and a plain statement in 80 columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import sympy

from . import measures, symbols as s
from .completion import known_part
from .conditions import printed
from .constants import KNOWN
from .derive import StepRule, StepSolver, stationary_step_size, tuned_terms
from .forms import Solver
from .matrices import MatrixConstant

if TYPE_CHECKING:
    from .theorem import Bound

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
    step_rule: StepRule | StepSolver | None
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


def inequality(bound: Bound, form: str, tuned: bool, digits: int, constants: Mapping[str, Any]) -> str:
    """The inequality in LaTeX, in one form, with the numbers of those constants that are given."""
    if isinstance(digits, bool) or not isinstance(digits, int) or not 1 <= digits <= 17:
        raise ValueError(f"digits = {digits!r}; expected a whole number of significant digits, 1 to 17")
    head = f"{measures.describe(bound.measure, bound.probability).latex} {RELATION[bound.kind][1]}"
    tail = r" \quad \text{with probability at least } 1 - \delta" if bound.probability else ""
    if constants and len(bound.forms) > 1:
        tail += rf" \quad \text{{(form {form})}}"
    if constants and not bound.missing(form, **constants):
        return f"{head} {numbers_latex(bound.terms(form, **constants), digits)}{tail}"
    chosen = bound.summands[form]
    if isinstance(chosen, Solver) and not tuned:
        known = known_part(constants, set(chosen.needs))
        return f"{head} {equation_latex(chosen.equation, known, digits)}{tail}"
    terms = tuned_terms(bound.content(form)) if tuned else chosen.terms  # type: ignore[union-attr]
    known = known_part(constants, set().union(*(e.free_symbols for e in terms.values())))
    shown = {name: substituted(term, known, digits) for name, term in terms.items()}
    return f"{head} {sum_latex(shown)}{tail}"


def statement_of(bound: Bound) -> Statement:
    """What the printed statement of a bound is made of."""
    told = measures.describe(bound.measure, bound.probability).text
    level = " with probability at least 1 - delta" * bound.probability
    additive = isinstance(bound.step_rule, StepRule) and bound.additive is not None
    conditions = {"": bound.conditions} | {form: content.conditions for form, content in bound.summands.items()}
    return Statement(
        bound.name, bound.title, f"{told} {RELATION[bound.kind][0]}{level}", bound.additive, bound.equation,
        bound.step_rule, bound.tuned if additive else {}, bound.forms,
        (*bound.assumptions, *bound.requires.sentences(), *HORIZON[bound.horizon]), conditions, bound.constants,
        str(bound.source) if bound.source is not None else "",
    )  # fmt: skip


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
    assert isinstance(of.step_rule, StepRule)
    best = s.text(stationary_step_size(of.step_rule.minimize))
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
