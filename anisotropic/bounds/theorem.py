"""What is a theorem to this library? Data: SymPy terms by name, conditions, hypotheses and a source, in one record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import sympy

from ..records import FloatArray
from . import derive, describe, iterations, symbols as s
from .completion import STEP_SIZES, completed, lacking, with_defaults
from .conditions import broken, check_relationals
from .constants import check_names, fill, is_uneven, order, refuse_unknown, sentence_list
from .derive import StepRule, StepSolver
from .forms import Form, Solver, Terms, checked_form, weighted
from .requires import Requires, checked
from .sources import Source

__all__ = ["Bound", "Form", "Requires", "Solver", "Source", "StepRule", "StepSolver"]

KINDS = ("upper", "lower", "equality")


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
    forms : mapping of names to mappings of terms, to Forms or to Solvers
        Further forms; the first of all is the default. A Form or Solver may have conditions of its own.
    conditions : SymPy relationals
        Inequalities between constants; with a per-coordinate symbol they are meant for every coordinate.
    requires : Requires
        Hypotheses that cannot be read off the constants.
    source : Source
    title : str
    assumptions : sentences
        What neither `conditions` nor `requires` can say.
    step_rule : StepRule or StepSolver
        How the step size is chosen when it is not given.
    horizon : bool, optional
        True for a claim about the last iteration alone, because the step size (or a schedule) is chosen for T = N;
        False for a claim about every T. Left out it is about every T, but a bound that depends on T and names no step
        size is then not called violated by early iterations alone.
    probability : bool
        True where the bound holds for a single path with probability 1 - delta, rather than for the mean over paths.
    asymptotic : mapping with "bias" and "noise"
        Leading behavior up to constants and logarithms, where the terms do not show it.

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
    summands: Mapping[str, Form | Solver]
    conditions: tuple[sympy.Basic, ...]
    requires: Requires
    source: Source | None
    title: str
    assumptions: tuple[str, ...]
    step_rule: StepRule | StepSolver | None
    horizon: bool | None
    probability: bool
    asymptotic: Terms | None

    def __init__(
        self,
        name: str,
        measure: str,
        kind: str = "upper",
        terms: sympy.Expr | Terms | None = None,
        *,
        forms: Mapping[str, Terms | Form | Solver] | None = None,
        conditions: Iterable[sympy.Basic] = (),
        requires: Requires | None = None,
        source: Source | None = None,
        title: str = "",
        assumptions: Iterable[str] = (),
        step_rule: StepRule | StepSolver | None = None,
        horizon: bool | None = None,
        probability: bool = False,
        asymptotic: Terms | None = None,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind = {kind!r}; expected one of {', '.join(map(repr, KINDS))}")
        contents = ({} if terms is None else {"simple": terms}) | dict(forms or {})
        if not contents:
            raise ValueError(f"bound {name!r} has neither terms nor forms; give one of them")
        fields = {
            "name": name,
            "measure": measure,
            "kind": kind,
            "summands": {form: checked_form(name, content) for form, content in contents.items()},
            "conditions": check_relationals(name, conditions),
            "requires": checked(requires),
            "source": source,
            "title": title,
            "assumptions": tuple(assumptions),
            "step_rule": step_rule,
            "horizon": horizon if horizon is None else bool(horizon),
            "probability": probability,
            "asymptotic": asymptotic,
        }
        for key, value in fields.items():
            object.__setattr__(self, key, value)
        check_names(name, self.symbols)

    # ---- what it is -------------------------------------------------------------------------------------------------

    @property
    def forms(self) -> tuple[str, ...]:
        """Names of the forms; the first is the default, and no form need be the tightest everywhere."""
        return tuple(self.summands)

    @property
    def additive(self) -> Terms | None:
        """The terms of the default form as SymPy expressions, or None where it is solved for."""
        first = self.summands[self.forms[0]]
        return first.terms if isinstance(first, Form) else None

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
        """The terms at the tuned step size, derived by SymPy; with a cap on it, an upper bound on their sum."""
        return dict(derive.tuned_terms(self.content()))

    @cached_property
    def constants(self) -> tuple[str, ...]:
        """Names of the constants that the forms and conditions take."""
        found = s.names([*self.conditions, *set().union(*self._needed.values())])
        return tuple(sorted(found, key=order))

    @cached_property
    def symbols(self) -> frozenset[sympy.Symbol]:
        """Every symbol in the forms and their conditions."""
        conditions = {c for form in self.forms for c in self.conditions_of(form)}
        return frozenset().union(*(f.needs for f in self.summands.values()), *(c.free_symbols for c in conditions))

    def conditions_of(self, form: str | None = None) -> tuple[sympy.Basic, ...]:
        """The conditions of the theorem and those of this form alone."""
        return (*self.conditions, *self.summands[self._form(form)].conditions)

    @cached_property
    def _needed(self) -> dict[str, set[sympy.Symbol]]:
        return {form: self._symbols(form) for form in self.forms}

    def _symbols(self, form: str) -> set[sympy.Symbol]:
        used = set(self.summands[form].needs)
        wanted = used.union(*(c.free_symbols for c in self.conditions_of(form)))
        return wanted if used & STEP_SIZES else wanted - STEP_SIZES

    def content(self, form: str | None = None) -> derive.Content:
        """What rates, tuned terms and critical batch sizes are derived from."""
        chosen = self.summands[self._form(form)]
        terms = chosen.terms if isinstance(chosen, Form) else None
        return derive.content(self.name, terms, self.step_rule, self.asymptotic)

    # ---- numbers ----------------------------------------------------------------------------------------------------

    def __call__(self, form: str | None = None, **constants: Any) -> float:
        """The value of the bound in one form, by default the first, which is the loosest.

        Raises TypeError for a constant nobody knows, ValueError for missing or unusable constants, an unknown form, and
        where a condition of the theorem does not hold.
        """
        return float(sum(self.terms(form, **constants).values()))

    def terms(self, form: str | None = None, **constants: Any) -> dict[str, float]:
        """The terms by name; they sum to the value of that form."""
        return self.summands[self._form(form)].values(self.checked(form, **constants))

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
        numbers = {form: value for form, value in values.items() if not np.isnan(value)} or values
        best = (max if self.kind == "lower" else min)(numbers, key=lambda form: numbers[form])
        return Tightest(best, values[best])

    def tuned_step_size(self, **constants: Any) -> Any:
        """The step size that minimizes the bound (never above what the theorem allows): a float or ``(d,)``."""
        used = derive.rule_symbols(self.step_rule) if self.step_rule is not None else set()
        return derive.tuned_step_size(self.name, self.step_rule, self._values(used, constants))

    def missing(self, form: str | None = None, **constants: Any) -> list[str]:
        """Names of the constants that this form still needs."""
        self._refuse_unknown(constants)
        return lacking(self._needed[self._form(form)], self._filled(constants), self.step_rule)

    def violations(self, **constants: Any) -> list[str]:
        """One sentence for each missing constant and each condition that does not hold; never raises for them."""
        unknown = self.missing(**constants)
        verb = "is" if len(unknown) == 1 else "are"
        told = [f"{self.name} needs {sentence_list(unknown)}, which {verb} unknown"] if unknown else []
        return told + self.broken_conditions(**constants)

    def broken_conditions(self, form: str | None = None, **constants: Any) -> list[str]:
        """One sentence for each condition that these constants break; conditions on missing constants are left out."""
        self._refuse_unknown(constants)
        form = self._form(form)
        found, usable = [], dict(self._filled(constants))
        given = usable.get("step_size")
        wanted = self._needed[form].union(*(c.free_symbols for c in self.conditions_of(form)))
        if s.uniform_step_size in wanted and given is not None and is_uneven(given):
            found.append("step_size differs between coordinates; the theorem is about one step size for all of them")
            usable.pop("step_size")
        if not (found or lacking(self._needed[form], usable, self.step_rule)):
            usable |= self._values(self._needed[form], constants)
        return found + broken(*self._checkable(usable, form))

    def critical_batch_size(self, *, gap: float | None = None, T: float | None = None, **constants: Any) -> float:
        """The batch size beyond which a larger batch no longer pays.

        With ``gap=e``: where the floor in updates (the T at which the bias part is e) and the floor in samples (the MT
        at which the noise part is e) cross. With ``T=T``: where bias and noise are equal. At the tuned step size.

        Examples
        --------
        >>> import anisotropic.bounds as bounds
        >>> round(bounds.convex_sgd.critical_batch_size(L=2.0, sigma=3.0, R=1.0, gap=0.1), 6)
        90.0
        """
        derive.check_goal(gap, T)
        tuned = constants.get("step_size") is None
        if not tuned and derive.capped(self.step_rule):
            raise ValueError(f"the critical batch size of {self.name} is that of its tuned step size; leave it out")
        content = self.content()
        used = set().union(*(part.free_symbols for part in derive.split(content, tuned=tuned))) - {s.T, s.M}
        return derive.critical_batch_size(content, self._values(used, constants), gap, T, tuned)

    def critical_batch_size_formula(self, fixed: str = "gap") -> sympy.Expr:
        """The critical batch size in symbols, at a given "gap" or at a given "T"."""
        if fixed not in ("gap", "T"):
            raise ValueError(f"fixed = {fixed!r}; expected 'gap' or 'T'")
        return derive.critical_batch_size_formula(self.content(), fixed)

    def rate(self, noise: bool = True) -> dict[str, float]:
        """Exponents in T, M and d of the noise part, or of the bias part with ``noise=False``, at the tuned step size.

        Those of its slowest summand; d counts coordinates that are all alike. Where no term carries M, both are equal;
        where no tuned step size is known, it is held fixed.
        """
        return derive.rate(self.content(), noise)

    def curve(self, schedule: Any, at: Any = None, form: str | None = None, **constants: Any) -> FloatArray:
        """The bound after the first t iterations of a schedule, for every t, or for those in `at`.

        What theory says of a run as it goes on, to be laid beside its loss curve: a cool-down shows as a fall.

        Examples
        --------
        >>> import anisotropic.bounds as bounds
        >>> bounds.convex_sgd_last.curve([1.0, 1.0], L=1.0, sigma=0.0, R=1.0, M=1).round(3).tolist()
        [0.5, 0.191]
        """
        if "schedule" not in self.constants:
            raise ValueError(f"{self.name} takes no schedule; it is about {', '.join(self.requires.sentences())}")
        given = self._filled(dict(constants) | {"schedule": schedule})
        prefixes = iterations.prefixes(at, given["T"])
        return np.array([self(form, **iterations.cut(given, t)) for t in prefixes])

    def optimal_schedule(self, **constants: Any) -> FloatArray:
        """The step sizes of T iterations that make the bound smallest (see `an.schedules.optimal`)."""
        if not isinstance(self.step_rule, StepSolver) or self.step_rule.schedule is None:
            raise ValueError(f"no best schedule is known for {self.name}; one is for bounds that take a schedule")
        used = set(self.step_rule.needs) - {s.schedule}
        return self.step_rule.schedule(self._values(used, constants))

    def scaled(self, factor: float = 1.0, **factors: float) -> Bound:
        """The same bound with every term multiplied by `factor`, or single terms by a factor of their own.

        A planted error: ``bound.scaled(0.5)`` halves the theorem, ``bound.scaled(noise=0)`` drops one term.
        """
        known = {name for form in self.summands.values() if isinstance(form, Form) for name in form.terms}
        if known and not set(factors) <= known:
            strange = sorted(set(factors) - known)[0]
            raise ValueError(f"{self.name} has no term {strange!r}; it has {', '.join(sorted(known))}")
        copy = Bound.__new__(Bound)
        forms = {form: weighted(content, factor, factors) for form, content in self.summands.items()}
        for entry in fields(self):
            object.__setattr__(copy, entry.name, forms if entry.name == "summands" else getattr(self, entry.name))
        return copy

    def checked(self, form: str | None = None, **constants: Any) -> dict[str, Any]:
        """The constants of a form as floats and arrays, defaults and tuned step size included, its conditions met."""
        form = self._form(form)
        values = self._values(self._needed[form], constants)
        if found := broken(*self._checkable(self._filled(constants) | values, form)):
            raise ValueError(f"{self.name} does not apply: " + "; ".join(found))
        return values

    # ---- print ------------------------------------------------------------------------------------------------------

    def latex(self, form: str | None = None, *, tuned: bool = False, digits: int = 6, **constants: Any) -> str:
        """The inequality in LaTeX; with constants, their numbers in place of their symbols.

        ``tuned=True`` puts the tuned step size into a form that is given by terms. `digits` are significant ones. Where
        the constants suffice for a value, the terms are numbers and their sum is that of ``bound(form, **constants)``.
        A form that is not the only one is named beside its numbers.

        Examples
        --------
        >>> from anisotropic.bounds import convex_sgd
        >>> print(convex_sgd.latex(digits=3, L=1.0, sigma=1.0, R=1.0, T=3, M=1, step_size=1.0).partition("le ")[2])
        0.167 + 0.5 = 0.667
        """
        self._refuse_unknown(constants)
        return describe.inequality(self, self._form(form), tuned, digits, constants)

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
        return describe.statement(describe.statement_of(self))

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
        return with_defaults(self.constants, constants)

    def _checkable(self, known: Mapping[str, Any], form: str) -> tuple[list[sympy.Basic], dict[str, Any]]:
        """The conditions whose constants are all known, and the checked constants."""
        present = [c for c in self.conditions_of(form) if all(known.get(n) is not None for n in s.names([c]))]
        return present, fill(known, set().union(*(c.free_symbols for c in present)))

    def _values(self, needed: set[sympy.Symbol], constants: Mapping[str, Any]) -> dict[str, Any]:
        """Checked floats and arrays for the symbols needed, the tuned step size included."""
        self._refuse_unknown(constants)
        return completed(self.name, self.constants, needed, self._filled(constants), self.step_rule)
