"""Is an expression nonnegative on a whole box? Ball arithmetic and branch and bound, so that "yes" is a proof.

Every number is a ball of Arb (python-flint): an interval that contains the true value, whatever was rounded. A box is
halved until on each part the natural or the mean value form is at least zero. A part that touches a face on which the
expression vanishes is proved by the first derivative that does not: if f and its first k - 1 derivatives in x vanish at
x = a for all other variables, which SymPy decides, then f has the sign of the k-th derivative times (x - a)^k near it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from fractions import Fraction
from operator import itemgetter
from typing import Any, NamedTuple

import sympy as sp

from .._support.extras import require

#: Parts of a box that may be looked at before a proof is given up.
BUDGET = 20_000

Part = tuple[tuple[Fraction, Fraction], ...]


class Unproved(ArithmeticError):
    """A proof that did not close; the message says where."""


class Zero(NamedTuple):
    """On the face `symbol` = `value` the expression and its first `order` - 1 derivatives in `symbol` vanish."""

    symbol: sp.Symbol
    value: Fraction
    order: int


def prove(
    expression: sp.Expr,
    box: dict[sp.Symbol, tuple[Any, Any]],
    zeros: Sequence[Zero] = (),
    budget: int = BUDGET,
) -> int:
    """Prove expression >= 0 on a compact box and return how many parts it was cut into.

    Parameters
    ----------
    expression : SymPy expression
        Of the symbols of `box`, with rational or symbolic constants: a float would be rounded before the proof begins.
    box : dict
        Symbol -> (low, high), rational numbers.
    zeros : sequence of Zero
        Faces on which the expression vanishes.
    budget : int
        Parts that may be looked at.

    Raises
    ------
    Unproved
        Where a part is left, or the expression is negative: the part and what is known of the expression there. Also
        where it does not vanish on a face named in `zeros`.
    ValueError
        If the expression holds a float.
    MissingExtra
        Without python-flint.

    Examples
    --------
    x (1 - x) vanishes at both ends of [0, 1]:

    >>> x = sp.Symbol("x", real=True)
    >>> prove(x * (1 - x), {x: (0, 1)}, [Zero(x, Fraction(0), 1), Zero(x, Fraction(1), 1)])
    4
    """
    if expression.has(sp.Float):
        raise ValueError(f"{expression} holds a float, which is rounded; expected rational numbers")
    symbols = list(box)
    form = _Form(expression, symbols)
    faces = [_face(expression, symbols, zero) for zero in zeros]
    start = tuple((Fraction(low), Fraction(high)) for low, high in box.values())
    queue: list[tuple[Fraction, int, Part]] = [(Fraction(0), 0, start)]
    looked = proved = 0
    while queue:
        _, _, part = heapq.heappop(queue)
        looked += 1
        balls = [_ball(low, high) for low, high in part]
        value = form.enclose(balls, part)
        if value >= 0 or any(touches(part) and derivative(balls) >= 0 for touches, derivative in faces):
            proved += 1
            continue
        if value < 0 or looked + len(queue) >= budget:
            said = "is negative" if value < 0 else f"is not proved after {looked} parts of the box"
            ends = (f"{s} in [{float(a):.8g}, {float(b):.8g}]" for s, (a, b) in zip(symbols, part, strict=True))
            where = f"for {', '.join(ends)} it" if part else "a number"
            raise Unproved(f"the difference of the sides {said}: {where} lies in {value.str(6)}")
        for half in _halves(part, start):
            width = max((b - a) / (high - low) for (a, b), (low, high) in zip(half, start, strict=True) if high > low)
            heapq.heappush(queue, (-width, looked * 2 + len(queue), half))
    return proved


class _Form:
    """An expression as a function of balls: natural form, and mean value form where that is narrower."""

    def __init__(self, expression: sp.Expr, symbols: list[sp.Symbol]) -> None:
        self.value = enclosure(expression, symbols)
        self.slopes = [enclosure(sp.diff(expression, s), symbols) for s in symbols]

    def enclose(self, balls: list[Any], part: Part) -> Any:
        natural = self.value(balls)
        if natural >= 0 or natural < 0:
            return natural
        middles = [_ball((low + high) / 2, (low + high) / 2) for low, high in part]
        centered = self.value(middles)
        for slope, ball, middle in zip(self.slopes, balls, middles, strict=True):
            centered += slope(balls) * (ball - middle)
        if not centered.is_finite():
            return natural
        return centered.intersection(natural) if natural.is_finite() else centered


def _face(
    expression: sp.Expr, symbols: list[sp.Symbol], zero: Zero
) -> tuple[Callable[[Part], bool], Callable[[list[Any]], Any]]:
    """Whether a part touches a face, and the derivative that decides there, signed so that it must be >= 0."""
    place, value = symbols.index(zero.symbol), sp.Rational(zero.value.numerator, zero.value.denominator)
    for k in range(zero.order):
        left = sp.simplify(sp.diff(expression, zero.symbol, k).subs(zero.symbol, value))
        if left != 0:
            raise Unproved(f"derivative {k} of {expression} at {zero.symbol} = {value} is {left}, not 0")
    derivative = sp.diff(expression, zero.symbol, zero.order)
    rising, falling = enclosure(derivative, symbols), enclosure((-1) ** zero.order * derivative, symbols)

    def touches(part: Part) -> bool:
        return zero.value in part[place]

    def sign(balls: list[Any]) -> Any:
        from_above = balls[place].mid() >= _ball(zero.value, zero.value)
        return (rising if from_above else falling)(balls)

    return touches, sign


def _halves(part: Part, start: Part) -> list[Part]:
    """Cut the side that is longest as a share of the box."""
    shares = [(b - a) / (high - low) if high > low else Fraction(0)
              for (a, b), (low, high) in zip(part, start, strict=True)]  # fmt: skip
    k = max(range(len(part)), key=shares.__getitem__)
    middle = (part[k][0] + part[k][1]) / 2
    return [(*part[:k], side, *part[k + 1 :]) for side in ((part[k][0], middle), (middle, part[k][1]))]


def _ball(low: Fraction, high: Fraction) -> Any:
    """The ball of the interval [low, high]; exact where the ends are short binary fractions."""
    flint: Any = require("flint", "certify")
    middle, radius = (low + high) / 2, (high - low) / 2
    center = flint.arb(flint.fmpq(middle.numerator, middle.denominator))
    if radius == 0:
        return center
    return center + flint.arb(0, flint.arb(flint.fmpq(radius.numerator, radius.denominator)).upper())


def enclosure(expression: sp.Expr, symbols: Sequence[sp.Symbol]) -> Callable[[Sequence[Any]], Any]:
    """A SymPy expression as a function of balls.

    >>> square = enclosure(sp.Symbol("x") ** 2, [sp.Symbol("x")])
    >>> square([require("flint", "certify").arb(3)]) == 9
    True
    """
    flint: Any = require("flint", "certify")
    replaced, reduced = sp.cse(expression)
    places = {s: k for k, s in enumerate([*symbols, *(name for name, _ in replaced)])}

    def build(e: Any) -> Callable[[list[Any]], Any]:
        if e in places:
            return itemgetter(places[e])
        if e.is_Rational:
            constant = flint.arb(flint.fmpq(int(e.p), int(e.q)))
            return lambda _: constant
        if e in (sp.pi, sp.E):
            constant = flint.arb.pi() if e == sp.pi else flint.arb.const_e()
            return lambda _: constant
        parts = [build(a) for a in e.args]
        if e.is_Pow and e.base != sp.E and e.exp.is_Integer:
            return lambda balls: _power(parts[0](balls), int(e.exp))
        if e.is_Pow and e.base != sp.E and e.exp.is_Rational and e.exp.q == 2:
            return lambda balls: _power(parts[0](balls).sqrt(), int(e.exp.p))
        if e.func in (sp.Add, sp.Mul):
            return lambda balls: _fold(e.is_Add, [part(balls) for part in parts])
        function = FUNCTIONS.get(e.func.__name__)
        if function is None:
            raise ValueError(f"{e.func.__name__} in {expression} has no ball arithmetic here")
        return lambda balls: function(*(part(balls) for part in parts))

    steps, final = [build(e) for _, e in replaced], build(reduced[0])

    def evaluate(balls: Sequence[Any]) -> Any:
        known = list(balls)
        for step in steps:
            known.append(step(known))
        return final(known)

    return evaluate


def _fold(adds: bool, balls: list[Any]) -> Any:
    total = balls[0]
    for ball in balls[1:]:
        total = total + ball if adds else total * ball
    return total


def _power(ball: Any, exponent: int) -> Any:
    return (abs(ball) if exponent % 2 == 0 else ball) ** exponent


#: SymPy function -> function of balls.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": lambda x: x.exp(),
    "log": lambda x: x.log(),
    "erf": lambda x: x.erf(),
    "erfc": lambda x: x.erfc(),
}
