"""Which symbols may a bound use? The only place where a SymPy symbol is made.

A constant with one entry per coordinate is a `Coordinate` symbol: ``L`` prints as ``L_j``. A sum over the coordinates
is ``total(L * D**2)``, a maximum ``largest(L)``; what does not depend on the coordinate moves out of both by itself.
A sum can be differentiated, solved for, turned into a NumPy reduction and printed:

>>> from anisotropic.bounds.symbols import D, L, T, total, latex
>>> term = total(4 * L * D**2 / T)
>>> term
4*total(D_j**2*L_j)/T
>>> term.diff(T)
-4*total(D_j**2*L_j)/T**2
>>> latex(term)
'\\\\frac{4 \\\\sum_{j} L_{j} D_{j}^{2}}{T}'
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import sympy
from sympy.core.function import UndefinedFunction
from sympy.printing.conventions import split_super_sub
from sympy.printing.latex import LatexPrinter, greek_letters_set
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter

from . import tails
from .matrices import NUMERIC, Reduction
from .schedule_functions import OfSchedule

#: Constants whose printed letter differs from their name in code.
LETTERS = {"step_size": "eta", "eps": "epsilon"}
_TYPESET = {
    "G_star_j": r"G^{\star}_{j}",
    "gradient_bound_j": "m_{j}",
    "noise_bound_j": "B_{j}",
    "jump_probability": "p",
    "first_phase": "n",
    "left_smoothness": r"\mathcal{L}",
    "raised": r"\mathcal{L}'",
    "left_noise": r"\Sigma",
    "left_distance": r"X X^{\top}",
    "preconditioner": "P",
    "D_op": r"D_{\mathrm{op}}",
    "L_op": r"L_{\mathrm{op}}",
    "alignment": r"\alpha",
    "gain": r"\varphi",
    "nesterov": r"\mathrm{nesterov}",
    "decay": r"\lambda",
    "schedule_t": r"\theta_{t}",
}
_NAMES = {letter: name for name, letter in LETTERS.items()}
_FIRST = ("L", "L0", "L1", "eps", "sigma", "D", "R", "G", "G_star")


class Coordinate(sympy.Symbol):
    """The j-th entry of a constant that has one entry per coordinate; make one with `coordinate`."""

    __slots__ = ()


class Iteration(sympy.Symbol):
    """The t-th entry of a constant that has one entry per iteration, never one per coordinate."""

    __slots__ = ()


def coordinate(name: str, **assumptions: Any) -> Coordinate:
    """The symbol of a per-coordinate constant called `name`: positive unless told otherwise."""
    if not name.isidentifier():
        raise ValueError(f"a constant is passed as a keyword, which {name!r} cannot be; use letters, digits and _")
    return Coordinate(f"{LETTERS.get(name, name)}_j", **(assumptions or {"positive": True}))


def scalar(name: str, **assumptions: Any) -> sympy.Symbol:
    """The symbol of a constant that is one number: positive unless told otherwise."""
    return sympy.Symbol(LETTERS.get(name, name), **(assumptions or {"positive": True}))


def constant_name(symbol: sympy.Symbol) -> str:
    """The keyword under which a bound takes the value of `symbol`.

    >>> constant_name(step_size), constant_name(uniform_step_size), constant_name(L)
    ('step_size', 'step_size', 'L')
    """
    if isinstance(symbol, Iteration):
        return symbol.name.removesuffix("_t")
    letter = symbol.name.removesuffix("_j") if isinstance(symbol, Coordinate) else symbol.name
    return _NAMES.get(letter, letter)


def varies(expression: Any) -> bool:
    """True where `expression` still depends on the coordinate j, outside every `total` and `largest`."""
    if isinstance(expression, Coordinate):
        return True
    if isinstance(expression, (total, largest)):
        return False
    return any(varies(part) for part in getattr(expression, "args", ()))


def varies_in_time(expression: Any) -> bool:
    """True where `expression` still depends on the iteration t, outside every `along` and number of a schedule."""
    if isinstance(expression, Iteration):
        return True
    if isinstance(expression, (along, OfSchedule)):
        return False
    return any(varies_in_time(part) for part in getattr(expression, "args", ()))


class total(sympy.Function):
    """Sum over the coordinates, linear in its argument: ``total(2*x + y/T) = 2*total(x) + total(y)/T``."""

    nargs = 1

    @classmethod
    def eval(cls, summand: sympy.Expr) -> sympy.Expr | None:
        if not varies(summand):
            return d * summand
        if summand.is_Add:
            return sympy.Add(*(cls(part) for part in summand.args))
        scalars, rest = _factor_out(summand)
        return None if scalars == 1 else scalars * cls(rest)

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        slope = self.args[0].diff(symbol)
        return slope if isinstance(symbol, Coordinate) else total(slope)

    def _eval_is_real(self) -> bool | None:
        return self.args[0].is_real

    def _eval_is_positive(self) -> bool | None:
        return self.args[0].is_positive

    def _eval_is_nonnegative(self) -> bool | None:
        return self.args[0].is_nonnegative

    def _latex(self, printer: LatexPrinter, exp: str | None = None) -> str:
        body = rf"\sum_{{j}} {_latex_product(self.args[0], printer)}"
        return body if exp is None else rf"\left({body}\right)^{{{exp}}}"


class largest(sympy.Function):
    """Maximum over the coordinates; positive factors without j move out."""

    nargs = 1

    @classmethod
    def eval(cls, entry: sympy.Expr) -> sympy.Expr | None:
        if not varies(entry):
            return entry
        scalars, rest = _factor_out(entry)
        return None if scalars == 1 or not scalars.is_positive else scalars * cls(rest)

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        if self.has(symbol):
            raise ValueError(f"a maximum over coordinates has no derivative with respect to {symbol}")
        return sympy.S.Zero

    def _eval_is_real(self) -> bool | None:
        return self.args[0].is_real

    def _eval_is_positive(self) -> bool | None:
        return self.args[0].is_positive

    def _eval_is_nonnegative(self) -> bool | None:
        return self.args[0].is_nonnegative

    def _latex(self, printer: LatexPrinter, exp: str | None = None) -> str:
        body = rf"\max_{{j}} {_latex_product(self.args[0], printer)}"
        return body if exp is None else rf"\left({body}\right)^{{{exp}}}"


class larger(sympy.Function):
    """The larger of two expressions, coordinate by coordinate."""

    nargs = 2

    @classmethod
    def eval(cls, a: sympy.Expr, b: sympy.Expr) -> sympy.Expr | None:
        if a.is_number and b.is_number:
            return sympy.Max(a, b)
        difference = sympy.factor_terms(a - b)
        return a if difference.is_nonnegative else b if difference.is_nonpositive else None

    def _eval_is_real(self) -> bool | None:
        return all(a.is_real for a in self.args) or None

    def _eval_is_nonnegative(self) -> bool | None:
        return any(a.is_nonnegative for a in self.args) or None

    def _latex(self, printer: LatexPrinter, exp: str | None = None) -> str:
        body = rf"\max\left({', '.join(map(printer._print, self.args))}\right)"
        return body if exp is None else rf"{body}^{{{exp}}}"


class along(sympy.Function):
    """Sum over the iterations: ``along(schedule)`` is the sum of all step sizes."""

    nargs = 1

    def _eval_is_positive(self) -> bool | None:
        return self.args[0].is_positive

    def _latex(self, printer: LatexPrinter, exp: str | None = None) -> str:
        body = rf"\sum_{{t}} {_latex_product(self.args[0], printer)}"
        return body if exp is None else rf"\left({body}\right)^{{{exp}}}"


def _factor_out(expression: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """The factors that do not depend on the coordinate, and the product of the others."""
    parts = sympy.Mul.make_args(expression)
    return (
        sympy.Mul(*(part for part in parts if not varies(part))),
        sympy.Mul(*(part for part in parts if varies(part))),
    )


def summand(expression: sympy.Expr) -> sympy.Expr:
    """What `total` adds up: every sum replaced by its argument.

    >>> summand(total(L * D**2) + total(sigma))
    D_j**2*L_j + sigma_j
    """
    return expression.replace(total, lambda x: x)


L = coordinate("L")
L0 = coordinate("L0")
L1 = coordinate("L1")
sigma = coordinate("sigma")
D = coordinate("D")
R = coordinate("R")
G = coordinate("G")
G_star = coordinate("G_star", nonnegative=True)
gradient_bound = coordinate("gradient_bound")
noise_bound = coordinate("noise_bound", nonnegative=True)
eps = coordinate("eps", nonnegative=True)
step_size = coordinate("step_size")
uniform_step_size = scalar("step_size")
uniform_eps = scalar("eps", nonnegative=True)
T = scalar("T")
M = scalar("M")
Delta = scalar("Delta")
mu = scalar("mu")
delta = scalar("delta")
rho = scalar("rho", nonnegative=True)
theta = scalar("theta")
beta = scalar("beta")
D_op = scalar("D_op")
L_op = scalar("L_op")
momentum = scalar("momentum", nonnegative=True)
nesterov = scalar("nesterov", nonnegative=True)
decay = scalar("decay", nonnegative=True)
alignment = scalar("alignment")
gain = scalar("gain")
jump_probability = scalar("jump_probability")
first_phase = scalar("first_phase")
d = scalar("d", integer=True, positive=True)
gap = scalar("gap")
schedule = Iteration("schedule_t", positive=True)

#: Single numbers made of a per-coordinate constant: its Euclidean norm, maximum and sum, such as ||w_1 - w*||_2.
R_norm, D_norm, G_norm, sigma_norm, eps_norm = (sympy.sqrt(total(x**2)) for x in (R, D, G, sigma, eps))
L_max, L0_max, L1_max, R_max, D_max, G_max, sigma_max = map(largest, (L, L0, L1, R, D, G, sigma))
L_sum, L0_sum, L1_sum, R_sum, D_sum, G_sum, sigma_sum = map(total, (L, L0, L1, R, D, G, sigma))


def reductions(expression: sympy.Basic) -> set[sympy.Expr]:
    """The sums and maxima over coordinates, and the numbers made of matrices, in an expression."""
    return expression.atoms(total, largest, Reduction)


@lru_cache(maxsize=512)
def compiled(expressions: tuple[sympy.Basic, ...]) -> tuple[tuple[str, ...], Callable[..., tuple[Any, ...]]]:
    """The constants that `expressions` need, in order, and one NumPy function of them that returns all values."""
    found = sorted(set().union(*(e.free_symbols for e in expressions)), key=lambda s: s.name)
    numbers = {"alpha": tails.alpha, "kappa": tails.kappa, "kappa_nonsmooth": tails.kappa_nonsmooth}
    sums = {"total": np.sum, "largest": np.max, "larger": np.maximum, "along": np.sum}
    modules = [sums | numbers | NUMERIC, "numpy"]
    return tuple(map(constant_name, found)), sympy.lambdify(found, expressions, modules=modules)


def evaluate(expression: sympy.Expr, values: Mapping[str, Any]) -> Any:
    """`expression` at checked constants: a number, or an array where it depends on the coordinate.

    >>> float(evaluate(total(L * D), {"L": np.array([1.0, 2.0]), "D": np.array([3.0, 4.0])}))
    11.0
    """
    needed, function = compiled((expression,))
    return function(*(values[name] for name in needed))[0]


def names(expressions: Iterable[sympy.Basic]) -> frozenset[str]:
    """The constants that occur in `expressions`."""
    return frozenset(constant_name(s) for e in expressions for s in e.free_symbols)


def _letters(name: str) -> str:
    r"""One part of a name in LaTeX: ``\kappa``, ``x``, ``10``; a word stands upright."""
    if name.lower() in greek_letters_set or len(name) == 1 or name.isdigit():
        return LatexPrinter()._deal_with_super_sub(name)
    return rf"\mathrm{{{name}}}"


def _norm_of(expression: sympy.Expr) -> Coordinate | None:
    """x where `expression` is the squared norm total(x**2)."""
    if not isinstance(expression, total):
        return None
    base, exponent = expression.args[0].as_base_exp()
    return base if exponent == 2 and isinstance(base, Coordinate) else None


class _Latex(LatexPrinter):
    def _print_Symbol(self, expr: sympy.Symbol, style: str = "plain") -> str:
        if expr.name in _TYPESET:
            return _TYPESET[expr.name]
        base, supers, below = split_super_sub(expr.name)
        index = ", ".join(map(_letters, below))
        power = "".join(rf"^{{{_letters(x)}}}" for x in supers)
        return _letters(base) + power + (f"_{{{index}}}" if index else "")

    _print_Coordinate = _print_Iteration = _print_Symbol

    def _print_Pow(self, expr: sympy.Expr) -> str:
        norm = _norm_of(expr.base) if abs(expr.exp) == sympy.S.Half else None
        if norm is None:
            return super()._print_Pow(expr)
        shown = rf"\left\|{_letters(split_super_sub(norm.name)[0])}\right\|_{{2}}"
        return shown if expr.exp > 0 else rf"\frac{{1}}{{{shown}}}"

    def _needs_mul_brackets(self, expr: sympy.Expr, first: bool = False, last: bool = False) -> bool:
        return (isinstance(expr, (total, largest)) and not last) or super()._needs_mul_brackets(expr, first, last)


class _Text(StrPrinter):
    def _print_Symbol(self, expr: sympy.Symbol) -> str:
        name = constant_name(expr)
        return f"{name}_j" if isinstance(expr, Coordinate) else f"{name}_t" if isinstance(expr, Iteration) else name

    _print_Coordinate = _print_Iteration = _print_Symbol

    def _print_total(self, expr: total) -> str:
        return f"sum_j({self._print(expr.args[0])})"

    def _print_along(self, expr: along) -> str:
        return f"sum_t({self._print(expr.args[0])})"

    def _print_larger(self, expr: larger) -> str:
        return f"max({', '.join(map(self._print, expr.args))})"

    def _print_largest(self, expr: largest) -> str:
        return f"max_j({self._print(expr.args[0])})"


def _latex_product(expression: sympy.Expr, printer: LatexPrinter) -> str:
    """LaTeX of a product with the letters in the order of the papers: L before sigma before D."""
    factors = sympy.Mul.make_args(expression)
    if any(f.is_Pow and f.exp.could_extract_minus_sign() for f in factors):
        return printer.doprint(expression)

    def place(factor: sympy.Expr) -> tuple[int, str]:
        first = min((_FIRST.index(n) for n in names([factor]) if n in _FIRST), default=len(_FIRST))
        return (-1 if factor.is_number else first), str(factor)

    return " ".join(printer.parenthesize(f, PRECEDENCE["Mul"]) for f in sorted(factors, key=place))


def latex(expression: sympy.Basic) -> str:
    r"""LaTeX in the papers' letters, sums as ``\sum_{j}``."""
    return _Latex({"full_prec": False}).doprint(expression)


def text(expression: sympy.Basic) -> str:
    """Plain text with the names used in code.

    >>> text(total(sigma * step_size) / T)
    'sum_j(step_size_j*sigma_j)/T'
    """
    return _Text().doprint(expression).replace("**", "^")


def unknown_functions(expression: sympy.Basic) -> list[str]:
    """Names of functions in `expression` that NumPy cannot evaluate."""
    return sorted(str(f.func) for f in expression.atoms(sympy.Function) if isinstance(f.func, UndefinedFunction))
