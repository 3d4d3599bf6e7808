"""How is an inequality on a domain taken apart until each piece is decided by algebra or by intervals?

Each step proves that an expression is >= 0 on all of a domain, symbol -> (low, high), whose ends may be infinite or
expressions in symbols that come before. A step hands smaller problems, with their domains, to the steps inside it, so
that no point of the domain is left out: what is proved is what was asked. Ends that are infinite are reached through
monotonicity (`Rising`, `Falling`, `Vanishing`), never cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import sympy as sp

from .interval_proof import BUDGET, Unproved, Zero, prove

Domain = dict[sp.Symbol, tuple[Any, Any]]


class Step(Protocol):
    """`run` returns how many boxes were proved by intervals (0: by symbols alone), or raises `Unproved`."""

    def run(self, f: sp.Expr, domain: Domain, budget: int) -> int: ...


def refuse(f: sp.Expr, domain: Domain, reason: str) -> Unproved:
    """Where a proof by symbols stops."""
    where = ", ".join(f"{s} in [{low}, {high}]" for s, (low, high) in domain.items()) or "a single number"
    return Unproved(f"{reason}: {f} >= 0 for {where}")


@dataclass(frozen=True)
class Signs:
    """By symbols: after a change to parameters t >= 0 that cover the domain every part has a sign.

    x in [low, oo) becomes low + t, (-oo, high] becomes high - t, [low, high] becomes (low + high t)/(1 + t), which
    leaves out the upper end only: there the inequality follows by continuity. `witness`, if given, is another form of
    the expression, whose equality SymPy confirms.
    """

    witness: sp.Expr | None = None

    def run(self, f: sp.Expr, domain: Domain, budget: int) -> int:
        if self.witness is not None:
            if not _vanishes(f - self.witness):
                raise refuse(f - self.witness, domain, "the witness is another expression")
            f = self.witness
        for symbol in reversed(domain):
            low, high = domain[symbol]
            t = sp.Dummy(f"{symbol}_t", nonnegative=True)
            if low != -sp.oo and high != sp.oo:
                image = (low + high * t) / (1 + t)
            elif low == -sp.oo and high == sp.oo:
                image = sp.Dummy(str(symbol), real=True)
            else:
                image = low + t if high == sp.oo else high - t
            f = f.subs(symbol, image)
        if not nonnegative(f):
            raise refuse(f, domain, "no sign is seen")
        return 0


def nonnegative(f: sp.Expr) -> bool:
    """Whether SymPy, or the signs of the coefficients, show f >= 0."""
    if f.is_nonnegative:
        return True
    f = sp.factor(sp.together(sp.simplify(f)))
    if f.is_nonnegative:
        return True
    sign = 1
    for factor in sp.Mul.make_args(f):
        base, exponent = factor.as_base_exp()
        even = exponent.is_Integer and exponent % 2 == 0
        if even and base.is_extended_real:
            continue
        terms = _terms(base)
        if all(term.is_nonnegative for term in terms):
            continue
        if not exponent.is_Integer or not all(term.is_nonpositive for term in terms):
            return False
        sign = sign if even else -sign
    return sign == 1


def _terms(f: sp.Expr) -> list[sp.Expr]:
    """The summands of f, with the numbers in front of one monomial in its symbols put together."""
    generators = [g for g in sp.Poly(f).gens if g.free_symbols] if f.free_symbols else []
    if not generators:
        return [f]
    polynomial = sp.Poly(f, *generators)
    return [sp.simplify(coefficient) * sp.prod(g**k for g, k in zip(generators, powers, strict=True))
            for powers, coefficient in polynomial.terms()]  # fmt: skip


def _vanishes(f: sp.Expr) -> bool:
    return f == 0 or sp.simplify(sp.expand(f)) == 0 or sp.simplify(f) == 0


@dataclass(frozen=True)
class Exact:
    """By symbols: the expression is 0, or a number >= 0 in ball arithmetic."""

    def run(self, f: sp.Expr, domain: Domain, budget: int) -> int:
        if not _vanishes(f):
            if f.free_symbols:
                raise refuse(sp.simplify(f), domain, "it does not vanish")
            prove(f, {}, budget=1)
        return 0


@dataclass(frozen=True)
class Rising:
    """f >= 0 at the lower end of x (`base`), and the derivative is >= 0 (`slope`)."""

    x: sp.Symbol
    slope: Step
    base: Step = field(default_factory=Exact)

    def run(self, f: sp.Expr, domain: Domain, budget: int) -> int:
        return _from_end(self, f, domain, budget, side=0, slope=sp.diff(f, self.x))


@dataclass(frozen=True)
class Falling:
    """f >= 0 at the upper end of x (`base`), and the derivative is <= 0 (`slope` proves its negative >= 0)."""

    x: sp.Symbol
    slope: Step
    base: Step = field(default_factory=Exact)

    def run(self, f: sp.Expr, domain: Domain, budget: int) -> int:
        return _from_end(self, f, domain, budget, side=1, slope=-sp.diff(f, self.x))


@dataclass(frozen=True)
class Vanishing:
    """f tends to 0 as x tends to infinity, and the derivative is <= 0 (`slope` proves its negative >= 0)."""

    x: sp.Symbol
    slope: Step

    def run(self, f: sp.Expr, domain: Domain, budget: int) -> int:
        if domain[self.x][1] != sp.oo or sp.limit(f, self.x, sp.oo) != 0:
            raise refuse(f, domain, f"it does not vanish at {self.x} = oo")
        return self.slope.run(-sp.diff(f, self.x), domain, budget)


@dataclass(frozen=True)
class Split:
    """Two pieces of the domain, below and above x = `at`."""

    x: sp.Symbol
    at: Any
    below: Step
    above: Step

    def run(self, f: sp.Expr, domain: Domain, budget: int) -> int:
        low, high = domain[self.x]
        return self.below.run(f, domain | {self.x: (low, self.at)}, budget) + self.above.run(
            f, domain | {self.x: (self.at, high)}, budget
        )


@dataclass(frozen=True)
class Times:
    """f is nonnegative where `factor` > 0 times f is; `sign` proves the factor >= 0 (it is 0 on faces at most)."""

    factor: sp.Expr
    then: Step
    sign: Step = field(default_factory=Signs)

    def run(self, f: sp.Expr, domain: Domain, budget: int) -> int:
        done = self.sign.run(self.factor, domain, budget)
        return done + self.then.run(sp.expand(sp.simplify(f * self.factor)), domain, budget)


@dataclass(frozen=True)
class Squares:
    """f = right - left with both sides >= 0: compare their squares."""

    left: sp.Expr
    right: sp.Expr
    then: Step
    left_sign: Step = field(default_factory=Signs)
    right_sign: Step = field(default_factory=Signs)

    def run(self, f: sp.Expr, domain: Domain, budget: int) -> int:
        if not _vanishes(f - self.right + self.left):
            raise refuse(f, domain, "it is not the difference of these sides")
        done = self.left_sign.run(self.left, domain, budget) + self.right_sign.run(self.right, domain, budget)
        return done + self.then.run(sp.simplify(self.right**2 - self.left**2), domain, budget)


@dataclass(frozen=True)
class Where:
    """A change of variable: x = `image`, continuous in the symbol `new`, whose `ends` it takes to the ends of x."""

    x: sp.Symbol
    image: sp.Expr
    new: sp.Symbol
    ends: tuple[Any, Any]
    then: Step

    def run(self, f: sp.Expr, domain: Domain, budget: int) -> int:
        reached = [sp.limit(self.image, self.new, end, side) for end, side in zip(self.ends, "+-", strict=True)]
        if not all(any(a == b or _vanishes(a - b) for b in reached) for a in domain[self.x]):
            raise refuse(self.image, domain, f"it goes from {reached[0]} to {reached[1]}, not over all of {self.x}")
        inside = {s: ends for s, ends in domain.items() if s != self.x} | {self.new: self.ends}
        return self.then.run(sp.simplify(f.subs(self.x, self.image)), inside, budget)


@dataclass(frozen=True)
class AtLeast:
    """f >= `lower` (by `close`), and `lower` >= 0 (by `then`)."""

    lower: sp.Expr
    close: Step
    then: Step

    def run(self, f: sp.Expr, domain: Domain, budget: int) -> int:
        done = self.close.run(sp.simplify(f - self.lower), domain, budget)
        return done + self.then.run(self.lower, domain, budget)


@dataclass(frozen=True)
class Intervals:
    """By ball arithmetic on a box whose ends are rational; `zeros` are faces (symbol, value, order) with f = 0."""

    zeros: Sequence[tuple[sp.Symbol, Any, int]] = ()

    def run(self, f: sp.Expr, domain: Domain, budget: int) -> int:
        if not all(sp.sympify(end).is_Rational for ends in domain.values() for end in ends):
            raise refuse(f, domain, "intervals need a box whose ends are rational numbers")
        box = {s: (_fraction(low), _fraction(high)) for s, (low, high) in domain.items()}
        return prove(f, box, [Zero(s, _fraction(value), order) for s, value, order in self.zeros], budget)


def _fraction(value: Any) -> Fraction:
    number = sp.Rational(value)
    return Fraction(int(number.p), int(number.q))


def _end(step: Any, f: sp.Expr, domain: Domain, side: int) -> Any:
    end = domain[step.x][side]
    if end in (sp.oo, -sp.oo):
        raise refuse(f, domain, f"{type(step).__name__} needs a finite end of {step.x}")
    return end


def _from_end(step: Any, f: sp.Expr, domain: Domain, budget: int, side: int, slope: sp.Expr) -> int:
    """f >= 0 at one end of x by `base`, and from there on since `slope`, in the direction away from it, is >= 0."""
    at_end = f.subs(step.x, _end(step, f, domain, side))
    return step.base.run(at_end, _without(domain, step.x), budget) + step.slope.run(slope, domain, budget)


def _without(domain: Domain, x: sp.Symbol) -> Domain:
    return {s: ends for s, ends in domain.items() if s != x}


__all__ = [
    "BUDGET", "AtLeast", "Domain", "Exact", "Falling", "Intervals", "Rising", "Signs", "Split", "Squares", "Step",
    "Times", "Unproved", "Vanishing", "Where",
]  # fmt: skip
