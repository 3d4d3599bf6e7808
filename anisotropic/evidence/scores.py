"""How close does a run come to a bound, and by which factor could each term, or each constant, be smaller?

A term is scaled where it stands in the sum. A constant is scaled everywhere in the bound, sigma to c sigma say: the
cause of a term, which in a form that is solved for lives on in the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..bounds.iterations import cut
from ..bounds.measures import observe
from ..bounds.symbols import names
from ..bounds.theorem import Bound
from ..intervals import Limits, quantile_limits, t_limits
from ..records import FloatArray, Run
from .hypotheses import applicable, known_constants, resolution, unmet
from .verdicts import names_no_step_size

#: Constants that a bound grows with, and that are facts about the problem.
CAUSES = ("sigma", "rho", "L", "L0", "L1", "D", "R", "Delta", "G", "G_star", "noise_bound")
#: Share of the bound below which a term is not looked at: what is left for it would be mostly luck.
LEAST_SHARE = 0.01
#: Factors of a constant are known to this, and one below it counts as none.
PRECISION = 1e-5
NOTHING = -1e6
EVERYTHING = 1e6


class Need(NamedTuple):
    """What is scaled: a term, a cause (one constant, everywhere), or with neither the whole bound."""

    term: str = ""
    cause: str = ""


WHOLE = Need()


class Score(NamedTuple):
    """A lower limit to maximize, the horizon and the form of the bound that belong to it, and all limits there."""

    value: float
    steps: int
    form: str
    limits: tuple[float, float, float]  # estimate, lower, upper


class _Looked(NamedTuple):
    """One form of a bound at the records where it applies, and what was measured there."""

    form: str
    steps: np.ndarray
    constants: list[dict[str, Any]]
    parts: list[dict[str, float]]
    limits: Limits
    whole: np.ndarray


def scores(
    bound: Bound, run: Run, constants: Mapping[str, Any], level: float, causes: Collection[str] = CAUSES
) -> dict[Need, Score]:
    """For the whole measured / bound, for each term and cause the factor it needs, at the record where that is most.

    Empty where a hypothesis is not met. Each cause takes some twenty values of the bound, so that `causes` may say
    which of them are wanted.
    """
    looked = _looked(bound, run, known_constants(bound, run) | dict(constants), level)
    if looked is None:
        return {}
    found = {}
    terms = () if bound.kind == "lower" or len(looked.parts[-1]) < 2 else looked.parts[-1]
    for term in ["", *terms]:
        lost = NOTHING if bound.kind == "lower" else EVERYTHING  # what a diverged replica says of the bound
        scaled = [np.where(looked.whole, _scaled(side, looked.parts, bound.kind, term), lost) for side in looked.limits]
        k = int(np.argmax(scaled[1]))
        estimate, low, high = (float(side[k]) for side in scaled)
        found[Need(term)] = Score(low, int(looked.steps[k]), looked.form, (estimate, low, high))
    if bound.kind != "lower":
        found |= dict(_causes(bound, looked, found[WHOLE], causes))
    return found


def _looked(bound: Bound, run: Run, known: dict[str, Any], level: float) -> _Looked | None:
    if unmet(bound, run, known):
        return None
    open_to = applicable(bound, run, known)
    last = {f: _terms(bound, f, known, int(run.steps[k[-1]])) for f, k in open_to.items()}
    claims = {f: sum(parts.values()) for f, parts in last.items() if parts}
    if not claims:
        return None
    numbers = {f: claim for f, claim in claims.items() if not np.isnan(claim)} or claims
    form = (max if bound.kind == "lower" else min)(numbers, key=lambda f: numbers[f])
    records = open_to[form][-1:] if names_no_step_size(bound) else open_to[form]
    every = [_terms(bound, form, known, int(t)) for t in run.steps[records]]
    records, parts = records[[p is not None for p in every]], [p for p in every if p is not None]
    at = [cut(known, t) for t in run.steps[records]]
    everything = np.asarray(observe(bound.measure, run), dtype=np.float64)
    values = everything[:, records]
    whole = np.asarray(np.isfinite(values).all(axis=0))
    limits = _limits(bound, np.where(whole, values, 0.0), known, run, level, resolution(run, everything))
    return _Looked(form, run.steps[records], at, parts, limits, whole)


def _terms(bound: Bound, form: str, known: Mapping[str, Any], steps: int) -> dict[str, float] | None:
    """The terms after so many updates; None where a form that is solved for has no solution."""
    try:
        return bound.terms(form, **cut(known, steps))
    except ValueError:
        return None


def _limits(bound: Bound, values: FloatArray, known: dict[str, Any], run: Run, level: float, fuzz: float) -> Limits:
    """Limits of what was measured; without noise it is known up to what double precision resolves."""
    if bound.probability:
        return quantile_limits(values, 1 - known["delta"], level)
    if run.facts.law == "none" or run.replicas < 2:
        mean = values.mean(axis=0)
        limits = Limits(mean, mean - fuzz, mean + fuzz)
    else:
        limits = t_limits(values, level)
    return Limits(limits.estimate, limits.high, limits.low) if bound.kind == "lower" else limits


def _scaled(side: FloatArray, parts: list[dict[str, float]], kind: str, term: str) -> FloatArray:
    """measured / bound, or the factor of `term` at which the bound equals what was measured."""
    claims = np.array([sum(p.values()) for p in parts])
    if not term:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = claims / side if kind == "lower" else side / claims
        return np.where(np.isfinite(ratio), ratio, NOTHING)
    part = np.array([p.get(term, 0.0) for p in parts])
    large = part > LEAST_SHARE * claims
    return np.where(large, 1 - (claims - side) / np.where(large, part, 1.0), NOTHING)


def _causes(bound: Bound, looked: _Looked, whole: Score, causes: Collection[str]) -> Iterator[tuple[Need, Score]]:
    """The factor of each constant, at the record where the bound is tightest and at the last one."""
    used = names(bound.summands[looked.form].needs)
    records = {looked.steps.tolist().index(whole.steps), looked.steps.size - 1}
    for cause in causes:
        if cause not in used or not np.any(looked.constants[-1].get(cause, 0.0)):
            continue
        best = Score(NOTHING, whole.steps, looked.form, (np.nan, np.nan, np.nan))
        for k in records:
            low = float(looked.limits.low[k]) if looked.whole[k] else np.inf
            value = _factor(bound, looked.form, looked.constants[k], cause, low)
            if value > best.value:
                best = Score(value, int(looked.steps[k]), looked.form, (np.nan, value, np.nan))
        yield Need(cause=cause), best


def _factor(bound: Bound, form: str, constants: Mapping[str, Any], cause: str, measured: float) -> float:
    """The c at which the bound with c times this constant equals what was measured; negative where it needs none."""
    from scipy.optimize import brentq

    def claim(c: float) -> float:
        return bound(form, **dict(constants) | {cause: c * np.asarray(constants[cause], dtype=np.float64)})

    try:
        least, most = claim(PRECISION), claim(1.0)
        if not np.isfinite(least) or least >= most:
            return NOTHING
        if measured <= least:
            return measured / least - 1
        if measured >= most:
            return min(measured / most, EVERYTHING)
        return float(brentq(lambda c: claim(c) - measured, PRECISION, 1.0, xtol=PRECISION)) - PRECISION
    except (ValueError, ZeroDivisionError, OverflowError):  # a condition of the theorem that a smaller constant breaks
        return NOTHING
