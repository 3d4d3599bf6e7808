"""Which numbers of a schedule may stand in a bound? They have a value once the schedule is a vector; see `tails`."""

from __future__ import annotations

import sympy
from sympy.printing.latex import LatexPrinter


class OfSchedule(sympy.Function):
    """A positive number that a schedule has and that its size does not change."""

    nargs = 1
    letter = ""

    def _eval_is_positive(self) -> bool:
        return True

    def _latex(self, printer: LatexPrinter, exp: str | None = None) -> str:
        return self.letter if exp is None else rf"{self.letter}^{{{exp}}}"


class alpha(OfSchedule):
    """A/T of a schedule for smooth functions, in units of its largest entry: how far it gets."""

    letter = r"\alpha"


class kappa(OfSchedule):
    """BT/A of a schedule for smooth functions: 1 is the least, what noise costs against linear decay."""

    letter = r"\kappa"


class kappa_nonsmooth(OfSchedule):
    """B(T + 1)/A of a schedule for Lipschitz functions; 1 is the least, that of linear decay."""

    letter = r"\kappa"
