"""How is a bound shown? LaTeX, with symbols or with the reader's numbers, and a plain statement in 80 columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sympy

from . import measures, symbols as s
from .conditions import printed
from .constants import KNOWN

if TYPE_CHECKING:
    from .theorem import Bound

RELATION = {"upper": ("<=", r"\le"), "lower": (">=", r"\ge"), "equality": ("=", "=")}


def substituted(expression: sympy.Expr, values: Mapping[str, Any]) -> sympy.Expr:
    """`expression` with each reduction and each scalar replaced by its number, where `values` holds its constants."""
    numbers = {}
    for node in expression.atoms(s.total, s.largest):
        needed, function = s.compiled((node,))
        if set(needed) <= set(values):
            numbers[node] = sympy.Float(float(function(*(values[name] for name in needed))[0]), 6)
    reduced = expression.xreplace(numbers)
    scalars = {}
    for symbol in reduced.free_symbols:
        value = values.get(s.constant_name(symbol))
        if value is not None and not isinstance(symbol, s.Coordinate):
            scalars[symbol] = sympy.Float(value, 6) if float(value) != int(value) else sympy.Integer(int(value))
    return reduced.xreplace(scalars)


def sum_latex(terms: Mapping[str, sympy.Expr]) -> str:
    """The terms in the order in which the bound lists them, joined by plus signs."""
    printed = [s.latex(t) for t in terms.values() if t != 0]
    return " + ".join(printed).replace("+ -", "- ") if printed else "0"


def statement(bound: Bound) -> str:
    """Assumptions, inequality, tuned step, constants and source, wrapped at 80 columns."""
    relation = RELATION[bound.kind][0]
    lines = [bound.name, *_wrapped("  ", bound.title)]
    level = " with probability at least 1 - delta" if bound.probability else ""
    lines += _wrapped("  ", f"{measures.describe(bound.measure, bound.probability).text} {relation}{level}")
    if bound.additive is not None:
        lines += _aligned({name: s.text(term) for name, term in bound.additive.items()})
    else:
        solved = "a numeric solution" if bound.equation is None else f"S, where {s.text(bound.equation)}"
        lines += _wrapped("      ", solved)
    tuned = _tuned_lines(bound)
    if tuned:
        lines += tuned
    if len(bound.forms) > 1:
        order = "" if bound.additive is None else " (loosest first)"
        lines += _wrapped("  forms       ", ", ".join(bound.forms) + order)
    for sentence in (*bound.assumptions, *bound.requires.sentences()):
        lines += _wrapped("  assumes     ", sentence)
    if bound.conditions:
        lines += _wrapped("  conditions  ", "; ".join(map(printed, bound.conditions)))
    for name in bound.constants:
        known = KNOWN.get(name)
        default = "" if known is None or known.default is None else f" (default {known.default:g})"
        lines += _wrapped("  " + f"{name:<12}", (known.meaning if known else "a constant of this bound") + default)
    if bound.source is not None:
        arxiv = f", arXiv {bound.source.arxiv}" if bound.source.arxiv else ""
        place = f" ({bound.source.place})" if bound.source.place else ""
        lines += _wrapped("  source      ", f"{bound.source.status}: {bound.source.key}{arxiv}{place}")
    return "\n".join(lines)


def _tuned_lines(bound: Bound) -> list[str]:
    if bound.step_rule is None or bound.additive is None:
        return []
    from .derive import stationary_step_size, tuned_terms

    best = s.text(stationary_step_size(bound.step_rule.minimise))
    if bound.step_rule.cap is not None:
        best = f"min({s.text(bound.step_rule.cap)}, {best})"
    at_most = ", at most" if bound.step_rule.cap is not None else ""
    head = _wrapped("  tuned       ", f"at step_size = {best}{at_most}")
    return head + _aligned({name: s.text(term) for name, term in tuned_terms(bound).items()})


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
