"""How do matrices enter a bound? Symbols for positive semidefinite matrices, and the numbers that are made of them.

A `MatrixConstant` never stands alone in a term: it occurs inside `trace`, `inverse_trace`, ... which are numbers, so
that a bound can be differentiated and solved for its step size as usual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter


class MatrixConstant(sympy.Symbol):
    """A constant that is a positive semidefinite matrix."""

    __slots__ = ()


class Reduction(sympy.Function):
    """A number made of matrices: positive, and constant in everything else."""

    def _eval_is_real(self) -> bool:
        return True

    def _eval_is_positive(self) -> bool:
        return True

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        return sympy.S.Zero

    shown = "{0}"
    written = "{0}"

    def _latex(self, printer: LatexPrinter, exp: str | None = None) -> str:
        body = self.shown.format(*map(printer.doprint, self.args))
        return body if exp is None else rf"\left({body}\right)^{{{exp}}}"

    def _sympystr(self, printer: StrPrinter) -> str:
        return self.written.format(*map(printer.doprint, self.args))


class trace(Reduction):
    """tr X."""

    nargs = 1
    shown, written = r"\operatorname{{tr}} {0}", "tr({0})"


class rows(Reduction):
    """The number of rows of X."""

    nargs = 1
    shown, written = r"m", "m"


class square_trace(Reduction):
    """tr P S for S = Sigma^2."""

    nargs = 2
    shown, written = r"\operatorname{{tr}} {0} {1}^{{2}}", "tr({0} {1}^2)"


class inverse_trace(Reduction):
    """tr P^(-1) X."""

    nargs = 2
    shown, written = r"\operatorname{{tr}} {0}^{{-1}} {1}", "tr({0}^-1 {1})"


class inverse_square_trace(Reduction):
    """tr L^(-1) S for S = Sigma^2."""

    nargs = 2
    shown, written = r"\operatorname{{tr}} {0}^{{-1}} {1}^{{2}}", "tr({0}^-1 {1}^2)"


class least_above(Reduction):
    """The least value of an expression in L' over all L' >= (1 + rho/M) L; it is solved for, never evaluated."""

    nargs = 1
    shown = r"\min_{{\mathcal{{L}}' \succeq (1 + \rho/M) \mathcal{{L}}}} \left({0}\right)"
    written = "min over L' >= (1 + rho/M) left_smoothness of ({0})"


class largest_product(Reduction):
    """The largest eigenvalue of P L."""

    nargs = 2
    shown, written = r"\lambda_{{\max}}({0} {1})", "lambda_max({0} {1})"


def _largest_product(P: np.ndarray, L: np.ndarray) -> float:
    factor = np.linalg.cholesky(P)
    return float(max(np.linalg.eigvalsh(factor.T @ L @ factor)[-1], 0.0))


#: What NumPy makes of each function.
NUMERIC: dict[str, Callable[..., Any]] = {
    "trace": np.trace,
    "rows": len,
    "square_trace": lambda P, S: float(np.sum(P * (S @ S))),
    "inverse_trace": lambda P, X: float(np.trace(np.linalg.solve(P, X))),
    "largest_product": _largest_product,
}

left_smoothness, left_noise, left_distance, preconditioner = (
    MatrixConstant(name, positive=True) for name in ("left_smoothness", "left_noise", "left_distance", "preconditioner")
)


def root(matrix: np.ndarray) -> np.ndarray:
    """The positive semidefinite square root."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
