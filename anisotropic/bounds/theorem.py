"""What is a theorem to this library? Data: SymPy terms by name, conditions, hypotheses and a source, in one record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import sympy

from . import derive, describe, measures, symbols as s
from .conditions import broken, check_relationals
from .constants import KNOWN, dimension, fill, is_uneven, refuse_unknown, sentence_list
from .derive import StepRule
from .forms import Solver, Terms, checked_terms, weighted
from .requires import Requires, checked
from .sources import Source

__all__ = ["Bound", "Requires", "Solver", "Source", "StepRule"]

KINDS = ("upper", "lower", "equality")
_STEP_SIZES = {s.step_size, s.uniform_step_size}


class Tightest(NamedTuple):
    """The form of a bound that says most at given constants, and its value."""

    form: str
    value: float


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Bound:
    """A convergence bound as data; it needs no registration to be evaluated, printed, plotted and verified.

    Parameters
    ----------
    name : str
    measure : str
        What is bounded: "mean_gap", "gap", "gradient_l1", ... or any statistic of a run.
    kind : "upper", "lower" or "equality"
    terms : SymPy expression, mapping of names to expressions, or None
        The form "simple": their sum is the bound. Per-coordinate constants occur inside `total` or `largest` only.
    forms : mapping of names to mappings of terms or to Solvers
        Further forms; the first of all is the default.
    conditions : SymPy relationals
        Inequalities between constants; with a per-coordinate symbol they are meant for every coordinate.
    requires : Requires
        Hypotheses that cannot be read off the constants.
    source : Source
    title : str
    assumptions : sentences
        What neither `conditions` nor `requires` can say.
    step_rule : StepRule
        How the step is chosen when it is not given.
    probability : bool
        True where the bound holds for a single path with probability 1 - delta, rather than for the mean over paths.
    asymptotic : mapping with "bias" and "noise"
        Leading behaviour up to constants and logarithms, where the terms do not show it.

    Examples
    --------
    >>> from anisotropic.bounds.symbols import L, R, T, total
    >>> mine = Bound("mine", "mean_gap", "upper", {"bias": 2 * total(L * R**2) / T})
    >>> mine(L=[1.0, 0.5], R=2.0, T=12)
    1.0
    >>> print(mine.latex(L=[1.0, 0.5], R=2.0))
    \\frac{1}{T}\\sum_{t=1}^{T}\\mathbb{E}\\,f(w_t) - f^\\star \\le \\frac{12.0}{T}
    """

    name: str
    measure: str
    kind: str
    summands: Mapping[str, Terms | Solver]
    conditions: tuple[sympy.Basic, ...]
    requires: Requires
    source: Source | None
    title: str
    assumptions: tuple[str, ...]
    step_rule: StepRule | None
    probability: bool
    asymptotic: Terms | None

    def __init__(
        self,
        name: str,
        measure: str,
        kind: str = "upper",
        terms: sympy.Expr | Terms | None = None,
        *,
        forms: Mapping[str, Terms | Solver] | None = None,
        conditions: Iterable[sympy.Basic] = (),
        requires: Requires | None = None,
        source: Source | None = None,
        title: str = "",
        assumptions: Iterable[str] = (),
        step_rule: StepRule | None = None,
        probability: bool = False,
        asymptotic: Terms | None = None,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind = {kind!r}; expected one of {', '.join(map(repr, KINDS))}")
        summands: dict[str, Terms | Solver] = {}
        if terms is not None:
            summands["simple"] = terms if isinstance(terms, Mapping) else {"bound": terms}
        summands |= forms or {}
        if not summands:
            raise ValueError(f"bound {name!r} has neither terms nor forms; give one of them")
        fields = {
            "name": name,
            "measure": measure,
            "kind": kind,
            "summands": {f: t if isinstance(t, Solver) else checked_terms(name, t) for f, t in summands.items()},
            "conditions": check_relationals(name, conditions),
            "requires": checked(requires),
            "source": source,
            "title": title,
            "assumptions": tuple(assumptions),
            "step_rule": step_rule,
            "probability": probability,
            "asymptotic": asymptotic,
        }
        for key, value in fields.items():
            object.__setattr__(self, key, value)

    # ---- what it is -------------------------------------------------------------------------------------------------

    @property
    def forms(self) -> tuple[str, ...]:
        """Names of the forms; the first is the default, and no form need be the tightest everywhere."""
        return tuple(self.summands)

    @property
    def additive(self) -> Terms | None:
        """The terms of the default form as SymPy expressions, or None where it is solved for."""
        first = self.summands[self.forms[0]]
        return None if isinstance(first, Solver) else first

    @property
    def expression(self) -> sympy.Basic | None:
        """The default form as one SymPy expression; where it is solved for, the equation that is solved."""
        return self.equation if self.additive is None else sympy.Add(*self.additive.values())

    @property
    def equation(self) -> sympy.Basic | None:
        """The equation that the default form solves, None for an additive form."""
        first = self.summands[self.forms[0]]
        return first.equation if isinstance(first, Solver) else None

    @property
    def tuned(self) -> dict[str, sympy.Expr]:
        """The terms at the tuned step, derived by SymPy; with a cap on the step, an upper bound on their sum."""
        return dict(derive.tuned_terms(self))

    @cached_property
    def constants(self) -> tuple[str, ...]:
        """Names of the constants that the forms and conditions take."""
        found = s.names([*self.conditions, *set().union(*self._needed.values())])
        return tuple(sorted(found, key=lambda n: (list(KNOWN).index(n) if n in KNOWN else len(KNOWN), n)))

    @cached_property
    def _needed(self) -> dict[str, set[sympy.Symbol]]:
        return {form: self._symbols(form) for form in self.forms}

    def _symbols(self, form: str) -> set[sympy.Symbol]:
        content = self.summands[form]
        used = set(content.needs) if isinstance(content, Solver) else set()
        used = used.union(*(e.free_symbols for e in (() if isinstance(content, Solver) else content.values())))
        wanted = used.union(*(c.free_symbols for c in self.conditions))
        return wanted if used & _STEP_SIZES else wanted - _STEP_SIZES

    # ---- numbers ----------------------------------------------------------------------------------------------------

    def __call__(self, form: str | None = None, **constants: Any) -> float:
        """The value of the bound.

        Raises
        ------
        TypeError
            For a constant nobody knows.
        ValueError
            For missing or unusable constants, an unknown form, and where a condition of the theorem does not hold.
        """
        return float(sum(self.terms(form, **constants).values()))

    def terms(self, form: str | None = None, **constants: Any) -> dict[str, float]:
        """The terms by name; they sum to the value of that form."""
        form = self._form(form)
        values = self._values(self._needed[form], constants)
        if found := broken(*self._checkable(self._filled(constants) | values)):
            raise ValueError(f"{self.name} does not apply: " + "; ".join(found))
        return self._evaluate(form, values)

    def _evaluate(self, form: str, values: dict[str, Any]) -> dict[str, float]:
        content = self.summands[form]
        if isinstance(content, Solver):
            return {name: float(part) for name, part in content.solve(values).items()}
        needed, function = s.compiled(tuple(content.values()))
        return dict(zip(content, map(float, function(*(values[n] for n in needed))), strict=True))

    def tightest(self, **constants: Any) -> Tightest:
        """The form with the smallest value, the largest for a lower bound, among those that the constants allow.

        Examples
        --------
        >>> import anisotropic.bounds as bounds
        >>> found = bounds.convex_adagrad.tightest(L=1.0, sigma=0.0, D=1.0, T=10, M=1, step_size=2**-0.5)
        >>> found.form != "simple" and found.value <= bounds.convex_adagrad(L=1.0, sigma=0.0, D=1.0, T=10, M=1)
        True
        """
        values: dict[str, float] = {}
        refused = None
        for form in reversed(self.forms):
            try:
                values[form] = self(form, **constants)
            except ValueError as error:
                refused = error
        if not values:
            raise refused or ValueError(f"{self.name} has no form")
        best = (max if self.kind == "lower" else min)(values, key=lambda form: values[form])
        return Tightest(best, values[best])

    def tuned_step_size(self, **constants: Any) -> Any:
        """The step that minimises the bound (never above the step that the theorem allows): a float or ``(d,)``."""
        if self.step_rule is None:
            raise ValueError(f"{self.name} has no tuned step in closed form; pass step")
        best = derive.stationary_step_size(self.step_rule.minimise)
        used = best.free_symbols | (self.step_rule.cap.free_symbols if self.step_rule.cap is not None else set())
        return derive.tuned_step_size(self, self._values(used, constants))

    def violations(self, **constants: Any) -> list[str]:
        """One sentence for each missing constant and each condition that does not hold; never raises for them."""
        unknown = self.missing(**constants)
        verb = "is" if len(unknown) == 1 else "are"
        told = [f"{self.name} needs {sentence_list(unknown)}, which {verb} unknown"] if unknown else []
        return told + self.broken_conditions(**constants)

    def broken_conditions(self, **constants: Any) -> list[str]:
        """One sentence for each condition that these constants break; conditions on missing constants are left out."""
        self._refuse_unknown(constants)
        found, usable = [], dict(self._filled(constants))
        symbols_used = self._needed[self.forms[0]]
        given = usable.get("step_size")
        if s.uniform_step_size in symbols_used and given is not None and is_uneven(given):
            found.append("step_size differs between coordinates; the theorem is about one step size for all of them")
            usable.pop("step_size")
        if not (found or self._missing(symbols_used, usable)):
            usable |= self._values(symbols_used, constants)
        return found + broken(*self._checkable(usable))

    def critical_batch_size(self, *, gap: float | None = None, T: float | None = None, **constants: Any) -> float:
        """The batch size beyond which a larger batch no longer pays.

        With ``gap=e``: where the floor in updates (the T at which the bias part is e) and the floor in samples (the MT
        at which the noise part is e) cross. With ``T=T``: where bias and noise are equal. At the tuned step.

        Examples
        --------
        >>> import anisotropic.bounds as bounds
        >>> round(bounds.convex_sgd.critical_batch_size(L=2.0, sigma=3.0, R=1.0, gap=0.1), 6)
        90.0
        """
        if (gap is None) == (T is None):
            raise ValueError("give either gap (the accuracy wanted) or T (the number of updates), not both")
        goal = float(gap if gap is not None else T)  # type: ignore[arg-type]
        if not np.isfinite(goal) or goal <= 0:
            raise ValueError(f"{'gap' if T is None else 'T'} = {goal:g}; expected a finite number above 0")
        tuned = constants.get("step_size") is None
        if not tuned and self.step_rule is not None and self.step_rule.cap is not None:
            raise ValueError(f"the critical batch size of {self.name} is that of its tuned step; leave step out")
        used = set().union(*(part.free_symbols for part in derive.split(self, tuned=tuned))) - {s.T, s.M}
        values = self._values(used, constants)
        return derive.critical_batch_size(self, values, gap, T, tuned)

    def critical_batch_size_formula(self, fixed: str = "gap") -> sympy.Expr:
        """The critical batch size in symbols, at a given "gap" or at a given "T"."""
        if fixed not in ("gap", "T"):
            raise ValueError(f"fixed = {fixed!r}; expected 'gap' or 'T'")
        return derive.critical_batch_size_formula(self, fixed)

    def rate(self, noise: bool = True) -> dict[str, float]:
        """Exponents in T, M and d of the noise part, or of the bias part with ``noise=False``, at the tuned step.

        Those of its slowest summand; d counts coordinates that are all alike. Where no term carries M, both are equal;
        where no tuned step is known, the step is held fixed.
        """
        return derive.rate(self, noise)

    def scaled(self, factor: float = 1.0, **factors: float) -> Bound:
        """The same bound with every term multiplied by `factor`, or single terms by a factor of their own.

        A planted error: ``bound.scaled(0.5)`` halves the theorem, ``bound.scaled(noise=0)`` drops one term.
        """
        known = {name for form in self.summands.values() if not isinstance(form, Solver) for name in form}
        if known and not set(factors) <= known:
            strange = sorted(set(factors) - known)[0]
            raise ValueError(f"{self.name} has no term {strange!r}; it has {', '.join(sorted(known))}")

        return Bound(
            self.name,
            self.measure,
            self.kind,
            forms={form: weighted(content, factor, factors) for form, content in self.summands.items()},
            conditions=self.conditions,
            requires=self.requires,
            source=self.source,
            title=self.title,
            assumptions=self.assumptions,
            step_rule=self.step_rule,
            probability=self.probability,
            asymptotic=self.asymptotic,
        )

    # ---- print ------------------------------------------------------------------------------------------------------

    def latex(self, form: str | None = None, *, tuned: bool = False, **constants: Any) -> str:
        """The inequality in LaTeX; with constants, their numbers in place of their symbols.

        ``tuned=True`` puts the tuned step into a form that is given by terms.
        """
        self._refuse_unknown(constants)
        content = derive.tuned_terms(self, self._form(form)) if tuned else self.summands[self._form(form)]
        head = f"{measures.describe(self.measure, self.probability).latex} {describe.RELATION[self.kind][1]}"
        if isinstance(content, Solver):
            if content.equation is None:
                return f"{head} \\text{{the solution found numerically}}"
            return f"{head} S, \\quad {s.latex(content.equation)}"
        if constants:
            used = set().union(*(e.free_symbols for e in content.values()))
            values = fill(constants, {x for x in used if constants.get(s.constant_name(x)) is not None})
            content = {k: describe.substituted(e, values) for k, e in content.items()}
        level = r" \quad \text{with probability at least } 1 - \delta" if self.probability else ""
        return f"{head} {describe.sum_latex(content)}{level}"

    def cite(self) -> str:
        """BibTeX of the source."""
        if self.source is None:
            raise ValueError(f"bound {self.name!r} has no source; make it with source=Source(key, arxiv)")
        return self.source.bibtex()

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __repr__(self) -> str:
        return f"<Bound {self.name}: {self.kind} bound on {self.measure}, forms {', '.join(self.forms)}>"

    def __str__(self) -> str:
        return describe.statement(self)

    # ---- checks -----------------------------------------------------------------------------------------------------

    def _form(self, form: str | None) -> str:
        if form is None:
            return self.forms[0]
        if form not in self.summands:
            raise ValueError(f"{self.name} has no form {form!r}; it has {', '.join(self.forms)}")
        return form

    def _refuse_unknown(self, constants: Mapping[str, Any]) -> None:
        refuse_unknown(constants, self.constants, self.name)

    def _filled(self, constants: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in constants.items() if value is not None}
        defaults = {n: KNOWN[n].default for n in self.constants if n in KNOWN and KNOWN[n].default is not None}
        return defaults | given

    def _missing(self, needed: Iterable[sympy.Symbol], given: Mapping[str, Any]) -> list[str]:
        optional = {"d"} | ({"step_size"} if self.step_rule is not None else set())
        lacking = {s.constant_name(x) for x in needed} - set(given) - optional
        return sorted(lacking, key=lambda n: (list(KNOWN).index(n) if n in KNOWN else len(KNOWN), n))

    def _checkable(self, known: Mapping[str, Any]) -> tuple[list[sympy.Basic], dict[str, Any]]:
        """The conditions whose constants are all known, and the checked constants."""
        present = [c for c in self.conditions if all(known.get(n) is not None for n in s.names([c]))]
        return present, fill(known, set().union(*(c.free_symbols for c in present)))

    def missing(self, form: str | None = None, **constants: Any) -> list[str]:
        """Names of the constants that this form still needs."""
        self._refuse_unknown(constants)
        return self._missing(self._needed[self._form(form)], self._filled(constants))

    def _values(self, needed: set[sympy.Symbol], constants: Mapping[str, Any]) -> dict[str, Any]:
        """Checked floats and arrays for the symbols needed, the tuned step included."""
        self._refuse_unknown(constants)
        given = self._filled(constants)
        if "step_size" not in given and self.step_rule is not None and needed & _STEP_SIZES:
            needed = needed | derive.stationary_step_size(self.step_rule.minimise).free_symbols
            needed |= self.step_rule.cap.free_symbols if self.step_rule.cap is not None else set()
        lacking = self._missing(needed, given)
        if lacking:
            raise ValueError(f"{self.name} needs {sentence_list(lacking)}; it takes {', '.join(self.constants)}")
        if "step_size" not in given and needed & _STEP_SIZES:
            values = fill(given, needed - _STEP_SIZES)
            size = {"d": dimension(given), "step_size": derive.tuned_step_size(self, values)}
            return values | fill(size, needed & _STEP_SIZES)
        return fill(given, needed)
