"""What follows from a bound's terms? Tuned step sizes, rates and critical batch sizes, derived by SymPy.

With a step size eta the additive terms are a/eta + b eta; where the proof caps it at c, the best step size is
min(c, sqrt(a/b)) and the bound there is at most a/c + 2 sqrt(ab): a part that no batch size helps (*bias*) and a part
that averaging helps (*noise*). Rates and critical batch sizes speak of these two parts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import sympy

from ..records import FloatArray
from . import symbols as s


@dataclass(frozen=True)
class StepRule:
    """How the step size of a bound is tuned: it minimizes `minimize`, and may not exceed `cap`.

    `minimize` is an upper bound on the measure wherever the step size is at most `cap`, or, where the terms are
    increasing in one expression of the step size (K_j for AdaGrad), that expression.
    """

    minimize: sympy.Expr
    cap: sympy.Expr | None = None


@dataclass(frozen=True)
class StepSolver:
    """How the step size of a bound is found by numbers: `solve` takes the checked constants `needs`.

    `schedule` finds the vector of step sizes that minimizes the bound, from the same constants without a schedule, the
    number of iterations among them.
    """

    solve: Callable[[dict[str, Any]], float]
    needs: tuple[sympy.Symbol, ...]
    schedule: Callable[[dict[str, Any]], FloatArray] | None = None


class Content(NamedTuple):
    """What there is to derive from: the terms of one form (None where it is solved for) and the leading behavior.

    `name` is that of the bound, for messages. Terms stand as pairs, so that the record can be a key.
    """

    name: str
    terms: tuple[tuple[str, sympy.Expr], ...] | None
    step_rule: StepRule | StepSolver | None = None
    asymptotic: tuple[tuple[str, sympy.Expr], ...] | None = None


def content(
    name: str, terms: Mapping[str, sympy.Expr] | None, rule: StepRule | StepSolver | None,
    leading: Mapping[str, sympy.Expr] | None,
) -> Content:  # fmt: skip
    """The record of these mappings."""
    return Content(
        name,
        None if terms is None else tuple(terms.items()),
        rule,
        None if leading is None else tuple(leading.items()),
    )


def step_size_symbol(expression: sympy.Basic) -> sympy.Symbol | None:
    """The step size that occurs in `expression`: per coordinate, uniform, or none."""
    return next((x for x in (s.step_size, s.uniform_step_size) if x in expression.free_symbols), None)


def _opaque(expression: sympy.Expr) -> tuple[sympy.Expr, dict[sympy.Dummy, sympy.Expr]]:
    """`expression` with every reduction replaced by a positive dummy, and the way back."""
    back = {sympy.Dummy(positive=True): r for r in s.reductions(expression)}
    return expression.xreplace({r: x for x, r in back.items()}), back


def _per_coordinate(minimize: sympy.Expr) -> tuple[sympy.Symbol, sympy.Expr]:
    symbol = step_size_symbol(minimize)
    if symbol is None:
        raise ValueError(f"{s.text(minimize)} holds no step size to tune")
    return symbol, s.summand(minimize) if symbol is s.step_size else minimize


@lru_cache(maxsize=256)
def stationary_step_size(minimize: sympy.Expr) -> sympy.Expr:
    """The one positive step size at which the derivative of `minimize` vanishes, by `sympy.solve`.

    A sum over coordinates in which each step size occurs in its own summand only is minimized coordinate by coordinate.

    >>> stationary_step_size(s.D**2 / (2 * s.step_size) + s.step_size)
    sqrt(2)*D_j/2
    """
    symbol, function = _per_coordinate(minimize)
    closed, back = _opaque(function)
    roots = sympy.solve(sympy.numer(sympy.together(sympy.diff(closed, symbol))), symbol)
    if len(roots) != 1:
        raise ValueError(f"{s.text(minimize)} has {len(roots)} stationary step sizes; expected exactly one")
    return sympy.sympify(roots[0]).xreplace(back)


@lru_cache(maxsize=256)
def tuned_parts(minimize: sympy.Expr, cap: sympy.Expr) -> dict[str, sympy.Expr]:
    """a/cap and 2 sqrt(ab) of ``minimize = a/step_size + b step_size``, summed over coordinates."""
    symbol, function = _per_coordinate(minimize)
    expanded = sympy.expand(function)
    a, b = expanded.coeff(symbol, -1), expanded.coeff(symbol, 1)
    if sympy.simplify(expanded - a / symbol - b * symbol) != 0:
        raise ValueError(f"{s.text(minimize)} is not of the form a/step_size + b*step_size")
    add = s.total if symbol is s.step_size else sympy.sympify
    return {"bias": add(sympy.simplify(a / cap)), "noise": add(sympy.simplify(2 * sympy.sqrt(a * b)))}


@lru_cache(maxsize=256)
def tuned_terms(of: Content) -> dict[str, sympy.Expr]:
    """The terms at the tuned step size; the terms themselves where they hold no step size."""
    if of.terms is None:
        raise ValueError(f"{of.name} is solved for by numbers in this form, so it has no terms at a tuned step size")
    symbol = step_size_symbol(sympy.Add(*(term for _, term in of.terms)))
    if symbol is None:
        return dict(of.terms)
    if not isinstance(of.step_rule, StepRule):
        raise ValueError(f"{of.name} has no tuned step size in closed form; pass step_size")
    if of.step_rule.cap is not None:
        return tuned_parts(of.step_rule.minimize, of.step_rule.cap)
    best = stationary_step_size(of.step_rule.minimize)
    return {name: sympy.simplify(term.subs(symbol, best)) for name, term in of.terms}


def rule_symbols(rule: StepRule | StepSolver) -> set[sympy.Symbol]:
    """The constants that the tuned step size is made of."""
    if isinstance(rule, StepSolver):
        return set(rule.needs)
    return stationary_step_size(rule.minimize).free_symbols | (rule.cap.free_symbols if rule.cap is not None else set())


def tuned_step_size(name: str, rule: StepRule | StepSolver | None, values: dict[str, Any]) -> Any:
    """The numeric tuned step size; `values` are checked constants. Zero noise gives the cap, zero distance nearly 0."""
    if rule is None:
        raise ValueError(f"{name} has no tuned step size in closed form; pass step_size")
    if isinstance(rule, StepSolver):
        return rule.solve(values)
    needed, function = s.compiled((stationary_step_size(rule.minimize),))
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.asarray(function(*(values[name] for name in needed))[0], dtype=np.float64)
    best = np.where(np.isnan(best), np.inf, best)
    if rule.cap is not None:
        needed, function = s.compiled((rule.cap,))
        with np.errstate(divide="ignore"):
            best = np.minimum(best, function(*(np.asarray(values[name]) for name in needed))[0])
    if np.any(np.isinf(best)):
        raise ValueError(f"the tuned step size of {name} is unbounded for these constants; pass step_size")
    best = np.maximum(best, np.finfo(float).tiny)
    return best if best.ndim else float(best)


def monomials(expression: sympy.Expr) -> list[sympy.Expr]:
    """The summands of the expanded expression."""
    return list(sympy.Add.make_args(sympy.expand(expression)))


@lru_cache(maxsize=1024)
def exponents(monomial: sympy.Expr) -> dict[str, float]:
    """Powers of T and M in one summand, and of d when all coordinates are alike.

    >>> exponents(s.total(s.L * s.D) * s.T ** sympy.Rational(-1, 2) / s.M)
    {'T': -0.5, 'M': -1.0, 'd': 1.0}
    """
    flat = monomial.replace(s.total, lambda x: s.d * x).replace(s.largest, lambda x: x)
    found, powers = flat.as_powers_dict(), {}
    for x in (s.T, s.M, s.d):
        power = found.get(x, sympy.S.Zero)
        if not power.is_number or any(base.has(x) or exponent.has(x) for base, exponent in found.items() if base != x):
            power = sympy.simplify(x * sympy.diff(flat, x) / flat)
        if not power.is_number:
            raise ValueError(f"{s.text(monomial)} is not a power of {x}")
        powers[x.name] = float(power)
    return powers


@lru_cache(maxsize=256)
def split(of: Content, *, tuned: bool = True, affine: bool = True) -> tuple[sympy.Expr, sympy.Expr]:
    """Bias and noise: the summands without M, and those with M (at the tuned step size if `tuned`)."""
    if of.asymptotic is not None:
        leading = dict(of.asymptotic)
        return leading["bias"], leading["noise"]
    if of.terms is None:
        raise ValueError(f"{of.name} has no additive form, so its terms cannot be told apart by symbols")
    terms = tuned_terms(of) if tuned and of.step_rule is not None else dict(of.terms)
    whole = sympy.Add(*terms.values())
    parts = monomials(whole if affine else whole.subs(s.rho, 0))
    bias = sympy.Add(*(p for p in parts if not p.has(s.M)))
    return bias, sympy.Add(*(p for p in parts if p.has(s.M)))


def rate(of: Content, noise: bool = True) -> dict[str, float]:
    """Exponents of the summand that decays most slowly, of the noise or of the bias part (see `Bound.rate`)."""
    bias, noisy = split(of, affine=False)
    chosen = noisy if noise and noisy != 0 else bias
    if chosen == 0:
        raise ValueError(f"{of.name} has no {'noise' if noise else 'bias'} term")
    return max(map(exponents, monomials(chosen)), key=lambda e: (e["T"], e["M"], e["d"]))


def critical_batch_size_formula(of: Content, fixed: str) -> sympy.Expr:
    """The critical batch size as a SymPy expression, without relative noise (see `Bound.critical_batch_size`).

    `fixed` is "gap" (the symbol `gap` is the accuracy wanted) or "T". Raises where bias or noise is a sum of different
    powers; the numeric critical batch size does not mind.
    """
    bias, noise = (sympy.expand(part) for part in split(of, affine=False))
    n = sympy.Dummy("n", positive=True)
    if 0 in (bias, noise):
        raise ValueError(f"{of.name} has no {'bias' if bias == 0 else 'noise'} term, hence no critical batch size")

    def solved(equation: sympy.Expr, unknown: sympy.Symbol) -> sympy.Expr:
        closed, back = _opaque(sympy.together(equation))
        roots = sympy.solve(closed, unknown)
        if len(roots) != 1:
            raise ValueError(f"{of.name} has no critical batch size in closed form; ask for its value")
        return roots[0].xreplace(back)

    if fixed == "T":
        return sympy.simplify(solved(bias - noise, s.M))
    samples = sympy.simplify(noise.subs(s.T, n / s.M))
    if samples.has(s.M):
        raise ValueError(f"the noise term of {of.name} is not a function of MT")
    return sympy.simplify(solved(samples - s.gap, n) / solved(bias - s.gap, s.T))


def check_goal(gap: float | None, T: float | None) -> None:
    """A ValueError unless one of accuracy and number of updates is given, finite and above 0."""
    if (gap is None) == (T is None):
        raise ValueError("give either gap (the accuracy wanted) or T (the number of updates), not both")
    goal = float(gap if gap is not None else T)  # type: ignore[arg-type]
    if not np.isfinite(goal) or goal <= 0:
        raise ValueError(f"{'gap' if T is None else 'T'} = {goal:g}; expected a finite number above 0")


def capped(rule: StepRule | StepSolver | None) -> bool:
    """Whether the leading terms are those of the tuned step size, since the theorem caps it."""
    return isinstance(rule, StepSolver) or (rule is not None and rule.cap is not None)


def critical_batch_size(of: Content, values: dict[str, Any], gap: float | None, T: float | None, tuned: bool) -> float:
    """The numeric critical batch size; `values` are checked constants without T and M."""
    grouped: list[dict[tuple[float, float], float]] = [defaultdict(float), defaultdict(float)]
    for part, group in zip(split(of, tuned=tuned), grouped, strict=True):
        for term in monomials(part) if part != 0 else []:
            powers = exponents(term)
            needed, function = s.compiled((term.subs({s.T: 1, s.M: 1}),))
            group[powers["T"], powers["M"]] += float(function(*(values[name] for name in needed))[0])
    bias = [(c, a) for (a, _), c in grouped[0].items() if c > 0]
    noise = [(c, a, b) for (a, b), c in grouped[1].items() if c > 0]
    if not grouped[1]:
        raise ValueError(f"no term of {of.name} depends on M, so it has no critical batch size")
    if T is not None:
        level = sum(c * T**a for c, a in bias)
        return _decreasing_root([(c * T**a, b) for c, a, b in noise], level)
    assert gap is not None
    if any(a != b for _, a, b in noise):
        raise ValueError(f"the noise term of {of.name} is not a function of MT")
    updates = _decreasing_root(bias, gap)
    return _decreasing_root([(c, a) for c, a, _ in noise], gap) / updates if updates else float("inf")


def _decreasing_root(powers: list[tuple[float, float]], level: float) -> float:
    """x > 0 with ``sum c x^a = level`` for c > 0 > a; 0 without summands, infinity at level 0."""
    if not powers:
        return 0.0
    if level == 0:
        return np.inf
    single = [(c / level) ** (-1 / a) for c, a in powers]
    if len(single) == 1:
        return float(single[0])
    from scipy.optimize import brentq

    low = max(single)
    high = max((len(powers) * c / level) ** (-1 / a) for c, a in powers)

    def excess(x: float) -> float:
        return float(np.log(sum(c * np.exp(a * x) for c, a in powers) / level))

    root = brentq(excess, np.log(low), np.log(high), xtol=1e-14)
    return float(np.exp(root))
