"""Are the constants given enough for a bound? Defaults and the tuned step size fill in; each symbol gets a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sympy

from . import derive, symbols as s
from .constants import KNOWN, dimension, fill, order, sentence_list
from .iterations import with_schedule

STEP_SIZES = {s.step_size, s.uniform_step_size}


def with_defaults(takes: Iterable[str], constants: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, and the defaults of those constants in `takes` that are not."""
    defaults = {n: KNOWN[n].default for n in takes if n in KNOWN and KNOWN[n].default is not None}
    return with_schedule(tuple(takes), defaults | {n: value for n, value in constants.items() if value is not None})


def lacking(
    needed: Iterable[sympy.Symbol], given: Mapping[str, Any], rule: derive.StepRule | derive.StepSolver | None
) -> list[str]:
    """Names of needed constants that are not given; d and a step size with a rule can be found out."""
    optional = {"d"} | ({"step_size"} if rule is not None else set())
    return sorted({s.constant_name(x) for x in needed} - set(given) - optional, key=order)


def completed(
    name: str, takes: tuple[str, ...], needed: set[sympy.Symbol], given: Mapping[str, Any],
    rule: derive.StepRule | derive.StepSolver | None,
) -> dict[str, Any]:  # fmt: skip
    """Checked floats and arrays for the symbols needed, the tuned step size included."""
    tuning = "step_size" not in given and rule is not None and bool(needed & STEP_SIZES)
    if tuning and rule is not None:
        needed = needed | derive.rule_symbols(rule)
    if missed := lacking(needed, given, rule):
        raise ValueError(f"{name} needs {sentence_list(missed)}; it takes {', '.join(takes)}")
    if not tuning:
        return fill(given, needed)
    values = fill(given, needed - STEP_SIZES)
    size = {"d": dimension(given), "step_size": derive.tuned_step_size(name, rule, values)}
    return values | fill(size, needed & STEP_SIZES)


def known_part(constants: Mapping[str, Any], used: Iterable[sympy.Symbol]) -> dict[str, Any]:
    """Checked numbers for those of the symbols `used` that are given."""
    return fill(constants, {x for x in used if constants.get(s.constant_name(x)) is not None})
